"""Random small event logs full of trouble, as hypothesis strategies, and as Arrow tables."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
from hypothesis import strategies as st

from shoal.domain.event import Event
from shoal.domain.time import Zone
from shoal.events.schema import CANONICAL_SCHEMA, NOISE, UTC_OFFSET

ZONES: Final = ("Europe/London", "America/New_York", "UTC", "Asia/Kolkata")

#: Daylight saving began and ended here in 2024 (UTC): London, New York; and some midnights.
TURNS: Final = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2024-03-31T01:00", "2024-10-27T01:00", "2024-03-10T07:00", "2024-11-03T06:00",
        "2024-03-30T00:00", "2024-03-31T23:00", "2024-10-27T00:00", "2024-11-03T04:00",
        "2024-11-04T05:00", "2024-06-15T18:30", "2024-06-15T22:00", "2024-06-15T05:00",
    )
)  # fmt: skip
#: As-of moments: mid-day, a midnight, the microsecond before one, right at a change.
AS_OFS: Final = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2024-11-05T11:17", "2024-11-04T05:00", "2024-11-04T04:59:59.999999",
        "2024-10-27T01:00", "2024-06-20T12:00", "2025-02-01T09:30",
    )
)  # fmt: skip

_KINDS: Final = (
    "view", "view", "purchase", "purchase", "cart_add", "search", "refund", "review", "favourite",
    "cart_remove", "click", "checkout", "login", "sign_up", "profile", "share", "refer", "survey",
    "exposure", "open", "response", "item", "custom", "consent",
)  # fmt: skip
_CUSTOMERS: Final = ("a", "a", "a", "a", "b", "b", "çé客", "d", "e", "f", None)
_NEAR_US: Final = (
    0, 0, 1, -1, 1_000_000, -1_000_000, 3_600_000_000, -3_600_000_000, 1_800_000_001,
)  # fmt: skip
_NEAR_DAYS: Final = (0, 0, 0, 1, -1, 6, 7, 27, 28, 89, 90, 91, -90)


def random_log(seed: int, size: int) -> list[Event]:
    """Distinct events (by `event_id`) with many equal times, texts and nulls."""
    chance = random.Random(seed)

    def maybe(*values: Any) -> Any:
        return chance.choice([None, None, *values])

    def moment() -> datetime:
        return chance.choice(TURNS) + timedelta(
            microseconds=chance.choice(_NEAR_US), days=chance.choice(_NEAR_DAYS)
        )

    return [
        Event(
            event_id=f"e{n}",
            kind=chance.choice(_KINDS),
            event_time=moment(),
            customer_id=chance.choice(_CUSTOMERS),
            sequence=chance.randrange(3),
            item_id=maybe("i1", "i2", "i3", "i4"),
            category=maybe("home", "home/lamp", "toys/wood", "toys", "/odd", ""),
            brand=maybe("acme", "béta", "zeta"),
            price=maybe(1_000, 19_990_000, 5_000_000),
            discount=maybe(0, 500_000),
            currency=maybe("GBP", "GBP", "EUR"),
            quantity=maybe(1, 2, 30),
            order_id=maybe("o1", "o2", "o3"),
            payment=maybe("card", "cash"),
            coupon=maybe("X"),
            session_id=maybe("s1", "s2"),
            query=maybe("red lamp"),
            rating=maybe(1.0, 4.5, 0.0),
            channel=maybe("web", "app"),
            device=maybe("phone", "desk"),
            country=maybe("GB", "DE"),
            region=maybe("London", ""),
            source="test",
            properties=maybe('{"plan": "gold"}', '{"plan": "free", "age": 41}', '{"age": null}'),
        )
        for n in range(size)
    ]


def logs(max_size: int) -> st.SearchStrategy[list[Event]]:
    """Random logs; a failure shrinks to a short one."""
    return st.builds(random_log, st.integers(0, 2**32), st.integers(0, max_size))


def to_table(events: Sequence[Event], zone: str, noise: Sequence[str | None] = ()) -> pa.Table:
    """Events as canonical columns with the shop's UTC offset and their noise codes (none)."""
    columns = {
        field.name: pa.array(
            [getattr(event, field.name) for event in events],
            CANONICAL_SCHEMA.field(field.name).type,
        )
        for field in fields(Event)
    }
    offsets = [Zone(zone).offset_s(event.event_time) for event in events]
    codes = list(noise) or [None] * len(events)
    own = {UTC_OFFSET: pa.array(offsets, pa.int32()), NOISE: pa.array(codes, pa.string())}
    return pa.table({**columns, **own})
