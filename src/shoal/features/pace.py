"""Visitors too fast to be people: stretches of time flagged by the pace of browsing, as queries.

Evidence is counted in a way that a coarse clock or a batch of rows cannot fake:

- Only browsing counts (`BROWSING`): a till scans, an importer rates, a person looks.
- *rate*: an hour of UTC in which a visitor browses in more than `rate_events` different seconds.
  However many events a second holds (a page of a list logged item by item, a day's events dated to
  midnight), it counts once.
- *no_think_time*: a run of events, each within `think_seconds` of the one before, which lasts
  through `run_events` different ticks of half of `think_seconds`. Events of one instant are one
  tick, and times told to the minute are further apart than a second, so neither makes a run.

What is flagged is the visitor's local day in which the evidence was completed (and the days before
it that the evidence began in). The event that completed the first evidence of a day tells it:
`told_us`. Later events of the day change nothing, so the flags told before T are those of the
events before T.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain.time import DAY_US, SECOND_US, from_us
from shoal.events.noise import BROWSING
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.admission import FLAGS_SCHEMA
from shoal.features.algebra import epoch_us
from shoal.features.queries import floor_div, unbound

HOUR_US: Final = 3600 * SECOND_US

#: What is read of the event table.
READ_SCHEMA: Final = pa.schema(
    [
        TABLE_SCHEMA.field(name)
        for name in ("customer_id", "anonymous_id", "kind", "event_time", "utc_offset_s")
    ]
)
#: The visitors asked about.
VISITORS_SCHEMA: Final = pa.schema([pa.field("visitor_id", pa.string())])


@dataclass(frozen=True)
class Pace:
    """The thresholds of the pace rules, as in `NoiseConfig`.

    >>> pace = Pace(600, 60, 1.0)
    >>> pace.reach_us // SECOND_US, pace.slot_us // SECOND_US, pace.crowd
    (3600, 90, 30)
    """

    rate_events: int
    run_events: int
    think_seconds: float

    @property
    def think_us(self) -> int:
        return max(2, round(self.think_seconds * SECOND_US))

    @property
    def tick_us(self) -> int:
        """What counts as one event of a run, in microseconds: half of the time to think."""
        return self.think_us // 2

    @property
    def _span_us(self) -> int:
        """The longest that a shortest run can last."""
        return (self.run_events - 1) * (self.think_us + self.tick_us)

    @property
    def reach_us(self) -> int:
        """How far evidence reaches back, so how far an event can make evidence after it."""
        return max(HOUR_US, self._span_us)

    @property
    def slot_us(self) -> int:
        """A part of an hour, or the hour, that no shortest run outlasts by much."""
        return HOUR_US // max(1, HOUR_US // self._span_us)

    @property
    def crowd(self) -> int:
        """Events that some slot holds wherever there is a run.

        A shortest run touches at most so many slots, so one of them holds its share.
        """
        return -(-self.run_events // (self._span_us // self.slot_us + 2))


def fresh() -> ir.Table:
    """Visitors who browse in `events` (`READ_SCHEMA`), each with `first_us` and `last_us`."""
    seen = _browsing(unbound(READ_SCHEMA, "events"))
    return seen.group_by("visitor_id").agg(first_us=_.us.min(), last_us=_.us.max())


def crowded(pace: Pace, *, of_visitors: bool = False, window: tuple[int, int] | None = None) -> Any:
    """Visitors (distinct) of `events` with a time as full as evidence needs: all but a few go.

    Args:
        of_visitors: only those of the input `visitors`.
        window: only events of these microseconds, both included.
    """
    events = unbound(READ_SCHEMA, "events")
    if window is not None:
        first, last = (ibis.literal(from_us(us), type="timestamp('UTC', 6)") for us in window)
        events = events.filter(_.event_time >= first, _.event_time <= last)
    seen = _browsing(events)
    if of_visitors:
        seen = seen.semi_join(unbound(VISITORS_SCHEMA, "visitors"), "visitor_id")
    slots = seen.group_by(
        "visitor_id", hour=floor_div(_.us, HOUR_US), slot=floor_div(_.us, pace.slot_us)
    ).agg(n=_.count())
    hours = slots.group_by("visitor_id", "hour").agg(fullest=_.n.max(), all=_.n.sum())
    full = hours.filter((_.fullest >= pace.crowd) | (_.all > pace.rate_events))
    return full.select("visitor_id").distinct()


@lru_cache(maxsize=8)
def flagged(pace: Pace) -> ir.Table:
    """Flags (`FLAGS_SCHEMA`) of the input `visitors` by all their events in the input `events`."""
    seen = _browsing(unbound(READ_SCHEMA, "events"))
    own = seen.semi_join(unbound(VISITORS_SCHEMA, "visitors"), "visitor_id")
    instants = own.group_by("visitor_id", "us").agg(offset_us=_.offset_us.min())
    evidence = ibis.union(_too_fast(instants, pace), _without_thought(instants, pace))
    by_day = evidence.mutate(day=floor_div(_.us + _.offset_us, DAY_US)).group_by(
        "visitor_id", "rule", "day"
    )
    first = by_day.agg(told_us=_.us.min(), from_us=_.from_us.argmin(_.us),
                       offset_us=_.offset_us.argmin(_.us))  # fmt: skip
    ends = first.mutate(to_us=(_.day + 1) * DAY_US - _.offset_us)
    return ends.select(*FLAGS_SCHEMA.names)


def _browsing(events: ir.Table) -> ir.Table:
    visitor = ibis.coalesce(_.customer_id, _.anonymous_id)
    return events.filter(_.kind.isin(BROWSING), visitor.notnull()).select(
        visitor_id=visitor,
        us=epoch_us(_.event_time),
        offset_us=_.utc_offset_s.fill_null(0).cast("int64") * SECOND_US,
    )


def _too_fast(instants: ir.Table, pace: Pace) -> ir.Table:
    """The seconds of an hour beyond the allowed number, each as evidence."""
    second = instants.mutate(hour=floor_div(_.us, HOUR_US), part=floor_div(_.us, SECOND_US))
    return _counted(second, "hour", pace.rate_events + 1, "rate")


def _without_thought(instants: ir.Table, pace: Pace) -> ir.Table:
    """The ticks of a run from the one on that makes it long enough, each as evidence."""
    in_order = ibis.window(group_by="visitor_id", order_by="us")
    so_far = ibis.window(group_by="visitor_id", order_by="us", preceding=None, following=0)
    gap = _.us - _.us.lag().over(in_order)
    begun = instants.mutate(begins=ibis.ifelse(gap <= pace.think_us, 0, 1).fill_null(1))
    runs = begun.mutate(run=_.begins.sum().over(so_far), part=floor_div(_.us, pace.tick_us))
    return _counted(runs, "run", pace.run_events, "no_think_time")


def _counted(instants: ir.Table, within: str, needed: int, rule: str) -> ir.Table:
    """The first instants of the parts of each group from number `needed` on.

    `from_us` is the local midnight before the first of the `needed` parts that end there.
    """
    firsts = instants.group_by("visitor_id", within, "part").agg(
        us=_.us.min(), offset_us=_.offset_us.argmin(_.us)
    )
    in_order = ibis.window(group_by=["visitor_id", within], order_by="part")
    midnight = floor_div(_.us + _.offset_us, DAY_US) * DAY_US - _.offset_us
    placed = firsts.mutate(
        place=ibis.row_number().over(in_order),
        from_us=midnight.lag(needed - 1).over(in_order),
    )
    return placed.filter(_.place >= needed - 1).select(
        "visitor_id", "us", "offset_us", "from_us", rule=ibis.literal(rule)
    )
