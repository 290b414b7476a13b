"""Rows of covariate tables: one a key, spread over days, absent days filled with zeros."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import InputError
from shoal.domain.time import DAY_US, Zone
from shoal.events.texts import one_array
from shoal.events.zones import zone_table
from shoal.workflows.covariate_dates import Period
from shoal.workflows.covariate_values import bad

Ints = npt.NDArray[np.int64]

#: Names of columns: the local day since 1970, and the moment from which a row could be known.
DAY: Final = "day"
KNOWN: Final = "known_us"
#: The most rows of a table, once weeks and months were spread over their days.
MAX_ROWS: Final = 2_000_000

_EPOCH: Final = date(1970, 1, 1)


def too_many(path: Path, rows: int) -> InputError:
    """The error of a table that is too long."""
    return bad(path, 0, f"{rows:,} rows of days and places",
               f"At most {MAX_ROWS:,}: load fewer years, or coarser places.")  # fmt: skip


def local_midnight(days: Ints, zone: Zone) -> Ints:
    """The UTC microseconds at which local days (since 1970) begin."""
    return zone_table(zone).to_utc(days * DAY_US)


def without_repeats(path: Path, table: pa.Table, keys: list[str]) -> tuple[Ints, int]:
    """Rows to keep, one a key, and how many repeated another one in full.

    Raises:
        InputError: `bad_covariates`, two rows of one key differ.
    """
    numbered = table.append_column("_row", pa.array(np.arange(table.num_rows)))
    order = [(name, "ascending") for name in (*keys, "_row")]
    held = numbered.sort_by(order).combine_chunks()
    again = np.ones(max(held.num_rows - 1, 0), dtype=bool)
    for name in keys:
        column = held[name]
        equal = pc.equal(column.slice(1), column.slice(0, held.num_rows - 1))
        again &= equal.to_numpy(zero_copy_only=False)
    rows = held["_row"].to_numpy()
    if not again.any():
        return np.sort(rows), 0
    repeats = np.flatnonzero(again) + 1
    for name in (*(n for n in table.column_names if n not in (*keys, KNOWN)), KNOWN):
        column = one_array(held[name])
        one, other = column.take(pa.array(repeats - 1)), column.take(pa.array(repeats))
        same = pc.fill_null(pc.equal(one, other), False)
        same = pc.or_(same, pc.and_(one.is_null(), other.is_null()))
        if not pc.all(same).as_py():
            place = pc.index(same, False).as_py()
            at = int(repeats[place])
            raise _contradiction(path, held, keys, name, at)
    return np.sort(np.delete(rows, repeats)), len(repeats)


def _contradiction(path: Path, held: pa.Table, keys: list[str], name: str, at: int) -> InputError:
    values = []
    for place in (at - 1, at):
        value = held[name][place].as_py()
        values.append("nothing" if value is None else f"{value / 1e6:g}")
    first, second = (int(held["_row"][place].as_py()) + 1 for place in (at - 1, at))
    key = ", ".join(f"{key} {_shown(key, held[key][at].as_py())}" for key in keys)
    what = "the time it was known" if name == KNOWN else name
    told = f"{what} differs" if name == KNOWN else f"{what} is {values[0]} and {values[1]}"
    return bad(path, second, f"rows {first} and {second} both speak of {key}, but {told}",
               "One row a key: keep the one that counts.")  # fmt: skip


def _shown(key: str, value: Any) -> str:
    return date.fromordinal(_EPOCH.toordinal() + value).isoformat() if key == DAY else repr(value)


def spread(path: Path, table: pa.Table, period: Period) -> pa.Table:
    """Weeks and months as their days."""
    lasts = period.last - period.first + 1
    if int(lasts.sum()) > MAX_ROWS:
        raise too_many(path, int(lasts.sum()))
    if (lasts == 1).all():
        return table
    rows = np.repeat(np.arange(len(lasts)), lasts)
    later = np.arange(len(rows)) - np.repeat(np.cumsum(lasts) - lasts, lasts)
    days = pa.array(period.first[rows] + later)
    whole = table.take(pa.array(rows))
    return whole.set_column(whole.column_names.index(DAY), DAY, days)


def filled(
    path: Path, table: pa.Table, keys: list[str], known_days: int | None, zone: Zone
) -> pa.Table:
    """With rows of zeros for the days of the table's years that it does not have.

    `known_days` is how many days after its date such a row is known; None: from the beginning.
    """
    if DAY not in keys:
        raise bad(path, 0, "--absent-is-zero needs dates", "Leave the option out.")
    ends = (pc.min(table[DAY]).as_py(), pc.max(table[DAY]).as_py())
    years = [date.fromordinal(_EPOCH.toordinal() + day).year for day in ends]
    first = (date(years[0], 1, 1) - _EPOCH).days
    last = (date(years[1], 12, 31) - _EPOCH).days
    places = [key for key in keys if key != DAY]
    combos = table.select(places).group_by(places).aggregate([]) if places else None
    groups = combos.num_rows if combos is not None else 1
    size = last - first + 1
    if groups * size > MAX_ROWS:
        raise too_many(path, groups * size)
    columns = {DAY: pa.array(np.tile(np.arange(first, last + 1), groups))}
    if combos is not None:
        at = pa.array(np.repeat(np.arange(groups), size))
        columns |= {key: combos[key].take(at) for key in places}
    grid = pa.table(columns).join(table.select(keys), keys=keys, join_type="left anti")
    days = grid[DAY].to_numpy()
    known = np.zeros(len(days), np.int64)
    if known_days is not None:
        known = local_midnight(days + known_days, zone)
    zeros = pa.array(np.zeros(len(days), np.int64))
    full = {
        name: pa.array(known) if name == KNOWN else grid[name] if name in keys else zeros
        for name in table.column_names
    }
    return pa.concat_tables([table, pa.table(full, schema=table.schema)])
