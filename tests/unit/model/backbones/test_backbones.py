"""What backbones share: names, the state's arithmetic, and the recurrence's own promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.unit.model import made

from shoal.domain.errors import UsageError
from shoal.model.backbones import ALL, make
from shoal.model.backbones.base import at, gaps_s, pushed, stepped
from shoal.model.batch import collate
from shoal.model.config import BACKBONES, ModelConfig


def test_every_name_of_a_configuration_is_a_backbone():
    assert tuple(ALL) == BACKBONES
    for name in BACKBONES:
        assert type(make(ModelConfig(backbone=name))) is ALL[name]


def test_an_unknown_backbone_is_refused_and_the_known_are_named():
    with pytest.raises(UsageError, match="no backbone is called 'mamba'") as error:
        ModelConfig(backbone="mamba")
    assert error.value.code == "bad_setting"
    assert all(name in error.value.hint for name in BACKBONES)


@pytest.mark.parametrize("backbone", ALL)
def test_hidden_states_are_dropped_in_training_only(backbone):
    batch = collate(made.sequences(3, 9), np.arange(3))
    net = made.tiny_model(backbone, dropout=0.5, id_dropout=0.0)
    with torch.no_grad():
        assert torch.equal(net.step(batch).embedding, net.step(batch).embedding)
        net.train()
        assert not torch.equal(net.step(batch).embedding, net.step(batch).embedding)


def test_a_ring_holds_the_last_entries():
    ring = torch.tensor([[[1.0], [2.0], [3.0]]] * 4)
    new = torch.tensor([[[4.0], [5.0], [6.0], [7.0]]] * 4)
    found = pushed(ring, new, torch.tensor([0, 1, 2, 4]))[..., 0]
    assert found.tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 5], [5, 6, 7]]


def test_the_value_after_as_many_events():
    values = torch.arange(12.0).view(2, 3, 2)
    before = torch.full((2, 2), -1.0)
    assert at(values, torch.tensor([0, 2]), before).tolist() == [[-1, -1], [8, 9]]


def test_last_moment_and_count():
    us = torch.tensor([[5, 9, 30], [8, 8, 8]])
    carry = {"last_us": torch.tensor([1, 2]), "count": torch.tensor([3, 4])}
    after = stepped(us, torch.tensor([2, 0]), carry)
    assert after["last_us"].tolist() == [9, 2]
    assert after["count"].tolist() == [5, 4]


def test_gaps_go_on_from_the_state_and_begin_with_none():
    us = torch.tensor([[10_000_000, 12_000_000], [10_000_000, 9_000_000]])
    carry = {"last_us": torch.tensor([4_000_000, 0]), "count": torch.tensor([1, 0])}
    assert gaps_s(us, carry).tolist() == [[6.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize("backbone", [ModelConfig().backbone, "recurrence"])
def test_the_state_is_below_8_kib_at_2_x_128(backbone):
    net = make(ModelConfig(backbone=backbone))
    assert (net.config.layers, net.config.d_model) == (2, 128)
    assert sum(one.nbytes for one in net.initial(1).values()) < 8 * 1024


def test_an_event_is_remembered_far_beyond_the_window_of_attention():
    net = made.tiny_model("recurrence", window=4)
    batch = collate(made.sequences(lengths=[40]), np.arange(1))
    kind = batch.fields["kind"].clone()
    batch.fields["kind"][0, 20] = 9
    with torch.no_grad():
        one = net.step(batch).embedding
        batch.fields["kind"][0] = kind[0]
        two = net.step(batch).embedding
    assert (one - two).abs().max() > 1e-4
