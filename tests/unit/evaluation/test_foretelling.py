"""What membership foretells, on cases small enough for a hand."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.evaluation.bootstrap import drawn_sums, draws, interval
from shoal.evaluation.deviance import mix_deviance, poisson_deviance
from shoal.evaluation.foretelling import by_segment, given, halves, mean_ranks, strata_of

VALUES = np.array([[0.0], [2.0], [4.0], [6.0], [99.0]])
LABELS = np.array([7, 7, 9, 9, 9])
LEARNED = np.array([True, True, True, True, False])


ONE = (1.0,)


def squared(values: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    return ((values - forecast) ** 2).sum(axis=1)


def test_a_segment_is_its_learned_mean_with_one_customer_of_the_overall_mean() -> None:
    # overall (0 + 2 + 4 + 6) / 4 = 3; segment 7: (2 + 3) / 3; segment 9: (10 + 3) / 3
    got = by_segment(VALUES, LABELS, LEARNED, squared, ONE)[:, 0]
    assert got == pytest.approx([5 / 3, 5 / 3, 13 / 3, 13 / 3, 13 / 3])


def test_a_segment_that_nobody_learned_of_says_the_overall_mean() -> None:
    for priors in (ONE, (1.0, 10.0)):
        got = by_segment(VALUES, np.array([1, 1, 1, 1, 2]), LEARNED, squared, priors)
        assert got[4, 0] == pytest.approx(3.0)


def test_what_is_asked_of_tells_nothing() -> None:
    other, alone = VALUES.copy(), np.full_like(VALUES, 3.0)
    other[4] = -1000
    for values in (VALUES, other):
        assert by_segment(values, LABELS, LEARNED, squared)[0, 0] == pytest.approx(
            by_segment(VALUES, LABELS, LEARNED, squared)[0, 0]
        )
        assert given(values, alone, LABELS, LEARNED, squared) == pytest.approx(
            by_segment(VALUES, LABELS, LEARNED, squared)
        )


def test_how_much_is_shrunk_is_chosen_by_hand() -> None:
    # two segments that differ: each of the four learned is foretold by its fellow alone
    values = np.array([[1.0], [1.0], [9.0], [9.0], [0.0]])

    def left_out(prior: float) -> float:
        # overall 5: the fellow's value and the mean's worth, over 1 + prior customers
        low, high = (1 + 5 * prior) / (1 + prior), (9 + 5 * prior) / (1 + prior)
        return 2 * (1 - low) ** 2 + 2 * (9 - high) ** 2

    assert left_out(1.0) < left_out(10.0)
    got = by_segment(values, LABELS, LEARNED, squared, (10.0, 1.0))
    assert got[:, 0] == pytest.approx([(2 + 5) / 3] * 2 + [(18 + 5) / 3] * 3)


def test_labels_by_chance_do_no_harm_and_true_ones_tell_all() -> None:
    random = np.random.default_rng(2)
    kind = random.integers(4, size=2000)
    values = random.poisson(0.2 + kind).astype(float)[:, None]
    learned = np.arange(2000) < 1000
    base = poisson_deviance(values, np.full_like(values, values[learned].mean()))[~learned].sum()

    def share(labels: np.ndarray) -> float:
        forecast = by_segment(values, labels, learned, poisson_deviance)
        return 1 - poisson_deviance(values, forecast)[~learned].sum() / base

    assert abs(share(random.integers(8, size=2000))) < 0.005
    ceiling = 1 - poisson_deviance(values, 0.2 + kind[:, None])[~learned].sum() / base
    assert share(kind) == pytest.approx(ceiling, abs=0.01)
    assert ceiling > 0.3


def test_given_a_forecast_by_hand() -> None:
    alone = np.array([[1.0], [3.0], [1.0], [3.0], [3.0]])
    got = given(VALUES, alone, LABELS, LEARNED, squared, ONE)
    # one customer's worth of as expected is the mean of `alone` over the learned: 2
    seven, nine = (0 + 2 + 2) / (1 + 3 + 2), (4 + 6 + 2) / (1 + 3 + 2)
    assert got[:, 0] == pytest.approx([seven, 3 * seven, nine, 3 * nine, 3 * nine])


def test_segments_that_are_the_strata_add_nothing() -> None:
    random = np.random.default_rng(3)
    strata = random.integers(4, size=4000)
    values = random.poisson(1 + strata).astype(float)[:, None]
    learned = np.arange(4000) < 2000
    alone = by_segment(values, strata, learned, poisson_deviance)
    together = given(values, alone, strata, learned, poisson_deviance)
    assert together == pytest.approx(alone, rel=0.01)


def test_chances_given_strata_sum_to_one() -> None:
    random = np.random.default_rng(4)
    values = np.eye(3)[random.integers(3, size=60)]
    strata, labels = random.integers(2, size=60), random.integers(4, size=60)
    learned = np.arange(60) < 30
    alone = by_segment(values, strata, learned, mix_deviance)
    together = given(values, alone, labels, learned, mix_deviance)
    assert alone.sum(axis=1) == pytest.approx(np.ones(60))
    assert together.sum(axis=1) == pytest.approx(np.ones(60))


def test_each_customer_is_asked_about_once_a_split() -> None:
    masks = list(halves(11, 3, 5))
    assert len(masks) == 6
    for one, other in zip(masks[::2], masks[1::2], strict=True):
        assert (one ^ other).all()
    assert sum((~mask).astype(int) for mask in masks).tolist() == [3] * 11
    assert all((a == b).all() for a, b in zip(masks, halves(11, 3, 5), strict=True))
    assert any((a != b).any() for a, b in zip(masks, halves(11, 3, 6), strict=True))


def test_strata_number_what_occurs() -> None:
    got = strata_of(np.array([1, 0, 1, 0]), np.array([3, 3, 3, 4]))
    assert got.tolist() == [2, 0, 2, 1]


def test_ranks_by_hand_ties_and_failures_count_against() -> None:
    shares = np.array([[0.3, 0.1], [0.3, np.nan], [0.1, 0.2]])
    # task 1: tied 2, 2, then 3; task 2: 2, 3, 1
    assert mean_ranks(shares).tolist() == [2.0, 2.5, 2.0]


def test_every_draw_has_as_many_customers() -> None:
    found = np.vstack(list(draws(30, 250, 1)))
    assert found.shape == (250, 30)
    assert (found.sum(axis=1) == 30).all()


def test_drawn_sums_are_paired() -> None:
    a = np.arange(20.0)
    sums = drawn_sums({"a": a, "b": 2 * a}, 150, 3)
    assert sums["b"] == pytest.approx(2 * sums["a"])
    assert np.ptp(sums["a"]) > 0


def test_an_interval_covers_the_mean_as_often_as_it_says() -> None:
    """Of 200 samples of a known mean about 95 % of the intervals hold it (binomial, 3 sigma)."""
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        sample = random.normal(5, 2, 80)
        sums = drawn_sums({"x": sample}, 300, seed)["x"] / 80
        found = interval(float(sample.mean()), sums)
        hits += found.low <= 5 <= found.high
    assert 0.89 <= hits / 200 <= 0.99
