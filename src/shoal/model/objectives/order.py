"""Which of two slices of a customer came first.

Time only moves on, so what tells old from new is what changes in a customer. The two may not
overlap. Dimensions: B slices, P pairs, e = embedding_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shoal.model.behaviour import BehaviourModel, StepOutput
from shoal.model.config import ModelConfig
from shoal.model.objectives.base import Objective, TrainingBatch
from shoal.model.objectives.figures import numbers


class Order(Objective):
    """Tells the earlier of two slices from the later one."""

    name = "order"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        e = config.embedding_dim
        self.judge = nn.Sequential(nn.Linear(2 * e, e), nn.GELU(), nn.Linear(e, 1))

    def forward(
        self, model: BehaviourModel, batch: TrainingBatch, output: StepOutput
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss in nats a pair, and `accuracy`: the share of pairs told right."""
        earlier, later = ordered_pairs(batch)
        score = self.score(output.embedding[earlier], output.embedding[later])
        count = max(len(score), 1)
        loss = nn.functional.softplus(-score).sum() / count
        return loss, numbers({"accuracy": (score > 0).sum() / count})

    def score(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) log odds that a came before b; the other way round it is the opposite."""
        forth = self.judge(torch.cat([a, b], dim=-1))
        back = self.judge(torch.cat([b, a], dim=-1))
        found: Tensor = (forth - back)[:, 0].float()
        return found


def ordered_pairs(batch: TrainingBatch) -> tuple[Tensor, Tensor]:
    """(P,) and (P,) rows of earlier and later slices of the same customers.

    The earlier ends before the moment at which the later begins; slices without events are left
    out.
    """
    events = batch.events
    first, last = events.us[:, 0], events.us[:, -1]  # padding repeats the last moment
    alike = batch.customer[:, None] == batch.customer
    before = last[:, None] < first
    told = (events.lengths > 0)[:, None] & (events.lengths > 0)
    earlier, later = (alike & before & told).nonzero(as_tuple=True)
    return earlier, later
