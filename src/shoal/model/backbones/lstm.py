"""Stack of LSTM units (Hochreiter and Schmidhuber, 1997); see `gru` for how time enters."""

from __future__ import annotations

from torch import nn

from shoal.model.backbones.gru import Recurrent
from shoal.model.config import ModelConfig


class LSTM(Recurrent):
    """Long short-term memory: both its state and its cells fade before the moment asked about."""

    names = ("state", "cell")

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, nn.LSTM)
