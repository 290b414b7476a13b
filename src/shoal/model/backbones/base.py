"""The one face of every backbone, and what a customer's state must hold.

Dimensions: B rows, L events, d = d_model, W = window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shoal.model.config import ModelConfig

#: A customers' state: tensors whose first dimension is the customer. It always has `last_us`
#: (B,) int64, the moment of the last event, and `count` (B,) int64, events so far.
Carry = dict[str, Tensor]


class Backbone(nn.Module):
    """Reads encodings in order of time and carries a state.

    `streams` says whether it may be given events in portions: then any split of a history gives the
    same hidden states. A backbone that does not stream ignores the carry's content. `recurrent`
    says that it reads events one after the other, so that short portions of rows hardly pay.
    """

    streams = True
    recurrent = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def initial(self, batch: int, device: torch.device | str = "cpu") -> Carry:
        """The state of customers without an event."""
        zeros = torch.zeros(batch, dtype=torch.int64, device=device)
        return {"last_us": zeros, "count": zeros.clone()}

    def forward(self, x: Tensor, us: Tensor, lengths: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """Hidden states of events and of NOW, and the state after the events.

        Args:
            x: (B, L + 1, d) encodings; row b holds `lengths[b]` events, NOW, then padding.
            us: (B, L + 1) moments; padding has NOW's.
            lengths: (B,) events of each row; with 0 the carry stays as it is.
            carry: the state before.

        Returns:
            (B, L + 1, d) hidden states, and the state after `lengths[b]` events: NOW and padding
            leave nothing in it. Hidden states of padding mean nothing.
        """
        raise NotImplementedError


def stepped(us: Tensor, lengths: Tensor, carry: Carry) -> Carry:
    """`last_us` and `count` after the events."""
    last = us.gather(1, (lengths - 1).clamp(min=0)[:, None])[:, 0]
    return {
        "last_us": torch.where(lengths > 0, last, carry["last_us"]),
        "count": carry["count"] + lengths,
    }


def at(values: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
    """(B, ...) of (B, L + 1, ...): the value after `lengths[b]` events; `before` without any."""
    found = picked(values, (lengths - 1).clamp(min=0))
    return torch.where((lengths > 0).view(-1, *(1,) * (before.dim() - 1)), found, before)


def pushed(ring: Tensor, new: Tensor, lengths: Tensor) -> Tensor:
    """A ring (B, W, ...) of last entries, oldest first, after `lengths[b]` of `new` (B, L, ...)."""
    whole = torch.cat([ring, new], dim=1)
    return picked(whole, lengths[:, None] + torch.arange(ring.shape[1], device=ring.device))


def picked(values: Tensor, places: Tensor) -> Tensor:
    """Of each row of (B, T, ...) what stands at places (B,) or (B, n): (B, ...) or (B, n, ...)."""
    rows = torch.arange(values.shape[0], device=values.device) * values.shape[1]
    rows = rows.view(-1, *(1,) * (places.dim() - 1)) + places
    found = values.flatten(0, 1).index_select(0, rows.flatten())
    return found.view(*places.shape, *values.shape[2:])


def gaps_s(us: Tensor, carry: Carry) -> Tensor:
    """(B, L + 1) seconds since the event before; 0 for a customer's first."""
    first = torch.where(carry["count"] > 0, carry["last_us"], us[:, 0])
    before = torch.cat([first[:, None], us[:, :-1]], dim=1)
    return (us - before).float().clamp(min=0) / 1e6
