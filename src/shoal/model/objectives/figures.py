"""What objectives report, and means over what there is to tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

#: The weight of a step in running means, once there were enough steps for it.
_LEAST_WEIGHT: Final = 0.01


def numbers(figures: Mapping[str, Tensor]) -> dict[str, float]:
    """Figures as Python numbers, waiting for the device once."""
    if not figures:
        return {}
    values = torch.stack([one.detach().float() for one in figures.values()]).tolist()
    return dict(zip(figures, values, strict=True))


def joined(losses: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
    """The mean of the parts that have something to tell.

    Args:
        losses: part -> its loss and how much there was to tell; 0 leaves it out.
    """
    told = torch.stack([(count > 0).float() for _, count in losses.values()])
    values = torch.stack([torch.where(count > 0, loss, 0.0) for loss, count in losses.values()])
    return values.sum() / told.sum().clamp(min=1)


class RunningMean(nn.Module):
    """A mean over the steps of training, by which figures of different size are made comparable.

    Plain over the first steps, exponential later; it is stored with the weights.
    """

    value: Tensor
    steps: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(shape))
        self.register_buffer("steps", torch.zeros(shape))

    @torch.no_grad()
    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """(*shape) the mean so far; training learns from the step first.

        Cells that no step of training has told of yet have the mean of this one (0 without any).

        Args:
            values: (B, *shape).
            known: bool, of that shape or one that fits it.
        """
        known = known.expand_as(values)
        count = known.sum(dim=0)
        mean = torch.where(known, values, 0.0).sum(dim=0) / count.clamp(min=1)
        if not self.training:
            return torch.where(self.steps > 0, self.value, mean)
        weight = torch.where(count > 0, (1 / (self.steps + 1)).clamp(min=_LEAST_WEIGHT), 0.0)
        self.value += weight * (mean - self.value)
        self.steps += count > 0
        return self.value.clone()
