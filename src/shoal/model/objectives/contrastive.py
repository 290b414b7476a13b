"""Slices of one customer are alike, those of different customers are not.

Babaev et al., 2022, "CoLES: Contrastive Learning for Event Sequences with Self-Supervision".
Dimensions: B slices, e = embedding_dim.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from shoal.model.behaviour import BehaviourModel, StepOutput
from shoal.model.config import ModelConfig, ObjectiveConfig
from shoal.model.objectives.base import Objective, TrainingBatch
from shoal.model.objectives.figures import numbers

#: Keeps the slope of a distance bounded where two embeddings are the same.
_NEAR: Final = 1e-3


class Contrastive(Objective):
    """Tells a slice's own customer from the others in the batch, by the embedding's traits."""

    name = "contrastive"

    def __init__(self, config: ModelConfig, settings: ObjectiveConfig) -> None:
        super().__init__()
        e, width = config.traits_dim, settings.projection
        self.settings, self.traits = settings, e
        self.project: nn.Module = nn.Identity()
        if width:
            self.project = nn.Sequential(nn.Linear(e, e), nn.GELU(), nn.Linear(e, width))

    def forward(
        self, model: BehaviourModel, batch: TrainingBatch, output: StepOutput
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss, and `nearest`: the share of slices whose nearest other is their customer's."""
        if len(output.embedding) < 2:
            return output.embedding[:0].sum().float(), numbers({"nearest": torch.zeros(())})
        traits = output.embedding[:, : self.traits]
        unit = nn.functional.normalize(self.project(traits).float(), dim=-1)
        alike = batch.customer[:, None] == batch.customer
        others = ~torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        with torch.autocast(unit.device.type, enabled=False):  # a tenth of it decides
            cosine = unit @ unit.T
        if self.settings.contrast == "supcon":
            loss = softmax_contrast(cosine, alike & others, others, self.settings.temperature)
        else:
            loss = margin_contrast(
                cosine, alike & others, ~alike, self.settings.margin, self.settings.hard_negatives
            )
        return loss, numbers({"nearest": nearest(cosine.detach(), alike, others)})


def softmax_contrast(
    cosine: Tensor, positive: Tensor, others: Tensor, temperature: float
) -> Tensor:
    """How surprising each slice's own are among all others, mean over slices that have own ones.

        L_i = - mean over p in P(i) of log( exp(c_ip / T) / sum over a != i of exp(c_ia / T) )

    L_out of Khosla et al., 2020, "Supervised Contrastive Learning"; with one positive it is InfoNCE
    (van den Oord et al., 2018).

    Args:
        cosine: (B, B) of unit vectors.
        positive, others: (B, B) bool, slices of the same customer, and all but itself.
    """
    logits = cosine / temperature
    among = torch.logsumexp(logits.masked_fill(~others, -torch.inf), dim=1, keepdim=True)
    surprise = torch.where(positive, among - logits, 0.0)
    own = positive.sum(dim=1)
    each = surprise.sum(dim=1) / own.clamp(min=1)
    return each.sum() / (own > 0).sum().clamp(min=1)


def margin_contrast(
    cosine: Tensor, positive: Tensor, negative: Tensor, margin: float, hard: int
) -> Tensor:
    """Squared distances of own slices and what others lack to the margin, mean over pairs.

        L = mean of  d_ij^2 for own,  max(0, m - d_ij)^2 for the nearest others of each slice

    Hadsell et al., 2006, with hard negatives as CoLES mines them.

    Args:
        cosine: (B, B) of unit vectors.
        positive, negative: (B, B) bool.
        hard: nearest others that count, for each slice.
    """
    squared = (2 - 2 * cosine).clamp(min=0)
    far = torch.where(negative, squared, torch.inf)
    near = far.topk(min(hard, len(far)), dim=1, largest=False).values
    counted = near.isfinite()
    distance = (torch.where(counted, near, 1.0) + _NEAR**2).sqrt()
    lacking = torch.where(counted, (margin - distance).clamp(min=0) ** 2, 0.0)
    pairs = positive.sum() + counted.sum()
    return (torch.where(positive, squared, 0.0).sum() + lacking.sum()) / pairs.clamp(min=1)


def nearest(cosine: Tensor, alike: Tensor, others: Tensor) -> Tensor:
    """The share of slices with other slices of their customer whose nearest is one of them."""
    best = cosine.masked_fill(~others, -torch.inf).argmax(dim=1)
    found = alike.gather(1, best[:, None])[:, 0]
    able = (alike & others).any(dim=1)
    return (found & able).sum() / able.sum().clamp(min=1)
