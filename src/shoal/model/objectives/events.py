"""Telling what an event is from a hidden state, for events that come next and for hidden ones.

Dimensions: M events, d = d_model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from shoal.domain.kinds import KINDS
from shoal.domain.sequence import Array
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import ModelConfig, ObjectiveConfig
from shoal.model.objectives.figures import joined
from shoal.model.objectives.items import ItemSoftmax
from shoal.model.objectives.places import choose

#: Bounds in seconds of the classes of a time gap: below one, then evenly in logs to a year.
GAP_EDGES_S: Final = tuple(float(one) for one in torch.logspace(0, math.log10(365 * 86_400.0), 24))
#: Scores a step computes at most, classes times events; shops with very many categories are told
#: fewer events.
_MOST_SCORES: Final = 2**21


class EventHeads(nn.Module):
    """Kind, category, class of price, item and, where asked for, time gap of an event.

    Each part's loss is a cross-entropy, divided by what a guess among its classes would lose, so
    that all are about 1 at the start and none drowns the others.

    Args:
        sizes: rows of each embedding table (`Tokenizer.sizes`).
        counts: (n,) events with each known item.
        gap: whether there is a time gap to tell, as one of the classes of `GAP_EDGES_S`.
    """

    edges: Tensor

    def __init__(
        self,
        config: ModelConfig,
        sizes: Mapping[str, int],
        counts: Array,
        settings: ObjectiveConfig,
        *,
        gap: bool,
    ) -> None:
        super().__init__()
        classes = {
            "kind": len(KINDS),
            "category1": sizes["category1"] - 1,
            "price_bucket": sizes["price_bucket"] - 1,
            "gap": len(GAP_EDGES_S) + 1 if gap else 0,
        }
        self.classes = {name: many for name, many in classes.items() if many > 0}
        self.scores = nn.Linear(config.d_model, sum(self.classes.values()))
        self.items = ItemSoftmax(config.d_model, counts, settings)
        self.register_buffer("edges", torch.tensor(GAP_EDGES_S), persistent=False)

    def forward(
        self,
        model: BehaviourModel,
        hidden: Tensor,
        where: Tensor,
        told: Mapping[str, Tensor],
        customer: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean of the parts' losses, and each part's in nats.

        Args:
            hidden: (B, L, d).
            where: (B, L) bool, which of them tell an event.
            told: (B, L) `kind`, `category1`, `price_bucket`, `item`, 0 for unknown, and `gap_s`.
            customer: (B,) whose slices they are.
        """
        most = max(_MOST_SCORES // self.scores.out_features, 1)
        places = choose(where, most, training=self.training)
        states = hidden.flatten(0, 1)[places]
        events = {name: values.flatten()[places] for name, values in told.items()}
        scores = self.scores(states).float().split(list(self.classes.values()), dim=-1)
        parts: dict[str, tuple[Tensor, Tensor]] = {}
        for name, logits in zip(self.classes, scores, strict=True):
            parts[name] = _surprise(logits, self._class(name, events))
        owner = customer[places // hidden.shape[1]]
        parts["item"] = self.items(model, states, events["item"], owner)
        guess = {name: _guess(many) for name, many in self.classes.items()}
        guess["item"] = _guess(self.items.known)
        loss = joined({name: (one / guess[name], n) for name, (one, n) in parts.items()})
        return loss, {name: one for name, (one, _) in parts.items()}

    def _class(self, name: str, events: Mapping[str, Tensor]) -> Tensor:
        """(M,) classes from 0, -1 for unknown."""
        if name == "gap":
            return torch.bucketize(events["gap_s"], self.edges, right=True)
        return events[name] - 1


def _guess(classes: int) -> float:
    """Nats that an even guess among classes loses."""
    return math.log(max(classes, 2))


def _surprise(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over known targets (0 without any), and how many they are."""
    count = (target >= 0).sum()
    whole = nn.functional.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
    return whole / count.clamp(min=1), count
