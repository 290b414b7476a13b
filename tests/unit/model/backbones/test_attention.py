"""Transformers: how far they look, which way, and that cutting into blocks changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model import made

from shoal.model.backbones.attention import TimedAttention, Window
from shoal.model.batch import collate
from shoal.model.config import ModelConfig

CONTEXT = 5


def allowed(window, places, before):
    """(places, before + places) of who may look at whom, from the blocks."""
    found = torch.zeros(places, before + places, dtype=torch.bool)
    for block in range(window.blocks):
        for query in range(window.size):
            for key in torch.nonzero(window.allowed[0, block, query])[:, 0].tolist():
                mine = block * window.size + query
                other = block * window.size + key - window.back
                if mine < places and -before <= other < places:
                    found[mine, before + other] = True
    return found


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    ("places", "before"), [(1, 0), (3, 2), (10, 0), (10, 4), (11, 4), (23, 0), (23, 3)]
)
def test_a_place_sees_what_is_near_and_told_and_nothing_else(places, before, both):
    told = torch.ones(1, before + places, dtype=torch.bool)
    told[0, :1] = False
    us = torch.arange(before + places)[None] * 1_000_000
    window = Window(us, told, before, CONTEXT, both)
    assert window.size <= 2 * CONTEXT
    query = torch.arange(places)[:, None] + before
    key = torch.arange(before + places)
    distance = query - key
    near = (distance.abs() < CONTEXT) & ((distance >= 0) | both)
    assert torch.equal(allowed(window, places, before), near & told | (distance == 0))


def test_attention_is_a_weighted_mean_by_likeness_time_and_distance():
    """Against the formula, place by place."""
    torch.manual_seed(0)
    config = ModelConfig(d_model=8, heads=2, context=CONTEXT)
    net = TimedAttention(config, both=False)
    with torch.no_grad():
        net.by_distance.normal_()
        net.by_time.weight.normal_()
    us = torch.cumsum(torch.randint(0, 10**11, (1, 14)), dim=1)
    x = torch.randn(1, 14, 8)
    window = Window(us, torch.ones(1, 14, dtype=torch.bool), 0, CONTEXT, both=False)
    assert window.blocks > 1
    with torch.no_grad():
        queries, keys_values = net.read(x)
        found = net(queries, keys_values, window)
        keys, values = keys_values[0].view(14, 2, 2, 4).unbind(1)
        for place in range(14):
            seen = range(max(0, place - CONTEXT + 1), place + 1)
            mixed = []
            for head in range(2):
                scores = []
                for other in seen:
                    s = float(us[0, place] - us[0, other]) / 1e6
                    told = torch.tensor(
                        [np.log1p(s / 3600), np.exp(-s / 3600), np.exp(-s / 604800)]
                    )
                    likeness = queries[0, place].view(2, 4)[head] @ keys[other, head] / 2.0
                    by_time = net.by_time.weight[head] @ told.float()
                    scores.append(likeness + by_time + net.by_distance[head, place - other])
                weights = torch.stack(scores).softmax(0)
                mixed.append(sum(w * values[o, head] for w, o in zip(weights, seen, strict=True)))
            torch.testing.assert_close(net.out(torch.cat(mixed)), found[0, place])


def moved(backbone, *, at_place, length=12, **config):
    """How far each hidden state, and NOW's embedding at the end, move with one event's kind."""
    net = made.tiny_model(backbone, layers=1, context=CONTEXT, **config)
    batch = collate(made.sequences(lengths=[length]), np.arange(1))
    kind = batch.fields["kind"].clone()
    kind[0, at_place] = 9
    other = replace(batch, fields={**batch.fields, "kind": kind})
    with torch.no_grad():
        one, two = net.step(batch), net.step(other)
    hidden = (one.hidden - two.hidden).abs().amax(dim=-1)[0]
    return hidden, (one.embedding - two.embedding).abs().max()


def test_a_causal_layer_looks_back_on_as_many_events_as_told():
    hidden, _ = moved("transformer", at_place=3)
    assert (hidden > 1e-6).nonzero()[:, 0].tolist() == [3, 4, 5, 6, 7]
    # NOW counts as one of them
    assert moved("transformer", at_place=12 - CONTEXT + 1)[1] > 1e-6
    assert moved("transformer", at_place=12 - CONTEXT)[1] == 0


def test_a_bidirectional_layer_looks_both_ways():
    hidden, _ = moved("bidirectional", at_place=6)
    assert (hidden > 1e-6).nonzero()[:, 0].tolist() == list(range(2, 11))


def test_bidirectional_ignores_a_state_and_says_so():
    net = made.tiny_model("bidirectional")
    assert not net.backbone.streams
    batch = collate(made.sequences(lengths=[9, 4]), np.arange(2))
    with torch.no_grad():
        found = net.step(batch)
    assert set(found.carry) == {"last_us", "count"}
    assert found.carry["count"].tolist() == [9, 4]


def test_training_without_a_state_is_evaluation_with_an_empty_one():
    """A fresh ring is cut off, as it holds nothing; a filled one is read."""
    net = made.tiny_model("transformer", context=CONTEXT)
    batch = collate(made.sequences(lengths=[9, 4]), np.arange(2))
    with torch.no_grad():
        carry = net.step(batch.between(0, 3)).carry
        fresh = net.initial(2)
        stale = {**fresh, "ring": torch.full_like(fresh["ring"], 7.0)}
        torch.testing.assert_close(
            net.step(batch, stale).embedding, net.step(batch, None).embedding
        )
        told = net.step(batch.between(3, 9), {**carry, "ring": carry["ring"] + 1}).embedding
        assert (told - net.step(batch.between(3, 9), carry).embedding).abs().max() > 1e-4


def test_the_state_holds_keys_and_values_of_the_context():
    config = ModelConfig(backbone="transformer")
    carry = made.tiny_model("transformer", d_model=128, heads=4, context=64).initial(1)
    numbers = config.layers * (config.context - 1) * 2 * config.d_model
    assert sum(one.nbytes for one in carry.values()) == 4 * numbers + 8 * 63 + 16
