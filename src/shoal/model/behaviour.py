"""The behaviour model: events of a customer in, hidden states and an embedding out.

`step` is the one forward: for training on slices, for whole histories, and for one event after the
other with the state that was carried.
Dimensions: B rows, L events, d = d_model, e = embedding_dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shoal.domain.sequence import Array
from shoal.model.backbones import Carry, make
from shoal.model.backbones.base import picked
from shoal.model.batch import EventBatch
from shoal.model.config import ModelConfig
from shoal.model.device import exact, single
from shoal.model.encoder import EventEncoder


@dataclass(frozen=True)
class StepOutput:
    """What a step gives.

    Args:
        hidden: (B, L, d) after each event, knowing it and those before.
        embedding: (B, e) of each customer at `now_us`.
        carry: the state after the last event; the moment asked about leaves nothing in it.
    """

    hidden: Tensor
    embedding: Tensor
    carry: Carry


class BehaviourModel(nn.Module):
    """Event encoder, backbone and readout.

    Args:
        config: the model's shape.
        sizes: rows of each embedding table (`Tokenizer.sizes`).
        items: arrays of the items known by id: codes, price and texts (`Tokenizer.items`).
        text: what describes the text features (`TextFeatures.to_document`).
    """

    known_price: Tensor
    known_texts: Tensor

    def __init__(
        self,
        config: ModelConfig,
        sizes: Mapping[str, int],
        items: Mapping[str, Array],
        text: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.config = config
        self.sizes = dict(sizes)
        self.encoder = EventEncoder(config, sizes, text)
        self.backbone = make(config)
        self.readout = Readout(config)
        known = len(items["price"])
        codes = {"item": np.arange(1, known + 1)} | {
            name: items[name] for name in items if name not in ("price", "texts")
        }
        for name, values in codes.items():
            self.register_buffer(f"known_{name}", torch.as_tensor(values).long(), persistent=False)
        price = torch.as_tensor(items["price"]).float()
        self.register_buffer("known_price", price, persistent=False)
        self.register_buffer("known_texts", torch.as_tensor(items["texts"]), persistent=False)
        self._codes = tuple(codes)

    @property
    def parameters_count(self) -> int:
        """Numbers that are learned."""
        return sum(one.numel() for one in self.parameters())

    def initial(self, batch: int) -> Carry:
        """The state of customers without an event."""
        return self.backbone.initial(batch, self.readout.project.weight.device)

    def step(self, batch: EventBatch, carry: Carry | None = None) -> StepOutput:
        """Read events on top of a state (None: of customers without one)."""
        before = self.initial(len(batch)) if carry is None else carry
        x, us = self.encoder(batch, before["last_us"], before["count"])
        return self.step_encoded(x, us, batch.lengths, before)

    def step_encoded(self, x: Tensor, us: Tensor, lengths: Tensor, carry: Carry) -> StepOutput:
        """The same from what the encoder gives: encodings (B, L + 1, d) and moments with NOW."""
        hidden, after = self.backbone(x, us, lengths, carry)
        with exact(hidden.device):  # embeddings are compared with one another, close ones too
            embedding = self.readout(single(picked(hidden, lengths)))
        return StepOutput(hidden[:, :-1], embedding, after)

    def forward(self, batch: EventBatch, carry: Carry | None = None) -> StepOutput:
        return self.step(batch, carry)

    def item_vectors(self, codes: Tensor | None = None) -> Tensor:
        """(n, d) vectors of items that are known by id, of id and content.

        Args:
            codes: (n,) item codes from 1 on; None takes all known items in their order.
        """
        rows = slice(None) if codes is None else codes - 1
        fields = {name: getattr(self, f"known_{name}")[rows] for name in self._codes}
        fields["price"] = self.known_price[rows]
        distinct, places = torch.unique(
            torch.cat([fields["text"], fields["text"].new_zeros(1)]), return_inverse=True
        )
        fields["text"] = places[:-1]
        found: Tensor = self.encoder.items(fields, self.known_texts[distinct])
        return found


class Readout(nn.Module):
    """From the hidden state at the moment asked about to the embedding.

    Its parts, traits and outlook (`ModelConfig.outlook_dim`), are each as long as the root of their
    width, so that a dimension has unit scale.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.project = nn.Linear(config.d_model, config.embedding_dim)
        self.widths = [one for one in (config.traits_dim, config.outlook_dim) if one]

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, e) of (B, d)."""
        parts = self.project(hidden).split(self.widths, dim=-1)
        units = [nn.functional.normalize(one, dim=-1) * one.shape[-1] ** 0.5 for one in parts]
        return torch.cat(units, dim=-1)
