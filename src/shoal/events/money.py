"""Amounts of any notation as int64 micro-units, and quantities as int64 units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.domain.money import MICROS, micros
from shoal.events.texts import Column, as_text, one_array, parse_numbers, raw_text

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: No amount of one row may be larger, in units of currency, so that sums stay within int64.
LARGEST_AMOUNT: Final = 1e9
LARGEST_TOTAL: Final = 1e11
#: No row may hold more units.
LARGEST_QUANTITY: Final = 1e6

_UNITS: Final = {"units": MICROS, "cents": MICROS // 100, "micro": 1}


@dataclass(frozen=True)
class Amounts:
    """Micro-units of each row, and which rows are missing or unusable, and why."""

    micros: Ints
    missing: Mask
    bad: Mask
    not_finite: Mask
    negative: Mask
    absurd: Mask

    @property
    def unusable(self) -> Mask:
        return self.bad | self.not_finite | self.negative | self.absurd


def read_amounts(
    column: Column, units: str = "units", decimal_mark: str = ".", thousands_mark: str = ""
) -> Amounts:
    """The amounts of a raw column, rounded half to even to the micro-unit; 0 where unusable.

    A float and its shortest text give the same micro-units.
    """
    array = _plain_marks(one_array(column), decimal_mark, thousands_mark)
    numbers, missing, bad = parse_numbers(array)
    finite = np.isfinite(numbers)
    not_finite = ~missing & ~bad & ~finite
    with np.errstate(invalid="ignore"):
        negative = finite & (numbers < 0)
        absurd = finite & (np.abs(numbers) * (_UNITS[units] / MICROS) > LARGEST_AMOUNT)
    usable = finite & ~negative & ~absurd
    return Amounts(
        _to_micros(array, np.where(usable, numbers, 0.0), _UNITS[units]),
        missing, bad, not_finite, negative, absurd,
    )  # fmt: skip


def _to_micros(array: pa.Array, numbers: NDArray[np.float64], factor: int) -> Ints:
    """Fast where the product's rounding cannot matter, exact decimal arithmetic where it might."""
    scaled = numbers * factor
    rounded = np.rint(scaled)
    near_half = np.abs(np.abs(scaled - rounded) - 0.5) < 1e-3
    result: Ints = rounded.astype(np.int64)
    unsure = np.flatnonzero(near_half | (scaled >= 2**52))
    if len(unsure):
        values = array.take(pa.array(unsure)).to_pylist()
        result[unsure] = [_exact(value, factor) for value in values]
    return result


def _exact(value: object, factor: int) -> int:
    from decimal import Decimal

    text = repr(value) if isinstance(value, float) else (raw_text(value) or "0").strip()
    return micros(str(Decimal(text) * factor / MICROS))


def _plain_marks(array: pa.Array, decimal_mark: str, thousands_mark: str) -> pa.Array:
    if not pa.types.is_string(array.type) or (decimal_mark == "." and not thousands_mark):
        return array
    text = as_text(array)
    if thousands_mark:
        text = pc.replace_substring(text, pattern=thousands_mark, replacement="")
    if decimal_mark != ".":
        text = pc.replace_substring(text, pattern=decimal_mark, replacement=".")
    return text


def per_unit(total: Ints, quantity: Ints) -> Ints:
    """The price of one unit where a row gives the price of all, rounded half to even.

    Rows without units keep the total. price x quantity differs from the total by at most half a
    micro-unit a unit.
    """
    units = np.maximum(np.abs(quantity), 1)
    whole, rest = np.divmod(total, units)
    up = (2 * rest > units) | ((2 * rest == units) & (whole % 2 == 1))
    return np.asarray(whole + up, dtype=np.int64)


@dataclass(frozen=True)
class Quantities:
    """Units of each row, and which rows are missing or unusable, and why."""

    units: Ints
    missing: Mask
    bad: Mask
    not_finite: Mask
    fractional: Mask
    absurd: Mask


def read_quantities(column: Column) -> Quantities:
    """The whole units of a raw column, signed; 0 where unusable."""
    numbers, missing, bad = parse_numbers(column)
    finite = np.isfinite(numbers)
    with np.errstate(invalid="ignore"):
        fractional = finite & (np.floor(numbers) != numbers)
        absurd = finite & ~fractional & (np.abs(numbers) > LARGEST_QUANTITY)
    usable = finite & ~fractional & ~absurd
    return Quantities(
        np.where(usable, numbers, 0.0).astype(np.int64),
        missing, bad, ~missing & ~bad & ~finite, fractional, absurd,
    )  # fmt: skip
