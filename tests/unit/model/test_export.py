"""The exported step: the same answers as PyTorch, with any number of customers, from a file too."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.model.made import DAY_US, sequences, tiny_model
from tests.unit.model.test_stream import now_of

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.sequence import TIME, EventSequences
from shoal.model import export
from shoal.model.onnx_step import ARRAYS_FILE, DOCUMENT_FILE, STEP_FILE, OnnxStepper
from shoal.model.runtime import EagerStepper
from shoal.model.stream import advance, build

pytest.importorskip("onnxruntime")

STREAMING = ("recurrence", "transformer", "gru", "lstm", "cnn")


@pytest.fixture(scope="module")
def eager() -> EagerStepper:
    torch.set_num_threads(1)
    return EagerStepper(tiny_model(), "behaviour-0001", "f" * 16)


@pytest.fixture(scope="module")
def written(eager: EagerStepper, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("export")
    export.write(directory, eager)
    return directory


def one_each(customers: int, seed: int, now: int) -> EventSequences:
    """An event of each customer at about a moment; one in four has none."""
    lengths = (np.random.default_rng(seed).random(customers) < 0.75).astype(int)
    events = sequences(customers, 1, seed=seed, lengths=lengths.tolist())
    events.fields[TIME][:] = now + np.arange(events.events) * 1_000_001
    events.fields["price"][::3] = np.nan
    return events


def same(one: Any, other: Any) -> None:
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-5)
    for mine, theirs in zip(one.carries, other.carries, strict=True):
        assert mine.tail == theirs.tail


@pytest.mark.parametrize(
    ("backbone", "touch"), [*((name, ("channel", "device")) for name in STREAMING), ("gru", ())]
)
def test_it_steps_as_pytorch_does(backbone: str, touch: tuple[str, ...]) -> None:
    eager = EagerStepper(tiny_model(backbone, context=8, touch=touch), "m", "f")
    onnx = export.stepper(eager)
    for customers in (1, 2, 7):
        histories = sequences(customers, 20, seed=4)
        now = now_of(histories)
        states = mine = build(eager, histories, now, tail_events=4).carries
        for n in range(12):
            events = one_each(customers, n, now + n * DAY_US)
            asked = now + n * DAY_US + 60_000_000 * (1 + n)
            expected = advance(eager, states, events, asked, tail_events=4)
            found = advance(onnx, mine, events, asked, tail_events=4)
            same(found, expected)
            states, mine = expected.carries, found.carries


def test_long_moments_are_subtracted_as_whole_numbers(eager: EagerStepper) -> None:
    onnx = export.stepper(eager)
    histories = sequences(3, 8)
    states = build(eager, histories, now_of(histories)).carries
    heads = eager.about.layout.states([carry.head for carry in states])
    events = one_each(3, 1, now_of(histories))
    for wait in (0, 1, 999_999, 10 * DAY_US):
        asked = np.full(3, int(events.fields[TIME].max()) + wait)
        expected, after = eager.read(events, heads, asked)
        found, mine = onnx.read(events, heads, asked)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(mine.ints, after.ints)
        np.testing.assert_allclose(mine.floats, after.floats, atol=1e-5)


@pytest.mark.parametrize("backbone", STREAMING)
def test_an_hour_is_no_less_than_half_an_hour(backbone: str) -> None:
    """ONNX Runtime before 1.32 took a whole number of 2^31 to 2^32 (36 to 72 minutes) for less
    than 0, on processors of some makes."""
    eager = EagerStepper(tiny_model(backbone, context=8), "m", "f")
    onnx = export.stepper(eager)
    histories = sequences(4, 8)
    states = build(eager, histories, now_of(histories)).carries
    heads = eager.about.layout.states([carry.head for carry in states])
    last = histories.fields[TIME][histories.offsets[1:] - 1]
    events = sequences(4, 1, lengths=[1] * 4)
    for gap in (2**31 - 1, 2**31, 3_600_000_000, 2**32 - 1, 2**32):
        events.fields[TIME][:] = last + gap
        expected, after = eager.read(events, heads, last + 2 * gap)
        found, mine = onnx.read(events, heads, last + 2 * gap)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(mine.floats, after.floats, atol=1e-5)


def test_a_file_steps_alone_as_pytorch_does(eager: EagerStepper, written: Path) -> None:
    alone = OnnxStepper.open(written)
    assert (alone.about.model_id, alone.about.fingerprint) == ("behaviour-0001", "f" * 16)
    histories = sequences(4, 15, lengths=[15, 1, 0, 9])
    now = now_of(histories)
    same(build(alone, histories, now, tail_events=4), build(eager, histories, now, tail_events=4))
    late = sequences(4, 3, seed=8)
    late.fields[TIME][:] = histories.fields[TIME][-3]
    states = build(eager, histories, now, tail_events=4).carries
    same(
        advance(alone, states, late, now, tail_events=4),
        advance(eager, states, late, now, tail_events=4),
    )


def test_a_file_needs_no_pytorch(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    histories = sequences(2, 5)
    real = builtins.__import__

    def refused(name: str, *rest: Any, **more: Any) -> Any:
        if name == "torch" or name.startswith("torch."):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refused)
    found = build(OnnxStepper.open(written), histories, now_of(histories))
    assert found.embeddings.shape == (2, 8)


@pytest.mark.parametrize("name", [STEP_FILE, DOCUMENT_FILE, ARRAYS_FILE])
@pytest.mark.parametrize("harm", [b"", b"{}", None])
def test_a_damaged_file_is_refused(
    written: Path, tmp_path: Path, name: str, harm: bytes | None
) -> None:
    for file in written.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    if harm is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(harm)
    with pytest.raises(OperationError, match="no exported step") as caught:
        OnnxStepper.open(tmp_path)
    assert caught.value.code == "artefact_damaged"


def test_a_backbone_without_a_state_has_no_step() -> None:
    with pytest.raises(UsageError, match="'bidirectional' has no state"):
        export.step_onnx(tiny_model("bidirectional"))


def test_without_the_extra_a_person_is_told_what_to_install(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OperationError, match="onnxruntime, which is not installed") as caught:
        OnnxStepper.open(written)
    assert caught.value.code == "missing_extra"
    assert 'pip install "shoal[onnx]"' in caught.value.hint


def test_exporting_leaves_the_model_as_it_was() -> None:
    model = tiny_model().train()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    export.step_onnx(model)
    assert model.training
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
