"""Where a model is trained: random numbers that are left alone, mixed precision, memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.unit.model import made

from shoal.domain.errors import OperationError, UsageError
from shoal.model import checkpoint, train
from shoal.model.batch import collate
from shoal.model.config import BACKBONES, TrainConfig
from shoal.model.device import begin, device_of, enough_memory, exact, mixed, seeded
from shoal.model.train import fit

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    batch_customers=8, slices=2, slice_min=4, slice_max=12, steps=6, learning_rate=1e-2,
    validation_customers=24, checkpoint_minutes=0.0, patience=99,
)  # fmt: skip


def trained(backbone, directory, *, model=None, **more):
    sequences = made.sequences(customers=40, length=30, seed=2)
    model = model or made.tiny_model(backbone, id_dropout=0.0)
    log = fit(
        model, sequences, config=CONFIG, sizes=made.sizes(), item_counts=np.ones(made.ITEMS),
        until_us=int(sequences.fields["us"].max()) + 1, value_kind=4, directory=directory, **more,
    )  # fmt: skip
    return model, log


def test_a_device_is_one_that_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (device_of("auto"), device_of("cpu")) == ("cpu", "cpu")
    with pytest.raises(UsageError, match="this machine shows none"):
        device_of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_of("auto"), device_of("cuda"), device_of("cpu")) == ("cuda", "cuda", "cpu")
    with pytest.raises(UsageError, match="no device 'tpu'"):
        device_of("tpu")


def test_on_a_processor_no_accelerator_is_seeded(monkeypatch, tmp_path):
    """Nobody would put its random numbers back."""

    def refused(seed):
        raise AssertionError("an accelerator was seeded")

    model = made.tiny_model("gru")
    for name in ("manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, refused)
    before = torch.random.get_rng_state()
    with seeded(3):
        first = torch.rand(4)
    with seeded(3):
        assert torch.equal(torch.rand(4), first)
    trained("gru", tmp_path, model=model)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_on_an_accelerator_both_are_seeded(monkeypatch):
    told = []
    monkeypatch.setattr(torch.cuda, "manual_seed", told.append)
    with seeded(0):
        begin(7, "cuda")
        drawn = torch.rand(3)
    with seeded(7):
        assert torch.equal(torch.rand(3), drawn)
    assert told == [7]


def test_on_a_processor_nothing_is_mixed():
    with mixed(CPU):
        assert not torch.is_autocast_enabled("cpu")
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_exact_holds_within_mixed():
    one = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (one @ one).dtype == torch.bfloat16
        with exact(CPU):
            assert (one @ one).dtype == torch.float32


@pytest.mark.parametrize("backbone", BACKBONES)
def test_mixed_precision_trains_alike(backbone, tmp_path, monkeypatch):
    """As on an accelerator, in the processor's bfloat16: losses stay within a few percent."""
    _, plain = trained(backbone, tmp_path / "plain")
    monkeypatch.setattr(train, "mixed", lambda device: torch.autocast("cpu", torch.bfloat16))
    model, log = trained(backbone, tmp_path / "mixed")
    for one, other in zip(plain.validations, log.validations, strict=True):
        assert one.losses["loss"] == pytest.approx(other.losses["loss"], rel=0.03)
    assert log.losses != plain.losses
    assert all(one.dtype == torch.float32 for one in model.parameters())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_mixed_precision_tells_long_histories(backbone):
    """States add up hundreds of events: they, and the embedding, are computed in float32."""
    model = made.tiny_model(backbone, seed=1)
    batch = collate(made.sequences(lengths=[500] * 6, seed=3), np.arange(6))
    with torch.no_grad():
        plain = model.step(batch)
        with torch.autocast("cpu", torch.bfloat16):
            mixed_ = model.step(batch)
    assert mixed_.embedding.dtype == torch.float32
    for name in ("state", "cell"):
        assert name not in mixed_.carry or mixed_.carry[name].dtype == torch.float32
    apart = (mixed_.embedding - plain.embedding).norm() / plain.embedding.norm()
    assert apart < 0.02


def test_too_little_memory_is_told_and_the_checkpoint_stays(tmp_path, monkeypatch):
    def refused(self, batch, done):
        if self.step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0")
        learn(self, batch, done)

    learn = train._Training._learn
    monkeypatch.setattr(train._Training, "_learn", refused)
    with pytest.raises(OperationError, match="CUDA out of memory\n") as caught:
        trained("gru", tmp_path)
    assert caught.value.code == "out_of_memory"
    assert "--device cpu" in caught.value.hint
    assert checkpoint.exists(tmp_path)
    monkeypatch.undo()
    _, log = trained("gru", tmp_path, resume=True)
    assert (log.resumed_from, log.steps) == (3, 6)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="else"), enough_memory():
        raise RuntimeError("something else")
