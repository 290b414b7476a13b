"""Flat rows on their way out of a shape: text columns, places in the file, bounded chunks."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.events.chunks import RAW_LINE, RawChunk, no_rows, rejected_rows
from shoal.events.texts import raw_text

#: Rows of an order export unpacked at a time: each becomes several facts, and facts that wait as
#: objects are large.
ROWS_AT_A_TIME: Final = 8192

#: A row that could not be unpacked: place from 0, reason, what was wrong, the row as it was read.
Rejected = tuple[int, str, str, str]


@dataclass
class Unpacked:
    """What a stretch of a file holds: flat rows, column by column, and what could not be read."""

    table: pa.Table
    places: list[int]
    rejected: list[Rejected] = field(default_factory=list)
    bytes_read: int = 0


class ShapedSource(ABC):
    """A file whose rows were unpacked into flat ones; a `shoal.events.chunks.Source`.

    Places are those of the file's own rows (a line, an order's row), so that a person finds them;
    several flat rows may share one.
    """

    total_rows: int | None = None

    def __init__(self, path: Path, columns: Sequence[str], rows_per_chunk: int) -> None:
        self.path = path
        self.columns = tuple(columns)
        self.rows_per_chunk = rows_per_chunk
        self.size_bytes = path.stat().st_size

    @abstractmethod
    def unpacked(self) -> Iterator[Unpacked]:
        """The file's stretches in order; can be called again to read anew."""

    def sample(self, rows: int) -> pa.Table:
        """The first flat rows."""
        for chunk in self.chunks():
            if chunk.table.num_rows:
                return chunk.table.slice(0, rows)
        return text_table([], self.columns)

    def chunks(self) -> Iterator[RawChunk]:
        """Chunks of at most `rows_per_chunk` flat rows."""
        for part in self.unpacked():
            rejected = rejected_rows(part.rejected, self.path.name) if part.rejected else no_rows()
            places = np.array(part.places, dtype=np.int64)
            for start in range(0, max(part.table.num_rows, 1), self.rows_per_chunk):
                own = places[start : start + self.rows_per_chunk]
                yield RawChunk(
                    part.table.slice(start, self.rows_per_chunk),
                    first_row=int(own[0]) if len(own) else 0,
                    rejected=rejected,
                    bytes_read=part.bytes_read,
                    places=own,
                )
                rejected = no_rows()


def passed_on(rejected: pa.Table) -> list[Rejected]:
    """Rows that a reader below rejected, to be rejected again."""
    return [
        (row["row"] - 1, row["code"], row["detail"], json.loads(row["raw"])[RAW_LINE])
        for row in rejected.to_pylist()
    ]


def text_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pa.Table:
    """A table of text columns from rows that may lack some of them."""
    return pa.table({name: text_column([row.get(name) for row in rows]) for name in columns})


def table_of_tuples(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> pa.Table:
    """A table of text columns from rows that give a value for each, in order."""
    if not rows:
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    none = pa.nulls(len(rows), pa.string())
    arrays = [
        none if values.count(None) == len(values) else text_column(list(values))
        for values in zip(*rows, strict=True)
    ]
    return pa.table(arrays, names=list(columns))


def one_table(tables: Sequence[pa.Table]) -> pa.Table:
    """The tables as one; a column that is binary in one of them is binary in all."""
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def text_column(values: list[Any]) -> pa.Array:
    """Values of any kind as text; binary where a text holds half of a surrogate pair."""
    if not set(map(type, values)) <= {str, type(None)}:
        values = [raw_text(value) for value in values]
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        encoded = [None if v is None else v.encode("utf-8", "surrogatepass") for v in values]
        return pa.array(encoded, pa.binary())
