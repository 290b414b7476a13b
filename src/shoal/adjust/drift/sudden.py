"""Sudden changes of a daily series: what is usual, runs of days that are not, and since when.

Plain functions; a series is NaN on days that tell nothing.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from shoal.adjust.drift.look import Floats, Mask
from shoal.evaluation.jumps import robust_sd
from shoal.evaluation.rhythm import runs

#: Part of a change that comes from one day to the next.
SUDDEN: Final = 0.6
#: Standard deviations of each day of a run, and of the run (sum over the root of its days).
DAY_AWAY: Final = 1.3
RUN_AWAY: Final = 6.0
#: Days before a day that tell what is usual, and those of them that must tell something.
_BEFORE: Final = 28
_LEAST: Final = 14


def usual(values: Floats, normal: Mask) -> Floats:
    """Median of the four weeks of normal days before each day; NaN where fewer than 14 tell it."""
    held = np.where(normal, values, np.nan)
    found = np.full(len(values), np.nan)
    for day in range(_LEAST, len(values)):
        near = held[max(0, day - 2 * _BEFORE) : day]
        near = near[~np.isnan(near)][-_BEFORE:]
        if len(near) >= _LEAST:
            found[day] = np.median(near)
    return found


def spread(away: Floats, told: Mask) -> float:
    """Robust standard deviation of the days that tell; 1 where they are too few."""
    return robust_sd(away[told]) if told.sum() >= _LEAST else 1.0


def latest_run(marked: Mask, away: Floats, judged: Mask) -> tuple[int, int] | None:
    """The latest run [start, end) of marked days that is far enough in all.

    Args:
        away: standard deviations of each day.
        judged: days that tell something; one usual day of them between two runs joins these.
    """
    joined: list[tuple[int, int]] = []
    for start, end in runs(marked):
        if joined and int(judged[joined[-1][1] : start].sum()) <= 1:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    for start, end in reversed(joined):
        own = marked[start:end]
        if float(away[start:end][own].sum()) / math.sqrt(own.sum()) >= RUN_AWAY:
            return start, end
    return None


def moved(
    values: Floats, error: Floats, least: float, signs: tuple[int, ...]
) -> tuple[tuple[int, int], Floats, float] | None:
    """The latest run of days on which a series differs at once from the weeks before.

    Args:
        error: standard deviation of each day by sampling alone.
        least: a smaller difference is none.
        signs: of differences that count.

    Returns:
        The run, what is usual on each day, and the mean difference; None where there is none.
    """
    normal = np.ones(len(values), bool)
    run: tuple[int, int] | None = None
    level = usual(values, normal)
    # days of a fault do not tell what is usual later
    for _ in range(2):
        level = usual(values, normal)
        told = ~np.isnan(values - level)
        away = np.nan_to_num(values - level)
        if (told & normal).sum() < _LEAST:
            return None
        scale = np.maximum(np.nan_to_num(error, nan=1.0), max(spread(away, told & normal), 1e-3))
        found = [
            latest_run(told & (sign * away >= np.maximum(least, DAY_AWAY * scale)),
                       sign * away / scale, told)
            for sign in signs
        ]  # fmt: skip
        latest = [one for one in found if one is not None]
        if not latest:
            return None
        run = max(latest, key=lambda pair: pair[1])
        normal[run[0] : run[1]] = False
    assert run is not None
    size = float(np.nanmean((values - level)[run[0] : run[1]]))
    before = (values - level)[: run[0]]
    before = before[~np.isnan(before)]
    if len(before) and abs(float(before[-1])) > (1 - SUDDEN) * abs(size):
        return None  # it was on its way
    return run, level, size


def everywhere(others: list[Floats], run: tuple[int, int], size: float, part: float) -> bool:
    """Whether more than half of other series went `part` of the same way in a run."""
    same = judged = 0
    for one in others:
        normal = np.ones(len(one), bool)
        normal[run[0] : run[1]] = False
        away = (one - usual(one, normal))[run[0] : run[1]]
        away = away[~np.isnan(away)]
        if len(away):
            judged += 1
            same += float(np.mean(away)) * np.sign(size) >= part * abs(size)
    return judged > 0 and same * 2 > judged
