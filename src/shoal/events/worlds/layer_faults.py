"""Faults: from a date on the log says less than what happened, or something else.

Customers do as they did: only what is recorded of it is damaged, so the truth of a shop is the same
with this layer and without it (but for how many events each customer left in the log).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.drifts import FAMILIES, FAULT, day_of
from shoal.events.worlds.encode import SOURCES, moments
from shoal.events.worlds.funnel import BLANKS, CODE
from shoal.events.worlds.layers import Draft, Setting
from shoal.events.worlds.truth import DRIFTS_SCHEMA

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]

#: What can go wrong: a field is missing; amounts are multiplied; events are sent twice under new
#: ids; times are hours off; events do not come; events do not say who the customer is.
NULL, SCALED, REPEATED, SHIFTED, STOPPED, UNSIGNED = (
    "null", "scaled", "repeated", "shifted", "stopped", "unsigned",
)  # fmt: skip
FAULTS: Final = (NULL, SCALED, REPEATED, SHIFTED, STOPPED, UNSIGNED)
_AMOUNTS: Final = ("price", "discount", "tax", "shipping")
#: Seconds between an event and its second copy.
_AGAIN_S: Final = 2


@dataclass(frozen=True)
class Fault:
    """One fault, from `since` until `until` (shares of the log, rounded to days).

    `source` is one of `encode.SOURCES`; `kinds` are the kinds of event it befalls (none: all).
    `field`, one of `funnel.BLANKS`, belongs to `null`. `by` is the factor of `scaled` and the hours
    of `shifted`. `share` is how much of what is in reach it befalls, visit by visit, at difficulty
    0.5; four times as much (at most all) at 0, a quarter of it at 1.
    """

    fault: str
    source: str
    since: float
    until: float
    kinds: tuple[str, ...] = ()
    field: str = ""
    by: float = 1.0
    share: float = 1.0

    def days(self, span_days: int) -> tuple[int, int]:
        """First day, and the day after the last; one day at least."""
        first = day_of(self.since, span_days)
        return first, max(day_of(self.until, span_days), first + 1)

    def what(self) -> str:
        """The fault in words."""
        of = f"{' and '.join(self.kinds) or 'events'} from {self.source}"
        return {
            NULL: f"{self.field} of {of} is missing",
            SCALED: f"amounts of {of} are {self.by:g} times what they should be",
            REPEATED: f"{of} are sent twice, under new ids",
            SHIFTED: f"times of {of} are {self.by:+g} hours off",
            STOPPED: f"{of} do not come",
            UNSIGNED: f"{of} do not say who the customer is",
        }[self.fault]


@dataclass(frozen=True)
class Faults:
    """The faults of a world, in the order in which they damage it. Named as its last layer."""

    faults: tuple[Fault, ...]

    def plan(self, setting: Setting, rng: np.random.Generator) -> FaultsPlan:
        """Check what is declared; nothing is drawn.

        Raises:
            UsageError: `bad_dial`, a fault that cannot be.
        """
        for one in self.faults:
            _check(one)
        return FaultsPlan(self, setting, np.zeros(len(self.faults), np.int64))


def _check(one: Fault) -> None:
    def refuse(what: str, allowed: str) -> UsageError:
        return UsageError("bad_dial", f"a fault cannot have {what}", hint=allowed)

    if one.fault not in FAULTS:
        raise refuse(f"the name {one.fault!r}", f"Known faults: {', '.join(FAULTS)}.")
    if not 0 <= one.since < one.until <= 1:
        raise refuse(
            f"the dates {one.since!r} to {one.until!r}",
            "Give shares of the log from 0 to 1, the earlier first.",
        )
    if one.source not in SOURCES:
        raise refuse(f"the source {one.source!r}", f"Sources: {', '.join(SOURCES)}.")
    unknown = [kind for kind in one.kinds if kind not in CODE]
    if unknown:
        raise refuse(f"the kind {unknown[0]!r}", f"Kinds: {', '.join(CODE)}.")
    if (one.fault == NULL) != (one.field in BLANKS):
        raise refuse(f"the field {one.field!r}", f"Fields of {NULL!r}: {', '.join(BLANKS)}.")
    if one.fault == SCALED and not 0 < one.by < float("inf"):
        raise refuse(f"the factor {one.by!r}", "Give a number above 0.")
    if not 0 < one.share <= 1:
        raise refuse(f"the share {one.share!r}", "Give a number above 0 and at most 1.")


@dataclass
class FaultsPlan:
    """Damages block after block and counts what it befell."""

    layer: Faults
    setting: Setting
    events: npt.NDArray[np.int64] = field(repr=False)

    def shape_sessions(self, draft: Draft, rng: np.random.Generator) -> None:
        """Nothing: customers do as they did."""

    def shape_visits(self, draft: Draft, rows: Rows, rng: np.random.Generator) -> Rows:
        """Nothing."""
        return rows

    def shape_events(self, draft: Draft, rng: np.random.Generator) -> None:
        """Damage the log, fault after fault."""
        rows = draft.events
        for place, one in enumerate(self.layer.faults):
            hit = self._hit(one, place, rows)
            mine = rows["customer"][hit] < self.setting.customers
            self.events[place] += int(np.count_nonzero(mine))
            rows = _damaged(one, rows, hit)
        draft.events = rows

    def _hit(self, one: Fault, place: int, rows: Rows) -> Ints:
        """Places of the events that a fault befalls, ascending."""
        first, end = one.days(self.setting.days)
        time_s = np.ascontiguousarray(rows["time_s"])
        near = np.flatnonzero((time_s >= first * DAY_S) & (time_s < end * DAY_S))
        seen = rows[near]
        hit = seen["source"] == SOURCES.index(one.source)
        if one.kinds:
            hit &= np.isin(seen["kind"], [CODE[kind] for kind in one.kinds])
        if one.fault == NULL:
            hit &= _filled(seen, one.field)
        elif one.fault == SCALED:
            hit &= seen["price"] >= 0
        elif one.fault == UNSIGNED:
            hit &= (seen["told"] == 1) & (seen["visitor"] >= 0)
        share = min(1.0, one.share * 4.0 ** (1 - 2 * self.setting.world.difficulty))
        # A visit is hit as a whole, and the same visit in any size of shop.
        visit = np.where(seen["session"] >= 0, seen["session"], seen["customer"])
        mixed = (visit + 1_000_003 * (place + 1)) * 2_654_435_761 % 4_294_967_296
        return np.asarray(near[hit & (mixed < share * 4_294_967_296)])

    def tables(self) -> dict[str, pa.Table]:
        """`faults`, one row each with how many events it befell, and their rows of `drifts`."""
        days = np.array([one.days(self.setting.days) for one in self.layer.faults], np.int64)
        since, until = (moments(self.setting.world, days[:, end] * DAY_S) for end in (0, 1))
        faults = self.layer.faults
        columns: dict[str, Any] = {
            "since": since,
            "until": until,
            "source": pa.array([one.source for one in faults], pa.string()),
            "kinds": pa.array([list(one.kinds) for one in faults], pa.list_(pa.string())),
            "field": pa.array([one.field or None for one in faults], pa.string()),
            "fault": pa.array([one.fault for one in faults], pa.string()),
            "by": pa.array(
                [one.by if one.fault in (SCALED, SHIFTED) else None for one in faults],
                pa.float64(),
            ),
            "events": pa.array(self.events),
        }
        alarm, refit = FAMILIES[FAULT]
        drifts = [
            pa.array([FAULT] * len(faults), pa.string()),
            since,
            until,
            pa.array([one.what() for one in faults], pa.string()),
            pa.array([alarm] * len(faults), pa.bool_()),
            pa.array([refit] * len(faults), pa.bool_()),
        ]
        return {"faults": pa.table(columns), "drifts": pa.table(drifts, schema=DRIFTS_SCHEMA)}


def _filled(rows: Rows, name: str) -> Bools:
    """Whether the events have a value in that column."""
    of_item = {"item_id": "item", "category": "item", "brand": "item", "currency": "price",
               "session_id": "session", "order_id": "order"}  # fmt: skip
    filled = rows[of_item.get(name, name)] >= 0 if name != "query" else _searches(rows)
    return np.asarray(filled & ((rows["blank"] >> BLANKS.index(name) & 1) == 0))


def _searches(rows: Rows) -> Bools:
    return np.asarray((rows["kind"] == CODE[kinds.SEARCH]) & (rows["code"] >= 0))


def _damaged(one: Fault, rows: Rows, hit: Ints) -> Rows:
    """The rows after the fault befell those at the places `hit`; some are changed in place."""
    if one.fault == NULL:
        rows["blank"][hit] |= 1 << BLANKS.index(one.field)
    elif one.fault == SCALED:
        for name in _AMOUNTS:
            amounts = rows[name]
            scaled = np.rint(amounts[hit] * one.by)
            amounts[hit] = np.where(amounts[hit] >= 0, np.minimum(scaled, 2**31 - 1), -1)
    elif one.fault == SHIFTED:
        rows["time_s"][hit] = np.maximum(rows["time_s"][hit] + round(one.by * 3600), 0)
    elif one.fault == UNSIGNED:
        rows["told"][hit] = 0
    elif one.fault == STOPPED:
        return np.delete(rows, hit)
    else:
        again = rows[hit].copy()
        again["time_s"] += _AGAIN_S
        return np.insert(rows, hit + 1, again)
    return rows
