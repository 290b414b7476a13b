"""Gated linear recurrence whose memory fades with real time, and attention on the last few events.

The recurrence is a minimal gated unit (minGRU: Feng et al., 2024, "Were RNNs all we needed?") with
a second forgetting beside the gate: each channel has a half-life, so that silence ages a customer:

    a_t = (1 - z_t) exp(-gap_t / tau),    h_t = a_t h_(t-1) + z_t c_t

Attention looks at the encodings of the last W events (local attention beside a recurrence: De et
al., 2024, "Griffin"), with a bias that falls with real time. Since it reads encodings, which depend
on single events, its state is a ring of W keys and values, shared by heads and layers.
Dimensions: B rows, T = L + 1 places, d = d_model, k = kv_dim, W = window.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 (as torch names it)
from torch import Tensor, nn

from shoal.model.backbones.base import Backbone, Carry, at, gaps_s, pushed, stepped
from shoal.model.config import ModelConfig
from shoal.model.device import single

#: Half-lives that channels start with, in seconds: spread evenly in logs from an hour to two years.
_SHORTEST_S: Final = 3_600.0
_LONGEST_S: Final = 2 * 365 * 86_400.0
_HOUR_S: Final = 3_600.0


class Recurrence(Backbone):
    """Layers of recurrence, attention on recent encodings and a gated feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(
            [RecurrentLayer(config, attends=place % 2 == 0) for place in range(config.layers)]
        )
        self.keys_values = nn.Linear(config.d_model, 2 * config.kv_dim, bias=False)
        self.norm = nn.LayerNorm(config.d_model)

    def initial(self, batch: int, device: torch.device | str = "cpu") -> Carry:
        c = self.config
        state = torch.zeros(batch, c.layers, c.d_model, device=device)
        ring = torch.zeros(batch, c.window, 2 * c.kv_dim, device=device)
        ring_us = torch.zeros(batch, c.window, dtype=torch.int64, device=device)
        return {**super().initial(batch, device), "state": state, "ring": ring, "ring_us": ring_us}

    def forward(self, x: Tensor, us: Tensor, lengths: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        gap_s = gaps_s(us, carry)
        recent = Recent(self.keys_values(x), us, carry)
        states = []
        for place, layer in enumerate(self.layers):
            x, h = layer(x, gap_s, recent, carry["state"][:, place])
            states.append(at(h, lengths, carry["state"][:, place]))
        after = stepped(us, lengths, carry) | {
            "state": torch.stack(states, dim=1),
            "ring": pushed(carry["ring"], recent.new[:, :-1], lengths),
            "ring_us": pushed(carry["ring_us"], us[:, :-1], lengths),
        }
        return self.norm(x), after


class RecurrentLayer(nn.Module):
    """One layer; residual around each of its parts. Every other layer attends."""

    def __init__(self, config: ModelConfig, *, attends: bool) -> None:
        super().__init__()
        d = config.d_model
        self.norm = nn.LayerNorm(d)
        self.gates = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d, bias=False)
        taus = torch.logspace(math.log10(_SHORTEST_S), math.log10(_LONGEST_S), d)
        self.log_tau = nn.Parameter((taus / math.log(2)).log())
        self.attention = WindowAttention(config) if attends else None
        self.feed = GatedFeedForward(d)
        self.dropout = nn.Dropout(config.dropout)
        with torch.no_grad():  # gates that begin nearly closed remember long histories
            self.gates.bias[:d] = -2.0

    def forward(
        self, x: Tensor, gap_s: Tensor, recent: Recent, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, T, d) of (B, T, d), and the states (B, T, d) after each place."""
        gate, candidate, output = self.gates(self.norm(x)).chunk(3, dim=-1)
        # bfloat16 tells 1 - z in steps of 1/256: what lasts longer than so many events would not
        z = torch.sigmoid(single(gate))
        decay = torch.exp(-gap_s[..., None] * torch.exp(-self.log_tau))
        h = scan((1 - z) * decay, z * candidate, before)
        x = x + self.dropout(self.out(h * F.silu(output)))
        if self.attention is not None:
            x = x + self.dropout(self.attention(x, recent))
        return x + self.dropout(self.feed(x)), h


class GatedFeedForward(nn.Module):
    """SwiGLU (Shazeer, 2020, "GLU variants improve Transformer")."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d)
        hidden = max(8, d * 4 // 3 // 32 * 32)  # 8/3 of a plain one's half, in whole registers
        self.up = nn.Linear(d, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(self.norm(x)).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * value)
        return out


class Recent:
    """Keys and values of the last W events at every place, in blocks.

    Queries come in blocks of S = min(W, T); the keys of a block are those of its S places and of
    the W before, so attention costs S (W + S) a block whatever the length.
    """

    def __init__(self, new: Tensor, us: Tensor, carry: Carry) -> None:
        self.new = new
        W, (B, T, _) = carry["ring"].shape[1], new.shape
        S = self.size = min(W, T)
        self.blocks = -(-T // S)
        spare = self.blocks * S - T
        whole = torch.cat([carry["ring"], F.pad(new, (0, 0, 0, spare))], dim=1)
        times = torch.cat([carry["ring_us"], us, us[:, -1:].expand(-1, spare)], dim=1)
        starts = torch.arange(self.blocks, device=us.device) * S
        index = starts[:, None] + torch.arange(W + S, device=us.device)
        keys_values = whole[:, index]  # (B, blocks, W + S, 2k)
        self.keys, self.values = keys_values.chunk(2, dim=-1)
        mine = F.pad(us, (0, spare), mode="constant")
        mine = mine.view(B, self.blocks, S)
        apart = (mine[..., None] - times[:, index][:, :, None]).float().clamp(min=0) / 1e6
        self.log_hours = torch.log1p(apart / _HOUR_S)  # (B, blocks, S, W + S)
        # the window of query q ends with itself, at W + q, and places before the log are no events
        ahead = torch.arange(W + S, device=us.device) - torch.arange(S, device=us.device)[:, None]
        within = (ahead > 0) & (ahead <= W)
        told = index >= (W - carry["count"].clamp(max=W))[:, None, None]
        self.allowed = within & told[:, :, None]  # (B, blocks, S, W + S)


class WindowAttention(nn.Module):
    """Attention on the last W encodings; heads share keys and values (Shazeer, 2019)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.width = config.heads, config.kv_dim
        self.norm = nn.LayerNorm(config.d_model)
        self.query = nn.Linear(config.d_model, config.heads * config.kv_dim, bias=False)
        self.out = nn.Linear(config.heads * config.kv_dim, config.d_model, bias=False)
        self.slope = nn.Parameter(torch.linspace(-3.0, 0.5, config.heads))

    def forward(self, x: Tensor, recent: Recent) -> Tensor:
        """(B, T, d) of (B, T, d)."""
        B, T, _ = x.shape
        N, S = recent.blocks, recent.size
        q = F.pad(self.query(self.norm(x)), (0, 0, 0, N * S - T))
        q = q.view(B, N, S * self.heads, self.width)
        scores = (q @ recent.keys.transpose(-1, -2)).view(B, N, S, self.heads, -1)
        scores = scores / math.sqrt(self.width)
        bias = F.softplus(self.slope)[:, None] * recent.log_hours[:, :, :, None]
        scores = (scores - bias).masked_fill(~recent.allowed[:, :, :, None], -torch.inf)
        weights = scores.softmax(dim=-1).view(B, N, S * self.heads, -1)
        found = (weights @ recent.values).reshape(B, N * S, self.heads * self.width)
        out: Tensor = self.out(found[:, :T])
        return out


def scan(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
    """(B, T, d) states h_t = a_t h_(t-1) + b_t from h before the first place, (B, d)."""
    if torch.is_grad_enabled() and (a.requires_grad or b.requires_grad):
        found: Tensor = _Scan.apply(a, b, before)
        return found
    return _scanned(a, b, before)


def _scanned(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
    return _by_doubling(a, b, before) if a.is_cuda else _by_steps(a, b, before)


def _by_steps(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
    """One place after the other: on a processor each is a cheap pass over (B, d)."""
    states = []
    h = before
    for one, other in zip(a.unbind(1), b.unbind(1), strict=True):
        h = torch.addcmul(other, one, h)
        states.append(h)
    return torch.stack(states, dim=1)


def _by_doubling(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
    """log2 T passes over everything (Hillis and Steele, 1986): on an accelerator launches count."""
    b = torch.cat([torch.addcmul(b[:, :1], a[:, :1], before[:, None]), b[:, 1:]], dim=1)
    a = torch.cat([torch.zeros_like(a[:, :1]), a[:, 1:]], dim=1)
    step = 1
    while step < a.shape[1]:
        b = torch.cat([b[:, :step], torch.addcmul(b[:, step:], a[:, step:], b[:, :-step])], dim=1)
        a = torch.cat([a[:, :step], a[:, step:] * a[:, :-step]], dim=1)
        step *= 2
    return b


class _Scan(torch.autograd.Function):
    """The scan with its gradient, which is a scan backwards: no state is kept but the result.

    With G_t the gradient of all that follows: G_t = g_t + a_(t+1) G_(t+1); then dL/db_t = G_t,
    dL/da_t = G_t h_(t-1) and dL/dh_0 = a_1 G_1.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, before: Tensor) -> Tensor:
        h = _scanned(a, b, before)
        ctx.save_for_backward(a, h, before)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, h, before = ctx.saved_tensors
        (grad,) = grads
        whole = _backwards(a, grad)
        earlier = torch.cat([before[:, None], h[:, :-1]], dim=1)
        return whole * earlier, whole, whole[:, 0] * a[:, 0]


def _backwards(a: Tensor, grad: Tensor) -> Tensor:
    """(B, T, d) gradients G_t = g_t + a_(t+1) G_(t+1) of what is added at each place."""
    return _back_by_doubling(a, grad) if a.is_cuda else _back_by_steps(a, grad)


def _back_by_steps(a: Tensor, grad: Tensor) -> Tensor:
    found = [grad[:, -1]]
    for place in range(a.shape[1] - 2, -1, -1):
        found.append(torch.addcmul(grad[:, place], a[:, place + 1], found[-1]))
    return torch.stack(found[::-1], dim=1)


def _back_by_doubling(a: Tensor, grad: Tensor) -> Tensor:
    later = F.pad(a[:, 1:], (0, 0, 0, 1)).flip(1)
    return _by_doubling(later, grad.flip(1), torch.zeros_like(grad[:, 0])).flip(1)
