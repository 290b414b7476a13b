"""Figures of order agree with their definitions, also for draws with repeated customers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from shoal.evaluation.bootstrap import draws
from shoal.evaluation.ranking import auroc, mid_ranks, spearman


def made(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    scores = random.integers(0, 9, n).astype(float)  # many ties
    return (scores + random.normal(0, 4, n) > 4).astype(float), scores


def test_a_draw_is_the_same_as_the_customers_repeated() -> None:
    values, scores = made()
    amounts = values * (1 + np.arange(len(values)) % 7)
    weights = next(draws(len(values), 5, 3))
    for row, counts in enumerate(weights.astype(int)):
        repeated = np.repeat(np.arange(len(values)), counts)
        assert auroc(values, scores, weights)[row] == pytest.approx(
            roc_auc_score(values[repeated], scores[repeated])
        )
        assert spearman(amounts, scores, weights)[row] == pytest.approx(
            spearmanr(amounts[repeated], scores[repeated]).statistic
        )


def test_ties_have_their_mean_rank() -> None:
    _, scores = made()
    assert mid_ranks(scores, np.ones((1, len(scores))))[0] == pytest.approx(rankdata(scores))


def test_nothing_to_order_is_not_a_number() -> None:
    same = np.ones(4)
    assert np.isnan(auroc(same, np.arange(4.0))).all()
    assert np.isnan(spearman(same, np.arange(4.0))).all()
