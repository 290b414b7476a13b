"""What a source's usual hours are, and where it fell silent.

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
#: Part of the days whose spread lies below the one that is used.
_SPREAD_AT: Final = 0.9

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
    for start, end in runs(counts == 0):
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


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Maximal stretches [start, end) on which a mask holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
