"""Places of rows, and the narrow relations that settling a unit works on.

A row's place is its *locator*: number of its file x 2^32 + number of the row in the file. Relations
of keys and places are spooled: small ones stay in memory, for a file costs more than what it holds;
large ones go to files of the unit's staging directory, so that a query over them is as large as the
engine can spill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.adapters.bucket_files import FILE_SCHEMA
from shoal.adapters.duckdb import DuckEngine, scan
from shoal.ports import ParquetFiles, Relation

PLACE_SCHEMA: Final = pa.schema([pa.field("locator", pa.int64())])
SCOPE_FIELDS: Final = (pa.field("scope_key", pa.int64()), pa.field("scope_version", pa.int64()))

#: A relation of more rows than this is kept in a file.
ROWS_IN_MEMORY: Final = 100_000

#: A relation as it is kept.
Kept: TypeAlias = pa.Table | Path

#: What is kept of every staged row while a unit is written.
KEYS_SCHEMA: Final = pa.schema(
    [
        *PLACE_SCHEMA,
        pa.field("event_key", pa.int64()),
        pa.field("content_key", pa.int64()),
        pa.field("generated", pa.bool_()),
        *SCOPE_FIELDS,
    ]
)


class Spool:
    """Rows of one relation on their way into a table in memory or, of many, into a file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._path = path
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None

    def append(self, table: pa.Table) -> None:
        """Take rows of the schema."""
        self.rows += table.num_rows
        if self._writer is None and self.rows <= ROWS_IN_MEMORY:
            self._waiting.append(table)
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path, self._schema, compression="lz4", use_dictionary=False
            )
            for waiting in self._waiting:
                self._writer.write_table(waiting)
            self._waiting = []
        self._writer.write_table(table)

    def close(self) -> Kept:
        """No more rows come: all that came."""
        if self._writer is not None:
            self._writer.close()
            return self._path
        return pa.concat_tables([self._schema.empty_table(), *self._waiting]).combine_chunks()


@dataclass
class Work:
    """The relations that the queries share.

    Args:
        engine: runs the queries.
        directory: where large relations are kept.
        table: the event table's files; locators of stored rows number them in this order.
        kept: the relations by name.
        inputs: the same, as queries take them.
    """

    engine: DuckEngine
    directory: Path
    table: Sequence[str]
    kept: dict[str, Kept] = field(default_factory=dict)
    inputs: dict[str, Relation] = field(default_factory=dict)

    def spool(self, name: str, query: str, schema: pa.Schema) -> int:
        """Keep a query's rows as the relation `name`; returns their number."""
        batches = self.engine.stream(query, self.inputs)
        return self.keep(name, (pa.table(batch).cast(schema) for batch in batches), schema)

    def keep(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
        """Keep tables as the relation `name`; returns the number of their rows."""
        spool = Spool(self.directory / f"{name}.parquet", schema)
        for table in tables:
            spool.append(table)
        self.bind(name, spool.close(), schema)
        return spool.rows

    def bind(self, name: str, kept: Kept, schema: pa.Schema) -> None:
        """Let what is kept be the relation `name`."""
        self.kept[name] = kept
        in_memory = isinstance(kept, pa.Table)
        self.inputs[name] = kept if in_memory else ParquetFiles((str(kept),), schema)

    def nothing(self, name: str, schema: pa.Schema) -> None:
        """Let a relation be empty until it is kept."""
        self.bind(name, schema.empty_table(), schema)

    def number(self, query: str) -> int:
        """The one number that a query gives."""
        return int(self.engine.run(query, self.inputs).column(0)[0].as_py())

    def stored(self, numbers: Sequence[int] | None = None) -> str:
        """The SELECT over the event table with `locator`; of some files alone where numbered."""
        chosen = range(len(self.table)) if numbers is None else numbers
        files = ParquetFiles(tuple(self.table[number] for number in chosen), FILE_SCHEMA)
        return scan(files, located=True, numbers=numbers)


def files_of(places: Kept | None) -> list[int]:
    """Numbers of the files of which a relation of places speaks."""
    if places is None:
        return []
    if isinstance(places, pa.Table):
        return sorted(np.unique(places["locator"].to_numpy() >> 32).tolist())
    numbers: set[int] = set()
    with pq.ParquetFile(places) as file:
        for batch in file.iter_batches(columns=["locator"]):
            numbers.update(np.unique(batch["locator"].to_numpy() >> 32).tolist())
    return sorted(numbers)


def positions(places: Kept | None, number: int, schema: pa.Schema) -> pa.Table:
    """Rows of a relation that speak of one data file, with `position` instead of `locator`."""
    if places is None:
        rows = schema.empty_table()
    elif isinstance(places, pa.Table):
        inside = (places["locator"].to_numpy() >> 32) == number
        rows = places.select(schema.names)
        rows = rows.filter(pa.array(inside)) if inside.any() else schema.empty_table()
    else:
        first = number << 32
        bounds = [("locator", ">=", first), ("locator", "<", first + (1 << 32))]
        rows = pq.read_table(places, schema=schema, filters=bounds)
    position = rows["locator"].to_numpy() & 0xFFFFFFFF
    return rows.drop_columns(["locator"]).append_column("position", pa.array(position))


def chosen_rows(
    path: str, wanted: pa.Table, columns: Sequence[str]
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Rows of a data file at the positions in `wanted`, one row group at a time.

    Yields (rows, the part of `wanted` that they belong to), in one order.
    """
    places = wanted["position"].to_numpy()
    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            inside = (places >= first) & (places < first + size)
            if inside.any():
                rows = file.read_row_group(group, columns=list(columns), use_threads=False)
                yield rows.take(pa.array(places[inside] - first)), wanted.filter(pa.array(inside))
            first += size
