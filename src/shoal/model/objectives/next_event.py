"""What follows each event: its kind, category, class of price, item, and after how long."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from shoal.domain.sequence import Array
from shoal.model.batch import EventBatch
from shoal.model.behaviour import BehaviourModel, StepOutput
from shoal.model.config import ModelConfig, ObjectiveConfig
from shoal.model.objectives.base import Objective, TrainingBatch
from shoal.model.objectives.events import EventHeads
from shoal.model.objectives.figures import numbers


class NextEvent(Objective):
    """Tells the next event from the hidden state after each one."""

    name = "next_event"

    def __init__(
        self,
        config: ModelConfig,
        sizes: Mapping[str, int],
        counts: Array,
        settings: ObjectiveConfig,
    ) -> None:
        super().__init__()
        self.heads = EventHeads(config, sizes, counts, settings, gap=True)

    def forward(
        self, model: BehaviourModel, batch: TrainingBatch, output: StepOutput
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss, and each part's in nats an event.

        A backbone that looks both ways has seen what follows all events but the last of a slice.
        """
        where = batch.events.valid & (batch.next["kind"] > 0)
        if not model.backbone.streams:
            where = where & is_last(batch.events)
        loss, parts = self.heads(model, output.hidden, where, batch.next, batch.customer)
        return loss, numbers(parts)


def is_last(events: EventBatch) -> Tensor:
    """(B, L) bool, the last event of each slice."""
    places = torch.arange(events.us.shape[1], device=events.us.device)
    return places == events.lengths[:, None] - 1
