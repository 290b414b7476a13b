"""The recurrent network of the neural peers: an event's embeddings side by side, then a GRU.

The event encoder is that of the CoLES paper: codes are embedded, numbers pass a batch
normalisation, both are joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

#: Units of the state, width of an embedding at most. Found on seeds 1 and 2 (see the notes of the
#: bench): the authors' 800 to 1024 units are for a GPU and hours.
UNITS, WIDEST = 128, 16


class EventGru(nn.Module):
    """Events -> the state after the last of them."""

    def __init__(self, sizes: Sequence[int], numbers: int, units: int = UNITS) -> None:
        super().__init__()
        widths = [min(WIDEST, (size + 1) // 2) for size in sizes]
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width, padding_idx=0)
            for size, width in zip(sizes, widths, strict=True)
        )
        self.scale = nn.BatchNorm1d(numbers)
        self.gru = nn.GRU(sum(widths) + numbers, units, batch_first=True)
        self.units = units

    def forward(
        self, codes: torch.Tensor, numbers: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """(B, units) of codes (B, L, c), numbers (B, L, m) and lengths (B,), each at least 1."""
        there = torch.arange(codes.shape[1])[None] < lengths[:, None]
        scaled = torch.zeros_like(numbers)
        scaled[there] = self.scale(numbers[there])
        told = [one(codes[..., place]) for place, one in enumerate(self.embeddings)]
        joined = torch.cat([*told, scaled], dim=-1)
        packed = pack_padded_sequence(joined, lengths, batch_first=True, enforce_sorted=False)
        return self.gru(packed)[1][0]
