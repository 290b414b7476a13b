"""Laws of training: a killed one ends like any other, the seed decides, the future is not seen."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model import made

from shoal.domain.errors import OperationError
from shoal.domain.kinds import KINDS, PURCHASE
from shoal.domain.sequence import EventSequences
from shoal.model import checkpoint
from shoal.model.batch import collate
from shoal.model.config import TrainConfig
from shoal.model.grouping import portions, step_in_portions
from shoal.model.train import fit

ROOT = Path(__file__).parents[2]
CONFIG = TrainConfig(
    batch_customers=6, slices=2, slice_min=3, slice_max=8, steps=8, learning_rate=1e-2,
    validation_customers=10, checkpoint_minutes=0.0, patience=99,
    weights={"contrastive": 1.0, "next_event": 0.5, "horizon": 0.5, "masked": 0.5},
    augment={"crop": 0.2, "time_warp": 0.2},
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def until_us(sequences):
    return int(np.quantile(sequences.fields["us"], 0.9))


def trained(directory, *, sequences=None, seed=0, **more):
    """Weights after a training on made-up events."""
    sequences = sequences or made.sequences(customers=30, length=20)
    model = made.tiny_model(seed=seed, dropout=0.1)
    config = TrainConfig(**{**CONFIG.to_document(), "seed": seed})
    fit(
        model, sequences, config=config, sizes=made.sizes(), item_counts=np.ones(made.ITEMS),
        until_us=until_us(sequences), value_kind=1 + KINDS.index(PURCHASE), directory=directory,
        **more,
    )  # fmt: skip
    return {name: one.clone() for name, one in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    torch.set_num_threads(1)
    return trained(tmp_path_factory.mktemp("whole"))


_KILLED_BETWEEN_STEPS = """
def report(step, planned, figures):
    if step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
"""
_KILLED_WHILE_WRITING = """
report, usual, written = None, checkpoint._synchronise, []
def killed(path):
    written.append(path)
    if len(written) == 7:  # the fourth checkpoint is written aside and not in its place
        os.kill(os.getpid(), signal.SIGKILL)
    usual(path)
checkpoint._synchronise = killed
"""


@pytest.mark.parametrize(
    ("how", "left"), [(_KILLED_BETWEEN_STEPS, 4), (_KILLED_WHILE_WRITING, 3)],
    ids=["between steps", "while writing"],
)  # fmt: skip
def test_a_killed_training_resumes_to_the_same_weights(tmp_path, whole, how, left):
    script = (
        "import os, signal, sys, torch\nfrom pathlib import Path\n"
        "from shoal.model import checkpoint\n"
        "sys.path.insert(0, '.')\nfrom tests.laws.test_training_laws import trained\n"
        f"{how}\ntorch.set_num_threads(1)\ntrained(Path(sys.argv[1]), report=report)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False)
    assert run.returncode == -signal.SIGKILL
    steps = []
    resumed = trained(
        tmp_path, resume=True, report=lambda step, planned, figures: steps.append(step)
    )
    assert steps == list(range(left + 1, 9))
    assert same(resumed, whole)


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path, whole):
    assert same(trained(tmp_path / "again"), whole)
    assert not same(trained(tmp_path / "other", seed=1), whole)


def test_nothing_at_or_after_the_cut_off_changes_a_weight(tmp_path, whole):
    sequences = made.sequences(customers=30, length=20)
    keep = sequences.fields["us"] < until_us(sequences)
    who = np.repeat(np.arange(len(sequences)), sequences.lengths)[keep]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(who, minlength=len(sequences)))])
    fields = {name: values[keep] for name, values in sequences.fields.items()}
    cut = EventSequences(sequences.customers, offsets.astype(np.int64), fields, sequences.texts)
    assert cut.events < sequences.events
    model = made.tiny_model(dropout=0.1)
    fit(
        model, cut, config=CONFIG, sizes=made.sizes(), item_counts=np.ones(made.ITEMS),
        until_us=until_us(sequences), value_kind=1 + KINDS.index(PURCHASE), directory=tmp_path,
    )  # fmt: skip
    assert same(dict(model.state_dict()), whole)


@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    most=st.integers(1, 4),
    cost=st.integers(0, 40),
    beside=st.integers(0, 9),
)
@settings(max_examples=60)
def test_portions_hold_every_row_once_and_cost_least(lengths, most, cost, beside):
    rows = np.array(lengths, np.int64)
    found = portions(rows, most, cost, beside)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(rows)))
    assert 1 <= len(found) <= most

    def places(parts):
        return sum((len(part) + beside) * (int(rows[part].max()) + 1) + cost for part in parts)

    ordered = np.argsort(rows, kind="stable")
    fewest = min(
        places(np.split(ordered, cuts))
        for cuts in _cuts(len(rows), most - 1)
    )  # fmt: skip
    assert places(found) == fewest


def _cuts(rows, most):
    """Every way to cut so many rows at most so often."""
    for number in range(min(most, rows - 1) + 1):
        yield from combinations(range(1, rows), number)


@given(seed=st.integers(0, 50), most=st.integers(2, 5))
@settings(max_examples=10)
def test_portions_give_what_one_forward_gives(seed, most):
    sequences = made.sequences(customers=12, length=30, seed=seed)
    model = made.tiny_model()
    batch = collate(sequences, np.random.default_rng(seed).permutation(12))
    with torch.no_grad():
        one, other = model.step(batch), step_in_portions(model, batch, most)
    valid = batch.valid[..., None]
    torch.testing.assert_close(one.embedding, other.embedding, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.hidden * valid, other.hidden * valid, atol=1e-5, rtol=0)
    for name, values in one.carry.items():
        torch.testing.assert_close(values, other.carry[name], atol=1e-5, rtol=0)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    trained(tmp_path)
    assert checkpoint.exists(tmp_path)
    with pytest.raises(OperationError, match="other settings or other data"):
        trained(tmp_path, sequences=made.sequences(customers=30, length=20, seed=9), resume=True)
