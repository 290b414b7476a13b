"""Columns of covariate tables as micro-units; texts of few names as columns of 0 and 1."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import InputError
from shoal.domain.money import MICROS
from shoal.events.texts import as_text, one_array, parse_numbers

#: The most columns of values of a table, and the most names of a text column that become columns.
MAX_COLUMNS: Final = 64
MAX_NAMES: Final = 24
#: The greatest value: its sums over 90,000 events of one customer fit into 64 bits.
LARGEST: Final = 1e8

_LONGEST_NAME: Final = 40
#: How tables write that a number is missing.
_MISSING: Final = pa.array(["NA", "N/A", "n/a", "-", "null", "NULL", "None", "."])
_YES: Final = {"true": 1, "yes": 1, "false": 0, "no": 0}
#: A column with this share of numbers is one of numbers with mistakes in it, not one of texts.
_NUMERIC_SHARE: Final = 0.9
#: Numbers with commas: any, those with one decimal comma, those that may part thousands.
_COMMAS: Final = re.compile(r"[-+]?(\d+(,\d+)+|\d{1,3}(\.\d{3})+,\d+)")
_DECIMAL_COMMA: Final = re.compile(r"[-+]?\d+,\d+")
_THOUSANDS: Final = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_WRITE: Final = "Write numbers with a point for the decimals and without marks between thousands."


@dataclass(frozen=True)
class Value:
    """A column of values: micro-units, null where nothing is told.

    `source` is the text column of which it says 1 where a row has that name, and 0 where not; empty
    for a column of numbers.
    """

    micros: pa.Array
    source: str = ""

    @property
    def is_share(self) -> bool:
        """Whether it holds 0 and 1 alone."""
        return shares(self.micros)


def shares(micros: pa.Array | pa.ChunkedArray) -> bool:
    """Whether a column of micro-units holds nothing but 0 and 1."""
    known = pc.is_in(micros.drop_null(), value_set=pa.array([0, MICROS], pa.int64()))
    return bool(pc.all(known, min_count=0).as_py())


def named(text: str) -> str:
    """A name as part of the name of a feature: lower case, words joined by `_`.

    >>> named("Temp. (max) °C"), named("Boxing Day"), named("气温")
    ('temp_max_c', 'boxing_day', '气温')
    """
    words = re.sub(r"\W+", "_", text.strip().lower()).strip("_")
    return words[:_LONGEST_NAME].rstrip("_")


def values_of(
    path: Path, raw: pa.Table, names: Sequence[str], *, fill: bool
) -> tuple[dict[str, Value], dict[str, str]]:
    """Columns of values by name, and why the others are none.

    Args:
        names: the file's columns that are neither keys nor times.
        fill: days without a row will have 0, so that texts tell also whether there is one.

    Raises:
        InputError: `bad_covariates`: a number that is none, is not finite or too large; two columns
            of one name; too many columns, or none.
    """
    found: dict[str, Value] = {}
    left_out: dict[str, str] = {}
    for name in names:
        made = _column(path, raw[name], name, fill)
        if isinstance(made, str):
            left_out[name] = made
            continue
        for own, value in made.items():
            if not own or own in found:
                raise bad(path, 0, f"column {name!r} gives a second column {own!r}",
                           "Rename it in the file.")  # fmt: skip
            found[own] = value
    if not found:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise bad(path, 0, "it has no column of numbers" + (f" ({reasons})" if reasons else ""),
                   "Beside its keys a table needs numbers, or texts of few names.")  # fmt: skip
    if len(found) > MAX_COLUMNS:
        raise bad(path, 0, f"{len(found)} columns of values",
                   f"At most {MAX_COLUMNS}: leave out those that say nothing.")  # fmt: skip
    return dict(sorted(found.items())), left_out


def _column(path: Path, raw: pa.ChunkedArray, name: str, fill: bool) -> dict[str, Value] | str:
    """What becomes of a column: values by name, or why it has none."""
    array = one_array(raw)
    if pa.types.is_boolean(array.type):
        return {named(name): Value(_micros(array.cast(pa.int64())))}
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        numbers, missing, wrong = parse_numbers(array)
    else:
        text = as_text(array)
        blank = pc.is_in(text, value_set=_MISSING)
        array = pc.if_else(blank, pa.scalar(None, pa.string()), text)
        array = _with_points(path, array, name)
        numbers, missing, wrong = parse_numbers(array)
    if missing.all():
        return "empty"
    if wrong.any() and wrong.sum() > (1 - _NUMERIC_SHARE) * (~missing).sum():
        return _of_texts(array, name, fill)
    return {named(name): Value(_checked(path, array, name, numbers, missing, wrong))}


def _with_points(path: Path, text: pa.Array, name: str) -> pa.Array:
    """A column of numbers with decimal commas as one with points; any other as it is.

    Raises:
        InputError: `bad_covariates`: nearly all are numbers, and what their commas mean is unsure.
    """
    if not pc.any(pc.match_substring(text, ",")).as_py():
        return text
    cells = [(cell or "").strip() for cell in text.to_pylist()]
    commas = {cell for cell in cells if _COMMAS.fullmatch(cell)}
    if not commas:
        return text
    _, missing, wrong = parse_numbers(text)
    told = ~missing
    with_comma = np.array([cell in commas for cell in cells], dtype=bool)
    if (with_comma | (told & ~wrong)).sum() < _NUMERIC_SHARE * told.sum():
        return text
    pointed = np.array(["." in cell for cell in cells], dtype=bool)
    decimal = np.array([_DECIMAL_COMMA.fullmatch(cell) is not None for cell in cells], dtype=bool)
    if all(map(_THOUSANDS.fullmatch, commas)):
        unsure = with_comma  # 1,234 is one and a bit, or more than a thousand
    else:
        unsure = (with_comma & ~decimal) | (told & ~wrong & pointed)
    if unsure.any():
        row = int(np.flatnonzero(unsure)[0])
        raise bad(path, row + 1, f"{name} is {cells[row]!r}, in a column of numbers with commas",
                  _WRITE)  # fmt: skip
    whole = [cell.replace(",", ".") if cell in commas else cell for cell in cells]
    return pa.array(whole, pa.string(), mask=missing)


def _checked(
    path: Path,
    array: pa.Array,
    name: str,
    numbers: npt.NDArray[np.float64],
    missing: npt.NDArray[np.bool_],
    wrong: npt.NDArray[np.bool_],
) -> pa.Array:
    with np.errstate(invalid="ignore"):
        faults = (
            (wrong, "A number with a point for the decimals, or nothing."),
            (~missing & ~wrong & ~np.isfinite(numbers), "A finite number, or nothing."),
            (
                np.abs(numbers) > LARGEST,
                f"At most {LARGEST:,.0f}: give it in thousands or millions.",
            ),
        )
    for mask, allowed in faults:
        if mask.any():
            row = int(np.flatnonzero(mask)[0])
            value: Any = array[row].as_py()
            raise bad(path, row + 1, f"{name} is {value!r}", allowed)
    return _micros(pa.array(np.where(missing, 0, numbers), mask=missing))


def _micros(values: pa.Array) -> pa.Array:
    return pc.round(pc.multiply(values.cast(pa.float64()), float(MICROS))).cast(pa.int64())


def _of_texts(text: pa.Array, name: str, fill: bool) -> dict[str, Value] | str:
    """One column of 0 and 1 a name, and `is_<column>` where rows without a name tell of none."""
    lower = pc.utf8_lower(text)
    names = set(pc.unique(lower.drop_null()).to_pylist())
    if names <= set(_YES):
        numbers = [None if value is None else _YES[value] for value in lower.to_pylist()]
        return {named(name): Value(_micros(pa.array(numbers, pa.int64())))}
    made: dict[str, Value] = {}
    if fill or text.null_count:
        made[f"is_{named(name)}"] = Value(_micros(text.is_valid().cast(pa.int64())), name)
    coded = text.dictionary_encode()
    slugs = [named(value) for value in coded.dictionary.to_pylist()]
    distinct = [slug for slug, _ in Counter(slugs).items() if slug]
    if len(distinct) > MAX_NAMES:
        return made or f"{len(distinct)} different texts; at most {MAX_NAMES} become columns"
    place = coded.indices.fill_null(len(slugs)).to_numpy(zero_copy_only=False)
    own = np.array([*slugs, ""], dtype=object)[place]
    for slug in sorted(distinct):
        column = pa.array((own == slug).astype(np.int64))
        made[f"{named(name)}_{slug}"] = Value(_micros(column), name)
    return made


def bad(path: Path, row: int, received: str, allowed: str) -> InputError:
    """The error of a table that cannot be used; row 0 speaks of the whole file."""
    where = f"{path}, row {row}" if row else str(path)
    return InputError(
        "bad_covariates", f"the table cannot be used: {received}", where=where, hint=allowed
    )
