"""What a model is trained to tell; each objective is a module of its own with its own heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from shoal.domain.sequence import Array
from shoal.model.behaviour import BehaviourModel, StepOutput
from shoal.model.config import OBJECTIVES, ModelConfig, ObjectiveConfig
from shoal.model.objectives.base import Objective, TrainingBatch
from shoal.model.objectives.contrastive import Contrastive
from shoal.model.objectives.figures import numbers
from shoal.model.objectives.horizon import Horizon
from shoal.model.objectives.masked import Masked
from shoal.model.objectives.next_event import NextEvent
from shoal.model.objectives.order import Order


def make(
    weights: Mapping[str, float],
    config: ModelConfig,
    sizes: Mapping[str, int],
    item_counts: Array,
    settings: ObjectiveConfig | None = None,
) -> nn.ModuleDict:
    """The objectives that have a weight, by name, in the order of `OBJECTIVES`.

    In evaluation (`.eval()`) what is drawn at random comes from a fixed seed.

    Args:
        sizes: rows of each embedding table (`Tokenizer.sizes`).
        item_counts: (n,) events with each known item (`Tokenizer.items.counts`).

    Raises:
        ValueError: a name that is no objective.
    """
    unknown = set(weights) - set(OBJECTIVES)
    if unknown:
        raise ValueError(f"no objective is called {min(unknown)!r}")
    settings = settings or ObjectiveConfig()
    makers: Mapping[str, Callable[[], Objective]] = {
        "contrastive": lambda: Contrastive(config, settings),
        "next_event": lambda: NextEvent(config, sizes, item_counts, settings),
        "horizon": lambda: Horizon(config, sizes, settings),
        "masked": lambda: Masked(config, sizes, item_counts, settings),
        "order": lambda: Order(config),
    }
    return nn.ModuleDict({name: makers[name]() for name in OBJECTIVES if weights.get(name)})


def total(
    objectives: nn.ModuleDict,
    weights: Mapping[str, float],
    model: BehaviourModel,
    batch: TrainingBatch,
    output: StepOutput,
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of the losses, and `loss`, each objective's own and `objective.figure`."""
    losses: dict[str, Tensor] = {}
    details: dict[str, float] = {}
    for name, objective in objectives.items():
        losses[name], parts = objective(model, batch, output)
        details |= {f"{name}.{part}": value for part, value in parts.items()}
    whole = output.embedding[:0].sum().float()
    for name, one in losses.items():
        whole = whole + weights[name] * one
    return whole, numbers({"loss": whole, **losses}) | details


__all__ = ["Objective", "TrainingBatch", "make", "total"]
