"""All that comes within the next weeks: how much of which kind, on how many days, in which
categories, for how much money (after Pancha et al., 2022, "PinnerFormer": foretelling a long window
rather than the next action).

Everything is told relative to what is usual: counts as rates over the mean rate, and losses as
shares of what the usual would lose. So no kind drowns the others, and rare ones do not start far
off.
Dimensions: B slices, H horizons, K kinds, C categories, e = embedding_dim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from shoal.domain.kinds import KINDS
from shoal.model.behaviour import BehaviourModel, StepOutput
from shoal.model.config import HORIZON_DAYS, ModelConfig, ObjectiveConfig
from shoal.model.objectives.base import Objective, TrainingBatch
from shoal.model.objectives.figures import RunningMean, joined, numbers

_KINDS: Final = len(KINDS)
#: Each horizon has a score for every kind, for days with an event, any event at all, and spend.
_SCORES: Final = _KINDS + 3
_COUNTS: Final = slice(0, _KINDS + 1)
_ACTIVE: Final = slice(_KINDS + 1, _KINDS + 2)
_SPEND: Final = slice(_KINDS + 2, _KINDS + 3)
_PARTS: Final = {
    "kinds": slice(0, _KINDS),
    "days": slice(_KINDS, _KINDS + 1),
    "active": _ACTIVE,
    "spend": _SPEND,
}
#: Scores are bounded: a rate is told as exp(-8) to exp(8) times the usual one.
_FAR: Final = 8.0
#: Cells whose usual loss is below this share of (1 + the usual amount) count for less: what hardly
#: ever happens, or is almost the same for everyone, tells little.
_LITTLE: Final = 0.05
#: Cells that a part's loss is divided by at least, as if so many were of full weight.
_SCANT: Final = 0.1
#: Stands for a rate or a share of 0.
_RARE: Final = 1e-4


class Horizon(Objective):
    """Tells the coming weeks from the embedding."""

    name = "horizon"

    def __init__(
        self, config: ModelConfig, sizes: Mapping[str, int], settings: ObjectiveConfig
    ) -> None:
        super().__init__()
        e, width, H = config.embedding_dim, settings.horizon_width, len(HORIZON_DAYS)
        self.categories = sizes["category1"] - 1
        scores = H * _SCORES + self.categories
        self.head: nn.Module = nn.Linear(e, scores)
        if width:
            self.head = nn.Sequential(nn.Linear(e, width), nn.GELU(), nn.Linear(width, scores))
        self.usual = RunningMean(H, _SCORES)
        self.loses = RunningMean(H, _SCORES)

    def forward(
        self, model: BehaviourModel, batch: TrainingBatch, output: StepOutput
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss, and its parts: shares of the usual loss, and nats for the categories.

        1 is as good as telling every customer the same.
        """
        scores, categories = (
            self.head(output.embedding)
            .float()
            .split([len(HORIZON_DAYS) * _SCORES, self.categories], dim=-1)
        )
        known = batch.known[..., None]
        amounts = happened(batch.future)
        usual = self.usual(amounts, known)
        loses = self.loses(lost(torch.zeros_like(amounts), amounts, usual), known)
        losses = lost(scores.view_as(amounts), amounts, usual)
        weight = known / (loses + _LITTLE * (1 + usual))
        shares = {
            name: share((weight * losses)[..., place], (weight * loses)[..., place], known.sum())
            for name, place in _PARTS.items()
        }
        parts = {name: (one, known.sum()) for name, one in shares.items()}
        told = batch.future["categories"][..., 1:]
        nats, count = mixed(categories, told, batch.known)
        parts["categories"] = (nats / math.log(max(self.categories, 2)), count)
        return joined(parts), numbers(shares | {"categories": nats})


def happened(future: Mapping[str, Tensor]) -> Tensor:
    """(B, H, S) events by kind, days with an event, whether there was any, and spend."""
    kinds, days = future["kinds"][..., 1 : _KINDS + 1], future["days"][..., None]
    return torch.cat([kinds, days, (days > 0).float(), future["spend"][..., None]], dim=-1)


def lost(scores: Tensor, amounts: Tensor, usual: Tensor) -> Tensor:
    """(B, H, S) losses of scores, which are told relative to what is usual (H, S).

    Counts: half the Poisson deviance of the rate usual * exp(score); whether there was any event:
    the cross-entropy of log odds; spend: the squared error. All are 0 at the best.
    """
    scores = _FAR * torch.tanh(scores / _FAR)
    rate = (usual + _RARE)[..., _COUNTS] * scores[..., _COUNTS].exp()
    counts = amounts[..., _COUNTS]
    deviance = torch.xlogy(counts, counts) - torch.xlogy(counts, rate) - counts + rate
    odds = torch.logit(usual[..., _ACTIVE], eps=_RARE) + scores[..., _ACTIVE]
    active = nn.functional.binary_cross_entropy_with_logits(
        odds, amounts[..., _ACTIVE], reduction="none"
    )
    spend = (usual[..., _SPEND] + scores[..., _SPEND] - amounts[..., _SPEND]) ** 2
    return torch.cat([deviance, active, spend], dim=-1)


def share(losses: Tensor, usual: Tensor, count: Tensor) -> Tensor:
    """Losses of a part over what the usual loses there, both (B, H, s) and of about equal weight.

    Args:
        count: horizons that are known.
    """
    return losses.sum() / torch.maximum(usual.sum(), _SCANT * count).clamp(min=_RARE)


def mixed(scores: Tensor, counts: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Nats of a slice's mix of categories, mean over horizons with any, and how many those were.

    Args:
        scores: (B, C); counts: (B, H, C) events by category.
        known: (B, H) bool.
    """
    whole = counts.sum(dim=-1)
    told = known & (whole > 0)
    shares = counts / whole.clamp(min=1)[..., None]
    nats = -(shares * nn.functional.log_softmax(scores, dim=-1)[:, None]).sum(dim=-1)
    count = told.sum()
    return torch.where(told, nats, 0.0).sum() / count.clamp(min=1), count
