"""What a reader hands over: a bounded number of raw rows, and the rows it could not read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.events.schema import QUARANTINE_SCHEMA
from shoal.events.texts import raw_text

#: Rows of a chunk unless asked otherwise.
ROWS_PER_CHUNK: Final = 131_072

#: The key under which a row that could not be split into columns keeps its text.
RAW_LINE: Final = "_line"


def no_rows() -> pa.Table:
    """An empty table of `QUARANTINE_SCHEMA`."""
    return QUARANTINE_SCHEMA.empty_table()


@dataclass(frozen=True)
class RawChunk:
    """Rows as read, with the source's own columns (text from CSV and JSONL, typed from Parquet).

    `first_row` is the place in the file, from 0, of the first row; `places` gives the place of each
    row of `table` where rejected rows lie between them, else they follow each other. `bytes_read`
    counts the file's bytes read since it was opened (compressed bytes of a compressed file).
    """

    table: pa.Table
    first_row: int = 0
    rejected: pa.Table = field(default_factory=no_rows)
    bytes_read: int = 0
    places: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """Rows read, the rejected ones too."""
        return int(self.table.num_rows + self.rejected.num_rows)

    def row_places(self) -> NDArray[np.int64]:
        """The place in the file of each row of `table`, from 0."""
        if self.places is not None:
            return self.places
        return np.arange(self.first_row, self.first_row + self.table.num_rows, dtype=np.int64)


class Source(Protocol):
    """One opened input file."""

    path: Path
    columns: tuple[str, ...]
    total_rows: int | None
    size_bytes: int

    def sample(self, rows: int) -> pa.Table:
        """The first rows, to guess a mapping from."""

    def chunks(self) -> Iterator[RawChunk]:
        """All rows, in bounded chunks; can be called again to read anew."""


def rejected_rows(found: list[tuple[int, str, str, str]], file: str) -> pa.Table:
    """Rows of `QUARANTINE_SCHEMA` from (place, code, detail, raw line); rows count from 1."""
    return pa.table(
        {
            "code": [code for _, code, _, _ in found],
            "detail": [detail for _, _, detail, _ in found],
            "file": [file] * len(found),
            "row": [place + 1 for place, _, _, _ in found],
            "raw": [json.dumps({RAW_LINE: line}, ensure_ascii=False) for _, _, _, line in found],
        },
        schema=QUARANTINE_SCHEMA,
    )


def raw_json(row: Mapping[str, Any]) -> str:
    """A raw row as a JSON object of texts, in which invalid bytes are written as escapes."""
    texts = {name: raw_text(value) for name, value in row.items() if value is not None}
    return json.dumps(texts, ensure_ascii=False)


def chunk_of_quarantine(quarantined: pa.Table) -> RawChunk:
    """Quarantined rows as a chunk again, to be cleaned with a mended mapping.

    Rows that never were split into columns stay rejected.
    """
    rows = [json.loads(text) for text in quarantined["raw"].to_pylist()]
    lines = np.array([RAW_LINE in row for row in rows], dtype=bool)
    names = list(dict.fromkeys(name for row in rows if RAW_LINE not in row for name in row))
    kept = [row for row in rows if RAW_LINE not in row]
    table = pa.table({name: pa.array([row.get(name) for row in kept], pa.string())
                      for name in names})  # fmt: skip
    places = np.asarray(quarantined["row"].to_numpy(), dtype=np.int64)[~lines] - 1
    return RawChunk(
        table,
        first_row=int(places[0]) if len(places) else 0,
        rejected=quarantined.filter(pa.array(lines)),
        places=places,
    )
