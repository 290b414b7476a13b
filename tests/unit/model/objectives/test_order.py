"""Order of slices: which pairs count, that the judge is fair, and that a trend is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tests.unit.model import made
from tests.unit.model.objectives.batches import figures, halves, learn, told, training_batch

from shoal.model.objectives.base import TrainingBatch
from shoal.model.objectives.order import Order, ordered_pairs


def test_pairs_are_of_one_customer_and_do_not_overlap() -> None:
    us = made.START_US + np.arange(8) * made.DAY_US
    sequences = told([8, 8], us=np.concatenate([us, us]))
    rows = np.array([0, 0, 0, 1, 1])
    starts, stops = np.array([0, 4, 3, 0, 5]), np.array([4, 8, 6, 4, 8])
    earlier, later = ordered_pairs(training_batch(sequences, rows, starts, stops))
    # slice 2 shares an event with slices 0 and 1
    assert list(zip(earlier.tolist(), later.tolist(), strict=True)) == [(0, 1), (3, 4)]


def test_slices_of_one_moment_and_empty_ones_have_no_order() -> None:
    sequences = told([6], us=np.full(6, made.START_US))
    rows, starts, stops = np.zeros(3, np.int64), np.array([0, 3, 6]), np.array([3, 6, 6])
    earlier, _ = ordered_pairs(training_batch(sequences, rows, starts, stops))
    assert len(earlier) == 0


def test_the_judge_is_antisymmetric() -> None:
    objective = Order(made.tiny_model().config)
    a, b = torch.randn(5, 8), torch.randn(5, 8)
    assert torch.equal(objective.score(a, b), -objective.score(b, a))
    assert torch.equal(objective.score(a, a), torch.zeros(5))


def test_without_pairs_the_loss_is_nothing() -> None:
    model = made.tiny_model()
    objective = Order(model.config)
    batch = training_batch(made.sequences(customers=4))
    loss, found = objective(model, batch, model.step(batch.events))
    loss.backward()
    assert loss.item() == 0.0
    assert found == {"accuracy": 0.0}


def rising(seed: int) -> TrainingBatch:
    """Customers whose prices rise with time, from a level of their own."""
    rng = np.random.default_rng(seed)
    n, length = 16, 12
    price = rng.uniform(0, 0.5, (n, 1)) + np.linspace(0.2, 1.2, length)
    price = price + rng.normal(0, 0.1, (n, length))
    us = made.START_US + np.cumsum(rng.integers(1, made.DAY_US, (n, length)), axis=1)
    batch = halves(told([length] * n, us=us.ravel(), price=price.ravel()))
    shuffled = torch.from_numpy(rng.permutation(2 * n))
    return replace(batch, events=batch.events.rows(shuffled), customer=batch.customer[shuffled])


def test_a_trend_tells_which_slice_came_first() -> None:
    model = made.tiny_model()
    torch.manual_seed(0)
    objective = Order(model.config)
    unseen = [rising(seed) for seed in (1_000, 1_001, 1_002)]
    before = np.mean([figures(objective, model, one)["accuracy"] for one in unseen])
    learn(objective, model, rising, steps=35)
    after = np.mean([figures(objective, model, one)["accuracy"] for one in unseen])
    assert before < 0.7
    assert after > 0.9
