"""Parquet files, one row group's pages at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.domain.errors import InputError
from shoal.events.chunks import RawChunk
from shoal.events.files import io_errors
from shoal.events.texts import raw_text


class ParquetSource:
    """A Parquet file; columns keep their types, nested values become JSON text."""

    def __init__(self, path: Path, rows_per_chunk: int) -> None:
        self.path = path
        self.rows_per_chunk = rows_per_chunk
        self.size_bytes = path.stat().st_size
        with self._errors(), self._open() as file:
            self.total_rows: int | None = file.metadata.num_rows
            schema = file.schema_arrow
        self.columns: tuple[str, ...] = tuple(schema.names)
        self.metadata = schema.metadata
        _refuse_doubles(schema.names, path)
        if not self.total_rows:
            raise InputError(
                "input_empty",
                f"the file has {len(schema.names)} columns but no rows",
                where=str(path),
                hint="Export it again, or leave it out.",
            )

    def sample(self, rows: int) -> pa.Table:
        """The first rows."""
        with self._errors(), self._open() as file:
            for batch in file.iter_batches(batch_size=rows, use_threads=False):
                return _plain(pa.Table.from_batches([batch])).slice(0, rows)
        raise AssertionError("a file without rows is refused when it is opened")

    def chunks(self) -> Iterator[RawChunk]:
        """Chunks of at most `rows_per_chunk` rows."""
        total, first = self.total_rows or 1, 0
        with self._errors(), self._open() as file:
            for batch in file.iter_batches(batch_size=self.rows_per_chunk, use_threads=False):
                table = _plain(pa.Table.from_batches([batch]))
                read = self.size_bytes * (first + table.num_rows) // total
                yield RawChunk(table.replace_schema_metadata(self.metadata), first, bytes_read=read)
                first += table.num_rows

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False)

    def _errors(self) -> AbstractContextManager[None]:
        return io_errors(self.path)


def _plain(table: pa.Table) -> pa.Table:
    """Nested columns as JSON text; a map's pairs as an object."""
    for place, column in enumerate(table.schema):
        if pa.types.is_nested(column.type):
            is_map = pa.types.is_map(column.type)
            values = table[place].to_pylist()
            texts = [raw_text(dict(v) if is_map and v is not None else v) for v in values]
            table = table.set_column(place, column.name, pa.array(texts, pa.string()))
    return table


def _refuse_doubles(names: list[str], path: Path) -> None:
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        raise duplicate_headers(doubles, path)


def duplicate_headers(doubles: list[str], path: Path) -> InputError:
    """The error of a file in which two columns have one name."""
    return InputError(
        "duplicate_headers",
        f"more than one column is named {', '.join(repr(name) for name in doubles)}",
        where=str(path),
        hint="Rename the columns so that each name occurs once, then ingest again.",
    )
