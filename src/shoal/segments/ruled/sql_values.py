"""What rules measure of events, as SQL: aggregates of `counted`, and tables of their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.domain.time import DAY_US, Zone, from_us, to_us
from shoal.features.queries import Rules
from shoal.segments.ruled.batch import asked
from shoal.segments.ruled.comparison import Condition, IsKnown
from shoal.segments.ruled.language import (
    EVERY,
    VALUE,
    Compare,
    Events,
    Feature,
    Step,
    Where,
    Window,
)
from shoal.segments.ruled.language import Sequence as Chain
from shoal.segments.ruled.measured import condition_of, day_number, kinds_of
from shoal.segments.ruled.sql_features import forms
from shoal.segments.ruled.sql_parts import FIELDS, compared, moment_sql, text_sql

_ORDER: Final = "event_time{0}, COALESCE(sequence, 0){0}, COALESCE(event_id, ''){0}, source{0}"
_MICROSECOND: Final = timedelta(microseconds=1)

_COUNTED: Final[Mapping[str, str]] = {
    "views": kinds.VIEW, "clicks": kinds.CLICK, "cart_adds": kinds.CART_ADD,
    "cart_removes": kinds.CART_REMOVE, "checkouts": kinds.CHECKOUT, "logins": kinds.LOGIN,
    "refunds": kinds.REFUND, "reviews": kinds.REVIEW, "shares": kinds.SHARE,
    "favourites": kinds.FAVOURITE, "referrals": kinds.REFER, "surveys": kinds.SURVEY,
    "exposures": kinds.EXPOSURE, "opens": kinds.OPEN, "responses": kinds.RESPONSE,
    "searches": kinds.SEARCH, "profile_updates": kinds.PROFILE,
}  # fmt: skip
_WINDOWED: Final[Mapping[str, str]] = {
    "events": EVERY, "views": kinds.VIEW, "searches": kinds.SEARCH, "cart_adds": kinds.CART_ADD,
}  # fmt: skip

#: Features of the catalog that are a measure of events, to the last digit.
EQUIVALENTS: Final[Mapping[str, Events]] = {
    "events": Events(),
    "orders": Events((VALUE,), measure="orders"),
    "recency_days": Events(measure="days_since_last"),
    "tenure_days": Events(measure="days_since_first"),
    "sign_up_days": Events((kinds.SIGN_UP,), measure="days_since_first"),
    **{name: Events((kind,)) for name, kind in _COUNTED.items()},
    **{
        f"{name}_{days}d": Events((kind,), window=Window(last_days=days))
        for name, kind in _WINDOWED.items()
        for days in (7, 28, 90)
    },
}


class Measures:
    """Writes what is measured of the events before a moment.

    Attributes:
        fields: fields of events that were asked for; `counted` has each as `f_NAME`.
    """

    def __init__(self, shop: Rules, as_of: datetime, zone: Zone) -> None:
        self.shop, self.as_of, self.zone = shop, as_of, zone
        self.today = zone.local_day(as_of - _MICROSECOND)
        self.fields: dict[str, None] = {}

    def thing_of(self, leaf: Compare | Chain) -> Events | Chain | Feature:
        """What a leaf measures of events, or the feature that it asks for.

        Raises:
            UsageError: `no_sql_form`.
        """
        thing = asked(leaf)
        if isinstance(thing, Feature) and thing.name in EQUIVALENTS:
            return EQUIVALENTS[thing.name]
        if isinstance(thing, Feature) and thing.name in forms():
            return thing
        if not isinstance(thing, Events | Chain):
            raise _untold(thing)
        steps = thing.steps if isinstance(thing, Chain) else (thing,)
        names = {one.field for step in steps for one in step.where}
        names |= {thing.same} if isinstance(thing, Chain) else {thing.of}
        for name in sorted(names - {""}):
            if name not in FIELDS:
                raise no_sql(
                    f"field {name}", "Local hours, weekdays and properties are told differently "
                    "from engine to engine. Leave it out, or export csv or parquet.",
                )  # fmt: skip
        if isinstance(thing, Events) and thing.measure == "days":
            raise no_sql("measure days", "Count events or orders, or export csv or parquet.")
        return thing

    def measure(self, one: Events) -> str:
        """An aggregate over a customer's `counted`; moments for ages."""
        here = self._matches(one.kinds, one.where, one.window)
        match one.measure:
            case "count":
                return f"SUM(CASE WHEN {here} THEN 1 ELSE 0 END)"
            case "orders":
                return (
                    f"COUNT(DISTINCT CASE WHEN {here} THEN order_id END) + COUNT(DISTINCT "
                    f"CASE WHEN {here} AND order_id IS NULL THEN event_time END)"
                )
            case "items":
                return f"COUNT(DISTINCT CASE WHEN {here} THEN item_id END)"
            case "days_since_first":
                return f"MIN(CASE WHEN {here} THEN event_time END)"
            case "days_since_last":
                return f"MAX(CASE WHEN {here} THEN event_time END)"
            case "sum":
                return f"SUM(CASE WHEN {here} THEN COALESCE({self._field(one.of)}, 0) ELSE 0 END)"
        return f"{one.measure.upper()}(CASE WHEN {here} THEN {self._field(one.of)} END)"

    def latest(self, one: Events, name: str) -> str:
        """The table `NAME_found` of customers with the field of their latest event."""
        value = self._field(one.of)
        here = self._matches(one.kinds, one.where, one.window)
        rows = (
            f"SELECT customer_id, {value} AS {name}, ROW_NUMBER() OVER (PARTITION BY customer_id "
            f"ORDER BY {_ORDER.format(' DESC')}) AS place FROM counted "
            f"WHERE {here} AND {value} IS NOT NULL"
        )
        return f"{name}_found AS (SELECT customer_id, {name} FROM ({rows}) AS r WHERE place = 1)"

    def chain(self, chain: Chain, name: str) -> list[str]:
        """A table a step: its events, and whether the sequence reached them."""
        by = ["customer_id"] + ([self._field(chain.same)] if chain.same else [])
        whole = [self._step(step, Window()) for step in chain.steps]
        some = " OR ".join(f"({one})" for one in whole)
        same = f" AND {by[-1]} IS NOT NULL" if chain.same else ""
        ones = [f"CASE WHEN {one} THEN 1 ELSE 0 END" for one in whole]
        steps = ", ".join(f"{one} AS s{n}" for n, one in enumerate(ones))
        first = self._step(chain.steps[0], chain.window)
        keys = ", ".join([*by, "event_time", "sequence", "event_id", "source"])
        reached = f"CASE WHEN {first} THEN 1 ELSE 0 END AS reached"
        us = "SHOAL_MICROS(event_time) AS us"
        source = f"counted WHERE ({some}){same}"
        parts = [f"{name}_0 AS (SELECT {keys}, {us}, {steps}, {reached} FROM {source})"]
        passed = ", ".join(f"s{n}" for n in range(len(whole)))
        over = f"OVER (PARTITION BY {', '.join(by)} ORDER BY {_ORDER.format('')}"
        for n, step in enumerate(chain.steps[1:], start=1):
            now = f"CASE WHEN {self._reached(step, f's{n}')} THEN 1 ELSE 0 END AS reached"
            looked = self._looked(step, n, f"{keys}, us, {passed}, reached", over, name)
            parts.append(f"{name}_{n} AS (SELECT {keys}, us, {passed}, {now} FROM ({looked}) AS r)")
        last = len(whole) - 1
        parts.append(
            f"{name}_found AS (SELECT DISTINCT customer_id, 1 AS {name} FROM {name}_{last} "
            "WHERE reached = 1)"
        )
        return parts

    @staticmethod
    def _looked(step: Step, n: int, keys: str, over: str, name: str) -> str:
        if step.absent:
            rows = "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
            value = f"MIN(CASE WHEN s{n} = 1 THEN us END) {over} {rows}"
        else:
            rows = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
            value = f"MAX(CASE WHEN reached = 1 THEN us END) {over} {rows}"
        return f"SELECT {keys}, {value} AS other_us FROM {name}_{n - 1}"

    def _reached(self, step: Step, here: str) -> str:
        span = None if step.within_days is None else round(step.within_days * DAY_US)
        if not step.absent:
            late = "" if span is None else f" AND us - other_us <= {span}"
            return f"{here} = 1 AND other_us IS NOT NULL{late}"
        if span is None:
            return "reached = 1 AND other_us IS NULL"
        return (
            f"reached = 1 AND (other_us IS NULL OR other_us - us > {span}) "
            f"AND us < {to_us(self.as_of) - span}"
        )

    def _step(self, step: Step, window: Window) -> str:
        return self._matches(step.kinds, step.where, window)

    def _matches(self, of: tuple[str, ...], where: tuple[Where, ...], window: Window) -> str:
        parts = []
        if EVERY not in of:
            parts.append(f"kind IN ({', '.join(map(text_sql, kinds_of(of, self.shop)))})")
        for one in where:
            found: Condition = condition_of(one)
            name = self._field(one.field)
            parts.append(compared(name, found, number, nullable=isinstance(found, IsKnown)))
        parts += self._within(window)
        return " AND ".join(parts) or "TRUE"

    def _within(self, window: Window) -> list[str]:
        """Bounds of a window's days as moments."""
        since, until = [], []
        if window.last_days is not None:
            since.append(self.today - window.last_days + 1)
        if window.skip_days:
            until.append(self.today - window.skip_days + 1)
        if window.first is not None:
            since.append(day_number(window.first))
        if window.last is not None:
            until.append(day_number(window.last) + 1)
        return [
            *(f"event_time >= {moment_sql(start_of(day, self.zone))}" for day in since),
            *(f"event_time < {moment_sql(start_of(day, self.zone))}" for day in until),
        ]

    def _field(self, name: str) -> str:
        self.fields.setdefault(name)
        return f"f_{name}"


def _untold(thing: Any) -> UsageError:
    """The refusal of what events do not tell."""
    name = getattr(thing, "name", "") or getattr(thing, "segment_id", "")
    what = type(thing).__name__.lower().replace("member", "segment")
    reason = forms().left_out.get(name) if isinstance(thing, Feature) else None
    told = f"It {reason.en}." if reason else "An events table does not tell it."
    return no_sql(
        f"{what} {name}",
        f"{told} Ask for events instead, such as "
        '{"events": "any", "measure": "latest", "of": "channel", ...}, or export the members as '
        "csv or parquet.",
    )


def number(value: Any) -> str:
    """A value in stored units as a literal."""
    return text_sql(value) if isinstance(value, str) else str(int(value))


def start_of(day: int, zone: Zone) -> datetime:
    """The first moment of a local day, by its number since 1970-01-01."""
    found = from_us(day * DAY_US - zone.offset_s(from_us(day * DAY_US)) * 1_000_000)
    for _ in range(2):  # the offset at midnight may differ from that at noon UTC
        again = from_us(day * DAY_US - zone.offset_s(found - _MICROSECOND) * 1_000_000)
        if zone.local_day(again) == day and zone.local_day(again - _MICROSECOND) == day - 1:
            return again
        found = again
    return found


def no_sql(what: str, hint: str) -> UsageError:
    """The refusal of a clause that has no SQL."""
    return UsageError(
        "no_sql_form",
        f"{what} cannot be written as SQL over the canonical columns of an events table",
        where=what,
        hint=hint,
    )
