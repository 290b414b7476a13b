"""The one step driven by a stream: what came in moves its customers, in one transaction.

Events, links, flags, states, carries, memberships and the position in the inbox are committed
together; the event table follows at the next flush (`live_flush`). What a state or a membership is
after a step is what a batch would make of the same events.

Some events cannot be had this way: facts of items change what other events say, an id that came
before is a duplicate or a conflict, and what one customer did needs rates that the shop lacks. Then
`TableNeededError` tells why, nothing was done, and the calls go through the event table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.account import RowAccount
from shoal.domain.kinds import ITEM
from shoal.domain.time import from_us, iso
from shoal.events.identity import bucket_of
from shoal.events.noise import DELIVERY
from shoal.events.schema import EVENT_KEY, SCOPE_KEY, TABLE_SCHEMA
from shoal.features.admission import ITEMS_SCHEMA
from shoal.features.admit import ADMITTED_SCHEMA
from shoal.features.fold import Fold
from shoal.ports import Arrived, LiveBatch, LiveWarehouse, Registry, StateStore
from shoal.segments.base import CUSTOMER
from shoal.workflows import item_facts
from shoal.workflows.admission import Admission
from shoal.workflows.catch_up import VALUE_EVENT, behind, events_of
from shoal.workflows.forgotten import tombstones_of, unfinished
from shoal.workflows.identity import update_links
from shoal.workflows.ingest_result import PERIOD
from shoal.workflows.known import Known
from shoal.workflows.live_fold import Folded, Folder, Share
from shoal.workflows.live_keys import KnownKeys
from shoal.workflows.live_moves import Moves
from shoal.workflows.live_people import Crowds, Links, latest_us, visitors_of
from shoal.workflows.live_rows import FrontDoor
from shoal.workflows.live_waiting import as_account

if TYPE_CHECKING:
    from shoal.features.pace import Pace

_MICROSECOND: Final = timedelta(microseconds=1)


class TableNeededError(Exception):
    """These calls have to go through the event table; says why."""


@dataclass(frozen=True)
class Stepped:
    """What one step did.

    Args:
        position: of the last call in the inbox.
        rows: as the front door counts them.
        changed: memberships recorded in the main segmentation.
        as_of: the moment at which customers were placed; None: there are no segments.
    """

    calls: int
    position: int
    rows: RowAccount
    changed: int = 0
    as_of: datetime | None = None


@dataclass(frozen=True)
class Aged:
    """A part of a sweep.

    Args:
        after: the last customer who was moved; None: there are no others.
        changed, as_of: as of `Stepped`.
    """

    after: str | None
    changed: int = 0
    as_of: datetime | None = None


@dataclass
class LiveStep:
    """Steps of one process that holds the shop's lease.

    Args:
        folded: does what is of each customer alone.
        seen: is given what is known of the customers of a step.
    """

    warehouse: LiveWarehouse
    store: StateStore
    registry: Registry
    fold: Fold
    folded: Folder
    admission: Admission
    pace: Pace
    door: FrontDoor
    keys: KnownKeys
    seen: Callable[[Known], None] | None = None
    _latest_us: int | None = None
    _items: tuple[str | None, pa.Table] = field(
        default_factory=lambda: (None, ITEMS_SCHEMA.empty_table())
    )

    @cached_property
    def _links(self) -> Links:
        return Links(self.store, self.warehouse.engine)

    @cached_property
    def _moves(self) -> Moves:
        return Moves(self.warehouse, self.store, self.registry, self.fold, self.admission)

    @cached_property
    def _crowds(self) -> Crowds:
        return Crowds(self.pace)

    def reset(self) -> None:
        """Read anew what is kept of the shop: somebody else may have written to it."""
        for name in ("_moves", "_crowds"):
            self.__dict__.pop(name, None)
        self._latest_us = None

    def step(self, calls: Sequence[tuple[int, Arrived]], now: datetime | None) -> Stepped:
        """Take calls in.

        Args:
            calls: with their positions, in order; at least one.
            now: the moment at which customers are placed; None: just after the latest event.

        Raises:
            TableNeededError: nothing was done.
            OperationError: as a store raises; nothing was done.
        """
        self._check_shop()
        batches = self.door.batches(calls, tombstones_of(self.store, self.door.privacy))
        own = [one.events.select(TABLE_SCHEMA.names) for one in batches]
        events = pa.concat_tables(own).combine_chunks()
        self._check_events(events)
        moment = self._moment(events, now)
        before = max((number for number, _ in self.store.live.numbers()), default=0)
        known: list[Known] = []
        try:
            with self.store.transaction():
                changed = self._written(batches, events, moment, known.append)
                self._period(events)
                self.store.live.set_position(calls[-1][0])
        except BaseException:
            self.warehouse.forget_after(before)
            self.reset()
            raise
        self.keys.add(events[EVENT_KEY].to_numpy())
        if self.seen is not None and known:
            self.seen(known[0])  # nobody is told before it is so
        rows = sum((as_account(one.account) for one in batches), RowAccount())
        return Stepped(
            len(calls), calls[-1][0], rows, changed or 0, None if changed is None else moment
        )

    def sweep(self, after: str, most: int, now: datetime | None) -> Aged:
        """Move the next customers on to now, of whom nothing came: a refresh of all in parts.

        Args:
            after: the last customer of the part before; "" begins.
            most: customers of a part.
            now: as of `step`.

        Raises:
            TableNeededError: nothing was done.
            OperationError: as a store raises; nothing was done.
        """
        self._check_shop()
        names = self.store.customers_after(after, most)
        last = names[-1] if len(names) == most else None
        if not names:
            return Aged(last)
        moment = self._moment(TABLE_SCHEMA.empty_table(), now)
        known: list[Known] = []
        with self.store.transaction():
            folded = self.folded(self._share(moment, silent=pa.array(names, pa.string())))
            changed = self._moves.record(folded, moment, known.append, silent=True)
        if self.seen is not None and known:
            self.seen(known[0])
        if changed is None:  # there are no segments
            return Aged(None)
        return Aged(last, changed, moment)

    # -- what can be had ---------------------------------------------------------------------------

    def _check_shop(self) -> None:
        if behind(self.warehouse, self.store, self.admission, self.fold):
            raise TableNeededError("customer states lag behind the event table")
        if self.warehouse.version() < 0:
            raise TableNeededError("the shop has no events yet")
        if unfinished(self.store):
            raise TableNeededError("an erasure is under way")
        if VALUE_EVENT not in self.store.get_settings():
            raise TableNeededError("no source has said what counts as buying")
        why = self._moves.why_not()
        if why is not None:
            raise TableNeededError(why)
        if not self._moves.all_moved():  # who they are is known until the next time is recorded
            raise TableNeededError("events came in of customers who were not moved yet")

    def _check_events(self, events: pa.Table) -> None:
        if pc.any(pc.equal(events["kind"], ITEM)).as_py():
            raise TableNeededError("there are facts of items among them")
        if events[SCOPE_KEY].null_count < events.num_rows:
            raise TableNeededError("they state a day or an order as a whole")
        if pc.any(pc.equal(events["noise"], DELIVERY)).as_py():
            raise TableNeededError("an export tells of itself")
        foreign = pc.not_equal(events["currency"], self.admission.currency)
        if pc.any(foreign).as_py():
            raise TableNeededError("amounts are in other currencies than the shop's")
        if events.num_rows and self.keys.any_of(events[EVENT_KEY].to_numpy()):
            raise TableNeededError("some events are in the log already")

    def _moment(self, events: pa.Table, now: datetime | None) -> datetime:
        """As of when customers are placed: after every event, and not before what is recorded."""
        if self._latest_us is None:
            self._latest_us = self._moves.latest_us()
            self._crowds.begin(self.warehouse, self._latest_us)
        newest = max(self._latest_us, latest_us(events))
        moment = max(from_us(newest) + _MICROSECOND, self._moves.until())
        self._latest_us = newest
        return moment if now is None else max(moment, now)

    # -- what is written ---------------------------------------------------------------------------

    def _written(
        self,
        batches: Sequence[LiveBatch],
        events: pa.Table,
        moment: datetime,
        seen: Callable[[Known], None],
    ) -> int | None:
        """Everything but the position; memberships recorded, None where there are no segments."""
        numbers = [self.store.live.add(one) for one in batches]
        moved = self._people(events, numbers)
        raw = visitors_of(events).drop_null().unique()
        decisions = self.admission.decisions_among(
            raw.to_pylist(), self._facts_of(events["item_id"])
        )
        rows = self.admission.admitted_rows(events, decisions)
        folded = self._states(rows, moved, moment)
        self._moves.carries(rows, folded.customers, moved, moment)
        return self._moves.record(folded, moment, seen)

    def _period(self, events: pa.Table) -> None:
        """Let the shop's first and last moment follow."""
        if not events.num_rows:
            return
        kept, found = self.store.get_settings(), pc.min_max(events["event_time"]).as_py()
        known = {key: datetime.fromisoformat(kept[key]) for key in PERIOD if key in kept}
        first, last = PERIOD
        period = {
            first: min(found["min"], known.get(first, found["min"])),
            last: max(found["max"], known.get(last, found["max"])),
        }
        for key, moment in period.items():
            if moment != known.get(key):
                self.store.put_setting(key, iso(moment))

    def _people(self, events: pa.Table, numbers: Sequence[int]) -> pa.Array:
        """Let links and flags follow; customers whose states cannot be had by merging."""
        ids, unsure = self._links.told(events)
        suspects, late = self._crowds.suspects(events)
        if not (len(ids) or len(suspects) or late):
            return pa.array([], pa.string())
        names = pa.concat_arrays([ids, suspects]).to_pylist()
        none = ITEMS_SCHEMA.empty_table()
        before = self.admission.decisions_among(names, none)
        changed = [ids]
        if unsure:
            files = self.warehouse.files_of(numbers)
            changed = [update_links(self.warehouse, self.store, files, None)]
        elif len(ids):
            self._links.keep(events, ids)
        if late:
            changed.append(self.admission.flag(self.warehouse.files_of(numbers)))
        elif len(suspects):
            changed.append(self.admission.judge_some(suspects.to_pylist()))
        found = pa.concat_arrays(changed).unique()
        if not len(found):
            return found
        after = self.admission.decisions_among(found.to_pylist(), none)
        return pa.concat_arrays([before.owners_of(found), after.owners_of(found)]).unique()

    def _states(self, rows: pa.Table, moved: pa.Array, moment: datetime) -> Folded:
        """Let states hold the events; what is known of all whom they touch.

        Args:
            moved: customers whose states are made anew, from all their events.
        """
        if len(moved):
            others = pc.invert(pc.is_in(rows[CUSTOMER], value_set=moved))
            parts = (rows.filter(others), self._all_of(moved))
            rows = pa.concat_tables([one.select(ADMITTED_SCHEMA.names) for one in parts])
        folded = self.folded(self._share(moment, rows, moved))
        if len(moved):
            self.store.delete_states(moved.to_pylist())
        if folded.states.num_rows:
            self.store.put_states(folded.states)
        return folded

    def _share(
        self,
        moment: datetime,
        rows: pa.Table | None = None,
        anew: pa.Array | None = None,
        silent: pa.Array | None = None,
    ) -> Share:
        """What is asked of the customers of a step, all of them."""
        nobody = pa.array([], pa.string())
        return Share(
            ADMITTED_SCHEMA.empty_table() if rows is None else rows.select(ADMITTED_SCHEMA.names),
            nobody if anew is None else anew,
            nobody if silent is None else silent,
            moment, self._moves.references,
        )  # fmt: skip

    def _all_of(self, customers: pa.Array) -> pa.Table:
        """All events of some customers, as they count."""
        names = customers.to_pylist()
        decisions = self.admission.decisions_among(names, self._facts(), around=True)
        ids = decisions.ids_of(customers)
        buckets = sorted({bucket_of(name, self.door.buckets) for name in ids.to_pylist()})
        events = events_of(self.warehouse, None, ids, buckets)
        rows = self.admission.admitted_rows(events, decisions)
        return rows.filter(pc.is_in(rows[CUSTOMER], value_set=customers))

    def _facts(self) -> pa.Table:
        """Facts of all items, read once."""
        name = self.store.get_pointer(item_facts.POINTER)
        if name != self._items[0]:
            self._items = (name, item_facts.current(self.store, self.registry))
        return self._items[1]

    def _facts_of(self, items: pa.ChunkedArray) -> pa.Table:
        facts = self._facts()
        if not facts.num_rows:
            return facts
        asked = items.drop_null().combine_chunks().unique()
        return facts.filter(pc.is_in(facts["item_id"], value_set=asked))
