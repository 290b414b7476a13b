"""Stacks of recurrent units as PyTorch has them: GRU, and what it shares with the LSTM.

Time between events enters through their encodings, which tell the gap: a decay of the state before
every event would take a loop over events. Before the moment asked about the state does fade with
the real time since the last event, channel by channel, so that silence ages a customer (the decay
of GRU-D: Che et al., 2018, applied to the last gap only).
Dimensions: B rows, L events, d = d_model.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from shoal.model.backbones.base import Backbone, Carry, stepped
from shoal.model.config import ModelConfig

#: Half-lives that channels start with before the moment asked about, evenly spread in logs.
_SHORTEST_S: Final = 86_400.0
_LONGEST_S: Final = 5 * 365 * 86_400.0

States = tuple[Tensor, ...]


class Recurrent(Backbone):
    """A stack of units; `names` are the parts of its state, (B, layers, d) each in the carry."""

    names: tuple[str, ...]

    def __init__(self, config: ModelConfig, unit: type[nn.GRU] | type[nn.LSTM]) -> None:
        super().__init__(config)
        d, layers = config.d_model, config.layers
        dropout = config.dropout if layers > 1 else 0.0
        self.unit = unit(d, d, layers, batch_first=True, dropout=dropout)
        taus = torch.logspace(math.log10(_SHORTEST_S), math.log10(_LONGEST_S), d)
        self.log_tau = nn.Parameter((taus / math.log(2)).log().repeat(layers, 1))
        self.norm = nn.LayerNorm(d)

    def initial(self, batch: int, device: torch.device | str = "cpu") -> Carry:
        shape = (batch, self.config.layers, self.config.d_model)
        states = {name: torch.zeros(shape, device=device) for name in self.names}
        return {**super().initial(batch, device), **states}

    def forward(self, x: Tensor, us: Tensor, lengths: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        before = tuple(carry[name] for name in self.names)
        hidden, states = self._events(x[:, :-1], lengths, before)
        after = stepped(us, lengths, carry)
        asked_us = us.gather(1, lengths[:, None])[:, 0]
        age_s = (asked_us - after["last_us"]).clamp(min=0).float() / 1e6
        # without an event there is nothing to fade, and no last moment
        age_s = age_s * (after["count"] > 0)
        fade = torch.exp(-age_s[:, None, None] * torch.exp(-self.log_tau))
        place = lengths[:, None, None].expand(-1, 1, x.shape[-1])
        now, _ = self._run(x.gather(1, place), tuple(one * fade for one in states))
        hidden = torch.cat([hidden, torch.zeros_like(now)], dim=1).scatter(1, place, now)
        return self.norm(hidden), after | dict(zip(self.names, states, strict=True))

    def _events(self, x: Tensor, lengths: Tensor, before: States) -> tuple[Tensor, States]:
        """Hidden states (B, L, d), zeros in padding, and the states after `lengths[b]` events."""
        if not x.shape[1]:
            return x, before
        if x.shape[1] == 1:  # packing one event costs more than reading it
            hidden, after = self._run(x, before)
        else:
            some = lengths.clamp(min=1).cpu()
            packed = pack_padded_sequence(x, some, batch_first=True, enforce_sorted=False)
            read, after = self._run(packed, before)
            hidden, _ = pad_packed_sequence(read, batch_first=True, total_length=x.shape[1])
        none = (lengths == 0)[:, None, None]
        return hidden, tuple(
            torch.where(none, old, new) for old, new in zip(before, after, strict=True)
        )

    def _run(self, x: Tensor | PackedSequence, states: States) -> tuple[Any, States]:
        """What the units give of `x`, and their states after it."""
        given = tuple(one.transpose(0, 1).contiguous() for one in states)
        found, after = self.unit(x, given if len(given) > 1 else given[0])
        told = after if isinstance(after, tuple) else (after,)
        return found, tuple(one.transpose(0, 1) for one in told)


class GRU(Recurrent):
    """Gated recurrent units (Cho et al., 2014)."""

    names = ("state",)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, nn.GRU)
