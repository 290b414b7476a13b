"""One event: one row, one fact."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True)
class Event:
    """An event in canonical form. The Arrow schema in `shoal.events.schema` mirrors these fields.

    Money fields are int64 micro-units of `currency`; times are aware UTC datetimes.
    """

    event_id: str
    kind: str
    event_time: datetime
    customer_id: str | None = None
    anonymous_id: str | None = None
    received_at: datetime | None = None
    sequence: int = 0
    item_id: str | None = None
    category: str | None = None
    brand: str | None = None
    title: str | None = None
    price: int | None = None
    discount: int | None = None
    tax: int | None = None
    shipping: int | None = None
    currency: str | None = None
    quantity: int | None = None
    order_id: str | None = None
    order_status: str | None = None
    payment: str | None = None
    coupon: str | None = None
    session_id: str | None = None
    query: str | None = None
    rating: float | None = None
    text: str | None = None
    channel: str | None = None
    device: str | None = None
    country: str | None = None
    region: str | None = None
    source: str = ""
    action_id: str | None = None
    properties: str | None = None


#: Canonical columns in the order of the contract.
CANONICAL: Final[tuple[str, ...]] = (
    "event_id", "customer_id", "anonymous_id", "kind", "event_time", "received_at", "sequence",
    "item_id", "category", "brand", "title", "price", "discount", "tax", "shipping", "currency",
    "quantity", "order_id", "order_status", "payment", "coupon", "session_id", "query", "rating",
    "text", "channel", "device", "country", "region", "source", "action_id", "properties",
)  # fmt: skip

MONEY_COLUMNS: Final = ("price", "discount", "tax", "shipping")
TIME_COLUMNS: Final = ("event_time", "received_at")

if {field.name for field in fields(Event)} != set(CANONICAL):
    raise RuntimeError("shoal.domain.event: Event and CANONICAL must name the same columns")

#: Literal ids that tracking code writes when it has none; such rows are quarantined.
NO_IDS: Final = frozenset({"", "null", "undefined", "guest", "none", "nan", "n/a", "nil"})
