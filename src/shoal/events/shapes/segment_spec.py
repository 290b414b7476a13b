"""Segment archives and warehouse tables: calls of the spec, whatever they lie in.

- JSON Lines as the S3 destinations write them (one call a line, gzip), or batches
  `{"batch": [...]}` as the HTTP API takes them. Sources: Segment documentation, "AWS S3 with IAM
  Role Support Destination" (data format), "HTTP API Source" (batch).
- What the collection service refused, a line `{"$refused": [code, words], "raw": ...}` each: it is
  kept in the quarantine like any other row.
- Tables of a warehouse (`identifies`, `pages`, `order_completed`, ...) as CSV or Parquet. Source:
  Segment documentation, "Warehouse Schemas".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shoal.events.chunks import Source
from shoal.events.files import compression_of, expanded, head_of, io_errors
from shoal.events.mapping import SourceMapping
from shoal.events.reasons import REASONS
from shoal.events.shapes.flat_table import (
    Rejected,
    ShapedSource,
    Unpacked,
    one_table,
    passed_on,
    table_of_tuples,
)
from shoal.events.shapes.json_blocks import JsonBlock, head_object, json_blocks
from shoal.events.shapes.segment_calls import AT, COLUMNS, Calls
from shoal.events.shapes.segment_orders import Row
from shoal.events.shapes.segment_tables import TableCalls, open_table

_SEQUENCE: Final = AT["sequence"]
#: Key of a line that stands for a refused call.
REFUSED: Final = "$refused"
#: What calls of a batch take from its envelope where they lack it.
_ENVELOPE: Final = ("context", "integrations", "sentAt", "receivedAt", "timestamp")


def open_shaped(path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
    """The file as a source of flat rows (`COLUMNS`, all text).

    Raises:
        InputError: `input_unreadable`, `input_empty`, `unknown_columns`, `duplicate_headers`.
    """
    with io_errors(path):
        head = expanded(head_of(path, 1 << 16), compression_of(path), 1 << 12)
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    if start in (b"", b"{", b"["):  # nothing: cut off or blank, which reading tells
        head_object(path)
        return ArchiveSource(path, mapping, rows_per_chunk)
    return WarehouseSource(path, mapping, rows_per_chunk)


class ArchiveSource(ShapedSource):
    """JSON Lines of calls or of batches of calls."""

    def __init__(self, path: Path, mapping: SourceMapping, rows_per_chunk: int) -> None:
        super().__init__(path, COLUMNS, rows_per_chunk)
        self._calls = Calls(mapping)

    def unpacked(self) -> Iterator[Unpacked]:
        """Stretches of about `rows_per_chunk` flat rows."""
        tables: list[pa.Table] = []
        places: list[int] = []
        rejected: list[Rejected] = []
        read = done = 0
        for block in json_blocks(self.path):
            rows: list[Row] = []
            self._unpack(block, rows, places, rejected)
            done = _numbered(rows, done)
            tables.append(table_of_tuples(rows, COLUMNS))
            read = block.bytes_read
            if max(len(places), len(rejected)) >= self.rows_per_chunk:
                yield Unpacked(one_table(tables), places, rejected, read)
                tables, places, rejected = [], [], []
        if tables:
            yield Unpacked(one_table(tables), places, rejected, read)

    def _unpack(
        self, block: JsonBlock, rows: list[Row], places: list[int], rejected: list[Rejected]
    ) -> None:
        rejected += block.rejected
        unpack = self._calls.rows
        for call, place, line in zip(block.objects, block.places, block.lines, strict=True):
            calls = [call]
            if REFUSED in call:
                rejected.append(_refused(call, place, line))
                continue
            if "batch" in call:
                inside = _of_batch(call)
                if inside is None:
                    rejected.append((place, "bad_call", "batch: a list of calls is wanted", line))
                    continue
                calls = inside
            for inner in calls:
                found = unpack(inner)
                rows += found
                places += [place] * len(found)


def refused(code: str, words: str, raw: str) -> dict[str, Any]:
    """What stands in a file for a call that the collection service refused.

    Args:
        code: of `shoal.events.reasons.REASONS`.
        raw: the call, or its beginning.
    """
    return {REFUSED: [code, words], "raw": raw}


def _refused(line: dict[str, Any], place: int, text: str) -> Rejected:
    """The reason that the service gave; a client that writes such a line itself gives none."""
    told, raw = line[REFUSED], line.get("raw")
    known = isinstance(told, list) and len(told) == 2 and told[0] in REASONS
    if not known or not isinstance(raw, str):
        return (place, "bad_call", f"{REFUSED}: a code and words are wanted", text)
    return (place, str(told[0]), str(told[1]), raw)


def _numbered(rows: list[Row], done: int) -> int:
    """Give rows their places among all flat rows of the file; how many there are now."""
    for number, row in enumerate(rows, done):
        row[_SEQUENCE] = number
    return done + len(rows)


def _of_batch(line: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The calls of a batch, with what its envelope says; None where it is no list of objects."""
    batch = line["batch"]
    if not isinstance(batch, list) or not all(isinstance(call, dict) for call in batch):
        return None
    shared = {name: line[name] for name in _ENVELOPE if line.get(name) is not None}
    return [{**shared, **{k: v for k, v in call.items() if v is not None}} for call in batch]


class WarehouseSource(ShapedSource):
    """A table of calls, told by its columns, as CSV or Parquet."""

    def __init__(self, path: Path, mapping: SourceMapping, rows_per_chunk: int) -> None:
        super().__init__(path, COLUMNS, rows_per_chunk)
        self._table = open_table(path, mapping, rows_per_chunk)
        self._calls_of = TableCalls(path, self._table)
        self._calls = Calls(mapping)
        self.total_rows = None

    def unpacked(self) -> Iterator[Unpacked]:
        """A stretch a chunk of the table."""
        done = 0
        for chunk in self._table.chunks():
            rows: list[Row] = []
            places: list[int] = []
            for call, place in zip(
                self._calls_of.calls(chunk.table), chunk.row_places().tolist(), strict=True
            ):
                found = self._calls.rows(call)
                rows += found
                places += [place] * len(found)
            done = _numbered(rows, done)
            yield Unpacked(
                table_of_tuples(rows, COLUMNS), places, passed_on(chunk.rejected), chunk.bytes_read
            )
