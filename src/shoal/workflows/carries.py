"""A behaviour model's states of all customers, kept in the store, following the event table.

A *carry* is the model's state after a customer's last event. Who has new events is stepped by these
alone; the embedding of anybody else is that of the same carry at a later moment. It gives what
embedding whole histories gives, to 1e-5, at the cost of what changed and of reading the carries.

A carry holds a history to which events were only ever added at the end. Whatever else happens to a
history removes it, and it is built anew from the customer's events:

- what replaces a customer's state (restated orders, merged ids, flags, erasures) removes the carry
  with it (`StateStore.delete_states`);
- an event that is not later than the last one known, or a fact of an item that holds since before
  it, is noticed here.

Each portion is one transaction, and each carry says of which version of the table it is: killed at
any moment, the next call goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from shoal.domain.kinds import ITEM
from shoal.domain.sequence import DTYPES, TIME, EventSequences
from shoal.domain.time import to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.features import state
from shoal.features.items import tells_items
from shoal.features.sequences import FACTS, read_sequences
from shoal.ports import (
    CommittedUnit,
    Engine,
    EventTable,
    ParquetFiles,
    Relation,
    StateStore,
    Warehouse,
)
from shoal.segments.base import CUSTOMER
from shoal.workflows.admission import Admission
from shoal.workflows.carries_noted import Noted, note, noted
from shoal.workflows.catch_up import CUSTOMERS_REREAD, events_of, units_since
from shoal.workflows.embed import tokenizer_of
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.models import check
from shoal.workflows.progress import NoProgress, Progress

if TYPE_CHECKING:
    from shoal.features.tokens import Tokenizer
    from shoal.model.runtime import States, Stepper

_MOMENT: Final = TABLE_SCHEMA.field("event_time").type

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Carries:
    """The kept states of one model; under the store's lease only."""

    model: ModelInUse
    warehouse: Warehouse
    store: StateStore
    admission: Admission
    tokenizer: Tokenizer
    stepper: Stepper

    @classmethod
    def of(
        cls, model: ModelInUse, warehouse: Warehouse, store: StateStore, admission: Admission
    ) -> Self | None:
        """Those of a model; None for a backbone that has no state and reads the last events anew.

        Raises:
            UsageError, OperationError: `model_mismatch`, `missing_extra`, as of `embed.embeddings`.
        """
        from shoal.model.embedding import context_of
        from shoal.model.runtime import EagerStepper

        check(model.found, model.rules)
        if context_of(model.found.model) is not None:
            return None
        tokenizer = tokenizer_of(model.found)
        stepper = EagerStepper.of(model.found, tokenizer.fingerprint)
        return cls(model, warehouse, store, admission, tokenizer, stepper)

    @property
    def stamp(self) -> str:
        """16 hex digits of what makes carries: those of another are not read."""
        about = self.stepper.about
        parts = (about.model_id, about.fingerprint, about.layout.to_document(), self.model.rules)
        text = repr((*parts, self.model.found.document.get("created_at")))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    # -- kept --------------------------------------------------------------------------------------

    def follow(self, moment: datetime, progress: Progress | None = None) -> None:
        """Let every customer with a state have a carry of the event table's latest version.

        Args:
            moment: after every event; the states in the store hold them all.
        """
        latest, model_id = self.warehouse.version(), self.model.model_id
        told = noted(self.store, model_id)
        if told is None or told.stamp != self.stamp or told.version > latest:
            told = Noted(self.stamp)
            with self.store.transaction():
                self.store.carries.delete(model_id, None)
                note(self.store, model_id, told)
        if told.version != latest or told.unfinished:
            begun = tuple(sorted({*told.unfinished, latest}))
            note(self.store, model_id, replace(told, unfinished=begun))
            for since in sorted({told.version, *told.unfinished} - {latest, -1}):
                self._step_since(since, told.version, moment)
        self._build(moment, progress or NoProgress())
        note(self.store, model_id, Noted(self.stamp, latest))

    def _step_since(self, since: int, base: int, moment: datetime) -> None:
        """Read what was committed since a version on top of the carries that are that far.

        Args:
            base: the version that every carry holds at least, whatever it says.
        """
        units = units_since(self.warehouse, since, self.warehouse.version())
        if units is None or self._facts_withdrawn(units):
            self.store.carries.delete(self.model.model_id, None)
            return
        paths = tuple(path for unit in units for path in unit.added.paths)
        if not paths:
            return
        first_us = _first_fact(paths)
        if first_us is not None:
            self.store.carries.delete_since(self.model.model_id, first_us)
        added, decisions = ParquetFiles(paths, TABLE_SCHEMA), self.admission.decisions()
        rewritten = {name for unit in units for name in unit.rewritten_customers}
        unsure = decisions.owners_of(pa.array(sorted(rewritten), pa.string()))
        with self.admission.admitted(added, decisions) as events:
            for part in self._sequences(events, moment):
                self._step(part, since, base, moment, unsure)

    def follow_batch(
        self, events: pa.Table, touched: pa.Array, moved: pa.Array, moment: datetime,
        facts: EventTable,
    ) -> None:  # fmt: skip
        """Read events that states hold and the event table does not yet, as `follow` would.

        Inside the caller's transaction, and only where every carry is of the table's latest version
        (`up_to_date`).

        Args:
            events: as they count; no facts of items among them.
            touched: customers whose states are others for them.
            moved: those of them whose states were made anew.
            moment: after every event.
            facts: where facts of items are read.
        """
        version = self.warehouse.version()
        some = _Some(self.warehouse.engine, events, version)
        for part in read_sequences(
            some, self.tokenizer, self.model.rules, as_of=moment, facts_of=facts
        ):
            self._step(part, version, version, moment, moved)
        held = self.store.carries.get(self.model.model_id, touched.to_pylist())
        lacking = touched.filter(pc.invert(pc.is_in(touched, value_set=_one(held[CUSTOMER]))))
        there = self.store.get_states(lacking.to_pylist())[CUSTOMER].to_pylist()
        if there:
            self._build_some(there, moment, NoProgress())

    def up_to_date(self) -> bool:
        """Whether every carry is of the event table's latest version."""
        told = noted(self.store, self.model.model_id)
        latest = self.warehouse.version()
        return (
            told is not None and told.stamp == self.stamp and told.version == latest
            and not told.unfinished
        )  # fmt: skip

    def _facts_withdrawn(self, units: Sequence[CommittedUnit]) -> bool:
        """Whether facts of items that events took something from may be gone."""
        restating = any(unit.restating for unit in units)
        return restating and tells_items(self.warehouse.engine, self.warehouse.events())

    def _sequences(
        self, events: Relation, moment: datetime, customers: Sequence[str] | None = None
    ) -> Iterator[EventSequences]:
        """Some events as they count, with what the whole table tells of their items."""
        some = _Some(self.warehouse.engine, events, self.warehouse.version())
        return read_sequences(
            some, self.tokenizer, self.model.rules, as_of=moment, customers=customers,
            facts_of=self.warehouse,
        )  # fmt: skip

    def _step(
        self, part: EventSequences, since: int, base: int, moment: datetime, unsure: pa.Array
    ) -> None:
        """Let new events count of who has a carry that is that far, or of whom they are all.

        Args:
            unsure: customers of whom some of the events may have been withdrawn again; they have no
                carry, for their states were made anew.
        """
        names = pa.array(part.customers.tolist(), pa.string())
        held = self.store.carries.get(self.model.model_id, names.to_pylist())
        places = np.asarray(pc.index_in(held[CUSTOMER], value_set=names).to_numpy(), np.int64)
        mine = np.maximum(held["version"].to_numpy(), base) == since
        first_us = part.fields[TIME][part.offsets[:-1]][places]
        late = mine & (first_us <= held["last_us"].to_numpy())
        others = pa.concat_arrays([_one(held[CUSTOMER]), unsure])
        whole = self._whole(part, pc.invert(pc.is_in(names, value_set=others)))
        ahead = held.filter(pa.array(mine & ~late))
        rows = np.concatenate([places[mine & ~late], whole])
        with self.store.transaction():
            self.store.carries.delete(
                self.model.model_id, held[CUSTOMER].filter(pa.array(late)).to_pylist()
            )
            if len(rows):
                before = self._joined(self._states(ahead), self._new(len(whole)))
                self._read(part.take(rows), before, moment)

    def _whole(self, part: EventSequences, new: pa.Array) -> Ints:
        """Places of those without a carry whose events are all there."""
        rows = np.flatnonzero(new.to_numpy(zero_copy_only=False))
        names = pa.array(part.customers[rows].tolist(), pa.string())
        known = state.decode(self.store.get_states(names.to_pylist()), tail=False)["customer"]
        events = known["events"].take(pc.index_in(names, value_set=_one(known[CUSTOMER])))
        told = pc.equal(events, pa.array(part.lengths[rows])).to_numpy(zero_copy_only=False)
        found: Ints = rows[told == True]  # noqa: E712  (null: no state)
        return found

    def _build(self, moment: datetime, progress: Progress) -> None:
        """Carries from whole histories, of everybody who has none."""
        lacking = self.store.carries.lacking(self.model.model_id)
        if not lacking:
            return
        progress.start("states of the model", len(lacking), "customers")
        try:
            if len(lacking) > CUSTOMERS_REREAD:
                counted = self.admission.at(moment)
                parts = read_sequences(counted, self.tokenizer, self.model.rules, as_of=moment)
                self._build_of(parts, frozenset(lacking), moment, progress)
                return
            self._build_some(lacking, moment, progress)
        finally:
            progress.done()

    def _build_some(self, lacking: Sequence[str], moment: datetime, progress: Progress) -> None:
        items = self.admission.items
        decisions = self.admission.decisions_among(lacking, items, around=True)
        ids = decisions.ids_of(pa.array(lacking, pa.string()))
        raw = events_of(self.warehouse, None, ids)
        with self.admission.admitted(raw, decisions) as events:
            parts = self._sequences(events, moment, lacking)
            self._build_of(parts, frozenset(lacking), moment, progress)

    def _build_of(
        self,
        parts: Iterator[EventSequences],
        lacking: frozenset[str],
        moment: datetime,
        progress: Progress,
    ) -> None:
        for part in parts:
            there = [place for place, name in enumerate(part.customers) if name in lacking]
            rows = np.array(there, np.int64)
            if len(rows):
                with self.store.transaction():
                    self._read(part.take(rows), self._new(len(rows)), moment)
            progress.advance(len(rows))

    def _read(self, part: EventSequences, before: States, moment: datetime) -> None:
        """Read events on top of states and keep what comes of it."""
        layout = self.stepper.about.layout
        moments = np.full(len(part), to_us(moment), np.int64)
        _, after = self.stepper.read(part, before, moments)
        version = pa.repeat(pa.scalar(self.warehouse.version(), pa.int64()), len(part))
        columns = {
            CUSTOMER: pa.array(part.customers.tolist(), pa.string()),
            "version": version,
            "last_us": pa.array(after.ints[:, layout.column("last_us")]),
            "body": pa.array(layout.rows(after), pa.binary()),
        }
        self.store.carries.put(self.model.model_id, pa.table(columns))

    # -- read --------------------------------------------------------------------------------------

    def embeddings(self, customers: Sequence[str], moment: datetime) -> pa.Table:
        """`customer_id`, `e0`, ... (float32) of customers who have a carry, sorted."""
        held = self.store.carries.get(self.model.model_id, customers)
        n = held.num_rows
        fields = {name: np.empty(0, dtype) for name, dtype in DTYPES.items()}
        nothing = EventSequences(
            np.empty(n, dtype=object), np.zeros(n + 1, np.int64), fields,
            self.stepper.about.texts[:1],
        )  # fmt: skip
        moments = np.full(n, to_us(moment), np.int64)
        told, _ = self.stepper.read(nothing, self._states(held), moments)
        names = [f"e{place}" for place in range(told.shape[1])]
        return pa.table(
            [held[CUSTOMER], *(pa.array(column) for column in told.T)], names=[CUSTOMER, *names]
        )

    def _states(self, held: pa.Table) -> States:
        if not held.num_rows:
            return self._new(0)
        return self.stepper.about.layout.states(held["body"].to_pylist())

    def _new(self, n: int) -> States:
        """States of customers without an event; also of none."""
        return self.stepper.initial(1).take(np.zeros(n, np.int64))

    @staticmethod
    def _joined(first: States, second: States) -> States:
        return type(first)(
            np.concatenate([first.floats, second.floats]),
            np.concatenate([first.ints, second.ints]),
        )


class _Some:
    """An `EventTable` of some events as they count: rows in memory, or files by bucket."""

    def __init__(self, engine: Engine, events: Relation, version: int) -> None:
        self.engine: Engine = engine
        self._events = events
        self._version = version

    def version(self) -> int:
        return self._version

    def events(
        self, *, version: int | None = None, buckets: Sequence[int] | None = None
    ) -> Relation:
        if buckets is None or not isinstance(self._events, ParquetFiles):
            return self._events
        paths = [path for path in self._events.paths if _bucket(path) in set(buckets)]
        return ParquetFiles(tuple(paths), self._events.schema)

    def bucket_counts(self) -> Mapping[int, int]:
        if not isinstance(self._events, ParquetFiles):
            return {0: self._events.num_rows}
        counts: dict[int, int] = {}
        for path in self._events.paths:
            bucket = _bucket(path)
            counts[bucket] = counts.get(bucket, 0) + pq.read_metadata(path).num_rows
        return counts


def _bucket(path: str) -> int:
    return int(Path(path).parent.name.removeprefix("bucket="))


def _first_fact(paths: Sequence[str]) -> int | None:
    """The earliest moment from which new facts tell something that is read of items."""
    data = ds.dataset(list(paths), schema=TABLE_SCHEMA, format="parquet")
    told = pc.field(FACTS[0]).is_valid()
    for name in FACTS[1:]:
        told = told | pc.field(name).is_valid()
    rows = data.to_table(columns=["event_time"], filter=(pc.field("kind") == ITEM) & told)
    first = pc.min(rows["event_time"].cast(_MOMENT).cast(pa.int64())).as_py()
    return None if first is None else int(first)


def _one(values: pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks()
