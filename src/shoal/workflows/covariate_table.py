"""A file of outside data read and checked: keys, values, and when each row could be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone
from shoal.events.reading import open_source
from shoal.events.texts import as_text, one_array
from shoal.events.times import read_times
from shoal.workflows.covariate_dates import Period, days_of
from shoal.workflows.covariate_rows import (
    DAY,
    KNOWN,
    MAX_ROWS,
    filled,
    local_midnight,
    spread,
    too_many,
    without_repeats,
)
from shoal.workflows.covariate_values import Value, bad, values_of

Ints = npt.NDArray[np.int64]

#: Keys as people name them, in the order of the long table, where `date` is `day`.
KEYS: Final = ("date", "country", "region", "category", "item_id")
#: The most values of a table.
MAX_CELLS: Final = 10_000_000

_DATE_NAMES: Final = ("date", "day", "week", "month")
_EPOCH: Final = date(1970, 1, 1)
_BARE_DATE: Final = r"^\d{4}-\d{2}-\d{2}$"


@dataclass(frozen=True)
class Asked:
    """How a file is to be read.

    Args:
        keys: key -> the file's column; empty: the columns that are called like keys.
        known_column: a column with the time from which a row could be known.
        known_days: a row is known from the start of the local day so many days after its date.
        always: every row is known from the beginning (calendars).
        absent_is_zero: days without a row have the value 0, within the years of the file.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    known_column: str = ""
    known_days: int = 1
    always: bool = False
    absent_is_zero: bool = False


@dataclass(frozen=True)
class TableRead:
    """A checked table, a row a key: key columns, a column a value (micro-units), `known_us`.

    `period` is day, week or month (empty without dates), `depth` the names in its category paths;
    `same` counts rows that repeat another one in full; `left_out` says why columns are no values.
    """

    table: pa.Table
    keys: tuple[str, ...]
    period: str
    depth: int
    values: Mapping[str, Value]
    left_out: Mapping[str, str]
    read: int
    same: int

    @property
    def key_columns(self) -> list[str]:
        return [DAY if key == "date" else key for key in self.keys]


def read_table(path: Path, asked: Asked, zone: Zone) -> TableRead:
    """Read and check a file of covariates.

    Raises:
        InputError: `bad_covariates` with row, what was received and what is allowed;
            `input_missing`, `input_unreadable`, `input_empty`.
        UsageError: `usage`, options that exclude each other.
    """
    _check(asked)
    raw = _raw(path)
    keys = _keys(path, raw.column_names, asked)
    columns, period = _key_columns(path, raw, keys)
    depth = _depth(path, columns["category"]) if "category" in columns else 1
    rest = [n for n in raw.column_names if n not in keys.values() and n != asked.known_column]
    values, left_out = values_of(path, raw, rest, fill=asked.absent_is_zero)
    columns[KNOWN] = _known(path, raw, asked, period, zone)
    arrays = {name: value.micros for name, value in values.items()}
    table = pa.table({**columns, **arrays})
    names = [DAY if key == "date" else key for key in keys]
    rows, same = without_repeats(path, table, names)
    table = table.take(pa.array(rows))
    if period is not None:
        table = spread(path, table, period.take(rows))
    if asked.absent_is_zero:
        table = filled(path, table, names, None if asked.always else asked.known_days, zone)
    if table.num_rows * len(values) > MAX_CELLS:
        raise bad(path, 0, f"{table.num_rows:,} rows of {len(values)} columns",
                  f"At most {MAX_CELLS:,} values: load fewer columns, or fewer years.")  # fmt: skip
    table = table.sort_by([(name, "ascending") for name in names])
    kind = period.kind if period is not None else ""
    return TableRead(table, tuple(keys), kind, depth, values, left_out, raw.num_rows, same)


def _check(asked: Asked) -> None:
    if bool(asked.known_column) + asked.always + (asked.known_days != 1) > 1:
        raise UsageError(
            "usage",
            "several ways to tell when rows were known were given",
            hint="Give one of --known COLUMN, --known-always, --known-after-days N.",
        )
    if asked.absent_is_zero and asked.known_column:
        raise UsageError(
            "usage",
            "--absent-is-zero with --known COLUMN: a day without a row has no time of its own",
            hint="Use --known-always or --known-after-days N.",
        )
    if not 0 <= asked.known_days <= 3650:
        raise UsageError("usage", f"--known-after-days {asked.known_days}", hint="From 0 to 3650.")


def _raw(path: Path) -> pa.Table:
    source = open_source(path)
    parts, rows = [], 0
    for chunk in source.chunks():
        if chunk.rejected.num_rows:
            raise bad(path, int(chunk.rejected["row"][0].as_py()), "the row cannot be read",
                      "Mend it, and load the file again.")  # fmt: skip
        rows += chunk.table.num_rows
        if rows > MAX_ROWS:
            raise too_many(path, rows)
        parts.append(chunk.table.select(list(source.columns)))
    table = pa.concat_tables(parts, promote_options="permissive") if parts else pa.table({})
    if not table.num_rows:
        raise bad(path, 0, "it has no rows", "Give a header and at least one row.")
    return table


def _keys(path: Path, found: Sequence[str], asked: Asked) -> dict[str, str]:
    """Key -> column of the file, in the order of `KEYS`."""
    for key, column in asked.keys.items():
        if key not in KEYS:
            raise bad(path, 0, f"key {key!r} is no key", f"Keys: {', '.join(KEYS)}.")
        if column not in found:
            listed = ", ".join(map(repr, found[:40]))
            raise bad(path, 0, f"there is no column {column!r} for the key {key}",
                      f"Columns: {listed}; name another by --key {key}=COLUMN.")  # fmt: skip
    if asked.keys:
        return {key: asked.keys[key] for key in KEYS if key in asked.keys}
    named = {name.strip().lower(): name for name in found if name != asked.known_column}
    keys: dict[str, str] = {}
    for key in KEYS:
        names = _DATE_NAMES if key == "date" else (key,)
        columns = [named[name] for name in names if name in named]
        if columns:
            keys[key] = columns[0]
    if not keys:
        listed = ", ".join(map(repr, found[:40]))
        raise bad(path, 0, f"none of its columns is a key: {listed}",
                  f"Keys: {', '.join(KEYS)}; say which column is one: --key date=DAY.")  # fmt: skip
    return keys


def _key_columns(
    path: Path, raw: pa.Table, keys: Mapping[str, str]
) -> tuple[dict[str, pa.Array], Period | None]:
    columns: dict[str, pa.Array] = {}
    period = None
    for key, column in keys.items():
        text = as_text(raw[column], integral=True)
        if text.null_count:
            row = pc.index(text.is_null(), True).as_py() + 1
            raise bad(path, row, f"{column} is empty", "Every row needs every key.")
        if key == "date":
            period, wrong = days_of(text)
            if period is None:
                row, value = wrong
                raise bad(path, row, f"{column} is {value!r}",
                          "Dates are ISO 8601, all of one kind: days 2024-03-01, weeks 2024-W09 or "
                          "months 2024-03, from 1990 to 2099.")  # fmt: skip
            columns[DAY] = pa.array(period.first)
        else:
            columns[key] = text
    return columns, period


def _depth(path: Path, category: pa.Array) -> int:
    """How many names the paths have: as many in every row, none of them empty."""
    counts = pc.add(pc.count_substring(category, "/"), 1)
    most = pc.max(counts).as_py()
    wrong = pc.or_(pc.not_equal(counts, most), pc.match_substring_regex(category, r"(^|/)(/|$)"))
    if pc.any(wrong).as_py():
        row = pc.index(wrong, True).as_py()
        told = category[row].as_py()
        raise bad(path, row + 1, f"category {told!r} where others have {most} names",
                  "All paths of a table have as many names: home, or home/lamp.")  # fmt: skip
    return int(most)


def _known(path: Path, raw: pa.Table, asked: Asked, period: Period | None, zone: Zone) -> pa.Array:
    if asked.known_column:
        return pa.array(_told(path, raw, asked.known_column, zone))
    if asked.always or period is None:
        return pa.array(np.zeros(raw.num_rows, np.int64))
    return pa.array(local_midnight(period.last + asked.known_days, zone))


def _told(path: Path, raw: pa.Table, column: str, zone: Zone) -> Ints:
    """The times of a column; a date without a time was known when that day was over."""
    if column not in raw.column_names:
        listed = ", ".join(map(repr, raw.column_names[:40]))
        raise bad(path, 0, f"there is no column {column!r}", f"The columns are {listed}.")
    array = one_array(raw[column])
    times = read_times(array, zone)
    wrong = times.missing | times.bad | times.absurd
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise bad(path, row + 1, f"{column} is {as_text(array)[row].as_py()!r}",
                  "The time from which the row could be known, ISO 8601.")  # fmt: skip
    bare = pc.fill_null(pc.match_substring_regex(as_text(array), _BARE_DATE), False).to_numpy(
        zero_copy_only=False
    )
    if not bare.any():
        return times.us
    days = np.array(
        [
            (_date(text) - _EPOCH).days + 1
            for text in as_text(array).filter(pa.array(bare)).to_pylist()
        ],
        np.int64,
    )
    us = times.us.copy()
    us[bare] = local_midnight(days, zone)
    return us


def _date(text: str) -> date:
    return datetime.fromisoformat(text).date()
