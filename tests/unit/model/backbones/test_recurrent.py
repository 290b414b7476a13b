"""GRU and LSTM: PyTorch's own, states after any event, and a state that fades until NOW."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model import made
from torch import nn

from shoal.model.batch import collate


def stacked(net, unit):
    """PyTorch's own stack with the weights of the backbone's layers."""
    found = unit(16, 16, len(net.backbone.layers), batch_first=True)
    with torch.no_grad():
        for number, layer in enumerate(net.backbone.layers):
            for name, values in layer.named_parameters():
                getattr(found, name.replace("_l0", f"_l{number}")).copy_(values)
    return found


@pytest.mark.parametrize(("backbone", "unit"), [("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_events_are_read_as_pytorch_reads_them_one_customer_alone(backbone, unit):
    net = made.tiny_model(backbone, layers=3)
    batch = collate(made.sequences(lengths=[9, 1, 6]), np.arange(3))
    zeros = torch.zeros(3, dtype=torch.int64)
    with torch.no_grad():
        x, _ = net.encoder(batch, zeros, zeros)
        found = net.step(batch)
        peer = stacked(net, unit)
        for row, length in enumerate((9, 1, 6)):
            hidden, states = peer(x[row : row + 1, :length])
            expected = net.backbone.norm(hidden[0])
            torch.testing.assert_close(found.hidden[row, :length], expected)
            told = states if isinstance(states, tuple) else (states,)
            for name, state in zip(net.backbone.names, told, strict=True):
                torch.testing.assert_close(found.carry[name][row], state[:, 0])


@pytest.mark.parametrize("backbone", ["gru", "lstm"])
def test_the_state_fades_until_now_by_its_half_lives(backbone):
    """Channels that last for ever keep what was; channels that fade at once leave NOW alone."""
    net = made.tiny_model(backbone)
    batch = collate(made.sequences(lengths=[9, 5, 1]), np.arange(3))
    late = replace(batch, now_us=batch.us[:, -1] + 40 * made.DAY_US)
    spread = []
    with torch.no_grad():
        for log_tau in (50.0, -50.0):
            net.backbone.log_tau.fill_(log_tau)
            spread.append(net.step(late).embedding.std(dim=0).max().item())
    assert spread[0] > 1e-2
    assert spread[1] < 1e-5


@pytest.mark.parametrize("backbone", ["gru", "lstm"])
def test_half_lives_begin_between_a_day_and_five_years(backbone):
    days = made.tiny_model(backbone).backbone.log_tau.exp() * np.log(2) / 86_400
    assert days.min().item() == pytest.approx(1.0, rel=1e-3)
    assert days.max().item() == pytest.approx(5 * 365, rel=1e-3)
