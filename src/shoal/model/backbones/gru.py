"""Stacks of recurrent units as PyTorch has them: GRU, and what it shares with the LSTM.

Time between events enters through their encodings, which tell the gap: a decay of the state before
every event would take a loop over events. Before the moment asked about the state does fade with
the real time since the last event, channel by channel, so that silence ages a customer (the decay
of GRU-D: Che et al., 2018, applied to the last gap only).
Dimensions: B rows, L events, d = d_model.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from shoal.model.backbones.base import Backbone, Carry, at, stepped
from shoal.model.config import ModelConfig
from shoal.model.device import exact, single

#: Half-lives that channels start with before the moment asked about, evenly spread in logs.
_SHORTEST_S: Final = 86_400.0
_LONGEST_S: Final = 5 * 365 * 86_400.0

States = tuple[Tensor, ...]


class Recurrent(Backbone):
    """A stack of units; `names` are the parts of their state, (B, layers, d) each in the carry."""

    recurrent = True
    names: tuple[str, ...]
    unit: type[nn.GRU] | type[nn.LSTM]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        d = config.d_model
        self.layers = nn.ModuleList(
            [self.unit(d, d, batch_first=True) for _ in range(config.layers)]
        )
        taus = torch.logspace(math.log10(_SHORTEST_S), math.log10(_LONGEST_S), d)
        self.log_tau = nn.Parameter((taus / math.log(2)).log().repeat(config.layers, 1))
        self.dropout = nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(d)

    def initial(self, batch: int, device: torch.device | str = "cpu") -> Carry:
        shape = (batch, self.config.layers, self.config.d_model)
        states = {name: torch.zeros(shape, device=device) for name in self.names}
        return {**super().initial(batch, device), **states}

    def forward(self, x: Tensor, us: Tensor, lengths: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        after = stepped(us, lengths, carry)
        asked_us = us.gather(1, lengths[:, None])[:, 0]
        age_s = (asked_us - after["last_us"]).float().clamp(min=0) / 1e6
        fade = torch.exp(-age_s[:, None, None] * torch.exp(-self.log_tau)).unbind(1)
        place = lengths[:, None, None].expand(-1, 1, x.shape[-1])
        events, now = single(x[:, :-1]), single(x.gather(1, place))
        found = []
        with exact(x.device):  # a state adds up hundreds of events: bfloat16 would lose late ones
            for number, layer in enumerate(self.layers):
                before = tuple(carry[name][:, number] for name in self.names)
                events, states = self.read(layer, events, lengths, before)
                now, _ = run(layer, now, tuple(one * fade[number] for one in states))
                events, now = self.dropout(events), self.dropout(now)
                found.append(states)
        for name, parts in zip(self.names, zip(*found, strict=True), strict=True):
            after[name] = torch.stack(parts, dim=1)
        hidden = nn.functional.pad(events, (0, 0, 0, 1)).scatter(1, place, now)
        return self.norm(hidden), after

    def read(
        self, layer: nn.Module, x: Tensor, lengths: Tensor, before: States
    ) -> tuple[Tensor, States]:
        """What a layer gives after each of the events (B, L, d), and its state after the last.

        Padding is read too, behind the events: faster than packing them (measured on a processor:
        2 x 128, 128 rows of 1 to 64 events, 180 ms padded and 350 ms packed, forward and back).
        """
        raise NotImplementedError


class GRU(Recurrent):
    """Gated recurrent units (Cho et al., 2014)."""

    names = ("state",)
    unit = nn.GRU

    def read(
        self, layer: nn.Module, x: Tensor, lengths: Tensor, before: States
    ) -> tuple[Tensor, States]:
        hidden, _ = run(layer, x, before)
        return hidden, (last(hidden, lengths, before[0]),)


def run(layer: nn.Module, x: Tensor, states: States) -> tuple[Tensor, States]:
    """What a unit gives for (B, L, d) from its states (B, d), and its states after all of it."""
    if not x.shape[1]:
        return x, states
    given = tuple(one[None].contiguous() for one in states)
    hidden, after = layer(x, given if len(given) > 1 else given[0])
    told = after if isinstance(after, tuple) else (after,)
    return hidden, tuple(one[0] for one in told)


def last(values: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
    """(B, d) of (B, L, d): the value after `lengths[b]` events; `before` without any."""
    return at(values, lengths, before) if values.shape[1] else before
