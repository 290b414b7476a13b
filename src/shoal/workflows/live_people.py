"""What a few new events tell of ids and of their pace, found without reading the event table.

Links and flags follow the whole table (`identity`, `noise`). Of most new events it can be said from
what is kept that they change neither; the others are handed on.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import from_us
from shoal.events.noise import BROWSING
from shoal.features.admission import LINK
from shoal.features.pace import HOUR_US, READ_SCHEMA, Pace
from shoal.features.people import IDS_SCHEMA, OWN_SOURCE, links_query
from shoal.ports import Engine, EventTable, StateStore

_ALIAS: Final = '"alias":true'
#: Hours of browsing that are counted besides the latest.
_HOURS: Final = 2
_VISITOR: Final = "visitor_id"


def visitors_of(events: pa.Table) -> pa.Array:
    """The raw id of each event: its customer, else its anonymous visitor."""
    return _one(pc.coalesce(events["customer_id"], events["anonymous_id"]))


class Links:
    """Which ids of new events are linked otherwise than before."""

    def __init__(self, store: StateStore, engine: Engine) -> None:
        self._store, self._engine = store, engine

    def told(self, events: pa.Table) -> tuple[pa.Array, bool]:
        """Ids (distinct) of which these events tell something new.

        Also whether the whole table has to be asked about them: something was told of one of them
        before, and this may come before it or change it.
        """
        both = _telling(events)
        if not both.num_rows:
            return pa.array([], pa.string()), False
        ids = _one(both["anonymous_id"]).unique()
        latest: dict[str, dict[str, Any]] = {}
        for row in self._store.people.links(ids=ids.to_pylist()).to_pylist():
            order = (row["from_us"], row["sequence"], row["event_id"])
            known = latest.get(row["id"])
            if known is None or order > (known["from_us"], known["sequence"], known["event_id"]):
                latest[row["id"]] = row
        new: set[str] = set()
        unsure: set[str] = set()
        for row in _plain(both):
            name, last = row["anonymous_id"], latest.get(row["anonymous_id"])
            if row["other"]:
                unsure.add(name)
            elif last is None:
                new.add(name)
            elif (
                last["says"] != LINK
                or last["customer_id"] != row["customer_id"]
                or row["us"] < last["from_us"]
            ):
                unsure.add(name)
        return pa.array(sorted(new | unsure), pa.string()), bool(unsure)

    def keep(self, events: pa.Table, ids: pa.Array) -> None:
        """Keep what these events tell of ids of which nothing was told before."""
        asked = pa.table([ids], schema=IDS_SCHEMA)
        query = self._engine.compile(links_query(of_ids=True))
        found = self._engine.run(query, {"events": events, "ids": asked})
        self._store.people.replace_links(ids.to_pylist(), found)


def _telling(events: pa.Table) -> pa.Table:
    differ = pc.not_equal(events["customer_id"], events["anonymous_id"])
    return events.filter(pc.fill_null(differ, False))


def _plain(both: pa.Table) -> list[dict[str, Any]]:
    """What each telling event says: `anonymous_id`, `customer_id`, `us`, and whether it is an alias
    or takes a link back."""
    properties = pc.fill_null(both["properties"], "")
    other = pc.or_(pc.match_substring(properties, _ALIAS), pc.equal(both["source"], OWN_SOURCE))
    table = pa.table(
        {
            "anonymous_id": both["anonymous_id"],
            "customer_id": both["customer_id"],
            "us": both["event_time"].cast(pa.int64()),
            "other": other,
        }
    )
    return table.to_pylist()


class Crowds:
    """Who browses so fast of late that somebody should look: counts of the last hours.

    Counts are a superset of the truth (an event that was taken back stays counted), so whoever
    could have evidence against them is found; `noise` judges by all their events.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._since_us: int | None = None
        self._hours: Counter[tuple[str, int]] = Counter()
        self._slots: Counter[tuple[str, int]] = Counter()

    def begin(self, table: EventTable, latest_us: int) -> None:
        """Count what the table holds of the last hours."""
        from shoal.features.queries import unbound

        self._since_us = (latest_us // HOUR_US - _HOURS) * HOUR_US
        events = unbound(READ_SCHEMA, "events")
        recent = events.filter(events.event_time >= from_us(self._since_us))
        engine = table.engine
        rows = engine.run(engine.compile(recent), {"events": table.events()})
        self._count(rows)

    def suspects(self, events: pa.Table) -> tuple[pa.Array, bool]:
        """Visitors (distinct) of these events to be judged.

        Also whether events are among them that are too old to be counted here.
        """
        if self._since_us is None:
            return pa.array([], pa.string()), True
        seen = self._count(events)
        late = bool(len(seen)) and min(us for _, us in seen) < self._since_us
        found = {
            name
            for name, us in seen
            if self._slots[name, us // self._pace.slot_us] >= self._pace.crowd
            or self._hours[name, us // HOUR_US] > self._pace.rate_events
        }
        if seen:
            self._let_go(max(us for _, us in seen))
        return pa.array(sorted(found), pa.string()), late

    def _count(self, events: pa.Table) -> list[tuple[str, int]]:
        browsing = pc.is_in(events["kind"], value_set=pa.array(BROWSING, pa.string()))
        events = events.filter(browsing)
        names = visitors_of(events)
        times = events["event_time"].cast(pa.int64()).to_pylist()
        seen = [
            (name, us)
            for name, us in zip(names.to_pylist(), times, strict=True)
            if name is not None
        ]
        self._hours.update((name, us // HOUR_US) for name, us in seen)
        self._slots.update((name, us // self._pace.slot_us) for name, us in seen)
        return seen

    def _let_go(self, latest_us: int) -> None:
        """Forget the hours that lie far back, now and then."""
        assert self._since_us is not None
        hour = latest_us // HOUR_US - _HOURS
        if hour * HOUR_US <= self._since_us + HOUR_US:
            return
        self._since_us = hour * HOUR_US
        first = self._since_us // self._pace.slot_us
        self._hours = Counter({key: n for key, n in self._hours.items() if key[1] >= hour})
        self._slots = Counter({key: n for key, n in self._slots.items() if key[1] >= first})


def latest_us(events: pa.Table) -> int:
    """The time of the latest of some events, in microseconds; the least there is where none are."""
    if not events.num_rows:
        return int(np.iinfo(np.int64).min)
    return int(pc.max(events["event_time"].cast(pa.int64())).as_py())


def _one(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
