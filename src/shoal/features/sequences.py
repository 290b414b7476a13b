"""Customers' events from the event table as sequences, in bounded memory, and a file of them.

`read_sequences` yields groups of buckets (a bucket holds all events of its customers). Training
reads sequences again and again in random order: `SequenceFile` keeps them as plain arrays that are
mapped into memory, so that only what a batch needs is read.

What an event does not tell of its item is taken from the item's facts as they were valid at the
event's time, so that an item without a code of its own is known by its content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis import _

from shoal.domain.sequence import DTYPES, Array, EventSequences
from shoal.domain.time import to_us
from shoal.events.schema import ORDER, TABLE_SCHEMA
from shoal.features.admission import EVER_US
from shoal.features.algebra import CUSTOMER, epoch_us
from shoal.features.items import facts_history, facts_schema, tells_items, with_item_facts
from shoal.features.queries import Rules, of_customers, unbound
from shoal.features.snapshot import bucket_groups
from shoal.features.tokens import ENCODED, SEQUENCE_COLUMNS, Tokenizer
from shoal.ports import Engine, EventTable, Relation

#: Events in memory at once while reading, about 1 KB each; more at once are read no faster.
EVENTS_AT_ONCE: Final = 250_000

#: What events take from the facts of their item.
FACTS: Final = ("title", "category", "brand")

_RULE_COLUMNS: Final = ("noise", "source")
_CLOCK: Final = pa.schema([pa.field("now_us", pa.int64()), pa.field("since_us", pa.int64())])
_IDS: Final = pa.schema([pa.field(CUSTOMER, pa.string())])


def read_sequences(
    events: EventTable,
    tokenizer: Tokenizer,
    rules: Rules,
    *,
    as_of: datetime,
    since: datetime | None = None,
    last: int | None = None,
    customers: Sequence[str] | None = None,
    version: int | None = None,
    buckets: Sequence[int] | None = None,
    events_at_once: int = EVENTS_AT_ONCE,
    facts_of: EventTable | None = None,
) -> Iterator[EventSequences]:
    """Sequences of customers' events before a moment, groups of buckets at a time.

    Args:
        events: as they count (`Admission.at`).
        rules: which events are customers' own (`Fold.rules`).
        as_of: T, aware; events at or after it do not count.
        since: events before it are left out; None takes all.
        last: of each customer the last so many events alone; None takes all.
        customers: those alone; None takes all.
        version: of the event table; None for the latest.
        buckets: of customers; those alone; None takes all.
        events_at_once: events of a group at most, but where one bucket has more.
        facts_of: where facts of items are read; None: among the events.

    Within a group customers are sorted; a customer without an event is not there.
    """
    for rows in read_rows(
        events, rules, as_of=as_of, since=since, last=last, customers=customers, version=version,
        buckets=buckets, events_at_once=events_at_once, facts_of=facts_of,
    ):  # fmt: skip
        yield tokenizer.encode(rows)


def read_rows(
    events: EventTable,
    rules: Rules,
    *,
    as_of: datetime,
    since: datetime | None = None,
    last: int | None = None,
    customers: Sequence[str] | None = None,
    version: int | None = None,
    buckets: Sequence[int] | None = None,
    events_at_once: int = EVENTS_AT_ONCE,
    facts_of: EventTable | None = None,
) -> Iterator[pa.Table]:
    """The events that `read_sequences` encodes, as tables of `ENCODED`; arguments as of it."""
    if events.version() < 0:
        return
    engine = events.engine
    facts = _titles_and_more(engine, (facts_of or events).events(version=version), as_of)
    query = engine.compile(_definition(rules, last, customers is not None, bool(facts.num_rows)))
    bound: dict[str, Relation] = {"clock": _clock(as_of, since)}
    if customers is not None:
        bound["ids"] = pa.table({CUSTOMER: sorted(set(customers))}, _IDS)
    if facts.num_rows:
        bound["facts"] = facts
    counts = events.bucket_counts()
    if buckets is not None:
        counts = {bucket: counts[bucket] for bucket in set(buckets).intersection(counts)}
    for group in bucket_groups(counts, events_at_once):
        read = events.events(version=version, buckets=group)
        rows = engine.run(query, bound | {"events": read})
        if rows.num_rows:
            yield rows


def _clock(as_of: datetime, since: datetime | None) -> pa.Table:
    since_us = EVER_US if since is None else to_us(since)
    return pa.table({"now_us": [to_us(as_of)], "since_us": [since_us]}, schema=_CLOCK)


def _titles_and_more(engine: Engine, events: Relation, as_of: datetime) -> pa.Table:
    """What is told of items over time (`FACTS`), before a moment."""
    if not tells_items(engine, events):
        return facts_schema(FACTS).empty_table()
    return facts_history(engine, events, as_of, attributes=FACTS)


@lru_cache(maxsize=32)
def _definition(rules: Rules, last: int | None, some: bool, facts: bool) -> ir.Table:
    names = dict.fromkeys((CUSTOMER, *SEQUENCE_COLUMNS, *_RULE_COLUMNS))
    events = unbound(pa.schema([TABLE_SCHEMA.field(name) for name in names]), "events")
    own = of_customers(events, rules)
    if some:
        own = own.semi_join(unbound(_IDS, "ids"), CUSTOMER)
    rows = own.cross_join(unbound(_CLOCK, "clock"))
    us = epoch_us(rows.event_time)
    rows = rows.filter(us < rows.now_us, us >= rows.since_us)
    if last is not None:
        newest = [ibis.desc(name) for name in ORDER]
        place = ibis.row_number().over(group_by=CUSTOMER, order_by=newest)
        rows = rows.mutate(place=place).filter(_.place < last)
    rows = rows.select(CUSTOMER, *SEQUENCE_COLUMNS)
    if facts:
        rows = with_item_facts(rows, unbound(facts_schema(FACTS), "facts"), FACTS)
    return rows.order_by([CUSTOMER, *ORDER]).select(*ENCODED)


class SequenceFile:
    """Sequences on disk as arrays: `<field>.bin`, offsets, customers, texts.

    Fields are mapped into memory; texts (one row a distinct text) and customers are read.
    """

    def __init__(self, directory: Path, sequences: EventSequences) -> None:
        self.directory = directory
        self.sequences = sequences

    @classmethod
    def write(cls, directory: Path, parts: Iterable[EventSequences]) -> SequenceFile:
        """Write parts one after the other, each in memory alone, and open the file.

        Raises:
            OSError: of the disk; the directory is then half written and may be removed.
        """
        directory.mkdir(parents=True, exist_ok=True)
        customers: list[str] = []
        lengths: list[Array] = []
        texts = _Texts()
        with _Columns(directory) as columns:
            for part in parts:
                customers += part.customers.tolist()
                lengths.append(part.lengths)
                rows = texts.add(part.texts)
                columns.append({**part.fields, "text": rows[part.fields["text"]]})
        offsets = np.concatenate([[0], *lengths]).cumsum().astype(np.int64)
        np.save(directory / "offsets.npy", offsets)
        np.save(directory / "texts.npy", texts.table())
        (directory / "customers.json").write_text(json.dumps(customers), encoding="utf-8")
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> SequenceFile:
        """The file that was written; fields are mapped, not read."""
        offsets = np.load(directory / "offsets.npy")
        fields = {}
        for name, dtype in DTYPES.items():
            path = directory / f"{name}.bin"
            empty = not path.stat().st_size
            fields[name] = np.zeros(0, dtype) if empty else np.memmap(path, dtype, mode="r")
        customers = json.loads((directory / "customers.json").read_text(encoding="utf-8"))
        texts = np.load(directory / "texts.npy")
        found = EventSequences(np.array(customers, dtype=object), offsets, fields, texts)
        return cls(directory, found)


class _Columns:
    """Appends parts of each field to a file of its own."""

    def __init__(self, directory: Path) -> None:
        self._paths = {name: directory / f"{name}.bin" for name in DTYPES}
        self._files: dict[str, Any] = {}

    def __enter__(self) -> _Columns:
        self._files = {name: path.open("wb") for name, path in self._paths.items()}
        return self

    def append(self, fields: dict[str, Array]) -> None:
        for name, file in self._files.items():
            np.ascontiguousarray(fields[name], DTYPES[name]).tofile(file)

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()


class _Texts:
    """One table of distinct rows of texts out of the tables of all parts."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._rows: list[Array] = []

    def add(self, table: Array) -> Array:
        """Where each row of a part's table is in the whole."""
        if not self._rows:
            self._rows.append(np.zeros_like(table[0]))
        found = np.zeros(len(table), np.int32)
        for place, row in enumerate(table[1:], 1):
            key = row.tobytes()
            if key not in self._places:
                self._places[key] = len(self._rows)
                self._rows.append(row)
            found[place] = self._places[key]
        return found

    def table(self) -> Array:
        return np.stack(self._rows) if self._rows else np.zeros((1, 1), np.int32)
