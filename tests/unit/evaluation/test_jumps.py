"""Jumps against the weeks before: found with their days and their end, rarely told falsely."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shoal.evaluation.jumps import Jump, judged_days, jumps, levels, robust_sd

WEEKS = 30


def daily(seed: int, spread: float, trend: float = 0.0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    days = np.arange(WEEKS * 7)
    week = np.tile([1.0, 1.1, 0.9, 1, 1.3, 1.8, 1.6], WEEKS)
    return chance.poisson(300 * week * np.exp(chance.normal(0, spread, len(days)) + trend * days))


def jumped(counts: np.ndarray, factor: float = 1.5) -> list[tuple[int, int, float]]:
    usable = np.ones(len(counts), dtype=bool)
    found = jumps(counts, usable, factor=factor, tests=len(counts) * 10, false_alarms=0.01)
    return [(one.start, one.end, one.factor) for one in found]


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("trend", [0.0, 0.01, -0.015])
def test_weekends_trends_and_restless_days_are_no_jumps(spread: float, trend: float) -> None:
    assert sum(len(jumped(daily(seed, spread, trend))) for seed in range(40)) <= 1


@pytest.mark.parametrize("factor", [2.0, 0.4])
def test_a_level_that_jumped_is_found_with_its_days(factor: float) -> None:
    counts = daily(2, 0.1)
    counts[120:124] = (counts[120:124] * factor).astype(int)
    ((start, end, found),) = jumped(counts)
    assert (start, end) == (120, 124)
    assert found == pytest.approx(factor, rel=0.2)


def test_days_that_are_not_usable_are_not_told_of() -> None:
    counts = daily(2, 0.1)
    counts[120:124] = 0
    usable = np.ones(len(counts), dtype=bool)
    usable[120:124] = False
    assert jumps(counts, usable, factor=1.5, tests=1_000, false_alarms=0.01) == []


def test_a_short_history_tells_nothing() -> None:
    assert jumped(daily(1, 0.1)[:40]) == []


def clustered(seed: int, level: float, size: float, days: int = 100) -> np.ndarray:
    """Events a day of visitors who leave `size` on average, most of them fewer."""
    chance = np.random.default_rng(seed)
    visitors = chance.poisson(level / size, days)
    return np.array([chance.geometric(1 / size, n).sum() for n in visitors])


def judged(counts: np.ndarray) -> list[Jump]:
    usable = np.ones(len(counts), dtype=bool)
    tests = judged_days(counts, usable)
    return jumps(counts, usable, factor=1.5, tests=max(1, tests), false_alarms=0.01)


@pytest.mark.parametrize(("level", "size"), [(60, 3), (60, 8), (120, 8)])
def test_events_in_clusters_raise_as_few_alarms_as_is_said(level: float, size: float) -> None:
    """Of 150 series 1.5 may; more than 6 would be chance in one of a thousand."""
    assert sum(bool(judged(clustered(seed, level, size))) for seed in range(150)) <= 6


@pytest.mark.parametrize("factor", [0.0, 0.2, 3.0])
@pytest.mark.parametrize("days", [10, 30])
def test_a_change_that_is_not_over_lasts(factor: float, days: int) -> None:
    counts = clustered(3, 400, 4, 130 + days)
    counts[130:] = (counts[130:] * factor).astype(int)
    (one,) = judged(counts)
    assert (one.start, one.end, one.lasts) == (130, 130 + days, True)
    assert one.factor == pytest.approx(max(factor, 0.5 / 400), rel=0.25)


def test_a_new_level_is_usual_after_six_weeks() -> None:
    counts = clustered(3, 400, 4, 400)
    counts[130:] *= 3
    counts[300:303] = 0
    first, second = judged(counts)
    assert (first.start, first.lasts) == (130, True)
    assert first.end <= 130 + 42
    assert (second.start, second.end, second.lasts) == (300, 303, False)
    assert second.expected == pytest.approx(3 * 1200, rel=0.2)


@pytest.mark.parametrize("days", [3, 20, 38])
def test_a_return_to_what_was_usual_is_no_jump(days: int) -> None:
    counts = clustered(5, 400, 4, 210)
    counts[120 : 120 + days] = 0
    (one,) = judged(counts)
    assert (one.start, one.lasts) == (120, False)
    # A day that chance made low is taken for the change's last if but one is between.
    assert 0 <= one.end - (120 + days) <= 2
    assert one.days - days in (0, 1)


def test_a_level_is_told_by_the_weeks_that_are_normal() -> None:
    counts = np.arange(70)
    normal = np.ones(70, dtype=bool)
    assert np.isnan(levels(counts)[:28]).all()
    assert levels(counts)[28] == np.median([0, 7, 14, 21])
    normal[[49, 56]] = False
    assert levels(counts, normal)[63] == np.median([21, 28, 35, 42])
    normal[42] = False
    assert np.isnan(levels(counts, normal)[63])


@pytest.mark.parametrize("n", [8, 57, 1_000])
def test_a_spread_is_told_in_spite_of_outliers(n: int) -> None:
    chance = np.random.default_rng(1)
    drawn = [chance.normal(5, 2, n) for _ in range(200)]
    found = np.array([robust_sd(values) for values in drawn])
    assert found.mean() == pytest.approx(2, rel=0.05)
    # As exact as a sample standard deviation of 0.82 times as many (asymptotically).
    if n > 8:
        assert found.std() / 2 < 1.3 / math.sqrt(2 * 0.82 * min(n, 400))
    for values in drawn:
        values[: n // 4] = 1e6
    assert np.median([robust_sd(values) for values in drawn]) < 2 * 2
