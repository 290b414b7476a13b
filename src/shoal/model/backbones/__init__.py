"""Backbones by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shoal.model.backbones.base import Backbone, Carry
from shoal.model.backbones.bidirectional import Bidirectional
from shoal.model.backbones.cnn import CNN
from shoal.model.backbones.gru import GRU
from shoal.model.backbones.lstm import LSTM
from shoal.model.backbones.recurrence import Recurrence
from shoal.model.backbones.transformer import Transformer
from shoal.model.config import ModelConfig

#: Every backbone by the name that a configuration calls it.
ALL: Final[Mapping[str, type[Backbone]]] = MappingProxyType(
    {
        "recurrence": Recurrence,
        "transformer": Transformer,
        "bidirectional": Bidirectional,
        "gru": GRU,
        "lstm": LSTM,
        "cnn": CNN,
    }
)


def make(config: ModelConfig) -> Backbone:
    """The backbone that a configuration names."""
    return ALL[config.backbone](config)


__all__ = ["ALL", "Backbone", "Carry", "make"]
