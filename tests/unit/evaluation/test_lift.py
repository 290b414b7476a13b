"""Intervals of differences keep their level."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.evaluation.lift import mean_difference, share_difference, wilson


def test_nobody_and_everybody_have_intervals_inside_the_unit() -> None:
    none, every = wilson(0, 20), wilson(20, 20)
    assert none.figure == none.low == 0
    assert 0 < none.high < 0.2
    assert every.high == every.figure == 1
    assert every.low == pytest.approx(1 - none.high)


def test_the_difference_turns_with_its_sides() -> None:
    one, other = share_difference(9, 10, 3, 10), share_difference(3, 10, 9, 10)
    assert one.figure == -other.figure == pytest.approx(0.6)
    assert one.low == pytest.approx(-other.high)
    # Newcombe (1998), table II, example c: 9/10 against 3/10 by method 10
    assert (round(one.low, 4), round(one.high, 4)) == (0.1705, 0.8090)


@pytest.mark.parametrize(("here", "there"), [(0.1, 0.1), (0.02, 0.05), (0.5, 0.3)])
def test_the_interval_of_shares_covers_as_often_as_it_says(here: float, there: float) -> None:
    random = np.random.default_rng(5)
    ones, others = random.binomial(900, here, 2000), random.binomial(100, there, 2000)
    inside = 0
    for one, other in zip(ones.tolist(), others.tolist(), strict=True):
        found = share_difference(one, 900, other, 100)
        inside += found.low <= here - there <= found.high
    assert 0.93 < inside / 2000 < 0.98


def test_the_interval_of_means_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(6)
    inside = 0
    for _ in range(1000):
        found = mean_difference(random.gamma(2, 10, 400), random.gamma(2, 8, 200))
        assert found is not None
        inside += found.low <= 4 <= found.high
    assert 0.93 < inside / 1000 < 0.97


def test_of_one_customer_there_is_no_interval_of_means() -> None:
    assert mean_difference(np.ones(1), np.ones(9)) is None
