"""The densest interval of a series of counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.evaluation.bursts import burst


def series(days: int, seed: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    of = chance.poisson(200, days)
    return chance.binomial(of, rate), of


@pytest.mark.parametrize("days", [60, 400, 3_000])
@pytest.mark.parametrize("rate", [0.0, 0.02])
def test_a_planted_burst_is_found_to_the_day(days: int, rate: float) -> None:
    bad, of = series(days, 3, rate)
    start = days // 2
    bad[start : start + 4] = of[start : start + 4]
    found = burst(bad, of)
    assert found is not None
    assert (found.start, found.end) == (start, start + 4)
    assert found.share == 1.0


def test_a_steady_share_is_no_burst() -> None:
    assert not any(burst(*series(200, seed, 0.02)) for seed in range(200))


def test_nothing_bad_and_all_bad_are_no_bursts() -> None:
    of = np.full(10, 7)
    assert burst(np.zeros(10, dtype=int), of) is None
    assert burst(of.copy(), of) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=40))
def test_a_burst_is_an_interval_denser_than_the_rest(rows: list[tuple[int, int]]) -> None:
    bad = np.array([min(pair) for pair in rows])
    of = np.array([max(pair) for pair in rows])
    found = burst(bad, of)
    if found is not None:
        assert 0 <= found.start < found.end <= len(rows)
        assert found.bad == bad[found.start : found.end].sum()
        rest = of.sum() - found.of
        assert found.share >= 2 * (bad.sum() - found.bad) / rest
