"""Text tables: delimiter and encoding found out, every column text, bad rows kept apart."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from shoal.domain.errors import InputError
from shoal.events.chunks import RawChunk, no_rows, rejected_rows
from shoal.events.files import expanded, head_of, io_errors
from shoal.events.mapping import CsvOptions, SourceMapping
from shoal.events.reading_parquet import duplicate_headers

#: Bytes parsed at a time; also the longest row that can be read.
BLOCK: Final = 16 << 20
_HEAD: Final = 1 << 20
_DELIMITERS: Final = ",;\t|"
_BOMS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class CsvSource:
    """A text table; rows with another number of fields than the header are rejected rows."""

    total_rows: int | None = None

    def __init__(
        self,
        path: Path,
        compression: str | None,
        rows_per_chunk: int,
        mapping: SourceMapping | None = None,
    ) -> None:
        options = mapping.csv if mapping else CsvOptions()
        self.path, self.compression, self.rows_per_chunk = path, compression, rows_per_chunk
        self.size_bytes = path.stat().st_size
        with io_errors(path):
            head = expanded(head_of(path, _HEAD), compression)
            self.encoding = self._encoding(head, options.encodings)
        text = codecs.getincrementaldecoder(self.encoding)("replace").decode(head).lstrip("\ufeff")
        self.delimiter = options.delimiter or sniffed_delimiter(text)
        rows = _first_rows(text, self.delimiter)
        if not rows:
            raise self._empty("the file holds no text")
        self.columns, self.has_header = _header(rows[0], mapping)
        doubles = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if doubles:
            raise duplicate_headers(doubles, path)
        whole = len(head) < _HEAD and self.size_bytes <= _HEAD  # else more may follow the head
        if self.has_header and len(rows) == 1 and whole:
            raise self._empty(f"the file has a header of {len(self.columns)} columns but no rows")

    def sample(self, rows: int) -> pa.Table:
        """The first rows."""
        empty = pa.table({name: pa.array([], pa.string()) for name in self.columns})
        for block in (_HEAD, BLOCK):  # the larger one where a row is longer than the smaller
            chunk = next(self._read(block), None)
            if chunk is not None:
                return chunk.table.slice(0, rows)
        return empty

    def chunks(self) -> Iterator[RawChunk]:
        """Chunks of at most `rows_per_chunk` rows."""
        return self._read(BLOCK)

    def _read(self, block: int) -> Iterator[RawChunk]:
        bad: list[pacsv.InvalidRow] = []

        def keep(row: pacsv.InvalidRow) -> str:
            bad.append(row)
            return "skip"

        first, unclosed = 0, ""
        with io_errors(self.path), self.path.open("rb") as raw:
            stream = _Counted(self._expanded(raw))
            for batch, final in _ending(self._batches(stream, block, keep)):
                table = pa.Table.from_batches([batch])
                if final and stream.quotes % 2:
                    table, unclosed = _without_unclosed(table)
                for start in range(0, max(table.num_rows, 1), self.rows_per_chunk):
                    part = table.slice(start, self.rows_per_chunk)
                    last = start + self.rows_per_chunk >= table.num_rows
                    chunk, first = self._chunk(part, first, bad, last, raw.tell())
                    yield chunk
            if bad:
                chunk, first = self._chunk(self._none(), first, bad, True, self.size_bytes)
                yield chunk
            if unclosed:
                yield self._swallowed(unclosed, first)

    def _expanded(self, raw: IO[bytes]) -> Any:
        if self.compression:
            return pa.CompressedInputStream(pa.PythonFile(raw, "r"), self.compression)
        return raw

    def _batches(self, stream: _Counted, block: int, keep: Any) -> Iterator[pa.RecordBatch]:
        try:
            reader = pacsv.open_csv(
                pa.PythonFile(stream, "r"),
                read_options=pacsv.ReadOptions(
                    column_names=list(self.columns),
                    skip_rows_after_names=1 if self.has_header else 0,
                    use_threads=False, block_size=block, encoding=self._arrow_encoding(),
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=keep,
                ),
                convert_options=pacsv.ConvertOptions(
                    check_utf8=False, strings_can_be_null=False,
                    column_types={name: pa.string() for name in self.columns},
                ),
            )  # fmt: skip
            yield from reader
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and block < BLOCK:
                return
            if "straddling" in str(error):
                raise self._too_long() from error
            if "Empty CSV" in str(error):
                return
            raise

    def _chunk(
        self, table: pa.Table, first: int, bad: list[pacsv.InvalidRow], last: bool, read: int
    ) -> tuple[RawChunk, int]:
        """The chunk of a part of a batch, with the rejected rows that lie before its end."""
        shift = 2 if self.has_header else 1  # the parser counts rows from 1, the header too
        places_of_bad = [row.number - shift for row in bad]
        end, taken = first + table.num_rows, 0
        while taken < len(bad) and (places_of_bad[taken] < end or last):
            taken, end = taken + 1, end + 1
        faults = [(places_of_bad[i], "wrong_field_count", self._counted(bad[i]), bad[i].text)
                  for i in range(taken)]  # fmt: skip
        del bad[:taken]
        places = None
        if taken:
            gaps = np.array([fault[0] for fault in faults], np.int64)
            places = np.setdiff1d(np.arange(first, end, dtype=np.int64), gaps, assume_unique=True)
        rejected = rejected_rows(faults, self.path.name) if faults else no_rows()
        return RawChunk(table, first, rejected, read, places), end

    def _swallowed(self, text: str, place: int) -> RawChunk:
        lines = text.count("\n") + 1
        detail = f"a quote is opened and never closed, so that {lines} lines became one row"
        rejected = rejected_rows([(place, "wrong_field_count", detail, text)], self.path.name)
        return RawChunk(self._none(), place, rejected, self.size_bytes)

    def _counted(self, row: pacsv.InvalidRow) -> str:
        return f"{row.actual_columns} fields where the header has {row.expected_columns}"

    def _none(self) -> pa.Table:
        return pa.table({name: pa.array([], pa.string()) for name in self.columns})

    def _arrow_encoding(self) -> str:
        return "utf8" if self.encoding == "utf-8" else self.encoding

    def _encoding(self, head: bytes, wanted: Sequence[str]) -> str:
        """The file's encoding, if it is clear; a byte order mark decides, then UTF-8 is tried."""
        for mark, name in _BOMS.items():
            if head.startswith(mark):
                return name
        if len(wanted) == 1:
            try:
                codecs.getincrementaldecoder(wanted[0])().decode(head)
            except UnicodeError as error:
                raise self._unclear(f"it is not {wanted[0]} either: {error}", "latin-1") from error
            return codecs.lookup(wanted[0]).name
        for name in wanted:
            if self._decodes(name):
                return codecs.lookup(name).name
        if head.count(b"\0") * 10 > len(head):
            seen = "many bytes are NUL, so it may be UTF-16 without a mark"
            raise self._unclear(seen, "utf-16-le")
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError as error:
            line = head.count(b"\n", 0, error.start) + 1
            byte = head[error.start]
            raise self._unclear(f"line {line} holds the byte 0x{byte:02X}", "latin-1") from error
        return "utf-8"

    def _decodes(self, name: str) -> bool:
        """Whether the whole file decodes, read once in blocks."""
        decoder = codecs.getincrementaldecoder(name)()
        with self.path.open("rb") as raw:
            stream = self._expanded(raw)
            try:
                while block := stream.read(1 << 20):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return False
        return True

    def _unclear(self, seen: str, example: str) -> InputError:
        return InputError(
            "input_unreadable",
            f"the file is not UTF-8 text: {seen}",
            where=str(self.path),
            hint=f'Say how it is written: [csv] encoding = "{example}" in a mapping file '
            "(others: cp1252, utf-16, gbk, big5, shift_jis), or save it as UTF-8.",
        )

    def _empty(self, what: str) -> InputError:
        return InputError("input_empty", what, where=str(self.path),
                          hint="Export it again, or leave it out.")  # fmt: skip

    def _too_long(self) -> InputError:
        return InputError(
            "input_unreadable",
            f"a row is longer than {BLOCK >> 20} MiB",
            where=str(self.path),
            hint='Most often a quote " is opened and never closed: look for a field with one.',
        )


class _Counted:
    """A stream that counts the quotes read: an odd number hints at one that is never closed."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self.stream, self.quotes = stream, 0

    def read(self, size: int = -1) -> bytes:
        block: bytes = self.stream.read(size)
        self.quotes += block.count(b'"')
        return block

    def close(self) -> None:
        self.closed = True


def _ending(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Each batch, and whether it is the last."""
    held = next(batches, None)
    while held is not None:
        ahead = next(batches, None)
        yield held, ahead is None
        held = ahead


def _without_unclosed(table: pa.Table) -> tuple[pa.Table, str]:
    """The table without its last row, and that row's text, if one of its fields spans lines."""
    row = table.slice(max(table.num_rows - 1, 0)).to_pylist()
    fields = [value for value in row[0].values() if value is not None] if row else []
    if not any("\n" in value for value in fields):
        return table, ""
    return table.slice(0, table.num_rows - 1), ",".join(fields)


def sniffed_delimiter(text: str) -> str:
    """The delimiter that splits the first rows into the same number of fields, more than one.

    >>> sniffed_delimiter("a;b;c\\n1,5;2;3\\n")
    ';'
    """
    best, best_score = ",", (0.0, 0)
    for mark in _DELIMITERS:
        rows = _first_rows(text, mark)[:50]
        if not rows or len(rows[0]) < 2:
            continue
        width = len(rows[0])
        agreeing = sum(len(row) == width for row in rows) / len(rows)
        if (agreeing, width) > best_score:
            best, best_score = mark, (agreeing, width)
    return best


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    """Up to 51 rows of the head, without a last row that the head may have cut off."""
    lines = text.splitlines(keepends=True)
    whole = lines if len(text) < _HEAD // 2 or len(lines) < 2 else lines[:-1]
    csv.field_size_limit(1 << 30)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO("".join(whole[:400]), newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > 50:
                break
    except csv.Error:
        pass
    return rows


def _header(first: list[str], mapping: SourceMapping | None) -> tuple[tuple[str, ...], bool]:
    """(column names, whether the first row holds them).

    A mapping may name the columns of files that have no header; the file has one if its first row
    holds any column the mapping knows.
    """
    names = tuple(name.strip() or f"column_{place}" for place, name in enumerate(first, 1))
    if mapping is None:
        return names, True
    for layout in (mapping, *mapping.layouts):
        known = {name for many in (*layout.columns.values(), *layout.optional.values())
                 for name in many} | set(layout.csv.names)  # fmt: skip
        if len(layout.csv.names) == len(names) and not known & set(names):
            return layout.csv.names, False
    return names, True
