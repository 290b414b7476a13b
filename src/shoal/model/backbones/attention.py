"""Attention within a sliding window of events, biased by real time: what the transformers share.

More than two windows of places are cut into blocks of at most `context` queries; the keys of a
block are its own places and those in reach of them, so a place costs the same in any history.
Dimensions: B rows, T = L + 1 places, P places before them, N blocks of S queries and K keys,
H heads, C = context.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 (as torch names it)
from torch import Tensor, nn

from shoal.model.backbones.recurrence import GatedFeedForward
from shoal.model.config import ModelConfig

#: How the time between two events is told: hours in logs, and closeness within these seconds.
_HOUR_S: Final = 3_600.0
_NEAR_S: Final = (3_600.0, 7 * 86_400.0)


class Window:
    """Which places attend to which, and how far those are apart, for all layers at once.

    A place attends to itself and to those fewer than `context` events away: before it, and after
    it too if `both`. What is not `told` is seen by nobody but itself.

    Args:
        us: (B, P + T) moments of the places before and of the batch's own.
        told: (B, P + T) bool, which are events or NOW.
        before: P.
        both: whether places look ahead as well.
    """

    def __init__(self, us: Tensor, told: Tensor, before: int, context: int, both: bool) -> None:
        places = self.places = us.shape[1] - before
        # up to two windows of places cost less as one block than cut up
        self.blocks = -(-places // context) if places > 2 * context else 1
        self.size = -(-places // self.blocks)
        self.back = before if self.blocks == 1 else context - 1
        self.ahead = context - 1 if both and self.blocks > 1 else 0
        # zeros in front and behind, so that all blocks have as many keys
        self.spare = (self.back - before, self.blocks * self.size - places + self.ahead)
        slots = torch.arange(self.back + self.size + self.ahead, device=us.device)
        times = self._cut(us)  # (B, N, K)
        there = self._cut(told)
        mine = times[:, :, self.back : self.back + self.size]
        queries = torch.arange(self.size, device=us.device)
        distance = queries[:, None] + self.back - slots  # (S, K) places from a key to the query
        least = 1 - context if both else 0
        within = (distance >= least) & (distance < context)
        self.allowed = (within & there[:, :, None]) | (distance == 0)  # (B, N, S, K)
        #: (S, K) rows of a table of distances
        self.distance = distance.clamp(least, context - 1) - least
        apart_s = (mine[..., None] - times[:, :, None]).abs().float() / 1e6
        apart_s = apart_s * self.allowed  # the times of what is not told are no times
        near = [torch.exp(-apart_s / scale) for scale in _NEAR_S]
        #: (B, N, S, K, 1 + scales)
        self.apart = torch.stack([torch.log1p(apart_s / _HOUR_S), *near], dim=-1)

    def keys(self, values: Tensor) -> Tensor:
        """(B, N, K, d) of (B, P + T, d): what each block may look at."""
        return self._cut(values.transpose(1, 2)).permute(0, 2, 3, 1)

    def _cut(self, values: Tensor) -> Tensor:
        """(..., N, K) of (..., P + T)."""
        if self.blocks == 1:
            return values.unsqueeze(-2)
        width = self.back + self.size + self.ahead
        return F.pad(values, self.spare).unfold(-1, width, self.size)

    def queries(self, values: Tensor) -> Tensor:
        """(B, N, S, ...) of (B, T, ...)."""
        padded = F.pad(values, (0, 0, 0, self.blocks * self.size - self.places))
        return padded.view(values.shape[0], self.blocks, self.size, values.shape[-1])


class TimedAttention(nn.Module):
    """Scaled-dot-product attention with a bias of each head by real time and by events between."""

    def __init__(self, config: ModelConfig, both: bool) -> None:
        super().__init__()
        d, H, C = config.d_model, config.heads, config.context
        self.heads = H
        self.norm = nn.LayerNorm(d)
        self.query = nn.Linear(d, d, bias=False)
        self.keys_values = nn.Linear(d, 2 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.by_time = nn.Linear(1 + len(_NEAR_S), H, bias=False)
        self.by_distance = nn.Parameter(torch.zeros(H, 2 * C - 1 if both else C))
        with torch.no_grad():  # heads begin between a long and a short memory
            self.by_time.weight.zero_()
            self.by_time.weight[:, 0] = -torch.logspace(-1.5, 0.0, H)

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, T, d), and keys and values (B, T, 2d) of (B, T, d)."""
        x = self.norm(x)
        return self.query(x), self.keys_values(x)

    def forward(self, queries: Tensor, keys_values: Tensor, window: Window) -> Tensor:
        """(B, T, d) of queries (B, T, d) and keys and values (B, P + T, 2d)."""
        B, T, d = queries.shape
        H = self.heads
        q = window.queries(queries).unflatten(-1, (H, d // H)).transpose(2, 3)
        k, v = window.keys(keys_values).unflatten(-1, (2, H, d // H)).transpose(2, 4).unbind(3)
        bias = self.by_time(window.apart).permute(0, 1, 4, 2, 3)  # (B, N, H, S, K)
        bias = bias + self.by_distance[:, window.distance]
        bias = bias.masked_fill(~window.allowed[:, :, None], -math.inf)
        q, k, v, bias = (one.flatten(0, 1) for one in (q, k, v, bias))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        found = found.transpose(1, 2).reshape(B, -1, d)[:, :T]
        out: Tensor = self.out(found)
        return out


class TransformerLayer(nn.Module):
    """Pre-norm attention and gated feed-forward, each with a residual."""

    def __init__(self, config: ModelConfig, both: bool = False) -> None:
        super().__init__()
        self.attention = TimedAttention(config, both)
        self.feed = GatedFeedForward(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, before: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        """(B, T, d) of (B, T, d) and keys and values (B, P, 2d) before; and the new ones."""
        queries, new = self.attention.read(x)
        seen = torch.cat([before, new], dim=1) if before.shape[1] else new
        x = x + self.dropout(self.attention(queries, seen, window))
        return x + self.dropout(self.feed(x)), new
