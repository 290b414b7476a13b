"""A small shop with a behaviour model that learned nothing: weights as they were drawn."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import torch

from shoal.domain.time import iso, system_clock
from shoal.features.ngrams import NGrams
from shoal.features.snapshot import latest_moment
from shoal.features.tokens import Tokenizer
from shoal.model import artefact
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import ModelConfig
from shoal.shop import Shop

__all__ = ["Shop", "publish"]


def publish(shop: Shop, *, until: datetime | None = None, seed: int = 0, **config: Any) -> str:
    """Let a model of width 16 be the shop's current one; its id."""
    parts = shop._parts
    until = until or latest_moment(parts.warehouse)
    events = parts.admission.at(until).events()
    tokenizer = Tokenizer.learn(
        parts.engine, events, until=until, rules=parts.fold.rules,
        text=NGrams(buckets=500, width=8),
    )  # fmt: skip
    shape: dict[str, Any] = {
        "d_model": 16, "layers": 2, "heads": 2, "window": 4, "kv_dim": 8, "embedding_dim": 8,
        "text_dim": 4, "context": 8,
    }  # fmt: skip
    torch.manual_seed(seed)
    items = tokenizer.items
    model = BehaviourModel(
        ModelConfig(**{**shape, **config}),
        tokenizer.sizes,
        {**items.codes, "price": items.price, "texts": items.texts},
        tokenizer.text.to_document(),
    )
    document = {"trained_until": iso(until), "created_at": iso(system_clock())}
    with parts.store.lease():
        model_id = artefact.write(
            parts.registry, model, tokenizer.to_document(), tokenizer.to_arrays(), document,
            "# Untrained\n",
        )  # fmt: skip
        parts.store.set_pointer(artefact.MAIN, model_id, system_clock())
    return model_id
