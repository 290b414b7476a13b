"""Times of any notation as UTC microseconds.

Understood: timestamps and dates of Parquet; numbers since 1970 in seconds, milli-, micro- or
nanoseconds (told by their size, for the ranges between 1990 and 2099 do not overlap); dates of
eight digits; ISO 8601 with or without offset or the word UTC; the mapping's own formats. A time
without offset is local to the mapping's zone; a bare date is 00:00; what is below a microsecond is
cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.domain.time import EARLIEST, LATEST, Zone, to_us
from shoal.events.texts import Column, as_text, one_array
from shoal.events.zones import zone_table

Mask = NDArray[np.bool_]

_LOW: Final = to_us(EARLIEST)
_HIGH: Final = to_us(LATEST)
_UNIT_US: Final = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_DIGITS: Final = r"^-?\d+(\.\d+)?$"


@dataclass(frozen=True)
class Times:
    """UTC microseconds of each row, and which rows are missing, unreadable or absurd."""

    us: NDArray[np.int64]
    missing: Mask
    bad: Mask
    absurd: Mask


def read_times(
    column: Column, zone: Zone, unit: str = "auto", formats: tuple[str, ...] = ()
) -> Times:
    """The times of a raw column, shape (rows,); 0 where missing, unreadable or absurd.

    Args:
        zone: of times without an offset.
        unit: of numbers: auto, s, ms, us or ns.
        formats: strptime formats to try after the built-in notations.
    """
    array = one_array(column)
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        us, missing = _of_timestamps(array)
        bad = np.zeros(len(us), dtype=bool)
        naive = ~missing if pa.types.is_date(kind) or kind.tz is None else bad
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        missing = array.is_null().to_numpy(zero_copy_only=False)
        us, bad = _of_numbers(array, missing, unit)
        naive = np.zeros(len(us), dtype=bool)
    else:
        us, missing, bad, naive = _of_texts(as_text(array), unit, formats)
    if naive.any():
        local = np.clip(us, _LOW - 10**12, _HIGH + 10**12)
        us = np.where(naive & (local == us), zone_table(zone).to_utc(local), us)
    absurd = ~missing & ~bad & ((us < _LOW) | (us >= _HIGH))
    return Times(np.where(missing | bad | absurd, 0, us), missing, bad, absurd)


def _of_timestamps(array: pa.Array) -> tuple[NDArray[np.int64], Mask]:
    missing = array.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s"))
    unit = array.type.unit
    ticks = array.cast(pa.timestamp(unit)).cast(pa.int64()).fill_null(0).to_numpy()
    if unit == "us":
        return ticks, missing
    if unit == "ns":
        return ticks // 1000, missing
    factor = 1_000_000 if unit == "s" else 1000
    limit = 2**62 // factor
    return np.clip(ticks, -limit, limit) * factor, missing


def _of_numbers(array: pa.Array, missing: Mask, unit: str) -> tuple[NDArray[np.int64], Mask]:
    """Whole numbers are exact; fractions are rounded to the microsecond."""
    if pa.types.is_integer(array.type):
        whole = array.fill_null(0).cast(pa.int64(), safe=False).to_numpy()
        return _scaled(whole, unit), np.zeros(len(whole), dtype=bool)
    values = np.array(array.cast(pa.float64()).to_numpy(zero_copy_only=False))
    values[missing] = 0
    bad = ~np.isfinite(values)
    values[bad] = 0
    with np.errstate(over="ignore"):
        factors = _factors(np.abs(values), unit)
        us = np.clip(np.rint(values * factors), -(2.0**62), 2.0**62).astype(np.int64)
    whole = (np.floor(values) == values) & (np.abs(values) < 2**53)
    exact = _scaled(np.where(whole, values, 0).astype(np.int64), unit)
    return np.where(whole, exact, us), bad


def _factors(size: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Microseconds of one tick, told by the size of the number where the unit is auto."""
    if unit != "auto":
        return np.full(len(size), _UNIT_US[unit])
    limits = np.array([2e10, 2e13, 2e16])
    return np.array([1e6, 1e3, 1.0, 1e-3])[np.searchsorted(limits, size)]


def _scaled(whole: NDArray[np.int64], unit: str) -> NDArray[np.int64]:
    factors = _factors(np.abs(whole.astype(np.float64)), unit)
    large = np.maximum(factors, 1).astype(np.int64)
    limit = 2**62 // large
    grown = np.clip(whole, -limit, limit) * large
    return np.where(factors < 1, whole // 1000, grown)


def _of_texts(
    text: pa.Array, unit: str, formats: tuple[str, ...]
) -> tuple[NDArray[np.int64], Mask, Mask, Mask]:
    """(microseconds, missing, bad, naive) of text; whole columns of one notation go fast."""
    n = len(text)
    missing = np.asarray(text.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    first = next((value for value in text.slice(0, 64).to_pylist() if value), "")
    if first.endswith(" UTC"):
        text = pc.replace_substring_regex(text, pattern=" UTC$", replacement="Z")
        first = first.removesuffix(" UTC") + "Z"
    none = np.zeros(n, dtype=bool)
    attempts: list[tuple[pa.DataType, bool]] = []
    if first[4:5] == "-":
        zoned = first.endswith("Z") or "+" in first[10:] or "-" in first[10:]
        attempts = [(pa.timestamp("us", "UTC") if zoned else pa.timestamp("us"), not zoned)]
    for kind, naive in attempts:
        try:
            ticks = text.cast(kind).cast(pa.int64()).fill_null(0).to_numpy()
        except pa.ArrowInvalid:
            continue
        return ticks, missing, none, ~missing if naive else none
    return _of_mixed_texts(text, missing, unit, formats)


def _of_mixed_texts(
    text: pa.Array, missing: Mask, unit: str, formats: tuple[str, ...]
) -> tuple[NDArray[np.int64], Mask, Mask, Mask]:
    n = len(text)
    us = np.zeros(n, np.int64)
    naive = np.zeros(n, dtype=bool)
    digits = np.asarray(
        pc.fill_null(pc.match_substring_regex(text, _DIGITS), False).to_numpy(zero_copy_only=False),
        dtype=bool,
    )
    todo = ~missing & ~digits
    if digits.any():
        us[digits], bad_digits, naive[digits] = _of_digits(text.filter(pa.array(digits)), unit)
        todo[np.flatnonzero(digits)[bad_digits]] = True
    for pattern in formats:
        if not todo.any():
            break
        rows = np.flatnonzero(todo)
        part = pc.strptime(text.take(pa.array(rows)), format=pattern, unit="us", error_is_null=True)
        done = part.is_valid().to_numpy(zero_copy_only=False)
        us[rows[done]] = part.drop_null().cast(pa.int64()).to_numpy()
        naive[rows[done]] = True
        todo[rows[done]] = False
    rows = np.flatnonzero(todo)
    if len(rows):
        coded = text.take(pa.array(rows)).dictionary_encode()
        read = [_one_text(value) for value in coded.dictionary.to_pylist()]
        place = coded.indices.to_numpy()
        us[rows] = np.array([r[0] for r in read], np.int64)[place]
        naive[rows] = np.array([r[1] for r in read], dtype=bool)[place]
        todo[rows] = np.array([r[2] for r in read], dtype=bool)[place]
    return us, missing, todo, naive


def _of_digits(text: pa.Array, unit: str) -> tuple[NDArray[np.int64], Mask, Mask]:
    """(microseconds, bad, naive) of texts of digits: YYYYMMDD or numbers since 1970."""
    lengths = pc.binary_length(text).to_numpy(zero_copy_only=False)
    size = np.asarray(text.cast(pa.float64()).to_numpy(zero_copy_only=False))
    dates = (lengths == 8) & (size >= 19_000_101) & (size <= 21_001_231) & (unit == "auto")
    none = np.zeros(len(text), dtype=bool)
    if dates.all():
        part = pc.strptime(text, format="%Y%m%d", unit="us", error_is_null=True)
        bad = part.is_null().to_numpy(zero_copy_only=False)
        return part.cast(pa.int64()).fill_null(0).to_numpy(), bad, ~bad
    fits = np.abs(size) < 9.2e18
    dotted = np.asarray(pc.match_substring(text, ".").to_numpy(zero_copy_only=False), dtype=bool)
    if dates.any() or dotted.any() or not fits.all():
        us = np.zeros(len(text), np.int64)
        bad, naive = none.copy(), none.copy()
        us[~dates & ~dotted], bad[~dates & ~dotted] = 0, False
        whole = ~dates & ~dotted & fits
        us[whole] = _scaled(text.filter(pa.array(whole)).cast(pa.int64()).to_numpy(), unit)
        us[~dates & ~dotted & ~fits] = 2**62
        broken = pa.array(size[dotted])
        us[dotted], bad[dotted] = _of_numbers(broken, none[dotted], unit)
        if dates.any():
            us[dates], bad[dates], naive[dates] = _of_digits(text.filter(pa.array(dates)), unit)
        return us, bad, naive
    return _scaled(text.cast(pa.int64()).to_numpy(), unit), none, none


def _one_text(value: str) -> tuple[int, bool, bool]:
    """(microseconds, naive, bad) of one text by ISO 8601."""
    plain = value.removesuffix(" UTC").removesuffix(" GMT")
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        return 0, False, True
    if plain != value and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment.tzinfo is None:
        return to_us(moment.replace(tzinfo=UTC)), True, False
    try:
        return to_us(moment), False, False
    except OverflowError:
        return 0, False, True
