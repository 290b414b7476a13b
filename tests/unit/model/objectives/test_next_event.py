"""The next event: parts in nats, only where something follows, and that patterns are learned."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model import made
from tests.unit.model.objectives.batches import (
    figures,
    learn,
    padded,
    told,
    training_batch,
)

from shoal.domain.kinds import KINDS, PURCHASE, VIEW
from shoal.model.config import ObjectiveConfig
from shoal.model.objectives import events
from shoal.model.objectives.base import TrainingBatch
from shoal.model.objectives.next_event import NextEvent

COUNTS = np.arange(1, made.ITEMS + 1)
PARTS = ("kind", "category1", "price_bucket", "gap", "item")


def objective_of(model, **settings) -> NextEvent:
    torch.manual_seed(0)
    return NextEvent(model.config, made.sizes(), COUNTS, ObjectiveConfig(**settings))


def test_padding_changes_nothing() -> None:
    model = made.tiny_model()
    objective = objective_of(model)
    batch = training_batch(made.sequences(customers=5, length=12))
    a, b = (figures(objective, model, one) for one in (batch, padded(batch, 7)))
    assert a == pytest.approx(b, rel=1e-5)
    assert set(a) == {"loss", *PARTS}


@pytest.mark.parametrize("samples", [4, 512], ids=["sampled", "all items"])
def test_where_nothing_follows_the_loss_is_nothing(samples: int) -> None:
    model = made.tiny_model()
    objective = objective_of(model, item_samples=samples)
    batch = training_batch(made.sequences(lengths=[1, 0, 1]))
    loss, found = objective(model, batch, model.step(batch.events))
    loss.backward()
    assert loss.item() == 0.0
    assert set(found.values()) == {0.0}


def test_the_loss_is_the_mean_of_parts_over_a_guess() -> None:
    model = made.tiny_model()
    found = figures(objective_of(model), model, training_batch(made.sequences(length=12)))
    sizes = made.sizes()
    classes = {"kind": len(KINDS), "category1": sizes["category1"] - 1, "item": made.ITEMS,
               "price_bucket": sizes["price_bucket"] - 1, "gap": 25}  # fmt: skip
    shares = [found[name] / math.log(many) for name, many in classes.items()]
    assert found["loss"] == pytest.approx(np.mean(shares), rel=1e-5)


def test_parts_that_nothing_is_told_of_do_not_dilute_the_others() -> None:
    model = made.tiny_model()
    sequences = told([5, 5], us=made.START_US + np.arange(10) * made.DAY_US)  # kinds and gaps only
    found = figures(objective_of(model), model, training_batch(sequences))
    assert found["item"] == found["category1"] == found["price_bucket"] == 0.0
    expected = (found["kind"] / math.log(len(KINDS)) + found["gap"] / math.log(25)) / 2
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_evaluation_is_a_pure_function_and_training_draws() -> None:
    model = made.tiny_model()
    objective = objective_of(model, item_samples=4, item_places=8)
    batch = training_batch(made.sequences(customers=8, length=20))
    torch.manual_seed(1)
    first = figures(objective, model, batch)
    torch.manual_seed(2)
    assert figures(objective, model, batch) == first
    objective.train()
    with torch.no_grad():
        drawn = {objective(model, batch, model.step(batch.events))[1]["item"] for _ in range(4)}
    assert len(drawn) == 4


def test_a_backbone_that_looks_both_ways_tells_only_what_follows_the_slice() -> None:
    model = made.tiny_model()
    objective = objective_of(model)
    sequences = made.sequences(customers=6, length=12)
    rows, stops = np.arange(6), sequences.lengths - (sequences.lengths > 1)
    batch = training_batch(sequences, rows, None, stops)
    model.backbone.streams = False
    found = figures(objective, model, batch)
    places = torch.arange(batch.events.us.shape[1])
    last = places == batch.events.lengths[:, None] - 1
    only = {name: values * last for name, values in batch.next.items()}
    model.backbone.streams = True
    assert figures(objective, model, replace(batch, next=only)) == found


def test_very_many_categories_are_told_of_fewer_events(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made.tiny_model()
    objective = objective_of(model)
    batch = training_batch(made.sequences(customers=8, length=20))
    whole = figures(objective, model, batch)
    classes = objective.heads.scores.out_features
    seen: list[int] = []
    objective.heads.scores.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    monkeypatch.setattr(events, "_MOST_SCORES", 10 * classes)
    some = figures(objective, model, batch)
    assert seen == [10]
    assert some["kind"] != whole["kind"]
    assert some["kind"] == pytest.approx(whole["kind"], rel=0.3)
    monkeypatch.setattr(events, "_MOST_SCORES", 1)
    assert math.isfinite(figures(objective, model, batch)["loss"])
    assert seen == [10, 1]


def patterned(seed: int) -> TrainingBatch:
    """Kinds and gaps alternate; after each item comes the one that follows it in a circle."""
    rng = np.random.default_rng(seed)
    n, length = 12, 14
    place = np.arange(length) + rng.integers(0, made.ITEMS, (n, 1))
    item = place % made.ITEMS
    pair = place % 2 == 0
    kind = np.where(pair, 1 + KINDS.index(VIEW), 1 + KINDS.index(PURCHASE))
    us = made.START_US + np.cumsum(np.where(pair, made.DAY_US, 60_000_000), axis=1)
    known = made.items()
    fields = {name: known[name][item].ravel() for name in ("category1", "price_bucket", "price")}
    return training_batch(
        told([length] * n, us=us.ravel(), kind=kind.ravel(), item=1 + item.ravel(), **fields)
    )


@pytest.mark.parametrize("samples", [6, 512], ids=["sampled", "all items"])
def test_patterns_are_learned(samples: int) -> None:
    model = made.tiny_model(d_model=32)
    objective = objective_of(model, item_samples=samples)
    exact = objective_of(model)  # measures with all items whatever the loss was trained on
    unseen = patterned(1_000)
    before = figures(objective, model, unseen)
    learn(objective, model, patterned, steps=50)
    exact.load_state_dict(objective.state_dict())
    after = figures(exact, model, unseen)
    for name in ("kind", "gap", "category1"):
        assert after[name] < 0.2, name
        assert before[name] > 1.5, name
    assert after["item"] < 0.5
    assert after["loss"] < 0.2 * before["loss"]
