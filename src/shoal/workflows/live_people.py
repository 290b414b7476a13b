"""What a few new events tell of ids and of their pace, found without reading the event table.

Links and flags follow the whole table (`identity`, `noise`). Of most new events it can be said from
what is kept that they change neither; the others are handed on.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from shoal.domain.time import from_us
from shoal.events.noise import BROWSING
from shoal.features.admission import LINK
from shoal.features.pace import HOUR_US, READ_SCHEMA, Pace
from shoal.features.people import IDS_SCHEMA, OWN_SOURCE, links_query
from shoal.ports import Engine, EventTable, StateStore
from shoal.workflows.live_counts import MOST, Counts, Hashes, Ints

_ALIAS: Final = '"alias":true'
#: Hours of browsing that are counted besides the latest.
_HOURS: Final = 2
#: So many that among a thousand events a second, and ten thousand, next to nobody is looked at for
#: no reason: a slot of a minute and a half takes a quarter of a MiB, an hour four.
_CELLS_OF_SLOT: Final = 1 << 16
_CELLS_OF_HOUR: Final = 1 << 20


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

    Counts are a superset of the truth (an event that was taken back stays counted, and see
    `Counts`), so whoever could have evidence against them is found; `noise` judges by all their
    events.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._since_us: int | None = None
        self._hours, self._slots = Counts(_CELLS_OF_HOUR), Counts(_CELLS_OF_SLOT)

    def begin(self, table: EventTable, latest_us: int) -> None:
        """Count what the table holds of the last hours."""
        from shoal.features.queries import unbound

        self._since_us = (latest_us // HOUR_US - _HOURS) * HOUR_US
        events = unbound(READ_SCHEMA, "events")
        recent = events.filter(events.event_time >= from_us(self._since_us))
        engine = table.engine
        rows = engine.run(engine.compile(recent), {"events": table.events()})
        self._count(*_browsing(rows))

    def suspects(self, events: pa.Table) -> tuple[pa.Array, bool]:
        """Visitors (distinct) of these events to be judged.

        Also whether events are among them that are too old to be counted here.
        """
        if self._since_us is None:
            return pa.array([], pa.string()), True
        names, times = _browsing(events)
        if not len(names):
            return names, False
        hashes, hours, slots = self._count(names, times)
        fast = self._slots.of(hashes, slots) >= min(self._pace.crowd, MOST)
        fast |= self._hours.of(hashes, hours) > min(self._pace.rate_events, MOST - 1)
        late = bool(times.min() < self._since_us)
        self._let_go(int(times.max()))
        found = names.filter(pa.array(fast)).unique()
        return found.take(pc.sort_indices(found)), late

    def _count(self, names: pa.Array, times: Ints) -> tuple[Hashes, Ints, Ints]:
        """Count events that are not too old; hash, hour and slot of all."""
        assert self._since_us is not None
        coded = names.dictionary_encode()
        known = map(xxhash.xxh3_64_intdigest, map(str.encode, coded.dictionary.to_pylist()))
        distinct = np.fromiter(known, np.uint64, len(coded.dictionary))
        hashes = distinct[coded.indices.to_numpy()]
        hours, slots = times // HOUR_US, times // self._pace.slot_us
        recent = times >= self._since_us
        self._hours.add(hashes[recent], hours[recent])
        self._slots.add(hashes[recent], slots[recent])
        return hashes, hours, slots

    def _let_go(self, latest_us: int) -> None:
        """Forget the hours that lie far back, now and then."""
        assert self._since_us is not None
        hour = latest_us // HOUR_US - _HOURS
        if hour * HOUR_US <= self._since_us + HOUR_US:
            return
        self._since_us = hour * HOUR_US
        self._hours.let_go(hour)
        self._slots.let_go(self._since_us // self._pace.slot_us)


def _browsing(events: pa.Table) -> tuple[pa.Array, Ints]:
    """Visitor and time, in microseconds, of each event in which somebody known browses."""
    names = visitors_of(events)
    wanted = pc.is_in(events["kind"], value_set=pa.array(BROWSING, pa.string()))
    wanted = pc.and_(_one(wanted), pc.is_valid(names))
    times = _one(events["event_time"].cast(pa.int64())).filter(wanted)
    return names.filter(wanted), times.to_numpy(zero_copy_only=False)


def latest_us(events: pa.Table) -> int:
    """The time of the latest of some events, in microseconds; the least there is where none are."""
    if not events.num_rows:
        return int(np.iinfo(np.int64).min)
    return int(pc.max(events["event_time"].cast(pa.int64())).as_py())


def _one(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
