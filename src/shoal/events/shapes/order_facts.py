"""An order of any shop system as flat facts: what was bought, what went back, what is neither.

The sources fill an `Order`; here it becomes rows. Its discount, tax and shipping count once; gift
cards bought, tips and fees are `custom` facts (they are no revenue from products); every fact
has the id `order#line`, which stays the same when the order is exported again, and the order as its
scope, so that a later export replaces all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shoal.domain import kinds
from shoal.events.shapes.flat_table import Rejected
from shoal.events.shapes.order_lines import amount_text, line_discounts

#: The flat columns of order sources, all text.
COLUMNS: Final = (
    "event_id", "kind", "event_time", "customer", "anonymous", "email", "phone", "item", "product",
    "variant", "sku", "title", "category", "brand", "price", "discount", "tax", "shipping",
    "currency", "quantity", "order_id", "order_status", "payment", "coupon", "channel", "country",
    "region", "properties", "order_mark", "scope", "version", "ip", "user_agent",
)  # fmt: skip

#: What of an order concerns the person rather than the purchase.
_OF_PERSON: Final = (
    "event_time", "customer", "email", "phone", "country", "region", "order_id", "order_mark",
    "scope", "version",
)  # fmt: skip

#: What a line may be.
PRODUCT: Final = "product"
GIFT_CARD: Final = "gift_card"
TIP: Final = "tip"
FEE: Final = "fee"

#: Values of `order_mark`.
TEST: Final = "test"
STAFF: Final = "staff"
ORDINARY: Final = "ordinary"
_TEST_TAGS: Final = frozenset({"test", "test order", "test-order"})
_STAFF_TAGS: Final = frozenset({"staff", "staff order", "staff-order", "employee", "internal"})

#: Properties of an event that says: the e-mail address in `anonymous_id` always was this customer.
EMAIL_ALIAS: Final = '{"alias":true,"link":"email"}'

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?) ?([+-]\d\d):?(\d\d)")


@dataclass
class Line:
    """A line of an order. Amounts are micro-units; `price` is that of one unit.

    `written` holds raw texts of values that could not be read (they go on as they are, to be
    refused with what was written) and None where the source says nothing.
    """

    key: str
    price: int
    units: int
    own_discount: int = 0
    is_a: str = PRODUCT
    columns: dict[str, str | None] = field(default_factory=dict)
    written: dict[str, str | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    discount: int = 0

    @property
    def gross(self) -> int:
        return self.price * self.units

    @property
    def net(self) -> int:
        return self.gross - self.discount


@dataclass
class Refund:
    """What went back: of an item, or an amount of the order."""

    key: str
    time: str | None
    price: int
    units: int | None = None
    discount: int = 0
    tax: int | None = None
    shipping: int | None = None
    kind: str = kinds.REFUND
    columns: dict[str, str | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class Order:
    """An order as its source states it; amounts are micro-units.

    `shared` holds the flat columns that all its facts have (customer, currency, status, ...).
    `paid` is False where the order was never a sale (a payment that failed, a draft). `alias` is
    another id of the customer, an e-mail address; the first fact tells it.
    """

    key: str
    time: str | None
    shared: dict[str, str | None]
    lines: list[Line]
    refunds: list[Refund] = field(default_factory=list)
    tax: int | None = None
    shipping: int | None = None
    consent: Mapping[str, bool] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    paid: bool = True
    alias: str | None = None

    @property
    def products(self) -> list[Line]:
        return [line for line in self.lines if line.is_a == PRODUCT]

    @property
    def net(self) -> int:
        """Micro-units of its products after discounts, before refunds."""
        return sum(line.net for line in self.products)

    def settle_discounts(self, stated: int | None, subtotal: int | None) -> None:
        """Give the products their discounts (`line_discounts`).

        Args:
            stated: the discount of the order.
            subtotal: of the products, after discounts, before tax and shipping.
        """
        lines = self.products
        found, unexplained = line_discounts(
            [line.gross for line in lines], [line.own_discount for line in lines], stated, subtotal
        )
        for line, discount in zip(lines, found, strict=True):
            line.discount = discount
        if unexplained and self.lines:
            self.lines[0].notes["unexplained"] = amount_text(unexplained) or ""


def fact_rows(order: Order) -> list[dict[str, Any]]:
    """The flat rows of an order; none if it has no line and no refund."""
    shared = {**order.shared, "scope": order.key, "order_id": order.key, "event_time": order.time}
    rows: list[dict[str, Any]] = [shared | _line_row(order, line) for line in order.lines]
    bought = [row for row in rows if row["kind"] == kinds.PURCHASE]
    first = next(iter(bought or rows), None)
    if first is not None:
        first["tax"], first["shipping"] = amount_text(order.tax), amount_text(order.shipping)
        notes = {**order.notes, **json.loads(first["properties"] or "{}")}
        if order.alias:
            first["anonymous"] = order.alias
            notes |= json.loads(EMAIL_ALIAS)
        first["properties"] = _packed(notes)
    rows += [shared | _refund_row(order, refund) for refund in order.refunds]
    person = {name: shared.get(name) for name in _OF_PERSON}
    for channel, granted in order.consent.items():
        rows.append(
            person
            | {"event_id": f"{order.key}#consent:{channel}", "kind": kinds.CONSENT,
               "channel": channel, "properties": json.dumps({"granted": granted})}
        )  # fmt: skip
    return rows


def _line_row(order: Order, line: Line) -> dict[str, Any]:
    notes = dict(line.notes)
    kind = kinds.PURCHASE if order.paid else kinds.CUSTOM
    if line.is_a != PRODUCT:
        kind = kinds.CUSTOM
        notes |= {"note": GIFT_CARD} if line.is_a == GIFT_CARD else {"fee": line.is_a}
    elif not order.paid:
        notes["note"] = "not_paid"
    elif not line.units and "quantity" not in line.written:  # taken out of the order
        kind, notes["note"] = kinds.CUSTOM, "no_units"
    return {
        **line.columns,
        "event_id": f"{order.key}#{line.key}",
        "kind": kind,
        "price": amount_text(line.price),
        "quantity": str(line.units),
        "discount": amount_text(line.discount) if line.discount else None,
        "properties": _packed(notes),
        **line.written,
    }


def _refund_row(order: Order, refund: Refund) -> dict[str, Any]:
    return {
        **refund.columns,
        "event_id": f"{order.key}#{refund.key}",
        "kind": refund.kind,
        "event_time": refund.time or order.time,
        "price": amount_text(refund.price),
        "quantity": None if refund.units is None else str(refund.units),
        "discount": amount_text(refund.discount) if refund.discount else None,
        "tax": amount_text(refund.tax) if refund.tax else None,
        "shipping": amount_text(refund.shipping) if refund.shipping else None,
        "properties": _packed(refund.notes),
    }


def _packed(notes: Mapping[str, Any]) -> str | None:
    return json.dumps(dict(notes), ensure_ascii=False) if notes else None


def order_mark(tags: Iterable[str], *, test: bool = False) -> str:
    """Whether an order is a test or a member of staff's, by its tags."""
    found = {tag.strip().lower() for tag in tags}
    if test or found & _TEST_TAGS:
        return TEST
    return STAFF if found & _STAFF_TAGS else ORDINARY


def moment(text: str | None) -> str | None:
    """A time with its offset as ISO 8601 has it; any other text as it is.

    >>> moment("2024-05-01 09:58:12 -0400")
    '2024-05-01T09:58:12-04:00'
    """
    found = _TIME.fullmatch(text.strip()) if text else None
    return "{}T{}{}:{}".format(*found.groups()) if found else text or None


def email_id(email: str | None) -> str | None:
    """An e-mail address as an id: trimmed and lower case, so that one person is one customer."""
    return (email or "").strip().lower() or None


def also_known_as(customer: str | None, email: str | None) -> str | None:
    """The e-mail address of a customer who has an id: events under either are one person's."""
    return email if customer and customer != email else None


def orphan(place: int, what: str, row: str) -> Rejected:
    """A row that stands without what it belongs to."""
    return (place, "orphan_row", what, row)


def filled(values: Sequence[str | None]) -> str | None:
    """The first value that is not empty."""
    return next((value for value in values if value), None)
