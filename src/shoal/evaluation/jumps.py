"""When the daily level of a series jumped, and whether it came back.

A plain function of counts a day. What a day should be like is told by the same weekday of the weeks
before it; how far counts stray from that is estimated from the series itself, and how unsure that
estimate is widens the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.evaluation.rhythm import Counts, Values, runs

#: The same weekdays before a day that tell what it should be like.
WEEKS_BEFORE: Final = 6
#: Fewer of them, where the others are left out, tell nothing.
LEAST_WEEKS: Final = 4
#: A day with fewer expected events is too quiet to judge.
LEAST_LEVEL: Final = 50.0
#: Days with fewer expected events than this do not tell how far counts stray.
_TELLING_LEVEL: Final = 10.0
#: A series of fewer days that tell it is not judged.
_LEAST_DAYS: Final = 7
#: So many values tell a spread well enough; of more, evenly spaced order statistics are taken.
_MOST_VALUES: Final = 400
#: Standard deviation of a Poisson count's distance times the square root of the level: a median of
#: six of their like varies by pi / 2 / 6 of what one does.
_POISSON: Final = math.sqrt(1 + math.pi / 2 / WEEKS_BEFORE)
#: What part of the information in independent normal values `robust_sd` uses.
_EFFICIENCY: Final = 0.82

#: Part of the (log) factor that must have come about within a week.
_SUDDEN: Final = 0.75
#: A run goes on while its days are this part of the way to what tells it.
_KEPT: Final = 1 / 3
#: How often chance makes a run of one day or more that is told, in units of how often one day is as
#: far: the sum over runs of 1 to 13 independent normal days that are all `_KEPT` as far, with or
#: without a usual day between two, at limits of 4 to 5 standard deviations. Runs of three and four
#: days are the most, those of eight hardly count.
_RUNS: Final = 12


@dataclass(frozen=True)
class Jump:
    """Days [start, end) on which the level differed from the weeks before, in one direction.

    `factor` is the geometric mean of count / level over its days. `lasts`: no day after `end` was
    seen to be as usual, or none within the six weeks after which the new level is the usual one.
    """

    start: int
    end: int
    days: int
    count: int
    expected: float
    factor: float
    lasts: bool


@dataclass(frozen=True)
class _Scale:
    """How a series strays from its levels: `usual` log ratio, and standard deviations of distances.

    `days` told them; `sd` is that of a distance, `clustered` that of a distance times the square
    root of the level.
    """

    usual: float
    sd: float
    clustered: float
    days: int


def levels(daily: Counts, normal: NDArray[np.bool_] | None = None) -> Values:
    """The median of the same weekday over the six weeks before each day, shape (days,).

    Days that are not `normal` are left out; NaN where fewer than four are left.
    """
    known = np.ones(len(daily), dtype=bool) if normal is None else normal
    own = np.where(known, daily, np.nan)
    table = np.full((WEEKS_BEFORE, len(daily)), np.nan)
    for week in range(1, WEEKS_BEFORE + 1):
        shift = min(7 * week, len(daily))
        table[week - 1, shift:] = own[: len(daily) - shift]
    enough = (~np.isnan(table)).sum(axis=0) >= LEAST_WEEKS
    level = np.full(len(daily), np.nan)
    level[enough] = np.nanmedian(table[:, enough], axis=0)
    return level


def jumps(
    daily: Counts, usable: NDArray[np.bool_], *, factor: float, tests: int, false_alarms: float
) -> list[Jump]:
    """Runs of days whose count is `factor` times the level of the weeks before, or more, or less.

    How far off a day is, is the cube root of its ratio to the level against one, times three: near
    zero the log ratio, and for counts of clustered events as good as normal (Wilson and Hilferty
    1931). It is told in robust standard deviations of the series, the wider of two: one for all
    days (days differ by factors), and one that shrinks with the square root of the level (events
    come in clusters), never below that of Poisson counts.

    One day of a run, or the sum of its days over the square root of their number (Stouffer), must
    be beyond the quantile of `false_alarms` / (12 x `tests`) (Bonferroni; 12 for the runs that may
    begin on a day) of Student's distribution, whose degrees of freedom say how well the days of the
    series tell a spread; and each day at least a third as far. A level that drifted there bit by
    bit is no jump: the first days must also differ from the same days a week before.

    A run is followed with the level that held before it, for six weeks at most. Days of a run that
    is over do not tell what is usual later.

    Args:
        daily: events a day, shape (days,).
        usable: which days are whole and not explained otherwise; the others tell no level either.
        tests: how many days of how many series are judged together (`judged_days`).
        false_alarms: how often a set of series without fault may be told of.
    """
    normal, open_days = usable.copy(), usable.copy()
    found: list[Jump] = []
    while (one := _first(daily, normal, open_days, factor, tests, false_alarms)) is not None:
        found.append(one)
        settled = min(len(daily), one.start + 7 * WEEKS_BEFORE) if one.lasts else one.end
        open_days[:settled] = False
        if not one.lasts:
            normal[one.start : one.end] = False
    return found


def judged_days(daily: Counts, usable: NDArray[np.bool_]) -> int:
    """How many days of a series `jumps` judges."""
    return int((usable & _loud(levels(daily, usable))).sum())


def _first(
    daily: Counts, normal: NDArray[np.bool_], open_days: NDArray[np.bool_], factor: float,
    tests: int, false_alarms: float,
) -> Jump | None:  # fmt: skip
    """The first jump of the days that are still open."""
    from scipy.special import stdtrit

    level = levels(daily, normal)
    scale = _scale(daily, level, normal)
    judged = open_days & _loud(level)
    if scale is None or not judged.any():
        return None
    chance = false_alarms / max(1, tests * _RUNS) / 2
    limit = -float(stdtrit(max(1.0, _EFFICIENCY * scale.days - 1), chance))
    ratio, away = _away(daily, level, scale)
    least = math.log(factor)
    hits = []
    for sign in (1, -1):
        beyond = judged & _beyond(sign, ratio, away, scale, least, limit)
        for start, end in _bridged(beyond, judged):
            days = np.flatnonzero(beyond[start:end]) + start
            together = sign * float(away[days].sum()) / math.sqrt(len(days))
            told = max(together, float((sign * away[days]).max())) >= limit
            if told and sign * _step(daily, days) >= _SUDDEN * least:
                hits.append((start, sign))
                break
    if not hits:
        return None
    start, sign = min(hits)
    return _followed(daily, level, normal & open_days, scale, start, sign, least, limit)


def _followed(
    daily: Counts, level: Values, usable: NDArray[np.bool_], scale: _Scale, start: int, sign: int,
    least: float, limit: float,
) -> Jump:  # fmt: skip
    """The whole of a run that begins on a day, against the level that held before it."""
    stop = min(len(daily), start + 7 * WEEKS_BEFORE)
    before = np.full(len(daily), np.nan)
    before[start:stop] = np.resize(level[start : start + 7], stop - start)
    ratio, away = _away(daily, before, scale)
    judged = usable & _loud(before)
    beyond = judged & _beyond(sign, ratio, away, scale, least, limit)
    end = _bridged(beyond, judged)[0][1]
    days = np.flatnonzero(beyond[start:end]) + start
    return Jump(
        start, end, len(days), int(daily[days].sum()), float(before[days].sum()),
        math.exp(float(ratio[days].mean())), not judged[end:].any(),
    )  # fmt: skip


def _loud(level: Values) -> NDArray[np.bool_]:
    return np.nan_to_num(level) >= LEAST_LEVEL


def _scale(daily: Counts, level: Values, normal: NDArray[np.bool_]) -> _Scale | None:
    """How far the normal days of a series stray; None where too few tell it."""
    telling = normal & (np.nan_to_num(level) >= _TELLING_LEVEL)
    days = int(telling.sum())
    if days < _LEAST_DAYS:
        return None
    count, mean = daily[telling], level[telling]
    usual = float(np.median(_log_ratio(count, mean)))
    off = _distance(count, mean * math.exp(usual))
    clustered = robust_sd(off * np.sqrt(mean))
    return _Scale(usual, robust_sd(off), max(_POISSON, clustered), days)


def robust_sd(values: Values) -> float:
    """The estimator Qn of a standard deviation: half of the values may be outliers.

    A quarter of all pairs of values differ by less than Qn / 2.2219 (Rousseeuw and Croux 1993,
    "Alternatives to the Median Absolute Deviation", with their corrections for few values). At
    normal values it is as exact as the sample standard deviation of 0.82 times as many.
    """
    values = np.sort(values)
    if len(values) > _MOST_VALUES:
        values = values[np.linspace(0, len(values) - 1, _MOST_VALUES).round().astype(np.int64)]
    n = len(values)
    half = n // 2 + 1
    place = half * (half - 1) // 2 - 1
    apart = np.abs(values[:, None] - values[None, :])[np.triu_indices(n, 1)]
    fewer = n / (n + 1.4) if n % 2 else n / (n + 3.8)
    return 2.2219 * fewer * float(np.partition(apart, place)[place])


def _away(daily: Counts, level: Values, scale: _Scale) -> tuple[Values, Values]:
    """Log ratio of each day to its level, and how far off that is; zero where there is no level."""
    known = np.nan_to_num(level) > 0
    ratio, away = np.zeros(len(daily)), np.zeros(len(daily))
    count, mean = daily[known], level[known]
    ratio[known] = _log_ratio(count, mean)
    wide = np.maximum(scale.sd, scale.clustered / np.sqrt(mean))
    away[known] = _distance(count, mean * math.exp(scale.usual)) / wide
    return ratio, away


def _log_ratio(daily: Counts, level: Values) -> Values:
    return np.asarray(np.log((daily + 0.5) / (level + 0.5)))


def _distance(daily: Counts, mean: Values) -> Values:
    return np.asarray(3 * (np.cbrt((daily + 0.5) / (mean + 0.5)) - 1))


def _beyond(
    sign: int, ratio: Values, away: Values, scale: _Scale, least: float, limit: float
) -> NDArray[np.bool_]:
    """Days that are the factor off in one direction, and half as far as what tells a run."""
    far = sign * away >= limit * _KEPT
    return far & (sign * ratio >= least) & (sign * (ratio - scale.usual) >= least)


def _step(daily: Counts, days: Counts) -> float:
    """Log ratio of the first days of a change, a week's at most, to the same days a week before."""
    first = days[days < days[0] + 7]
    return math.log((int(daily[first].sum()) + 0.5) / (int(daily[first - 7].sum()) + 0.5))


def _bridged(marked: NDArray[np.bool_], judged: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of marked days, joined across single days and days that were not judged."""
    joined: list[tuple[int, int]] = []
    for start, end in runs(marked):
        if joined and int(judged[joined[-1][1] : start].sum()) <= 1:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
