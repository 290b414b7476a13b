"""Checkpoints: whole or not there, refused when of another training."""

from __future__ import annotations

import errno
import resource
import signal
from dataclasses import replace

import pytest
import torch
from tests.unit.model import made

from shoal.domain.errors import OperationError
from shoal.model import checkpoint
from shoal.model.config import ModelConfig, TrainConfig

TENSORS = {"model.a": torch.arange(6.0).view(2, 3), "adam.a.steps": torch.tensor(3.0)}
DOCUMENT = {"fingerprint": "f", "step": 3, "best": {"loss": 0.5}}


def test_what_is_written_is_read(tmp_path):
    assert not checkpoint.exists(tmp_path)
    checkpoint.write(tmp_path / "new", TENSORS, DOCUMENT)
    tensors, document = checkpoint.read(tmp_path / "new", "f")
    assert {name: one.tolist() for name, one in tensors.items()} == {
        name: one.tolist() for name, one in TENSORS.items()
    }
    assert {name: document[name] for name in DOCUMENT} == DOCUMENT
    assert list(checkpoint.within("model", tensors)) == ["a"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    checkpoint.write(tmp_path, TENSORS, DOCUMENT)
    with pytest.raises(OperationError, match="other settings or other data") as caught:
        checkpoint.read(tmp_path, "g")
    assert caught.value.code == "checkpoint_unusable"
    assert "without --resume" in caught.value.hint


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "document", "schema"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    checkpoint.write(tmp_path, TENSORS, DOCUMENT)
    path = tmp_path / checkpoint.FILE
    content = path.read_bytes()
    schema = content.replace(b"shoal.checkpoint/1", b"shoal.checkpoint/9")
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[: len(content) // 2],
            "other": b"not a checkpoint at all" * 10,
            "document": content.replace(b"document", b"dokument"),
            "schema": schema,
        }[damage]
    )
    said = "has the schema shoal.checkpoint/9" if damage == "schema" else "cannot be read"
    with pytest.raises(OperationError, match=said) as caught:
        checkpoint.read(tmp_path, "f")
    assert caught.value.code == "checkpoint_unusable"


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    checkpoint.write(tmp_path, TENSORS, DOCUMENT)
    large = {"model.a": torch.zeros(300_000)}
    bound = resource.getrlimit(resource.RLIMIT_FSIZE)
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, bound[1]))
    try:
        with pytest.raises(OperationError, match="no space is left") as caught:
            checkpoint.write(tmp_path, large, {**DOCUMENT, "step": 4})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bound)
        signal.signal(signal.SIGXFSZ, usual)
    assert caught.value.code == "disk_full" and "--resume" in caught.value.hint
    assert checkpoint.read(tmp_path, "f")[1]["step"] == 3
    assert [one.name for one in tmp_path.iterdir()] == [checkpoint.FILE]


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EROFS, "no_permission"),
     (errno.EIO, "internal")],
)  # fmt: skip
def test_a_failure_of_the_system_is_told_by_its_code(tmp_path, monkeypatch, number, code):
    checkpoint.write(tmp_path, TENSORS, DOCUMENT)

    def fails(*_):
        raise OSError(number, "as the system says")

    monkeypatch.setattr(checkpoint, "_synchronise", fails)
    with pytest.raises(OperationError) as caught:
        checkpoint.write(tmp_path, TENSORS, {**DOCUMENT, "step": 4})
    assert caught.value.code == code
    assert checkpoint.read(tmp_path, "f")[1]["step"] == 3


def test_a_fingerprint_follows_settings_and_data():
    sequences, sizes = made.sequences(customers=5, length=9), made.sizes()
    model, train = ModelConfig(), TrainConfig()
    known = checkpoint.fingerprint(model, train, sizes, sequences, 7)
    again = made.sequences(customers=5, length=9)
    seldom = replace(train, checkpoint_minutes=60.0)
    assert checkpoint.fingerprint(model, seldom, dict(sizes), again, 7) == known
    later = made.sequences(customers=5, length=9)
    later.fields["us"][-1] += 1
    others = [
        checkpoint.fingerprint(replace(model, layers=3), train, sizes, sequences, 7),
        checkpoint.fingerprint(model, replace(train, seed=1), sizes, sequences, 7),
        checkpoint.fingerprint(model, train, {**sizes, "brand": 99}, sequences, 7),
        checkpoint.fingerprint(model, train, sizes, later, 7),
        checkpoint.fingerprint(model, train, sizes, sequences, 8),
    ]
    assert len({known, *others}) == 6
