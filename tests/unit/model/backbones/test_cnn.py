"""The CNN: which events each layer reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model import made

from shoal.model.backbones.cnn import kernels
from shoal.model.batch import collate
from shoal.model.config import ModelConfig


@pytest.mark.parametrize(
    ("window", "context", "layers", "expected"),
    [
        (16, 64, 1, [(16, 1)]),
        (16, 64, 2, [(16, 1), (4, 16)]),
        (16, 64, 6, [(16, 1), (4, 16), (4, 1), (4, 4), (4, 16), (4, 1)]),
        (4, 256, 4, [(4, 1), (4, 4), (4, 16), (4, 64)]),
        (16, 40, 3, [(16, 1), (4, 1), (4, 4)]),
    ],
)
def test_kernels_grow_apart_until_the_context_and_begin_again(window, context, layers, expected):
    assert kernels(ModelConfig(window=window, context=context, layers=layers)) == expected


def test_a_hidden_state_rests_on_the_events_that_kernels_reach():
    net = made.tiny_model("cnn", layers=2, window=3, context=16)
    batch = collate(made.sequences(lengths=[24]), np.arange(1))
    kind = batch.fields["kind"].clone()
    kind[0, 4] = 9
    with torch.no_grad():
        one = net.step(batch).hidden
        two = net.step(replace(batch, fields={**batch.fields, "kind": kind})).hidden
    touched = ((one - two).abs().amax(dim=-1)[0] > 1e-7).nonzero()[:, 0].tolist()
    # three events one by one, then four of those three apart: 3 + 3 * 3 in all
    assert touched == list(range(4, 4 + 12))


def test_the_state_holds_what_the_kernels_look_back_on():
    carry = made.tiny_model("cnn", layers=3, window=5, context=64).initial(2)
    assert [carry[f"ring{place}"].shape for place in range(3)] == [
        (2, 4, 16), (2, 15, 16), (2, 60, 16),
    ]  # fmt: skip
