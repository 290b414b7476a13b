"""Bidirectional transformer (as BERT: Devlin et al., 2019): every event sees those after it too.

For batches only: an event that comes changes the hidden states of those before, so there is no
state to carry on. Whoever embeds with it gives a customer's last events whole. An embedding at NOW
rests on events before it, as with every backbone.
Dimensions: B rows, T = L + 1 places, d = d_model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shoal.model.backbones.attention import TransformerLayer, Window
from shoal.model.backbones.base import Backbone, Carry, stepped
from shoal.model.config import ModelConfig


class Bidirectional(Backbone):
    """Layers of attention both ways, `context` events far, and a gated feed-forward."""

    streams = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        layers = [TransformerLayer(config, both=True) for _ in range(config.layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor, us: Tensor, lengths: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        told = torch.arange(us.shape[1], device=us.device) <= lengths[:, None]
        window = Window(us, told, 0, self.config.context, both=True)
        nothing = x.new_zeros(len(x), 0, 2 * x.shape[-1])
        for layer in self.layers:
            x, _ = layer(x, nothing, window)
        return self.norm(x), stepped(us, lengths, carry)
