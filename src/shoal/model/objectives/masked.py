"""What the hidden events were, from what stands around them (before them, for causal backbones).

Devlin et al., 2019, "BERT"; for items: Sun et al., 2019, "BERT4Rec".
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from shoal.domain.sequence import Array
from shoal.model.behaviour import BehaviourModel, StepOutput
from shoal.model.config import ModelConfig, ObjectiveConfig
from shoal.model.objectives.base import Objective, TrainingBatch
from shoal.model.objectives.events import EventHeads
from shoal.model.objectives.figures import numbers


class Masked(Objective):
    """Tells kind, category, class of price and item of events that were hidden."""

    name = "masked"

    def __init__(
        self,
        config: ModelConfig,
        sizes: Mapping[str, int],
        counts: Array,
        settings: ObjectiveConfig,
    ) -> None:
        super().__init__()
        self.heads = EventHeads(config, sizes, counts, settings, gap=False)

    def forward(
        self, model: BehaviourModel, batch: TrainingBatch, output: StepOutput
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss, and each part's in nats an event."""
        where = batch.masked & batch.events.valid
        loss, parts = self.heads(model, output.hidden, where, batch.own, batch.customer)
        return loss, numbers(parts)
