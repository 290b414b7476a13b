"""The recurrent network of the neural peers: an event's embeddings side by side, then a GRU.

The event encoder is that of the CoLES paper: codes are embedded, numbers pass a batch
normalisation, both are joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

#: Width of an embedding at most.
WIDEST = 16
#: Sequences that are padded together, those of like length.
_GROUP = 32


class EventGru(nn.Module):
    """Events -> the state after the last of them; `dropout` of the events' encodings."""

    def __init__(
        self, sizes: Sequence[int], numbers: int, units: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        widths = [min(WIDEST, (size + 1) // 2) for size in sizes]
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width, padding_idx=0)
            for size, width in zip(sizes, widths, strict=True)
        )
        self.scale = nn.BatchNorm1d(numbers)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(sum(widths) + numbers, units, batch_first=True)
        self.units = units

    def forward(
        self, codes: torch.Tensor, numbers: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """(B, units) of B sequences end to end: codes (N, c), numbers (N, m), lengths (B,) >= 1."""
        told = [one(codes[:, place]) for place, one in enumerate(self.embeddings)]
        joined = self.dropout(torch.cat([*told, self.scale(numbers)], dim=1))
        starts = torch.cumsum(lengths, 0) - lengths
        order = torch.argsort(lengths, stable=True)
        states = [
            self._states(joined, starts[some], lengths[some])
            for some in order.tensor_split(max(1, len(order) // _GROUP))
        ]
        return torch.cat(states)[torch.argsort(order)]

    def _states(
        self, joined: torch.Tensor, starts: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Of some sequences about as long, padded by whatever follows: no state reads ahead."""
        # Packed sequences are slow here: each step's gradient fills an array of all steps.
        longest = int(lengths.max())
        place = (starts[:, None] + torch.arange(longest)[None]).clamp_max(len(joined) - 1)
        padded = joined.index_select(0, place.flatten()).view(len(starts), longest, -1)
        last = (lengths - 1)[:, None, None].expand(-1, 1, self.units)
        return self.gru(padded)[0].gather(1, last)[:, 0]
