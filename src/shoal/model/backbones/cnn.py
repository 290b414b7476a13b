"""Causal convolutions over events, ever further apart ("WaveNet": van den Oord et al., 2016).

A layer is a convolution of each channel over the past, a gate over channels, and a gated
feed-forward. The first kernel reads the last `window` events one by one; later ones read four
events at distances that grow fourfold, and begin again at neighbours where they would look further
back than `context`. Time enters through the encodings alone, which tell the gap before each event
and before the moment asked about.
Dimensions: B rows, T = L + 1 places, d = d_model, R = events a layer looks back on.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 (as torch names it)
from torch import Tensor, nn

from shoal.model.backbones.base import Backbone, Carry, pushed, stepped
from shoal.model.backbones.recurrence import GatedFeedForward
from shoal.model.config import ModelConfig

_KERNEL: Final = 4


class CNN(Backbone):
    """Layers of dilated causal convolutions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        layers = [ConvolutionLayer(config, *shape) for shape in kernels(config)]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(config.d_model)

    def initial(self, batch: int, device: torch.device | str = "cpu") -> Carry:
        rings = {
            f"ring{place}": torch.zeros(
                batch, (size - 1) * apart, self.config.d_model, device=device
            )
            for place, (size, apart) in enumerate(kernels(self.config))
        }
        return {**super().initial(batch, device), **rings}

    def forward(self, x: Tensor, us: Tensor, lengths: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        after = stepped(us, lengths, carry)
        for place, layer in enumerate(self.layers):
            ring = carry[f"ring{place}"]
            x, new = layer(x, ring)
            after[f"ring{place}"] = pushed(ring, new[:, :-1], lengths)
        return self.norm(x), after


class ConvolutionLayer(nn.Module):
    """One layer; residual around the convolution and the feed-forward."""

    def __init__(self, config: ModelConfig, size: int, apart: int) -> None:
        super().__init__()
        d = config.d_model
        self.norm = nn.LayerNorm(d)
        self.past = nn.Conv1d(d, d, size, dilation=apart, groups=d)
        self.gates = nn.Linear(d, 2 * d)
        self.out = nn.Linear(d, d, bias=False)
        self.feed = GatedFeedForward(d)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, d) of (B, T, d) and the inputs (B, R, d) before; and the new inputs."""
        new = self.norm(x)
        whole = torch.cat([before, new], dim=1).transpose(1, 2)
        value, gate = self.gates(self.past(whole).transpose(1, 2)).chunk(2, dim=-1)
        x = x + self.dropout(self.out(value * F.silu(gate)))
        return x + self.dropout(self.feed(x)), new


def kernels(config: ModelConfig) -> list[tuple[int, int]]:
    """The kernel of each layer: events it reads, and how far those are apart."""
    found = [(config.window, 1)]
    apart = config.window
    for _ in range(1, config.layers):
        if (_KERNEL - 1) * apart >= config.context:
            apart = 1
        found.append((_KERNEL, apart))
        apart *= _KERNEL
    return found
