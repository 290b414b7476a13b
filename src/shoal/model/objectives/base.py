"""The one face of every objective, and the batch it learns from.

Dimensions: B slices, L events, H horizons (`HORIZON_DAYS`), K kinds (`KIND_CODES`), C1 codes of the
first category level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shoal.model.batch import EventBatch

if TYPE_CHECKING:
    from shoal.model.behaviour import BehaviourModel, StepOutput


@dataclass(frozen=True)
class TrainingBatch:
    """Slices of customers' histories with what is known of them besides.

    Args:
        events: the slices, augmented and with hidden events; `now_us` is the moment asked about,
            from the last event of the slice to just before the event that follows it.
        customer: (B,) int64; slices of one customer have the same number.
        next: (B, L) what follows each event in the log, as it was told: `kind` (0: nothing that is
            known), `item`, `category1`, `price_bucket` (0: none) and `gap_s` seconds, float32.
        masked: (B, L) bool, events that were hidden.
        own: (B, L) `kind`, `item`, `category1`, `price_bucket` of the events before they were
            hidden.
        future: what came after `now_us`, within each horizon: `kinds` (B, H, K) events by kind,
            `categories` (B, H, C1) events by category, `days` (B, H) days with an event, `spend`
            (B, H) log1p of what was bought over the median price; float32.
        known: (B, H) bool, whether the horizon ends before the cut-off.
    """

    events: EventBatch
    customer: Tensor
    next: dict[str, Tensor]
    masked: Tensor
    own: dict[str, Tensor]
    future: dict[str, Tensor]
    known: Tensor

    def to(self, device: torch.device | str) -> TrainingBatch:
        """The batch on a device."""

        def moved(group: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: value.to(device) for name, value in group.items()}

        return replace(
            self,
            events=self.events.to(device),
            customer=self.customer.to(device),
            next=moved(self.next),
            masked=self.masked.to(device),
            own=moved(self.own),
            future=moved(self.future),
            known=self.known.to(device),
        )


class Objective(nn.Module):
    """Something a model is trained to tell; it may have parameters of its own (heads)."""

    name: str

    def forward(
        self, model: BehaviourModel, batch: TrainingBatch, output: StepOutput
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss, a mean over what there is to tell (0 where there is nothing), and figures."""
        raise NotImplementedError
