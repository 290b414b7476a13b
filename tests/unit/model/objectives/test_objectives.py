"""All objectives together: made by weight, summed, reported, deterministic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.unit.model import made
from tests.unit.model.objectives.batches import halves

from shoal.domain.errors import UsageError
from shoal.model import objectives
from shoal.model.augment import augment
from shoal.model.config import OBJECTIVES, ObjectiveConfig, TrainConfig
from shoal.model.objectives.base import TrainingBatch

COUNTS = np.ones(made.ITEMS)
WEIGHTS = dict(zip(OBJECTIVES, (1.0, 0.5, 0.25, 2.0, 3.0), strict=True))


def make(weights: dict[str, float]) -> torch.nn.ModuleDict:
    torch.manual_seed(0)
    return objectives.make(weights, made.tiny_model().config, made.sizes(), COUNTS)


def batch() -> TrainingBatch:
    return augment(halves(made.sequences(8, 16)), {"mask": 0.2}, np.random.default_rng(0))


def test_only_objectives_with_a_weight_are_made_and_in_one_order() -> None:
    made_ = make({"order": 1.0, "masked": 0.0, "contrastive": 0.5})
    assert list(made_) == ["contrastive", "order"]
    assert list(make(WEIGHTS)) == list(OBJECTIVES)
    assert all(one.name == name for name, one in make(WEIGHTS).items())


def test_unknown_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match="no objective is called 'guess'"):
        make({"guess": 1.0})


def test_the_loss_is_the_weighted_sum_and_every_part_is_reported() -> None:
    model, told = made.tiny_model(), batch()
    together = make(WEIGHTS).eval()
    loss, figures = objectives.total(together, WEIGHTS, model, told, model.step(told.events))
    expected = sum(WEIGHTS[name] * figures[name] for name in OBJECTIVES)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert figures["loss"] == pytest.approx(expected, rel=1e-5)
    for name in ("contrastive.nearest", "next_event.item", "masked.kind", "order.accuracy",
                 "horizon.spend"):  # fmt: skip
        assert name in figures


def test_no_objectives_no_loss() -> None:
    model, told = made.tiny_model(), batch()
    loss, figures = objectives.total(make({}), {}, model, told, model.step(told.events))
    loss.backward()
    assert figures == {"loss": 0.0}


def test_every_parameter_learns_of_the_whole_loss() -> None:
    model, told = made.tiny_model().train(), batch()
    known = torch.ones_like(told.known)
    told.future["kinds"][:] = 1.0
    told.future["categories"][:] = 1.0
    told = TrainingBatch(
        told.events, told.customer, told.next, told.masked, told.own, told.future, known
    )
    together = make(WEIGHTS)
    loss, _ = objectives.total(together, WEIGHTS, model, told, model.step(told.events))
    loss.backward()
    heads = {name: p.grad for name, p in together.named_parameters()}
    assert [name for name, grad in heads.items() if grad is None or not grad.isfinite().all()] == []
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_one_seed_one_result() -> None:
    def once() -> list[float]:
        model, told, together = made.tiny_model().train(), batch(), make(WEIGHTS)
        torch.manual_seed(5)
        loss, _ = objectives.total(together, WEIGHTS, model, told, model.step(told.events))
        loss.backward()
        return [float(p.grad.sum()) for p in model.parameters() if p.grad is not None]

    assert once() == once()


def test_mixed_precision_gives_about_the_same_losses() -> None:
    model, told = made.tiny_model(), batch()
    together = make(WEIGHTS).eval()
    with torch.no_grad():
        _, exact = objectives.total(together, WEIGHTS, model, told, model.step(told.events))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, mixed = objectives.total(together, WEIGHTS, model, told, model.step(told.events))
    assert loss.dtype == torch.float32
    for name in OBJECTIVES:
        assert mixed[name] == pytest.approx(exact[name], rel=0.05, abs=0.02), name


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"contrast": "triplet"}, "no contrast is called 'triplet'"),
        ({"temperature": 0.0}, "temperature of the objectives is 0.0"),
        ({"temperature": float("nan")}, "temperature of the objectives is nan"),
        ({"item_samples": 0}, "item_samples of the objectives is 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ObjectiveConfig(**setting)  # type: ignore[arg-type]


def test_heads_and_running_means_are_kept_with_the_weights() -> None:
    together = make(WEIGHTS)
    names = set(together.state_dict())
    assert "horizon.usual.value" in names
    assert "next_event.heads.items.query.weight" in names
    assert not any("cumulative" in name or "share" in name for name in names)


def test_settings_come_from_a_document_too() -> None:
    config = TrainConfig(objective={"contrast": "margin", "margin": 0.7})  # type: ignore[arg-type]
    assert config.objective == ObjectiveConfig(contrast="margin", margin=0.7)
