"""Effective rank, cosines and collapse of embeddings whose form is known."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.evaluation.shape import effective_rank, mean_cosine, shape_of


def test_a_ball_uses_all_dimensions_and_a_line_one() -> None:
    random = np.random.default_rng(0)
    ball = random.normal(size=(4000, 8))
    line = np.outer(random.normal(size=500), random.normal(size=8))
    assert effective_rank(ball) == pytest.approx(8, abs=0.05)
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)
    assert effective_rank(ball[:, :1] * 0 + np.arange(3.0)) == 0.0


def test_it_is_the_entropy_of_the_singular_values() -> None:
    Z = np.random.default_rng(2).normal(size=(50, 5)) * [5, 3, 1, 0.5, 0.1]
    values = np.linalg.svd(Z - Z.mean(axis=0), compute_uv=False)
    p = values / values.sum()
    assert effective_rank(Z) == pytest.approx(np.exp(-(p * np.log(p)).sum()))


def test_the_mean_is_no_direction_that_tells_customers_apart() -> None:
    ball = np.random.default_rng(0).normal(size=(300, 4))
    assert effective_rank(ball + 1000) == pytest.approx(effective_rank(ball), rel=1e-3)


def test_rounding_of_single_precision_is_not_taken_for_directions() -> None:
    random = np.random.default_rng(0)
    line = np.outer(random.normal(size=500), random.normal(size=64)).astype(np.float32)
    assert effective_rank(line.astype(np.float64)) < 1.01


def test_mean_cosine_is_that_of_all_pairs() -> None:
    Z = np.random.default_rng(3).normal(size=(20, 3)) + 1
    unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(20) for j in range(20) if i != j]
    assert mean_cosine(Z) == pytest.approx(np.mean(pairs))


def test_collapse_is_said() -> None:
    random = np.random.default_rng(0)
    ball = random.normal(size=(1000, 16))
    flat = ball * np.r_[np.ones(2), np.full(14, 1e-3)]
    assert not shape_of(ball).collapsed
    found = shape_of(flat)
    assert found.collapsed
    assert found.as_document()["collapsed"] is True
    assert found.needed == 4
    assert 0.4 < found.first_share < 0.6


def test_few_customers_are_not_called_collapsed_for_being_few() -> None:
    few = np.random.default_rng(0).normal(size=(6, 64))
    assert shape_of(few).needed == 1.25
    assert not shape_of(few).collapsed


def test_one_point_has_no_shape() -> None:
    found = shape_of(np.ones((5, 4)))
    assert (found.effective_rank, found.mean_cosine, found.first_share) == (0, 1, 1)
    assert found.collapsed
    with pytest.raises(ValueError, match="1 customers"):
        shape_of(np.ones((1, 4)))
