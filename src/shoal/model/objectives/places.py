"""Which events a loss is told on, when all would cost too much.

In evaluation the choice is the same every time, so that a validation loss depends on weights alone.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_EVALUATION_SEED: Final = 0


def generator(device: torch.device, *, training: bool) -> torch.Generator | None:
    """What random numbers come from: torch's own in training, a fixed seed in evaluation."""
    if training:
        return None
    return torch.Generator(device=device).manual_seed(_EVALUATION_SEED)


def choose(known: Tensor, most: int, *, training: bool) -> Tensor:
    """(m,) flat places where `known` (bool, any shape) holds, in order, at most `most`.

    More than that are drawn at random in training, and taken at even distances in evaluation.
    """
    places = known.flatten().nonzero()[:, 0]
    count = len(places)
    if count <= most:
        return places
    if training:
        return places[torch.randperm(count, device=places.device)[:most].sort().values]
    return places[torch.arange(most, device=places.device) * count // most]
