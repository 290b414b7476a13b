"""One model trained in place, with a bar that shows how it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.domain.kinds import KINDS
from shoal.domain.time import to_us
from shoal.model.config import ModelConfig, TrainConfig
from shoal.workflows.progress import Progress
from shoal.workflows.train_data import TrainData

if TYPE_CHECKING:
    from shoal.model.behaviour import BehaviourModel
    from shoal.model.train import TrainingLog


@dataclass(frozen=True)
class Start:
    """What a training goes on from: weights, heads that fit, and from when on events are new."""

    weights: Mapping[str, Any]
    heads: Mapping[str, Any] | None
    since: datetime


def new_model(data: TrainData, config: ModelConfig, seed: int) -> BehaviourModel:
    """A model that has learned nothing; the same seed gives the same weights."""
    from shoal.model.behaviour import BehaviourModel
    from shoal.model.device import seeded

    tokenizer = data.tokenizer
    with seeded(seed):
        return BehaviourModel(config, tokenizer.sizes, data.items, tokenizer.text.to_document())


def fitted(
    model: BehaviourModel,
    data: TrainData,
    config: TrainConfig,
    *,
    until: datetime,
    value_event: str,
    directory: Path,
    resume: bool,
    device: str,
    progress: Progress,
    check: Callable[[], None],
    start: Start | None = None,
    label: str = "training",
) -> TrainingLog:
    """Train a model in place and show how far it is.

    Args:
        directory: of its checkpoints.
        check: asked at every step; raises where the training must stop.
    """
    from shoal.model.train import fit

    shown = _Shown(progress, label)

    def report(step: int, planned: int, figures: Mapping[str, float]) -> None:
        check()
        shown(step, planned, figures)

    try:
        return fit(
            model,
            data.sequences,
            config=config,
            sizes=data.tokenizer.sizes,
            item_counts=data.tokenizer.items.counts,
            until_us=to_us(until),
            value_kind=1 + KINDS.index(value_event),
            directory=directory,
            resume=resume,
            device=device,
            report=report,
            start=None if start is None else start.weights,
            start_heads=None if start is None else start.heads,
            from_us=None if start is None else to_us(start.since),
        )
    finally:
        progress.done()


class _Shown:
    """How far a training is, by steps or by time, as a bar with its losses and speed."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label
        self._done: float | None = None

    def __call__(self, step: int, planned: int, figures: Mapping[str, float]) -> None:
        if self._done is None:
            self._progress.start(self._label, 100.0, "%")
            self._done = 0.0
        done = 100.0 * figures["done"]
        self._progress.advance(max(done - self._done, 0.0))
        self._done = done
        told = [f"step {step:,} of {planned:,}", f"loss {figures['loss']:.3f}"]
        if "validation" in figures:
            told.append(f"on later days {figures['validation']:.3f}")
        told.append(f"{figures['events_s']:,.0f} events/s")
        self._progress.tell(", ".join(told))
