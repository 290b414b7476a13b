"""Weights of a model with one vocabulary as weights of a model with another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import torch
from torch import Tensor

from shoal.domain.errors import UsageError
from shoal.domain.sequence import Array
from shoal.model.config import ModelConfig, TrainConfig
from shoal.model.objectives import make

#: What reads texts as the text features give them.
TEXT: Final = "encoder.items.text."
_PARTS: Final = ("category1", "category2", "category3", "brand", "price_bucket")
#: The embedding table of each code field.
TABLES: Final[Mapping[str, str]] = {
    "item": "encoder.items.item.weight",
    **{name: f"encoder.items.parts.{name}.weight" for name in _PARTS},
    "channel": "encoder.touch.channel.weight",
    "device": "encoder.touch.device.weight",
}


def moved(
    weights: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    rows: Mapping[str, Array],
    anew: Collection[str] = (),
) -> dict[str, Tensor]:
    """The old model's weights, laid out for the new one.

    Args:
        weights: of the old model.
        fresh: of a new model of the same shape, just made.
        rows: code field -> (rows of the new table,) the old row that each begins with.
        anew: prefixes of what is not taken over but left as in `fresh`.

    Raises:
        UsageError: `model_mismatch`, the models are of different shapes.
    """
    by_row = {TABLES[name]: torch.as_tensor(index).long() for name, index in rows.items()}
    found = {}
    for name, begins in fresh.items():
        if name.startswith(tuple(anew)):
            found[name] = begins.clone()
            continue
        had = weights.get(name)
        if had is not None and name in by_row and had.shape[1:] == begins.shape[1:]:
            had = had[by_row[name]]
        if had is None or had.shape != begins.shape:
            raise UsageError(
                "model_mismatch",
                f"the model to start from has another shape: {name} is "
                f"{'absent' if had is None else tuple(had.shape)} there and "
                f"{tuple(begins.shape)} here",
                hint="Start from it with its own recipe and backbone, or without --warm-start.",
            )
        found[name] = had.clone()
    return found


def fitting(
    heads: Mapping[str, Tensor],
    model: ModelConfig,
    train: TrainConfig,
    sizes: Mapping[str, int],
    item_counts: Array,
) -> Mapping[str, Tensor] | None:
    """Weights of objectives where they fit those of a training as they are; else None.

    The heads foretell kinds, categories and classes of price: with another number of them, or other
    objectives, they are learned anew.
    """
    made = make(train.weights, model, sizes, item_counts, train.objective).state_dict()
    same = made.keys() == heads.keys() and all(
        made[name].shape == heads[name].shape for name in made
    )
    return heads if same else None
