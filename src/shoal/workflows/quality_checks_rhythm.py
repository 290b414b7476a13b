"""Checks of when events come: gaps in a source's rhythm, sudden changes of a kind's daily rate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.config import QualityConfig
from shoal.domain.quality import ERROR, NOTE, WARNING, Finding
from shoal.domain.time import from_us, to_us
from shoal.evaluation import jumps as level_jumps
from shoal.evaluation import rhythm
from shoal.workflows.quality_judging import between_sql, local_date
from shoal.workflows.quality_tables import HOUR_US, Counts, Days, Series, of_source, text_sql

#: A change on fewer days than this is a note: a sale, a newsletter, a holiday.
_LASTING: Final = 2


def gaps(
    hours: Mapping[str, tuple[int, Counts]],
    days: Days,
    now: datetime,
    since: datetime | None,
    settings: QualityConfig,
) -> list[Finding]:
    """Stretches without events against a source's rhythm, and sources that fell silent.

    A source is silent against the shop's latest event: an error. Once the whole shop has been
    silent for `gap_error_hours` it is against the clock: a warning, as the export may be old;
    after `ended_days` it is a finished log and no fault.
    """
    hours = _usual(hours, days, now)
    if not hours:
        return []
    latest = max(first + len(counts) for first, counts in hours.values())
    behind = to_us(now) // HOUR_US - latest
    all_silent = settings.gap_error_hours <= behind < settings.ended_days * 24
    if all_silent:
        latest = to_us(now) // HOUR_US
    found = []
    for source, (first, counts) in hours.items():
        for one in rhythm.silences(
            counts, first_hour=first, last=latest - first, false_alarms=settings.false_alarms
        ):
            silent = one.end == latest - first and one.end > len(counts)
            severity, variant = _gravity(one, silent, settings)
            if all_silent and severity == ERROR and one.end - one.start <= behind + 1:
                severity = WARNING
            ended = from_us((first + one.end) * HOUR_US)
            if not severity or (since is not None and ended < since):
                continue
            begun = _last_before(days, source, first + one.start)
            found.append(
                Finding(
                    "gap", severity, source, variant=variant, count=one.end - one.start,
                    since=begun, until=None if silent else ended,
                    figures={"hours": one.end - one.start, "expected": round(one.expected)},
                    where=f"{of_source(source)} AND epoch_us(event_time) >= "
                    f"{(first + one.end) * HOUR_US}",
                )
            )  # fmt: skip
    return found


def _usual(
    hours: Mapping[str, tuple[int, Counts]], days: Days, now: datetime
) -> dict[str, tuple[int, Counts]]:
    """Hours of a source within its usual days: neither stray nor of the future."""
    found = {}
    for source, (first, counts) in hours.items():
        own = days.of_source(source)
        if not own:
            continue
        start = max(0, (own[0].first_day - 1) * 24 - first)
        cut = counts[start : to_us(now) // HOUR_US + 1 - first]
        busy = np.flatnonzero(cut)
        if len(busy):
            found[source] = (first + start + int(busy[0]), cut[busy[0] : busy[-1] + 1])
    return found


def _gravity(one: rhythm.Silence, silent: bool, settings: QualityConfig) -> tuple[str, str]:
    """Severity ("": none) and variant of a silence."""
    if not silent:
        return WARNING, "over"
    length = one.end - one.start
    if length >= settings.ended_days * 24:
        return NOTE, "ended"
    return (ERROR, "silent") if length >= settings.gap_error_hours else ("", "")


def _last_before(days: Days, source: str, hour: int) -> datetime:
    """When silence began: the source's last event if it is silent still, else the full hour."""
    last = days.spans[source][1] if source in days.spans else None
    moment = from_us(hour * HOUR_US)
    return last if last is not None and last < moment else moment


def changes(
    days: Days,
    gone: list[Finding],
    last_day: int,
    since_day: int | None,
    settings: QualityConfig,
) -> list[Finding]:
    """Days with far more or fewer events of a kind than the same weekday of the weeks before.

    Days within a gap of the source are explained by it; its first and last day are not whole.

    Args:
        days: of all times, also where only the latest are asked for.
        gone: the gaps found.
        last_day: the last local day that is not over.
        since_day: changes that were over before this day are not told.
    """
    tests = sum(
        level_jumps.judged_days(one.n, _usable(one, gone, [], last_day))
        for source in days.sources for one in _judged(days, source)
    )  # fmt: skip
    found: list[Finding] = []
    for source in days.sources:
        told: list[tuple[int, int]] = []
        for series in _judged(days, source):
            jumps = level_jumps.jumps(
                series.n, _usable(series, gone, told, last_day), factor=settings.change_factor,
                tests=tests, false_alarms=settings.false_alarms,
            )  # fmt: skip
            if not series.kind:  # what befell all kinds is not told again of each
                told = [(one.start, _settled(one, series)) for one in jumps]
            if since_day is not None:
                jumps = [
                    one for one in jumps if series.first_day + _settled(one, series) > since_day
                ]
            found += [_change(series, one, settings) for one in jumps]
    return found


def _judged(days: Days, source: str) -> list[Series]:
    """All kinds of a source together, then each, where there are several."""
    own = days.of_source(source)
    return [days.whole(source), *own] if len(own) > 1 else own


def _settled(one: level_jumps.Jump, series: Series) -> int:
    """The day from which a change is past, or the new level is the usual one."""
    if not one.lasts:
        return one.end
    return min(len(series.n), one.start + 7 * level_jumps.WEEKS_BEFORE)


def _usable(
    series: Series, gone: list[Finding], told: list[tuple[int, int]], last_day: int
) -> NDArray[np.bool_]:
    """Whole days of a series that nothing else explains."""
    usable = np.ones(len(series.n), dtype=bool)
    usable[[0, -1]] = False
    usable &= series.first_day + np.arange(len(usable)) < last_day
    for start, end in told:
        usable[start:end] = False
    return usable & ~_explained(series.source, series.first_day, len(usable), gone)


def _change(series: Series, one: level_jumps.Jump, settings: QualityConfig) -> Finding:
    """A run of days as a finding; what has lasted for `ended_days` is how the shop is now."""
    grave = max(one.factor, 1 / one.factor) >= settings.change_error
    fresh = one.lasts and len(series.n) - one.start < settings.ended_days
    severity = NOTE if one.days < _LASTING else ERROR if grave and fresh else WARNING
    since = local_date(series.first_day + one.start)
    until = None if one.lasts else local_date(series.first_day + one.end - 1)
    where = f"{of_source(series.source)} AND {between_sql(since, until)}"
    if series.kind:
        where += f" AND kind = {text_sql(series.kind)}"
    variant = "more" if one.factor > 1 else "fewer" if one.count else "none"
    figures = {"factor": one.factor, "days": one.days, "expected": round(one.expected)}
    return Finding(
        "change", severity, series.source, series.kind, variant, one.count, 0, since, until,
        figures=figures, where=where,
    )  # fmt: skip


def _explained(source: str, first_day: int, size: int, gone: list[Finding]) -> NDArray[np.bool_]:
    """Days that a gap of the source touches (UTC days on either side included)."""
    mask = np.zeros(size, dtype=bool)
    for one in gone:
        if one.source != source or not isinstance(one.since, datetime):
            continue
        start = to_us(one.since) // (24 * HOUR_US) - first_day
        end = size
        if isinstance(one.until, datetime):
            end = to_us(one.until) // (24 * HOUR_US) - first_day + 1
        mask[max(0, start) : max(0, end)] = True
    return mask
