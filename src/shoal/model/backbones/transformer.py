"""Causal transformer: every layer looks back on the last `context` events of a customer.

Attention is biased by real time, which is all it knows of order beside a bias by the number of
events between (as in T5: Raffel et al., 2020). What was read is kept as keys and values, so that
events may come one at a time; the carry of a customer is 2 x layers x (context - 1) x d numbers.
Dimensions: B rows, T = L + 1 places, C = context, d = d_model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shoal.model.backbones.attention import TransformerLayer, Window
from shoal.model.backbones.base import Backbone, Carry, pushed, stepped
from shoal.model.config import ModelConfig


class Transformer(Backbone):
    """Layers of attention on the past and a gated feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList([TransformerLayer(config) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.d_model)

    def initial(self, batch: int, device: torch.device | str = "cpu") -> Carry:
        c = self.config
        ring = torch.zeros(batch, c.layers, c.context - 1, 2 * c.d_model, device=device)
        ring_us = torch.zeros(batch, c.context - 1, dtype=torch.int64, device=device)
        return {**super().initial(batch, device), "ring": ring, "ring_us": ring_us}

    def forward(self, x: Tensor, us: Tensor, lengths: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        size = self.config.context - 1
        past = _filled(carry["count"], size)
        slots = torch.arange(past + us.shape[1], device=us.device)
        # padding is nowhere told apart: no event and no NOW stands behind it
        told = slots >= past - carry["count"][:, None].clamp(max=past)
        times = torch.cat([carry["ring_us"][:, size - past :], us], dim=1)
        window = Window(times, told, past, self.config.context, both=False)
        rings = []
        for layer, ring in zip(self.layers, carry["ring"].unbind(1), strict=True):
            x, new = layer(x, ring[:, size - past :], window)
            rings.append(pushed(ring, new[:, :-1], lengths))
        after = stepped(us, lengths, carry) | {
            "ring": torch.stack(rings, dim=1),
            "ring_us": pushed(carry["ring_us"], us[:, :-1], lengths),
        }
        return self.norm(x), after


def _filled(count: Tensor, size: int) -> int:
    """Slots of rings of `size` that hold an event in any row; all of them in an exported model."""
    if torch.compiler.is_exporting() or not len(count):
        return size
    return min(size, int(count.max()))
