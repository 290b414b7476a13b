"""Why a row is quarantined: the registry of reason codes, one line each."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

#: code -> one line for a person. A row gets the first reason that applies, in this order.
REASONS: Final = MappingProxyType(
    {
        # the row could not be read
        "wrong_field_count": "the row has more or fewer fields than the header",
        "bad_json": "the line is not one JSON object",
        "bad_encoding": "the text is not valid in the file's encoding",
        "nul_byte": "a text holds a NUL byte",
        "too_deep": "the call is nested deeper than 64 levels",
        "too_many_keys": "the call has more than 1,000 keys",
        "call_too_large": "the call is larger than 1 MiB",
        "broken_text": "a text of the call holds half of a surrogate pair, which is no text",
        "bad_message_id": "the message id is no printable text of 1 to 100 characters",
        "text_too_long": "a text is longer than 1 MiB (free text) or 512 bytes (everything else)",
        # the row stands where it cannot be understood
        "bad_call": "the line is not a call of the Segment spec, nor a batch of calls",
        "orphan_row": "the row belongs to an order or record that does not stand right before it",
        "missing_order_id": "the row does not say which order it belongs to",
        "bad_lines": "the lines of the order cannot be read",
        # what happened
        "missing_kind": "the row does not say what happened",
        "unknown_kind": "the mapping and the known conventions have no kind of that name",
        # when
        "missing_time": "the row has no event time",
        "bad_time": "the time cannot be read",
        "absurd_time": "the time lies before 1990 or after 2099",
        # who
        "bad_customer_id": "the customer id is a literal such as null, undefined or guest",
        "bad_anonymous_id": "the anonymous id is a literal such as null, undefined or guest",
        # how much
        "bad_price": "the amount is not a number",
        "not_finite": "the number is NaN or infinite",
        "negative_price": "the amount is below zero",
        "absurd_amount": "the amount, or price x quantity, is beyond any shop's",
        "bad_quantity": "the quantity is not a number of units, or is negative for this kind",
        "fractional_quantity": "the quantity is not whole",
        "absurd_quantity": "the quantity is beyond one million units",
        "bad_rating": "the rating is not a number",
        "bad_sequence": "the sequence is not a whole number",
        "unknown_currency": "the currency is not an ISO 4217 code in circulation",
        "bad_properties": "the properties are not one JSON object",
    }
)
