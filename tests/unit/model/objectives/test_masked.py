"""Hidden events: only those are told, and what they were is learned from what stands before."""

from __future__ import annotations

import numpy as np
import torch
from tests.unit.model import made
from tests.unit.model.objectives.batches import figures, learn, padded, told, training_batch

from shoal.model.augment import augment
from shoal.model.config import ObjectiveConfig
from shoal.model.objectives.base import TrainingBatch
from shoal.model.objectives.masked import Masked


def objective_of(model) -> Masked:
    torch.manual_seed(0)
    return Masked(model.config, made.sizes(), np.ones(made.ITEMS), ObjectiveConfig())


def test_without_hidden_events_the_loss_is_nothing() -> None:
    model = made.tiny_model()
    batch = training_batch(made.sequences())
    loss, found = objective_of(model)(model, batch, model.step(batch.events))
    loss.backward()
    assert loss.item() == 0.0
    assert set(found) == {"kind", "category1", "price_bucket", "item"}


def test_only_hidden_events_count_and_padding_changes_nothing() -> None:
    model = made.tiny_model()
    objective = objective_of(model)
    batch = augment(training_batch(made.sequences()), {"mask": 0.4}, np.random.default_rng(0))
    first = figures(objective, model, batch)
    for name, values in batch.own.items():
        batch.own[name] = values * batch.masked
    assert figures(objective, model, batch) == first
    again = figures(objective, model, padded(batch, 5))
    assert all(abs(again[name] - first[name]) < 1e-5 for name in first)
    batch.own["kind"] = batch.own["kind"] % 3 + 1
    assert figures(objective, model, batch)["kind"] != first["kind"]


def faithful(seed: int) -> TrainingBatch:
    """Customers who each keep to one category and one kind; a third of their events is hidden."""
    rng = np.random.default_rng(seed)
    n, length = 16, 12
    category = np.repeat(rng.integers(0, made.CATEGORIES, n), length)
    kind = np.repeat(rng.integers(1, 5, n), length)
    us = made.START_US + np.cumsum(rng.integers(1, made.DAY_US, (n, length)), axis=1)
    sequences = told([length] * n, us=us.ravel(), category1=1 + category, kind=kind)
    return augment(training_batch(sequences), {"mask": 0.33}, rng)


def test_a_constant_category_is_told_of_hidden_events() -> None:
    model = made.tiny_model()
    objective = objective_of(model)
    unseen = faithful(1_000)
    before = figures(objective, model, unseen)
    learn(objective, model, faithful, steps=80)
    after = figures(objective, model, unseen)
    # the first events of a slice, with nothing before them, cannot be told
    assert before["category1"] > 1.5
    assert after["category1"] < 0.5
    assert after["kind"] < 0.5
