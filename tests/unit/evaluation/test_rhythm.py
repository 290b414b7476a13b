"""Gaps against a source's rhythm; nights and closed days are none."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.evaluation.rhythm import silences

WEEKS = 30
#: An hourly profile with quiet nights, and a weekly one with a closed Sunday.
HOURS = np.array([0.0] * 7 + [1, 2, 4, 5, 5, 4, 4, 5, 6, 7, 8, 9, 8, 5, 3, 1, 0.2])
WEEK = np.array([1.0, 1, 1, 1.2, 1.4, 0.8, 0])


def hourly(seed: int, scale: float, clumps: int = 1) -> np.ndarray:
    """Events an hour; `clumps` many come together."""
    chance = np.random.default_rng(seed)
    expected = scale * (WEEK[:, None] * HOURS[None, :]).reshape(-1)
    return chance.poisson(np.tile(expected, WEEKS) / clumps) * clumps


def told(counts: np.ndarray, last: int | None = None) -> list[tuple[int, int]]:
    first = int(np.flatnonzero(counts)[0])
    end = len(counts) if last is None else last
    found = silences(counts[first:], first_hour=first + 4 * 24, last=end - first, false_alarms=0.01)
    return [(one.start + first, one.end + first) for one in found]


@pytest.mark.parametrize("scale", [0.05, 1, 20])
@pytest.mark.parametrize("clumps", [1, 10])
def test_nights_and_closed_days_are_no_gaps(scale: float, clumps: int) -> None:
    alarms = sum(len(told(hourly(seed, scale, clumps))) for seed in range(30))
    assert alarms <= 1


def test_a_missing_half_day_of_a_busy_source_is_a_gap() -> None:
    counts = hourly(1, 20)
    start = 15 * 7 * 24 + 24 + 10
    counts[start : start + 8] = 0
    assert told(counts) == [(start, start + 8)]


def test_a_quiet_or_clumpy_source_must_be_silent_for_longer() -> None:
    for counts, needed in ((hourly(1, 0.1), 3), (hourly(1, 1, 40), 3)):
        start = 15 * 7 * 24
        short = counts.copy()
        short[start : start + 12] = 0
        assert told(short) == []
        long = counts.copy()
        long[start : start + needed * 7 * 24] = 0
        assert len(told(long)) == 1


def test_a_source_that_ends_before_the_others_is_silent() -> None:
    counts = hourly(1, 5)
    counts = counts[: np.flatnonzero(counts)[-1] + 1]
    (gap,) = told(counts, last=len(counts) + 72)
    assert gap == (len(counts), len(counts) + 72)
