"""From counts of what customers did to the parts of a report's story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.money import MICROS
from shoal.report.document_story import (
    Cohort,
    Cohorts,
    CohortUnit,
    Flow,
    Funnel,
    Moves,
    QuietCustomer,
    Stake,
    Standing,
    Step,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: The comparison date lies this many days back where the log is at least so long; else a quarter of
#: the log, if that is a day at least and the log long enough to have a before.
SPANS_DAYS: Final = ((360, 90), (112, 28))
_SHORTEST_LOG_DAYS: Final = 8

#: Longest log, in days, whose cohorts are weeks, and whose cohorts are months.
_WEEKLY: Final = 120
_MONTHLY: Final = 1100
_MOST_COHORTS: Final = 24

#: Gone quiet: orders on at least so many days; silent for more than this multiple of the own mean
#: gap (where orders come at random, an active customer waits so long once in twenty times), and
#: for so many days at least, since gaps of hours or a few days make no habit.
QUIET_ORDER_DAYS: Final = 3
QUIET_FACTOR: Final = 3.0
QUIET_DAYS: Final = 14
_FOREMOST: Final = 10

#: Days since the Monday before 1970-01-01, a Thursday.
_MONDAY: Final = 3


def span_days(log_days: int) -> int | None:
    """How many days before the end a report looks back; None where the log is too short.

    >>> span_days(730), span_days(200), span_days(60), span_days(3)
    (90, 28, 15, None)
    """
    for least, days in SPANS_DAYS:
        if log_days >= least:
            return days
    return log_days // 4 if log_days >= _SHORTEST_LOG_DAYS else None


def worth_of(habits: pa.Table, what: str, *, has_money: bool) -> Floats:
    """What each customer brought: net revenue in currency units, or orders without money.

    Args:
        habits: `features.habits.HABITS_SCHEMA`.
        what: `span_worth` or `year_worth`.
    """
    values = np.asarray(habits[what].to_numpy(), dtype=np.float64)
    return values / MICROS if has_money else values


# --- Moves ----------------------------------------------------------------------------------------


def moves(
    segment_ids: Sequence[str],
    then: tuple[pa.ChunkedArray, Ints, Floats],
    now: tuple[pa.ChunkedArray, Ints, Floats],
    since: datetime,
    days: float,
    **flags: Any,
) -> Moves:
    """Who was where at the earlier date and is where now.

    Args:
        segment_ids: all segments, the tier among them.
        then: of each customer known at the date the id, the place of their segment among
            `segment_ids`, and the worth of the span before.
        now: the same of each customer now, and of the span since.
        flags: further fields of `Moves`.
    """
    k = len(segment_ids)
    met = pc.index_in(then[0], value_set=_one(now[0])).to_numpy(zero_copy_only=False)
    known = ~np.isnan(met.astype(np.float64))
    target = np.full(len(then[1]), k, dtype=np.int64)
    target[known] = now[1][met[known].astype(np.int64)]
    counts = np.zeros((k + 1, k + 1), dtype=np.int64)
    np.add.at(counts, (then[1], target), 1)
    fresh = np.ones(len(now[1]), dtype=bool)
    fresh[met[known].astype(np.int64)] = False
    np.add.at(counts, (np.full(int(fresh.sum()), k), now[1][fresh]), 1)
    names = (*segment_ids, "")
    flows = [
        Flow(names[one], names[other], int(counts[one, other]))
        for one, other in zip(*np.nonzero(counts), strict=True)
    ]
    worth_then = np.bincount(then[1], weights=then[2], minlength=k)
    worth_now = np.bincount(now[1], weights=now[2], minlength=k)
    standings = [
        Standing(
            segment_id,
            then=int(counts[place].sum()),
            now=int(counts[:, place].sum()),
            stayed=int(counts[place, place]),
            joined=int(counts[:k, place].sum() - counts[place, place]),
            new=int(counts[k, place]),
            left=int(counts[place, :k].sum() - counts[place, place]),
            gone=int(counts[place, k]),
            worth_then=float(worth_then[place]),
            worth_now=float(worth_now[place]),
        )
        for place, segment_id in enumerate(segment_ids)
    ]
    return Moves(since, days, tuple(flows), tuple(standings), **flags)


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


# --- Stake ----------------------------------------------------------------------------------------


def stake(
    habits: pa.Table,
    segment_ids: Sequence[str],
    places: Ints,
    today: int,
    log_days: int,
    *,
    has_money: bool,
) -> Stake:
    """Who has gone quiet, and what they brought in the last year.

    Args:
        habits: `features.habits.HABITS_SCHEMA`.
        places: of each of their customers' segment among `segment_ids`.
        today: local day of the end of the log, since 1970.
        log_days: how many days the log holds.
    """
    worth = worth_of(habits, "year_worth", has_money=has_money)
    order_days = np.asarray(habits["order_days"].to_numpy(), dtype=np.int64)
    first, last = (_days(habits[name], today) for name in ("first_day", "last_day"))
    habitual = order_days >= QUIET_ORDER_DAYS
    usual = (last - first) / np.maximum(order_days - 1, 1)
    silent = today - last
    quiet = habitual & (silent > QUIET_FACTOR * usual) & (silent >= QUIET_DAYS) & (worth > 0)
    by_segment = [
        (
            name,
            int((quiet & (places == place)).sum()),
            float(worth[quiet & (places == place)].sum()),
        )
        for place, name in enumerate(segment_ids)
    ]
    rows = np.flatnonzero(quiet)
    rows = rows[np.argsort(-worth[rows], kind="stable")[:_FOREMOST]]
    ids = habits["customer_id"].take(pa.array(rows, pa.int64())).to_pylist()
    return Stake(
        order_days=QUIET_ORDER_DAYS,
        factor=QUIET_FACTOR,
        silent_days=QUIET_DAYS,
        window_days=min(365, log_days),
        habitual=int(habitual.sum()),
        customers=int(quiet.sum()),
        worth=float(worth[quiet].sum()),
        worth_all=float(worth.sum()),
        by_segment=tuple(
            sorted((one for one in by_segment if one[1]), key=lambda one: (-one[2], one[0]))
        ),
        foremost=tuple(
            QuietCustomer(
                name, segment_ids[places[row]], int(silent[row]), float(usual[row]),
                float(worth[row]),
            )
            for name, row in zip(ids, rows, strict=True)
        ),
    )  # fmt: skip


def _days(column: pa.ChunkedArray, missing: int) -> Ints:
    return np.asarray(pc.fill_null(column, missing).to_numpy(), dtype=np.int64)


# --- Cohorts --------------------------------------------------------------------------------------


def cohort_unit(log_days: int) -> CohortUnit:
    """The calendar period that cohorts of a log are cut by.

    >>> cohort_unit(90), cohort_unit(365), cohort_unit(2000)
    ('week', 'month', 'quarter')
    """
    return "week" if log_days <= _WEEKLY else "month" if log_days <= _MONTHLY else "quarter"


def period_of(day: date, unit: CohortUnit) -> int:
    """The period that holds a day, counted as `features.cohorts` counts.

    >>> period_of(date(1970, 1, 4), "week"), period_of(date(1970, 1, 5), "week")
    (0, 1)
    """
    if unit == "week":
        return (day.toordinal() - date(1970, 1, 1).toordinal() + _MONDAY) // 7
    month = day.year * 12 + day.month - 1
    return month // 3 if unit == "quarter" else month


def period_start(period: int, unit: CohortUnit) -> date:
    """The first day of a period.

    >>> period_start(period_of(date(2024, 5, 17), "quarter"), "quarter").isoformat()
    '2024-04-01'
    """
    if unit == "week":
        return date.fromordinal(date(1970, 1, 1).toordinal() + period * 7 - _MONDAY)
    month = period * 3 if unit == "quarter" else period
    return date(month // 12, month % 12 + 1, 1)


def cohorts(
    table: pa.Table, unit: CohortUnit, first: date, last: date, *, orders: bool
) -> Cohorts | None:
    """The cohorts of a log from its first to its last day; None where it lies in one period.

    Args:
        table: what `features.cohorts.cohorts` returns.
    """
    known: dict[int, dict[int, int]] = {}
    for row in table.to_pylist():
        known.setdefault(row["first"], {})[row["period"]] = row["customers"]
    end = period_of(last, unit)
    if not known or min(known) == end:
        return None
    found = [
        Cohort(
            period_start(start, unit),
            tuple(active.get(period, 0) for period in range(start, end + 1)),
        )
        for start, active in sorted(known.items())
    ]
    return Cohorts(
        unit,
        orders,
        tuple(found[-_MOST_COHORTS:]),
        unfinished=last.toordinal() + 1 < period_start(end + 1, unit).toordinal(),
        begun=first > period_start(period_of(first, unit), unit),
        left_out=max(0, len(found) - _MOST_COHORTS),
    )


# --- Funnel ---------------------------------------------------------------------------------------


def funnels(table: pa.Table, steps: Sequence[str]) -> dict[str, Funnel]:
    """A funnel a segment and one of all under ""; none where customers took fewer than two steps.

    Args:
        table: what `features.visits.funnel` returns, with its `steps`.
    """
    rows = {row["segment_id"]: row for row in table.to_pylist()}
    whole: dict[str, Any] = {
        name: sum(row[name] for row in rows.values())
        for name in table.column_names
        if name != "segment_id"
    }
    taken = [step for step in steps if whole[f"{step}_days"]]
    if len(taken) < 2:
        return {}
    return {name: _funnel(name, row, taken) for name, row in {"": whole, **rows}.items()}


def _funnel(segment_id: str, row: Mapping[str, int], steps: Sequence[str]) -> Funnel:
    return Funnel(
        segment_id,
        row["customers"],
        row["days"],
        tuple(Step(step, row[f"{step}_days"], row[f"{step}_customers"]) for step in steps),
        row["bought_days"],
    )
