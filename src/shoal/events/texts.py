"""Raw columns of any type as text or numbers, the same whatever the file format was.

An integer 17850, a float 17850.0 and the text "17850" give the text "17850"; empty and blank text
is null; text is trimmed of surrounding white space.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Column: TypeAlias = pa.Array | pa.ChunkedArray

_WHITE: Final = " \t\r\n\x0b\x0c\u00a0\u3000\ufeff"
_INTEGRAL: Final = r"^(-?\d+)\.0+$"
_WHOLE: Final = re.compile(r"(-?[0-9]+)\.0+")


def one_array(column: Column) -> pa.Array:
    """A column as a single array, dictionaries and views unpacked."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # combine_chunks of no chunks
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def as_text(column: Column, *, integral: bool = False) -> pa.Array:
    """The column as trimmed text (`pa.string()`), null where empty.

    `integral` writes whole numbers without a fraction also when they came as text ("17850.0"), as
    tables exported with a missing value in an id column have them.
    """
    array = one_array(column)
    kind = array.type
    if pa.types.is_string(kind):
        text = _trimmed(array)
    elif pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return array.cast(pa.string())
    elif pa.types.is_floating(kind):
        return _float_text(array)
    else:
        text = _trimmed(pa.array([raw_text(v) for v in array.to_pylist()], pa.string()))
    if integral and _any_contains(text, ".0"):
        text = pc.replace_substring_regex(text, pattern=_INTEGRAL, replacement=r"\1")
    return text


def id_text(value: str) -> str:
    """One text as `as_text` writes ids ("17850" for " 17850.0 "), empty where that is null."""
    text = value.strip(_WHITE)
    whole = _WHOLE.fullmatch(text)
    return whole.group(1) if whole else text


def as_numbers(column: Column) -> NDArray[np.float64]:
    """The column as float64; NaN where null or not a number."""
    numbers, _, _ = parse_numbers(column)
    return numbers


def parse_numbers(
    column: Column,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The column as float64, with masks of the rows that are missing and of those unreadable."""
    array = one_array(column)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        missing = _nulls(array)
        return _floats(array), missing, np.zeros(len(array), dtype=bool)
    if pa.types.is_boolean(array.type):
        missing = _nulls(array)
        return np.full(len(array), np.nan), missing, ~missing
    text = as_text(array)
    missing = _nulls(text)
    try:
        return _floats(text.cast(pa.float64())), missing, np.zeros(len(text), dtype=bool)
    except pa.ArrowInvalid:
        numbers = np.array([_number(value) for value in text.to_pylist()], dtype=np.float64)
        bad = np.array([_unreadable(value) for value in text.to_pylist()], dtype=bool)
        return numbers, missing, bad


def raw_text(value: Any) -> str | None:
    """One value as the text a person would have seen in the source; nested values as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=raw_text)


def contains_byte(array: pa.Array, byte: bytes) -> bool:
    """Whether any text of a string array holds a byte (a scan of its buffer)."""
    data = array.buffers()[2]
    return data is not None and re.search(re.escape(byte), data) is not None


def _trimmed(text: pa.Array) -> pa.Array:
    text = pc.utf8_trim(text, characters=_WHITE)
    empty = pc.equal(text, "")
    if pc.any(empty).as_py():
        text = pc.if_else(empty, pa.scalar(None, pa.string()), text)
    return text


def _float_text(array: pa.Array) -> pa.Array:
    values = _floats(array)
    with np.errstate(invalid="ignore"):
        whole = np.isfinite(values) & (np.floor(values) == values) & (np.abs(values) < 1e15)
    if bool((whole | _nulls(array)).all()):
        return array.cast(pa.int64()).cast(pa.string())
    return pa.array([raw_text(value) for value in array.to_pylist()], pa.string())


def _any_contains(text: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring(text, pattern=pattern)).as_py())


def _nulls(array: pa.Array) -> NDArray[np.bool_]:
    if array.null_count == 0:
        return np.zeros(len(array), dtype=bool)
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)


def _floats(array: pa.Array) -> NDArray[np.float64]:
    if array.type != pa.float64():
        array = array.cast(pa.float64(), safe=False)
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _number(value: str | None) -> float:
    try:
        return float("nan") if value is None or "_" in value else float(value)
    except ValueError:
        return float("nan")


def _unreadable(value: str | None) -> bool:
    if value is None:
        return False
    try:
        float(value)
    except ValueError:
        return True
    return "_" in value
