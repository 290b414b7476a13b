"""Nested rows as Arrow tables: JSON Lines in blocks, Parquet in batches, a bad line kept apart."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from shoal.events.files import compression_of, io_errors
from shoal.events.shapes.flat_table import Rejected

Places = npt.NDArray[np.int64]

#: Bytes of JSON Lines parsed at once, and rows of Parquet read at once.
BLOCK: Final = 8 << 20
ROWS: Final = 32_768
LONGEST_LINE: Final = 64 << 20


@dataclass
class Nested:
    """Some rows of a file, their places in it from 0, and the lines that could not be read."""

    table: pa.Table
    places: Places
    rejected: list[Rejected] = field(default_factory=list)
    bytes_read: int = 0


def parquet_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Nested]:
    """The wanted columns of a Parquet file, those that it has."""
    size = path.stat().st_size
    with io_errors(path), pq.ParquetFile(path, pre_buffer=False) as file:
        have = set(file.schema_arrow.names)
        total, first = max(file.metadata.num_rows, 1), 0
        wanted = [name for name in columns if name in have]
        for batch in file.iter_batches(batch_size=ROWS, columns=wanted, use_threads=False):
            end = first + batch.num_rows
            table = pa.Table.from_batches([batch])
            yield Nested(table, np.arange(first, end), bytes_read=size * end // total)
            first = end


def json_rows(path: Path, schema: pa.Schema) -> Iterator[Nested]:
    """The objects of a file of JSON Lines in the schema's types; other members are left out.

    Whole numbers may be written as texts or as numbers, where the schema says text.
    """
    with io_errors(path), path.open("rb") as raw:
        compression = compression_of(path)
        stream: Any = raw
        if compression is not None:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, "r"), compression)
        rest, first = b"", 0
        while True:
            read = stream.read(BLOCK)
            data = rest + read
            end = data.rfind(b"\n") + 1 if read else len(data)
            rest = data[end:]
            if len(rest) > LONGEST_LINE:
                rest = b""  # never a line; what follows its end goes on
            if end:
                found = _block(data[:end].lstrip(b"\xef\xbb\xbf"), schema, first)
                found.bytes_read = raw.tell()
                first += found.table.num_rows + len(found.rejected)
                yield found
            if not read:
                return


def _block(data: bytes, schema: pa.Schema, first: int) -> Nested:
    if not data.strip():
        return Nested(schema.empty_table(), np.arange(0))
    options = pj.ReadOptions(block_size=len(data) + 1, use_threads=False)
    parsing = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        table = pj.read_json(io.BytesIO(data), read_options=options, parse_options=parsing)
        table.validate(full=True)  # texts that are not UTF-8
    except pa.ArrowInvalid:
        return _line_by_line(data, schema, first)
    return Nested(table.combine_chunks(), np.arange(first, first + table.num_rows))


def _line_by_line(data: bytes, schema: pa.Schema, first: int) -> Nested:
    """With care: each line for itself, numbers turned into the schema's types."""
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    rejected: list[Rejected] = []
    place = first - 1
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        place += 1
        text = line.decode("utf-8", "backslashreplace").rstrip("\r")
        try:
            found = json.loads(line.decode("utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"an object is wanted, this is a {type(found).__name__}")
            fitted = {f.name: _fitted(found.get(f.name), f.type, f.name) for f in schema}
        except UnicodeDecodeError as error:
            rejected.append((place, "bad_encoding", f"not UTF-8: {error}", text))
        except (ValueError, RecursionError) as error:
            rejected.append((place, "bad_json", f"not readable: {error}", text))
        else:
            rows.append(fitted)
            places.append(place)
    table = pa.Table.from_pylist(rows, schema=schema)
    return Nested(table, np.array(places, dtype=np.int64), rejected)


def _fitted(value: Any, kind: pa.DataType, name: str) -> Any:
    """A JSON value in an Arrow type.

    Raises:
        ValueError: the value has another shape.
    """
    if value is None:
        return None
    if pa.types.is_list(kind):
        if not isinstance(value, list):
            raise ValueError(f"{name} is {value!r:.60}, not a list")
        return [_fitted(one, kind.value_type, name) for one in value]
    if pa.types.is_struct(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{name} is {value!r:.60}, not an object")
        return {f.name: _fitted(value.get(f.name), f.type, f.name) for f in kind}
    if isinstance(value, dict | list):
        raise ValueError(f"{name} is {value!r:.60}, not a single value")
    if pa.types.is_floating(kind):
        return float(value)
    return value if isinstance(value, str) else json.dumps(value)


def member(column: pa.Array | None, *path: str) -> pa.Array | None:
    """A member of structs, null where a struct on the way is; None where there is none."""
    for name in path:
        if column is None or not pa.types.is_struct(column.type):
            return None
        if column.type.get_field_index(name) < 0:
            return None
        column = pc.struct_field(column, [name])
    return column


@dataclass(frozen=True)
class Elements:
    """The elements of lists, one after the other: of which row each is, and its place there."""

    values: pa.Array | None
    row: Places
    place: Places
    lengths: Places


def elements(column: pa.Array | None, rows: int) -> Elements:
    """The elements of a list column; of exports that wrap lists and elements in structs too."""
    while column is not None and pa.types.is_struct(column.type):
        column = member(column, "list")
    if column is None or not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        nothing = np.arange(0)
        return Elements(None, nothing, nothing, np.zeros(rows, np.int64))
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    values = pc.list_flatten(column)
    while pa.types.is_struct(values.type) and values.type.num_fields == 1:
        values = pc.struct_field(values, [0])
    row = np.repeat(np.arange(rows), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Elements(values, row, place, lengths)


def as_texts(column: pa.Array | None, rows: int) -> pa.Array:
    """A column as text; nulls where there is none."""
    if column is None:
        return pa.nulls(rows, pa.string())
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def as_doubles(column: pa.Array | None, rows: int) -> pa.Array:
    """A column as float64, texts that are no numbers as null."""
    if column is None:
        return pa.nulls(rows, pa.float64())
    if pa.types.is_string(column.type):
        numeric = pc.match_substring_regex(column, r"^[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?$")
        column = pc.if_else(numeric, column, pa.scalar(None, pa.string()))
    return column.cast(pa.float64())
