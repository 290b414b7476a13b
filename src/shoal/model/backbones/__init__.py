"""Backbones by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shoal.model.backbones.base import Backbone, Carry
from shoal.model.backbones.recurrence import Recurrence
from shoal.model.config import ModelConfig

#: Every backbone by the name that a configuration calls it.
ALL: Final[Mapping[str, type[Backbone]]] = MappingProxyType({"recurrence": Recurrence})


def make(config: ModelConfig) -> Backbone:
    """The backbone that a configuration names."""
    return ALL[config.backbone](config)


__all__ = ["ALL", "Backbone", "Carry", "make"]
