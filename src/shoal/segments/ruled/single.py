"""Rules of one customer, from that customer's own events: what to ask when something happened.

Pure Python over the rows of one customer, as they count at the moment. It gives what
`shoal.segments.ruled.batch` gives for everybody; a law holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.domain import kinds
from shoal.domain.money import MICROS
from shoal.domain.time import DAY_US, SECOND_US, Zone, to_us
from shoal.features.queries import HOUR_US, Rules
from shoal.segments.ruled.batch import clock
from shoal.segments.ruled.language import (
    EVERY,
    LATEST,
    PROPERTIES,
    TEXT_FIELDS,
    Events,
    Feature,
    Member,
    Rule,
    Step,
    Trait,
    Where,
    Window,
)
from shoal.segments.ruled.language import Sequence as Chain
from shoal.segments.ruled.measured import condition_of, day_number, kinds_of
from shoal.segments.ruled.truth import Bools, compared, of_mapping, truth

Row = Mapping[str, Any]
#: 1970-01-01 was a Thursday; Monday is 0.
_EPOCH_WEEKDAY: Final = 3


@dataclass(frozen=True)
class Customer:
    """What is known of one customer.

    Args:
        events: rows of the event table, in any order, as they count at the moment.
        features: of a snapshot at the moment, by name, with any further columns.
        members: rows of `MEMBERS_SCHEMA`, at the moment.
    """

    events: Sequence[Row] = ()
    features: Mapping[str, Any] = field(default_factory=dict)
    members: Sequence[Row] = ()


def answers(
    named: Mapping[str, Rule], customer: Customer, shop: Rules, *, as_of: datetime, zone: Zone
) -> dict[str, bool]:
    """Which rules hold for a customer, by events before the moment.

    Raises:
        UsageError: `bad_rule`, a rule names another one outside a file.
    """
    moment = clock(as_of, zone).to_pylist()[0]
    history = History(customer, shop, moment["now_us"], moment["today"])
    return {name: bool(truth(rule, history.value)[0]) for name, rule in named.items()}


class History:
    """A customer's events before a moment, in order, and what rules measure of them."""

    def __init__(self, customer: Customer, shop: Rules, now_us: int, today: int) -> None:
        self.customer, self.shop, self.now_us, self.today = customer, shop, now_us, today
        rows = [_prepared(row, shop) for row in customer.events if _counts(row, shop)]
        rows = [row for row in rows if row["us"] < now_us]
        self.rows = sorted(rows, key=lambda row: row["place"])
        self._values: dict[Any, pa.Array] = {}
        self._masks: dict[Any, Bools] = {}

    def value(self, asked: Any) -> pa.Array:
        """What was asked of the customer, an array of one."""
        if asked not in self._values:
            self._values[asked] = self._value(asked)
        return self._values[asked]

    def _value(self, asked: Any) -> pa.Array:
        if isinstance(asked, Feature | Trait):
            return of_mapping(self.customer.features, asked)
        if isinstance(asked, Member):
            return self._member(asked)
        if isinstance(asked, Chain):
            return pa.array([self._chain(asked)])
        value = self._measure(asked)
        texts = asked.measure == LATEST and is_text(asked.of)
        return pa.array([value], pa.string() if texts else pa.int64())

    def _member(self, asked: Member) -> pa.Array:
        rows = [
            row
            for row in self.customer.members
            if (row["segmentation"], row["segment_id"]) == (asked.segmentation, asked.segment_id)
        ]
        if asked.measure == "weight":
            return pa.array([max((row["weight"] for row in rows), default=0.0)], pa.float64())
        since = [row["since_us"] for row in rows if row["since_us"] is not None]
        return pa.array([self.now_us - max(since) if since else None], pa.int64())

    def _measure(self, asked: Events) -> int | str | None:
        here = self._matches(asked.kinds, asked.where) & self._within(asked.window)
        rows = [self.rows[place] for place in np.flatnonzero(here)]
        match asked.measure:
            case "count":
                return len(rows)
            case "days":
                return len({row["day"] for row in rows})
            case "orders":
                return len({row["order_key"] for row in rows})
            case "items":
                return len({row["item_id"] for row in rows} - {None})
            case "days_since_first":
                return self.now_us - rows[0]["us"] if rows else None
            case "days_since_last":
                return self.now_us - rows[-1]["us"] if rows else None
        known = [value for row in rows if (value := event_field(row, asked.of)) is not None]
        if asked.measure == "sum":
            return sum(known)
        if not known:
            return None
        if asked.measure == LATEST:
            return known[-1]
        return min(known) if asked.measure == "min" else max(known)

    # -- sequences ---------------------------------------------------------------------------------

    def _chain(self, chain: Chain) -> bool:
        """Whether the steps follow one another, among events that share a field if one is named."""
        steps = [self._matches(step.kinds, step.where) for step in chain.steps]
        first = steps[0] & self._within(chain.window)
        groups: dict[Any, list[int]] = {}
        for place, row in enumerate(self.rows):
            key = row[chain.same] if chain.same else ""
            if key is not None:
                groups.setdefault(key, []).append(place)
        return any(self._follows(places, chain, steps, first) for places in groups.values())

    def _follows(self, places: list[int], chain: Chain, steps: list[Bools], first: Bools) -> bool:
        rows = [self.rows[place] for place in places]
        reached = first[places].tolist()
        for step, here in zip(chain.steps[1:], steps[1:], strict=True):
            reached = list(self._next(rows, step, here[places].tolist(), reached))
        return any(reached)

    def _next(
        self, rows: Sequence[Row], step: Step, here: list[bool], reached: list[bool]
    ) -> Iterator[bool]:
        """Whether each event reaches a step: an earlier one reached the step before in time."""
        span = None if step.within_days is None else round(step.within_days * DAY_US)
        if not step.absent:
            last = None
            for row, is_here, was_reached in zip(rows, here, reached, strict=True):
                yield is_here and last is not None and (span is None or row["us"] - last <= span)
                last = row["us"] if was_reached else last
            return
        following: list[int | None] = []
        next_us = None
        for row, is_here in zip(reversed(rows), reversed(here), strict=True):
            following.append(next_us)
            next_us = row["us"] if is_here else next_us
        for row, was_reached, then in zip(rows, reached, reversed(following), strict=True):
            if span is None:
                yield was_reached and then is None
            else:
                late = then is None or then - row["us"] > span
                yield was_reached and late and row["us"] + span < self.now_us

    # -- which events ------------------------------------------------------------------------------

    def _matches(self, of: tuple[str, ...], where: tuple[Where, ...]) -> Bools:
        """(events,) which are of some kinds and fulfil all conditions."""
        held = np.ones(len(self.rows), dtype=bool)
        if EVERY not in of:
            wanted = kinds_of(of, self.shop)
            held &= self._mask(of, lambda: [row["kind"] in wanted for row in self.rows])
        for one in where:
            held &= self._mask(one, partial(self._fulfil, one))
        return held

    def _fulfil(self, where: Where) -> Bools:
        kind = pa.string() if is_text(where.field) else pa.int64()
        values = pa.array([event_field(row, where.field) for row in self.rows], kind)
        return compared(values, condition_of(where))

    def _within(self, window: Window) -> Bools:
        """(events,) which lie on the days of a window."""
        return self._mask(window, lambda: [self._inside(row["day"], window) for row in self.rows])

    def _inside(self, day: int, window: Window) -> bool:
        if window.last_days is not None and day <= self.today - window.last_days:
            return False
        if window.skip_days and day > self.today - window.skip_days:
            return False
        if window.first is not None and day < day_number(window.first):
            return False
        return window.last is None or day <= day_number(window.last)

    def _mask(self, of: Any, make: Callable[[], Any]) -> Bools:
        """What was made of a condition, made once."""
        if of not in self._masks:
            self._masks[of] = np.asarray(make(), dtype=bool)
        return self._masks[of]


def _counts(row: Row, shop: Rules) -> bool:
    """Whether an event counts: no fact of an item, no noise, no order told twice."""
    if row["kind"] == kinds.ITEM or row.get("noise") in (shop.noise or ()):
        return False
    money = row["kind"] in (kinds.PURCHASE, kinds.REFUND)
    return not (shop.order_sources and money) or row.get("source") in shop.order_sources


def _prepared(row: Row, shop: Rules) -> dict[str, Any]:
    """An event with the columns that rules look at, as `shoal.features.queries` defines them."""
    us = to_us(row["event_time"])
    local_us = us + (row.get("utc_offset_s") or 0) * SECOND_US
    foreign = bool(
        shop.currency and row.get("currency") is not None and row["currency"] != shop.currency
    )
    price, quantity = row.get("price"), row.get("quantity")
    priced = price is not None and not foreign
    units = quantity if quantity is not None else int(price is not None)
    amount = price * units if price is not None and not foreign else 0
    reduction = 0 if foreign else row.get("discount") or 0
    net = None
    if row["kind"] == shop.value_event:
        net = amount - reduction
    elif row["kind"] == kinds.REFUND:
        net = reduction - abs(amount)
    rating = row.get("rating")
    return {
        **{name: row.get(name) for name in (*TEXT_FIELDS, "kind", "properties")},
        "us": us,
        "day": local_us // DAY_US,
        "hour": local_us % DAY_US // HOUR_US,
        "weekday": (local_us // DAY_US + _EPOCH_WEEKDAY) % 7,
        "order_key": row.get("order_id") if row.get("order_id") is not None else f"@{us}",
        "price": price if priced else None,
        "amount": amount if priced else None,
        "discount": reduction,
        "net": net,
        "quantity": units,
        "rating": None if rating is None else _whole(rating * MICROS),
        "place": (us, row.get("sequence") or 0, row.get("event_id") or "", row.get("source") or ""),
    }


def _whole(value: float) -> int:
    """Rounded half away from zero, as engines round."""
    return int(Decimal(value).to_integral_value(ROUND_HALF_UP))


def is_text(name: str) -> bool:
    """Whether a field of events holds a text."""
    return name in TEXT_FIELDS or name.startswith(PROPERTIES)


def event_field(row: Row, name: str) -> Any:
    """A field of a prepared event; None where unknown."""
    if name.startswith(PROPERTIES):
        return json_text(row["properties"], name.removeprefix(PROPERTIES))
    return row[name]


def json_text(document: str | None, name: str) -> str | None:
    """A member of a JSON object as text; None where there is none."""
    try:
        found = json.loads(document) if document else None
    except ValueError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
