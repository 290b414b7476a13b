"""Places of rows, and the narrow relations that settling a unit works on.

A row's place is its *locator*: number of its file x 2^32 + number of the row in the file. Relations
of keys and places are spooled to files of the unit's staging directory, so a query over them is as
large as the engine can spill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.adapters.bucket_files import FILE_SCHEMA
from shoal.adapters.duckdb import DuckEngine, scan
from shoal.ports import ParquetFiles, Relation

PLACE_SCHEMA: Final = pa.schema([pa.field("locator", pa.int64())])
SCOPE_FIELDS: Final = (pa.field("scope_key", pa.int64()), pa.field("scope_version", pa.int64()))

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


@dataclass
class Work:
    """The relations that the queries share, each spooled to a file of the staging directory.

    Args:
        engine: runs the queries.
        directory: where the relations are kept.
        table: the event table's files; locators of stored rows number them in this order.
        inputs: the relations by name.
    """

    engine: DuckEngine
    directory: Path
    table: Sequence[str]
    inputs: dict[str, Relation] = field(default_factory=dict)

    def spool(self, name: str, query: str, schema: pa.Schema) -> int:
        """Keep a query's rows as the relation `name`; returns their number."""
        batches = self.engine.stream(query, self.inputs)
        return self.keep(name, (pa.table(batch).cast(schema) for batch in batches), schema)

    def keep(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
        """Keep tables as the relation `name`; returns the number of their rows."""
        path = self.path(name)
        rows = 0
        with pq.ParquetWriter(path, schema, compression="lz4") as writer:
            for table in tables:
                writer.write_table(table)
                rows += table.num_rows
        self.inputs[name] = ParquetFiles((str(path),), schema)
        return rows

    def nothing(self, name: str, schema: pa.Schema) -> None:
        """Let a relation be empty until it is kept."""
        self.inputs[name] = schema.empty_table()

    def number(self, query: str) -> int:
        """The one number that a query gives."""
        return int(self.engine.run(query, self.inputs).column(0)[0].as_py())

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.parquet"

    def stored(self, numbers: Sequence[int] | None = None) -> str:
        """The SELECT over the event table with `locator`; of some files alone where numbered."""
        chosen = range(len(self.table)) if numbers is None else numbers
        files = ParquetFiles(tuple(self.table[number] for number in chosen), FILE_SCHEMA)
        return scan(files, located=True, numbers=numbers)


def files_of(places: Path | None) -> list[int]:
    """Numbers of the files of which a work file speaks."""
    if places is None:
        return []
    numbers: set[int] = set()
    with pq.ParquetFile(places) as file:
        for batch in file.iter_batches(columns=["locator"]):
            numbers.update(np.unique(batch["locator"].to_numpy() >> 32).tolist())
    return sorted(numbers)


def positions(places: Path | None, number: int, schema: pa.Schema) -> pa.Table:
    """Rows of a work file that speak of one data file, with `position` instead of `locator`."""
    if places is None:
        rows = schema.empty_table()
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
