"""Deviances against hand-computed cases and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    d2_log_loss_score,
    d2_tweedie_score,
    log_loss,
    mean_poisson_deviance,
    mean_tweedie_deviance,
)

from shoal.evaluation.deviance import (
    first_period,
    from_hazards,
    mix_deviance,
    poisson_deviance,
    share_explained,
    tweedie_deviance,
)

RANDOM = np.random.default_rng(7)
COUNTS = RANDOM.poisson(RANDOM.gamma(0.7, 2, 400)).astype(float)[:, None]
MEANS = RANDOM.gamma(2, 0.7, 400)[:, None] + 0.01
MONEY = COUNTS * RANDOM.lognormal(2, 1, (400, 1))


def test_poisson_by_hand() -> None:
    got = poisson_deviance(np.array([[0.0], [3.0]]), np.array([[2.0], [1.5]]))
    assert got == pytest.approx([4.0, 2 * (3 * np.log(2) - 1.5)])


def test_poisson_is_that_of_scikit_learn() -> None:
    expected = mean_poisson_deviance(COUNTS[:, 0], MEANS[:, 0])
    assert poisson_deviance(COUNTS, MEANS).mean() == pytest.approx(expected)


def test_tweedie_by_hand() -> None:
    # power 1.5: 2 (-4 sqrt(y) + 2 y / sqrt(mu) + 2 sqrt(mu)); y = 4, mu = 1: 2 (-8 + 8 + 2)
    got = tweedie_deviance(np.array([[4.0], [0.0]]), np.array([[1.0], [9.0]]))
    assert got == pytest.approx([4.0, 12.0])


@pytest.mark.parametrize("power", [1.1, 1.5, 1.9])
def test_tweedie_is_that_of_scikit_learn(power: float) -> None:
    expected = mean_tweedie_deviance(MONEY[:, 0], MEANS[:, 0], power=power)
    assert tweedie_deviance(MONEY, MEANS, power).mean() == pytest.approx(expected)


def test_the_share_of_spend_does_not_depend_on_the_unit() -> None:
    shares = []
    for unit in (1.0, 100.0):
        own = tweedie_deviance(MONEY * unit, MEANS * unit)
        base = tweedie_deviance(MONEY * unit, np.full_like(MONEY, MONEY.mean() * unit))
        shares.append(share_explained(own, base))
    assert shares[0] == pytest.approx(shares[1])
    expected = d2_tweedie_score(MONEY[:, 0], MEANS[:, 0], power=1.5)
    assert shares[0] == pytest.approx(expected)


def test_impossible_tweedie_is_told() -> None:
    with pytest.raises(ValueError, match="between 1 and 2"):
        tweedie_deviance(MONEY, MEANS, 2.0)
    with pytest.raises(ValueError, match="negative"):
        tweedie_deviance(-MONEY - 1, MEANS)


def test_mix_by_hand() -> None:
    got = mix_deviance(np.array([[0.25, 0.75]]), np.array([[0.5, 0.5]]))
    assert got == pytest.approx([2 * (0.25 * np.log(0.5) + 0.75 * np.log(1.5))])


def test_one_class_each_is_twice_the_log_loss_of_scikit_learn() -> None:
    chances = RANDOM.dirichlet([2, 1, 3], 400)
    classes = RANDOM.integers(3, size=400)
    one_hot = np.eye(3)[classes]
    own = mix_deviance(one_hot, chances)
    assert own.mean() == pytest.approx(2 * log_loss(classes, chances, labels=[0, 1, 2]))
    base = mix_deviance(one_hot, np.tile(one_hot.mean(axis=0), (400, 1)))
    expected = d2_log_loss_score(classes, chances, labels=[0, 1, 2])
    assert share_explained(own, base) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("deviance", "values"),
    [(poisson_deviance, COUNTS), (tweedie_deviance, MONEY), (mix_deviance, COUNTS > 0)],
)
def test_no_forecast_is_better_than_the_mean(deviance, values) -> None:  # type: ignore[no-untyped-def]
    values = np.column_stack([values, 1 - values]) if deviance is mix_deviance else values
    values = np.asarray(values, np.float64)
    mean = values.mean(axis=0, keepdims=True)
    least = deviance(values, np.repeat(mean, len(values), axis=0)).sum()
    for factor in (0.8, 0.95, 1.05, 1.2):
        other = mean * factor
        if values.shape[1] > 1:
            other = np.column_stack([other[:, 0], 1 - other[:, 0]])
        assert deviance(values, np.repeat(other, len(values), axis=0)).sum() > least


def test_first_period_has_half_open_periods_and_one_for_none() -> None:
    days = np.array([0.0, 6.99, 7.0, 13.9, 14.0, 99.0, np.nan])
    assert first_period(days, [0, 7, 14]).argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert (first_period(days, [0, 7, 14]).sum(axis=1) == 1).all()


def test_hazards_give_chances_by_hand() -> None:
    got = from_hazards(np.array([[0.1, 0.2, 0.5]]))
    assert got[0] == pytest.approx([0.1, 0.9 * 0.2, 0.9 * 0.8 * 0.5, 0.9 * 0.8 * 0.5])


def test_hazards_of_a_sample_give_its_frequencies() -> None:
    """The Kaplan-Meier estimate without early censoring is the share of each period."""
    classes = first_period(RANDOM.exponential(12, 300), [0, 7, 14, 21])
    counts = classes.sum(axis=0)
    at_risk = counts[::-1].cumsum()[::-1][:-1]
    chances = from_hazards((counts[:-1] / at_risk)[None, :])
    assert chances[0] == pytest.approx(counts / 300)


def test_nothing_to_explain_is_undefined() -> None:
    assert np.isnan(share_explained(np.zeros(3), np.zeros(3)))
