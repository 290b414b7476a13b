"""The truth of a simulated shop as tables, and how to read it: what was planted, for whom, when."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import CHANCES, DAY_S, MEANS, Customers
from shoal.events.worlds.drifts import FAMILIES, SEASON, Drift
from shoal.events.worlds.encode import arrivals, item_ids, moments, numbered, texts
from shoal.events.worlds.segments import TOPS
from shoal.events.worlds.spells import CAUSES, STAGES, Pieces, shares_on

Ints = npt.NDArray[np.int64]

_TIME: Final = pa.timestamp("us", tz="UTC")
LINEAGE_SCHEMA: Final = pa.schema(
    [
        pa.field("at", _TIME), pa.field("change", pa.string()),
        pa.field("parents", pa.list_(pa.string())), pa.field("children", pa.list_(pa.string())),
    ]
)  # fmt: skip
#: `should_alarm` is null where an alarm is neither wanted nor wrong.
DRIFTS_SCHEMA: Final = pa.schema(
    [
        pa.field("family", pa.string()), pa.field("since", _TIME), pa.field("until", _TIME),
        pa.field("what", pa.string()), pa.field("should_alarm", pa.bool_()),
        pa.field("should_refit", pa.bool_()),
    ]
)  # fmt: skip


def segment_at(spells: pa.Table, moment: datetime) -> pa.Table:
    """Segment and stage of every customer there at a moment, of a truth table `spells`.

    Returns:
        `customer_id`, `segment`, `stage`; customers not yet born or gone are absent.
    """
    now = pa.scalar(moment, _TIME)
    here = pc.and_(pc.less_equal(spells["since"], now), pc.greater(spells["until"], now))
    return spells.filter(here).select(["customer_id", "segment", "stage"])


def kept(table: pa.Table, customers: int) -> pa.Table:
    """The rows of a table that speak of the first so many customers, or of nobody."""
    if "customer_id" not in table.column_names:
        return table
    last = numbered("c", np.array([customers - 1]), 8)[0]
    ids = table["customer_id"].cast(pa.string())
    return table.filter(pc.or_kleene(pc.is_null(ids), pc.less_equal(ids, last)))


def truth_spells(world: World, people: Customers, pieces: Pieces, span_days: int) -> pa.Table:
    """One row a customer and spell: one segment and one stage, from `since` until before `until`.

    Spells follow each other without a gap, from a customer's birth to their end or the log's.
    """
    opens = np.flatnonzero(pieces.opens)
    last = np.append(opens[1:], len(pieces.person)) - 1
    who = pieces.person[opens]
    first = np.append(True, who[1:] != who[:-1])
    end = np.append(who[1:] != who[:-1], True)
    born_s, gone_s = _whole_days(people)
    since = np.where(first, born_s[who], pieces.since[opens] * DAY_S)
    gone = np.minimum(gone_s[who], span_days * DAY_S)
    until = np.where(end, gone, pieces.until[last] * DAY_S)
    return pa.table(
        {
            "customer_id": numbered("c", people.number[who], 8),
            "segment": texts(tuple(s.name for s in world.segments), pieces.segment[opens]),
            "stage": texts(STAGES, pieces.stage[opens]),
            "since": moments(world, since),
            "until": moments(world, until),
            "cause": texts(CAUSES, pieces.cause[opens]),
        }
    )


def _whole_days(people: Customers) -> tuple[Ints, Ints]:
    """Second at which each customer's first day begins, and at which their last one ends.

    Visits keep to days, at hours of their own: on the day of a birth they may come before its
    second, on the last day after its end.
    """
    born = (people.birth_s // DAY_S).astype(np.int64)
    gone = np.maximum(np.ceil(people.end_s / DAY_S).astype(np.int64), born + 1)
    return born * DAY_S, gone * DAY_S


def truth_lineage(world: World, span_days: int) -> pa.Table:
    """The planted changes of segments, in order of time."""
    rows = [
        {
            "at": _day(world, one.day(span_days)),
            "change": one.change,
            "parents": list(one.parents),
            "children": list(one.children),
        }
        for one in sorted(world.changes, key=lambda one: one.at)
    ]
    return pa.Table.from_pylist(rows, schema=LINEAGE_SCHEMA)


def truth_drifts(world: World, span_days: int) -> pa.Table:
    """The planted drifts: what changes when, and what an honest monitor should do."""
    rows = []
    for one in world.drifts:
        first, last = one.days(span_days)
        alarm, refit = FAMILIES[one.family]
        what = f"{one.dial} of {one.segment or 'all'} x {one.by:g}, {_how(world, one, last)}"
        if one.family == SEASON:
            dials = world.dials
            what = f"yearly swing: visits {dials.season:g}, categories {dials.taste_season:g}"
        rows.append(
            {
                "family": one.family,
                "since": _day(world, first),
                "until": _day(world, last if one.passing else span_days),
                "what": what,
                "should_alarm": alarm,
                "should_refit": refit,
            }
        )
    return pa.Table.from_pylist(rows, schema=DRIFTS_SCHEMA)


def _how(world: World, one: Drift, last: int) -> str:
    if one.gradual:
        return f"by the week, complete on {_day(world, last):%Y-%m-%d}"
    return "for a while" if one.passing else "at once"


def _day(world: World, day: int) -> datetime:
    return world.dials.start + timedelta(days=day)


def truth_items(world: World, catalogue: Catalogue, span_days: int) -> pa.Table:
    """What a shop does not see of its items: popularity weight and quality (stars above normal)."""
    return pa.table(
        {
            "item_id": pa.array(item_ids(len(catalogue.leaf))),
            "popularity": pa.array(catalogue.popularity),
            "quality": pa.array(catalogue.quality),
            "arrives_at": arrivals(world, catalogue, span_days),
        }
    )


def truth_customers(world: World, people: Customers, events: Ints) -> pa.Table:
    """The planted truth of customers, and how many events each left (`events`, one a customer).

    `born_at` is the begin of the day on which a customer came, `ended_at` the end of the one on
    which they dropped out, which may lie after the log's end.
    """
    born_s, gone_s = _whole_days(people)
    columns: dict[str, Any] = {
        "customer_id": numbered("c", people.number, 8),
        "segment": texts(tuple(s.name for s in world.segments), people.segment),
        "one_off": pa.array(people.one_off),
        "established": pa.array(people.established),
        "born_at": moments(world, born_s),
        "ended_at": moments(world, gone_s),
        "events": pa.array(events),
    }
    for name in (*MEANS, *CHANCES, "rating"):
        columns[name] = pa.array(getattr(people, name))
    for place, top in enumerate(TOPS):
        columns[f"taste_{top}"] = pa.array(people.tastes[:, place])
    return pa.table(columns)


def truth_segments(world: World, span_days: int) -> pa.Table:
    """The planted segments, one row each: every dial, and from when until when they exist."""
    there = shares_on(world, np.arange(span_days), span_days) > 0
    rows = []
    for place, segment in enumerate(world.segments):
        days = np.flatnonzero(there[:, place])
        first, last = (days[0], days[-1] + 1) if len(days) else (0, 0)
        rows.append(
            {
                **{name: getattr(segment, name) for name in segment.__dataclass_fields__},
                "hours": json.dumps(segment.hours),
                "exists_from": _day(world, int(first)),
                "exists_until": _day(world, int(last)),
            }
        )
    return pa.Table.from_pylist(rows)
