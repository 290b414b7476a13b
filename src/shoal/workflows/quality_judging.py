"""From counts a day to how bad it is, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shoal.domain.quality import ERROR, NOTE, SEVERITIES, WARNING, Finding, worse
from shoal.domain.time import DAY_US, SECOND_US
from shoal.evaluation.bursts import burst

#: Fewer bad ones than this are a note at most.
FEW: Final = 5
#: Fewer bad ones than this within days of their own do not make the matter worse.
FEW_AT_ONCE: Final = 10
_EPOCH: Final = date(1970, 1, 1)

Counts = NDArray[np.int64]


def local_date(day: int) -> date:
    """The date of a local day counted from 1970."""
    return _EPOCH + timedelta(days=day)


def between_sql(since: date, until: date | None) -> str:
    """The condition that an event lies on one of some local days, the last included."""
    day = f"(epoch_us(event_time) + utc_offset_s::BIGINT * {SECOND_US}) // {DAY_US}"
    first = (since - _EPOCH).days
    if until is None:
        return f"{day} >= {first}"
    return f"{day} BETWEEN {first} AND {(until - _EPOCH).days}"


def level(share: float, warning: float, error: float) -> str:
    """A note below `warning`, an error from `error` on.

    >>> level(0.01, 0.02, 0.2), level(0.02, 0.02, 0.2), level(0.5, 0.02, 0.2)
    ('note', 'warning', 'error')
    """
    return ERROR if share >= error else WARNING if share >= warning else NOTE


def mildest(first: str, second: str) -> str:
    """The milder of two severities."""
    return min(first, second, key=SEVERITIES.index)


def judged(
    check: str,
    bad: Counts,
    of: Counts,
    first_day: int,
    *,
    warning: float,
    error: float,
    at_most: str = ERROR,
    unless_below: float = 0.0,
    **told: Any,
) -> Finding | None:
    """A finding of `bad` among `of` events a day; None where there is none.

    Severity goes by the share of all, or by that within the days on which it was evidently higher
    than at other times, if there are such; days that are over count as a warning at most.

    Args:
        bad, of: shape (days,).
        first_day: the local day of the first entry.
        warning, error: shares.
        at_most: no graver than this.
        unless_below: a share so low is no finding.
        told: what else the finding says.
    """
    count, whole = int(bad.sum()), int(of.sum())
    if count == 0:
        return None
    share = count / whole
    found = burst(bad, of)
    figures: dict[str, Any] = {"total": count, "total_of": whole, **told.pop("figures", {})}
    days = np.flatnonzero(bad)
    if max(share, found.share if found else 0.0) < unless_below:
        return None
    if found is None:
        severity = level(share, warning, error)
        since, until = local_date(first_day + int(days[0])), None
        if days[-1] < np.flatnonzero(of)[-1]:
            until = local_date(first_day + int(days[-1]))
    else:
        over = found.end <= np.flatnonzero(of)[-1]
        here = level(found.share, warning, error)
        severity = worse(level(share, warning, error), mildest(here, WARNING) if over else here)
        since = local_date(first_day + found.start)
        until = local_date(first_day + found.end - 1) if over else None
        rest = whole - found.of
        figures["usual"] = (count - found.bad) / rest if rest else 0.0
        count, whole = found.bad, found.of
        if found.bad < FEW_AT_ONCE:
            severity = worse(level(share, warning, error), NOTE)
        if told.get("where"):
            told["where"] = f"({told['where']}) AND {between_sql(since, until)}"
    if figures["total"] < FEW:
        severity = mildest(severity, NOTE)
    return Finding(
        check,
        mildest(severity, at_most),
        count=count,
        of=whole,
        since=since,
        until=until,
        figures=figures,
        **told,
    )


def filled(
    rows: list[Mapping[str, Any]], names: tuple[str, ...], day: str = "day"
) -> tuple[int, dict[str, Counts]]:
    """Rows a day as arrays over all days from the first to the last.

    Returns:
        The first day, and for each name an array of shape (days,).
    """
    first = min(row[day] for row in rows)
    size = max(row[day] for row in rows) - first + 1
    arrays = {name: np.zeros(size, dtype=np.int64) for name in names}
    for row in rows:
        for name in names:
            arrays[name][row[day] - first] += int(row[name])
    return first, arrays


def by_source(rows: list[dict[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of each source, sources in order of their first row."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["source"], []).append(row)
    return found
