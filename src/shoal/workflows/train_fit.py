"""One model trained in place, with a bar that shows how it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    start: Mapping[str, Any] | None = None,
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
            start=start,
        )
    finally:
        progress.done()


class _Shown:
    """Steps of a training as a bar with its losses and speed."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._label = label
        self._step: int | None = None

    def __call__(self, step: int, planned: int, figures: Mapping[str, float]) -> None:
        if self._step is None:
            self._progress.start(self._label, planned or None, "steps")
            self._step = 0
        self._progress.advance(max(step - self._step, 0))
        self._step = step
        self._progress.tell(", ".join(f"{name} {value:,.4g}" for name, value in figures.items()))
