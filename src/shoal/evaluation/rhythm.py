"""What a source's usual hours are, where it fell silent, and when its daily level jumped.

Plain functions of counts. The rhythm is an hour of the week's share of a week, times the level of
the weeks around; how much counts vary around it is estimated from the counts themselves, so a
source that comes in bursts has to be silent for longer before anyone is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Days on either side that tell the level of a day; of a gap twice as many.
_AROUND: Final = 14
#: A weekday with a smaller part of an average day's events is closed.
_OPEN: Final = 0.1
#: The same weekdays before a day that tell what it should be like; fewer tell nothing.
WEEKS_BEFORE: Final = 6
#: A day with fewer expected events is too quiet to judge.
LEAST_LEVEL: Final = 50.0
#: Part of the days whose spread lies below the one that is used.
_SPREAD_AT: Final = 0.9

#: Part of the (log) factor that must have come about within a week.
_SUDDEN: Final = 0.75
#: A run goes on while its days are this part of the way to what tells it.
_KEPT: Final = 0.5

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Silence:
    """Hours [start, end) without events, how many were expected, and the chance of it.

    `chance_log10` is the logarithm of how likely that many expected events are to stay away.
    """

    start: int
    end: int
    expected: float
    chance_log10: float


@dataclass(frozen=True)
class Jump:
    """Days [start, end) on which the level differed from the weeks before, in one direction.

    `factor` is the geometric mean of count / level over its days.
    """

    start: int
    end: int
    days: int
    count: int
    expected: float
    factor: float


def silences(hours: Counts, *, first_hour: int, last: int, false_alarms: float) -> list[Silence]:
    """Stretches of hours without events that the source's own rhythm does not explain.

    Were events independent, an expected number m stays away with chance exp(-m). They come in
    clusters, so m counts in units of the variance-to-mean ratio of the counts around the rhythm
    (the spread of quasi-Poisson models; McCullagh and Nelder 1989). The chance is compared with
    `false_alarms` divided by the number of hours (Bonferroni).

    Args:
        hours: events an hour, shape (hours,), the first entry with an event.
        first_hour: hours since 1970 of the first entry.
        last: the entry after the last that is to be judged; silence may go on beyond `hours`.
        false_alarms: how often a source without fault may be told of, in one judgement of it all.
    """
    counts = np.concatenate([hours, np.zeros(max(0, last - len(hours)), dtype=np.int64)])
    lead = first_hour % 24
    padded = np.concatenate([np.zeros(lead, dtype=np.int64), counts])
    padded = np.concatenate([padded, np.zeros(-len(padded) % 24, dtype=np.int64)])
    grid = padded.reshape(-1, 24)
    weekdays = (first_hour // 24 + np.arange(len(grid))) % 7
    rhythm = _rhythm(grid, weekdays, alive=(lead + len(hours) + 23) // 24)
    spread = rhythm.spread(grid)
    needed = spread * math.log(max(2, len(counts)) / false_alarms)
    found = []
    for start, end in _runs(counts == 0):
        if end - start >= 2:
            away = rhythm.expected(start + lead, end + lead)
            if away >= needed:
                found.append(Silence(start, end, away, -away / spread / math.log(10)))
    return found


@dataclass(frozen=True)
class _Rhythm:
    """Shares of a week, shape (7, 24), summing to seven; events a day with the weekday evened out.

    `open_days` are those of weekdays on which the source is not closed; `alive` days have passed
    when it had its last event.
    """

    week: Values
    even: Values
    weekdays: Counts
    open_days: NDArray[np.bool_]
    alive: int

    def expected(self, start: int, end: int) -> float:
        """Events expected in hours [start, end) without any, at the level of the weeks around."""
        first, last = start // 24, (end - 1) // 24
        before = self._level(max(0, first - 2 * _AROUND), first)
        after = self._level(last + 1, min(self.alive, last + 1 + 2 * _AROUND))
        known = [level for level in (before, after) if level is not None]
        if not known:
            return 0.0
        hours = np.arange(start, end)
        shares = self.week[self.weekdays[hours // 24], hours % 24]
        return float(sum(known) / len(known) * shares.sum())

    def spread(self, grid: NDArray[np.int64]) -> float:
        """Variance-to-mean ratio of hourly counts around the rhythm, that of restless days."""
        ratios = []
        for day in np.flatnonzero(grid[: self.alive].any(axis=1)).tolist():
            level = self._level(max(0, day - _AROUND), min(self.alive, day + _AROUND + 1))
            usual = self.week[self.weekdays[day]] * (level or 0.0)
            if usual.sum() > 0:
                ratios.append(float(((grid[day] - usual) ** 2).sum() / usual.sum()))
        return max(1.0, float(np.quantile(ratios, _SPREAD_AT))) if ratios else math.inf

    def _level(self, start: int, end: int) -> float | None:
        """A typical open day of days [start, end); None if there is none."""
        near = self.even[start:end][self.open_days[start:end]]
        return float(np.median(near) or near.mean()) if len(near) else None


def _rhythm(grid: NDArray[np.int64], weekdays: Counts, alive: int) -> _Rhythm:
    """The rhythm of counts of shape (days, 24)."""
    daily = grid.sum(axis=1).astype(np.float64)
    means = np.zeros(7)
    share = np.zeros((7, 24))
    for day in range(7):
        own = grid[:alive][weekdays[:alive] == day]
        if own.sum():
            means[day] = own.sum() / len(own)
            share[day] = own.sum(axis=0) / own.sum()
    factor = means / means[means > 0].mean() if means.any() else means
    open_days = factor[weekdays] > _OPEN
    even = np.divide(daily, factor[weekdays], out=np.zeros_like(daily), where=open_days)
    return _Rhythm(factor[:, None] * share, even, weekdays, open_days, alive)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Maximal stretches [start, end) on which a mask holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def levels(daily: Counts) -> Values:
    """The median of the same weekday over the weeks before each day; NaN where there are too few.

    Shape (days,).
    """
    table = np.full((WEEKS_BEFORE, len(daily)), np.nan)
    for week in range(1, WEEKS_BEFORE + 1):
        shift = min(7 * week, len(daily))
        table[week - 1, shift:] = daily[: len(daily) - shift]
    known = ~np.isnan(table).any(axis=0)
    level = np.full(len(daily), np.nan)
    level[known] = np.median(table[:, known], axis=0)
    return level


def jumps(
    daily: Counts, usable: NDArray[np.bool_], *, factor: float, tests: int, false_alarms: float
) -> list[Jump]:
    """Runs of days whose count is `factor` times the level of the weeks before, or more, or less.

    The log ratios of a run must be further from the series' usual ratio than chance explains: one
    of them, or their sum over the square root of their number (Stouffer), beyond the normal
    quantile of `false_alarms` / (7 x `tests`) (Bonferroni: a run of up to a week may begin on each
    day), in robust standard deviations of the series
    (1.4826 x median absolute deviation) or of a Poisson count, whichever is wider; and each of them
    at least half as far. A level that drifted there bit by bit is no jump: the first days must also
    differ from the same days a week before.

    Args:
        daily: events a day, shape (days,).
        usable: which days are whole and not explained otherwise.
        tests: how many days of how many series are judged together.
    """
    from scipy.special import ndtri

    level = levels(daily)
    judged = usable & (np.nan_to_num(level) >= LEAST_LEVEL)
    if judged.sum() < 7:
        return []
    ratio = np.zeros(len(daily))
    ratio[judged] = np.log((daily[judged] + 0.5) / (level[judged] + 0.5))
    usual = float(np.median(ratio[judged]))
    spread = 1.4826 * float(np.median(np.abs(ratio[judged] - usual)))
    noise = _noise(np.where(judged, level, LEAST_LEVEL), usual)
    least = math.log(factor)
    limit = -float(ndtri(false_alarms / max(1, tests * 7) / 2))
    away = (ratio - usual) / np.maximum(spread, noise)
    found = []
    for sign in (1, -1):
        beyond = judged & (sign * away >= limit * _KEPT)
        beyond &= (sign * ratio >= least) & (sign * (ratio - usual) >= least)
        for start, end in _bridged(beyond, judged):
            days = np.flatnonzero(beyond[start:end]) + start
            together = sign * float(away[days].sum()) / math.sqrt(len(days))
            if max(together, float((sign * away[days]).max())) < limit or (
                sign * _step(daily, days) < _SUDDEN * least
            ):
                continue
            found.append(
                Jump(
                    start, end, len(days), int(daily[days].sum()), float(level[days].sum()),
                    math.exp(float(ratio[days].mean())),
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: one.start)


def _noise(level: Values, usual: float) -> Values:
    """Standard deviation of the log ratio of two independent Poisson counts: a day, and its level.

    The median of six varies by pi / 2 / 6 of what one day does.
    """
    return np.sqrt(1 / (level * math.exp(min(usual, 0.0))) + math.pi / 2 / WEEKS_BEFORE / level)


def _step(daily: Counts, days: Counts) -> float:
    """Log ratio of the first days of a change, a week's at most, to the same days a week before."""
    first = days[days < days[0] + 7]
    return math.log((int(daily[first].sum()) + 0.5) / (int(daily[first - 7].sum()) + 0.5))


def _bridged(marked: NDArray[np.bool_], judged: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of marked days, joined across single days and days that were not judged."""
    joined: list[tuple[int, int]] = []
    for start, end in _runs(marked):
        if joined and int(judged[joined[-1][1] : start].sum()) <= 1:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
