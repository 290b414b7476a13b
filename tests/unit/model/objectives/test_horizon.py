"""The coming weeks: losses by hand, shares of the usual, and that customers' rates are learned."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model import made
from tests.unit.model.objectives.batches import figures, learn, no_future, told, training_batch

from shoal.domain.kinds import KINDS, PURCHASE, VIEW
from shoal.model.config import HORIZON_DAYS, ObjectiveConfig
from shoal.model.objectives.base import TrainingBatch
from shoal.model.objectives.horizon import Horizon, happened, lost, mixed

K = len(KINDS)
CODES = 1 + KINDS.index(VIEW), 1 + KINDS.index(PURCHASE)


def objective_of(model, **settings: int) -> Horizon:
    torch.manual_seed(0)
    return Horizon(model.config, made.sizes(), ObjectiveConfig(**settings))


def test_what_happened_is_kinds_days_any_and_spend() -> None:
    future = no_future(1, 7)
    future["kinds"][0, 1, CODES[0]] = 4
    future["days"][0, 1] = 2
    future["spend"][0, 1] = 0.7
    found = happened(future)
    assert found.shape == (1, len(HORIZON_DAYS), K + 3)
    assert found[0, 0].tolist() == [0.0] * (K + 3)
    assert found[0, 1, KINDS.index(VIEW)] == 4
    assert found[0, 1, K:].tolist() == pytest.approx([2, 1, 0.7])


def test_losses_are_the_formulas_by_hand() -> None:
    usual = torch.zeros(1, K + 3)
    usual[0, 0], usual[0, K + 1], usual[0, K + 2] = 2.0, 0.25, 1.0
    amounts = torch.zeros(1, 1, K + 3)
    amounts[0, 0, 0], amounts[0, 0, K + 1], amounts[0, 0, K + 2] = 5.0, 1.0, 0.4
    scores = torch.zeros(1, 1, K + 3)
    scores[0, 0, 0], scores[0, 0, K + 1], scores[0, 0, K + 2] = 0.3, 0.3, 0.3
    found = lost(scores, amounts, usual)[0, 0]
    bounded = 8 * math.tanh(0.3 / 8)
    rate = (2 + 1e-4) * math.exp(bounded)
    assert found[0].item() == pytest.approx(5 * math.log(5 / rate) - 5 + rate, rel=1e-5)
    odds = math.log(0.25 / 0.75) + bounded
    assert found[K + 1].item() == pytest.approx(math.log1p(math.exp(-odds)), rel=1e-5)
    assert found[K + 2].item() == pytest.approx((1 + bounded - 0.4) ** 2, rel=1e-5)


def test_the_mix_is_a_cross_entropy_each_customer_weighing_the_same() -> None:
    counts = torch.tensor([[[1.0, 0.0]], [[0.0, 300.0]], [[0.0, 0.0]], [[5.0, 5.0]]])
    scores = torch.tensor([[1.0, 0.0], [1.0, 0.0], [9.0, 9.0], [0.0, 0.0]])
    known = torch.tensor([[True], [True], [True], [False]])
    nats, count = mixed(scores, counts, known)
    first = math.log(1 + math.exp(-1))
    assert int(count) == 2
    assert nats.item() == pytest.approx((first + first + 1) / 2, rel=1e-5)


def test_unknown_horizons_tell_nothing() -> None:
    model = made.tiny_model()
    objective = objective_of(model)
    batch = training_batch(made.sequences(customers=6))
    loss, found = objective(model, batch, model.step(batch.events))
    loss.backward()
    assert loss.item() == 0.0
    assert set(found) == {"kinds", "days", "active", "spend", "categories"}
    assert not objective.usual.steps.any()


def test_targets_of_unknown_horizons_change_nothing() -> None:
    model = made.tiny_model()
    objective = objective_of(model)
    batch = habits(0)
    batch = replace(batch, known=batch.known & torch.tensor([True, True, False]))
    first = figures(objective, model, batch)
    for values in batch.future.values():
        values[:, 2] = 77.0
    assert figures(objective, model, batch) == first


def test_telling_everyone_the_usual_is_a_share_of_one() -> None:
    model = made.tiny_model()
    objective = objective_of(model)
    batch = habits(1)
    torch.nn.init.zeros_(objective.head.weight)
    torch.nn.init.zeros_(objective.head.bias)
    found = figures(objective, model, batch)
    assert found["days"] == pytest.approx(1.0, abs=1e-4)
    assert found["active"] == pytest.approx(1.0, abs=1e-4)
    assert found["spend"] == pytest.approx(1.0, abs=1e-4)
    assert found["kinds"] == pytest.approx(1.0, abs=1e-4)
    assert found["categories"] == pytest.approx(math.log(made.sizes()["category1"] - 1), abs=1e-4)


@pytest.mark.parametrize("most", [0.0, 1.0, 1e6])
def test_it_is_finite_whatever_comes(most: float) -> None:
    model = made.tiny_model().train()
    objective = objective_of(model)
    batch = habits(2)
    for name, values in batch.future.items():
        values[:] = most if name != "spend" else math.log1p(most)
    for _ in range(3):
        loss, _ = objective(model, batch, model.step(batch.events))
        loss.backward()
        assert loss.isfinite()
        assert float(loss.detach()) < 1e3
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)


def habits(seed: int) -> TrainingBatch:
    """Half of the customers come every few hours and buy, half every few days and only look."""
    rng = np.random.default_rng(seed)
    n, length = 32, 8
    often = rng.random(n) < 0.5
    gap = np.where(often, 5 * made.HOUR_US, 4 * made.DAY_US)[:, None]
    us = made.START_US + np.cumsum(gap * rng.gamma(2.0, 0.5, (n, length)), axis=1)
    batch = training_batch(told([length] * n, us=us.ravel()))
    rate = np.where(often, 2.0, 0.05)[:, None] * np.array(HORIZON_DAYS)
    counts = rng.poisson(rate)
    future = no_future(n, made.sizes()["category1"])
    future["kinds"][:, :, CODES[0]] = torch.from_numpy(counts).float()
    future["kinds"][:, :, CODES[1]] = torch.from_numpy(counts * often[:, None] // 3).float()
    future["days"][:] = torch.from_numpy(np.minimum(counts, HORIZON_DAYS)).float()
    future["spend"][:] = torch.from_numpy(np.log1p(counts * often[:, None] / 3)).float()
    category = torch.from_numpy(np.where(often, 1, 2))
    future["categories"][torch.arange(n), :, category] = torch.from_numpy(counts).float()
    return replace(batch, future=future, known=torch.ones(n, len(HORIZON_DAYS), dtype=torch.bool))


@pytest.mark.parametrize("width", [0, 8], ids=["linear", "with hidden units"])
def test_rates_of_customers_are_learned(width: int) -> None:
    model = made.tiny_model()
    objective = objective_of(model, horizon_width=width)
    unseen = habits(1_000)
    before = figures(objective, model, unseen)
    learn(objective, model, habits, steps=60)
    after = figures(objective, model, unseen)
    assert all(before[name] > 0.9 for name in ("kinds", "days", "active", "spend"))
    # what the customers' two rates leave to chance is some tenth of the usual loss
    for name in ("kinds", "days", "spend"):
        assert after[name] < 0.4, name
    assert after["active"] < 0.8
    assert after["categories"] < 0.3
