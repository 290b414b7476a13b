"""Stack of LSTM units; how time enters stands in `gru`.

PyTorch tells the cells after the last place only. Those after an earlier one follow from what it
does tell: given the hidden states, the gates of all places are known at once, and cells are a
linear recurrence of them, c_t = f_t c_(t-1) + i_t g_t.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from shoal.model.backbones.gru import Recurrent, States, last, run
from shoal.model.backbones.recurrence import scan


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), with forget gates."""

    names = ("state", "cell")
    unit = nn.LSTM

    def read(
        self, layer: nn.Module, x: Tensor, lengths: Tensor, before: States
    ) -> tuple[Tensor, States]:
        hidden, after = run(layer, x, before)
        if x.shape[1] > 1:
            cell = last(_cells(layer, x, hidden, before), lengths, before[1])
        else:
            cell = torch.where(lengths[:, None] > 0, after[1], before[1])
        return hidden, (last(hidden, lengths, before[0]), cell)


def _cells(layer: nn.Module, x: Tensor, hidden: Tensor, before: States) -> Tensor:
    """(B, L, d) cells after each place."""
    state, cell = before
    earlier = torch.cat([state[:, None], hidden[:, :-1]], dim=1)
    size = 3 * x.shape[-1]  # the gate of the output, the last, is not asked for
    of_input, of_state = layer.weight_ih_l0[:size], layer.weight_hh_l0[:size]  # type: ignore[index]
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0)[:size]  # type: ignore[operator]
    gates = linear(x, of_input, bias) + linear(earlier, of_state)
    entry, forget, new = gates.chunk(3, dim=-1)
    return scan(torch.sigmoid(forget), torch.sigmoid(entry) * torch.tanh(new), cell)
