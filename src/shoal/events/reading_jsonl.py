"""JSON Lines: one object a line; integers of any size are exact, nested values are JSON text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa

from shoal.domain.errors import InputError
from shoal.events.chunks import RawChunk, no_rows, rejected_rows
from shoal.events.files import io_errors
from shoal.events.texts import raw_text

#: A chunk ends when its lines hold this many bytes, however few rows they are.
_CHUNK_BYTES: Final = 64 << 20
_SAMPLE: Final = 1000

Row = dict[str, Any]
Fault = tuple[int, str, str, str]


class JsonlSource:
    """A file of JSON lines; every column is text."""

    total_rows: int | None = None

    def __init__(self, path: Path, compression: str | None, rows_per_chunk: int) -> None:
        self.path = path
        self.compression = compression
        self.rows_per_chunk = rows_per_chunk
        self.size_bytes = path.stat().st_size
        with io_errors(path):
            rows, faults = self._head()
        self.columns: tuple[str, ...] = tuple(dict.fromkeys(name for row in rows for name in row))
        if not rows and not faults:
            raise InputError(
                "input_empty", "the file holds no lines", where=str(path),
                hint="Export it again, or leave it out.",
            )  # fmt: skip
        if not rows or (faults and faults[0][0] == 0 and faults[0][3].lstrip().startswith("[")):
            raise self._no_objects(faults)

    def sample(self, rows: int) -> pa.Table:
        """The first rows (of the first thousand lines)."""
        with io_errors(self.path):
            return _table(self._head()[0][:rows], self.columns)

    def chunks(self) -> Iterator[RawChunk]:
        """Chunks of at most `rows_per_chunk` lines or 64 MiB."""
        columns = dict.fromkeys(self.columns)
        first, lines, size = 0, list[bytes](), 0
        with io_errors(self.path), self._open() as (raw, stream):
            for line in stream:
                if not line.strip():
                    continue
                lines.append(line)
                size += len(line)
                if len(lines) >= self.rows_per_chunk or size >= _CHUNK_BYTES:
                    yield self._chunk(lines, first, columns, raw.tell())
                    first, lines, size = first + len(lines), [], 0
            if lines:
                yield self._chunk(lines, first, columns, self.size_bytes)

    def _chunk(
        self, lines: list[bytes], first: int, columns: dict[str, None], bytes_read: int
    ) -> RawChunk:
        rows, places, faults = _parsed(lines, first)
        for row in rows:
            if not row.keys() <= columns.keys():
                columns.update(dict.fromkeys(row))
        rejected = rejected_rows(faults, self.path.name) if faults else no_rows()
        table = _table(rows, tuple(columns))
        return RawChunk(table, first, rejected, bytes_read, np.array(places, np.int64))

    def _head(self) -> tuple[list[Row], list[Fault]]:
        lines: list[bytes] = []
        with self._open() as (_, stream):
            for line in stream:
                if line.strip():
                    lines.append(line)
                if len(lines) >= _SAMPLE or sum(map(len, lines[-1:])) > _CHUNK_BYTES:
                    break
        rows, _, faults = _parsed(lines, 0)
        return rows, faults

    def _open(self) -> _Lines:
        return _Lines(self.path, self.compression)

    def _no_objects(self, faults: list[Fault]) -> InputError:
        line = faults[0][3][:60]
        return InputError(
            "input_unreadable",
            f"the file is not JSON Lines: its first line is {line!r}",
            where=str(self.path),
            hint="JSON Lines is wanted: one object {...} a line, no surrounding list. "
            "`jq -c '.[]' file.json > file.jsonl` turns a list into lines.",
        )


class _Lines:
    """The lines of a file, and the file below to ask how far it was read."""

    def __init__(self, path: Path, compression: str | None) -> None:
        self.path, self.compression = path, compression

    def __enter__(self) -> tuple[IO[bytes], io.BufferedIOBase]:
        self.raw = self.path.open("rb")
        if self.compression is None:
            return self.raw, self.raw
        expanded = pa.CompressedInputStream(pa.PythonFile(self.raw, "r"), self.compression)
        return self.raw, io.BufferedReader(expanded, 1 << 20)

    def __exit__(self, *_: object) -> None:
        self.raw.close()


def _parsed(lines: list[bytes], first: int) -> tuple[list[Row], list[int], list[Fault]]:
    """(rows, their places, faults) of lines that are not blank."""
    rows: list[Row] = []
    places: list[int] = []
    faults: list[Fault] = []
    loads = json.loads
    for place, line in enumerate(lines, first):
        try:
            row = loads(line.decode("utf-8-sig" if place == 0 else "utf-8"))
        except UnicodeDecodeError as error:
            text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            faults.append((place, "bad_encoding", f"not UTF-8: {error}", text))
            continue
        except (ValueError, RecursionError) as error:
            faults.append((place, "bad_json", f"not JSON: {error}", line.decode().rstrip("\r\n")))
            continue
        if not isinstance(row, dict):
            detail = f"a JSON object is wanted, this is a {type(row).__name__}"
            faults.append((place, "bad_json", detail, line.decode().rstrip("\r\n")))
            continue
        rows.append(row)
        places.append(place)
    return rows, places, faults


def _table(rows: list[Row], columns: tuple[str, ...]) -> pa.Table:
    return pa.table({name: _column([row.get(name) for row in rows]) for name in columns})


def _column(values: list[Any]) -> pa.Array:
    if not set(map(type, values)) <= {str, type(None)}:
        values = [raw_text(value) for value in values]
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # half of a surrogate pair, written as an escape
        encoded = [None if v is None else v.encode("utf-8", "surrogatepass") for v in values]
        return pa.array(encoded, pa.binary())
