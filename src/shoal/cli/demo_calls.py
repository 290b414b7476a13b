"""A simulated log as a shop's tracking would have sent it: calls of Segment's spec."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import pyarrow as pa

from shoal.domain import kinds
from shoal.domain.time import iso

#: Names of Segment's e-commerce spec; kinds that it does not know go by their own.
_NAMES: Final[Mapping[str, str]] = {
    kinds.VIEW: "Product Viewed", kinds.SEARCH: "Products Searched",
    kinds.CLICK: "Product Clicked", kinds.CART_ADD: "Product Added",
    kinds.CART_REMOVE: "Product Removed", kinds.FAVOURITE: "Product Added to Wishlist",
    kinds.CHECKOUT: "Checkout Started", kinds.PURCHASE: "Order Completed",
    kinds.REFUND: "Order Refunded", kinds.REVIEW: "Product Reviewed",
    kinds.SHARE: "Product Shared", kinds.SIGN_UP: "Signed Up", kinds.LOGIN: "Signed In",
}  # fmt: skip
#: Of an order's lines, and of a single product.
_PRODUCT: Final[Mapping[str, str]] = {
    "item_id": "product_id", "category": "category", "brand": "brand", "price": "price",
    "quantity": "quantity",
}  # fmt: skip
_OF_CALL: Final[Mapping[str, str]] = {
    "currency": "currency", "order_id": "order_id", "coupon": "coupon", "query": "query",
    "rating": "rating", "text": "review_body",
}  # fmt: skip
_ORDERS: Final = (kinds.PURCHASE, kinds.REFUND)


def calls(events: pa.Table) -> Iterator[dict[str, Any]]:
    """The calls of events in their order; the lines of an order are one call.

    Args:
        events: as `shoal simulate` writes them, by time.
    """
    for _, together in groupby(events.to_pylist(), key=_call_of):
        yield _call(list(together))


def _call_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    if row["kind"] in _ORDERS and row["order_id"]:
        return row["kind"], row["order_id"], row["event_time"]
    return (row["event_id"],)


def _call(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    call = {
        "userId": first["customer_id"], "messageId": first["event_id"],
        "timestamp": iso(first["event_time"]),
        "context": {"device": {"type": first["device"]}, "location": {"country": first["country"]}},
    }  # fmt: skip
    told = json.loads(first["properties"]) if first["properties"] else {}
    if first["kind"] == kinds.PROFILE:
        return {"type": "identify", "traits": told, **call}
    properties = {**told, **_named(first, _OF_CALL)}
    if first["kind"] in _ORDERS:
        properties["products"] = [_named(row, _PRODUCT) for row in rows]
    else:
        properties |= _named(first, _PRODUCT)
    name = _NAMES.get(first["kind"], first["kind"])
    return {"type": "track", "event": name, "properties": properties, **call}


def _named(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {called: row[name] for name, called in names.items() if row[name] is not None}
