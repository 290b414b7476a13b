"""A behaviour model that is trained on an accelerator, and is the same model without one.

Skipped where there is none. On an accelerator sums come in another order, most products are made of
bfloat16 numbers (8 bits, so about 0.4 % each) and cuDNN's of TF32 ones (11 bits): what is compared
with the processor is compared to tolerances that follow from it.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.journeys.test_adjust_retrain import NOW, base, preferred  # noqa: F401 (fixtures)
from tests.journeys.test_train import events
from tests.unit.model import made

import shoal as package
from shoal.config import BehaviourConfig, Config, ShopConfig
from shoal.domain.errors import OperationError
from shoal.model.backbones import recurrence
from shoal.model.config import BACKBONES, TrainConfig
from shoal.model.device import enough_memory, seeded
from shoal.model.embedding import embed
from shoal.model.export import stepper
from shoal.model.runtime import EagerStepper
from shoal.model.stream import advance, build
from shoal.model.train import fit

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs an accelerator that PyTorch finds"
)

CONFIG = TrainConfig(
    batch_customers=16, slices=2, slice_min=6, slice_max=24, steps=40, learning_rate=2e-3,
    validation_customers=48, validate_every_steps=10, checkpoint_minutes=60.0, patience=99,
)  # fmt: skip
#: Of losses of the same step, after up to 40 steps that rounding has driven apart (seen: 0.01).
LOSS = 0.03
STREAMING = tuple(name for name in BACKBONES if name != "bidirectional")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(backbone: str, directory: Path, device: str, **more: Any) -> tuple[Any, Any]:
    """A small model after a training without dropout, so that both devices draw alike."""
    sequences = made.sequences(customers=80, length=60, seed=2)
    model = made.tiny_model(backbone, d_model=32, kv_dim=16, id_dropout=0.0)
    log = fit(
        model, sequences, config=CONFIG, sizes=made.sizes(), item_counts=np.ones(made.ITEMS),
        until_us=int(sequences.fields["us"].max()) + 1, value_kind=4, directory=directory,
        device=device, **more,
    )  # fmt: skip
    return model, log


@cache
def whole(backbone: str, device: str) -> tuple[Any, Any]:
    """A training that nothing interrupted; its model is not to be changed."""
    with tempfile.TemporaryDirectory() as folder:
        return trained(backbone, Path(folder), device)


def apart(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """How far weights are apart, as a share of their length."""
    a, b = (torch.cat([w.detach().flatten() for w in m.parameters()]) for m in (one, other))
    return float((a - b).norm() / a.norm())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_trains_as_on_the_processor(backbone: str) -> None:
    _, plain = whole(backbone, "cpu")
    model, log = whole(backbone, "cuda")
    losses = [one.losses["loss"] for one in log.validations]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] - 0.02, "it learns"
    assert losses == pytest.approx([one.losses["loss"] for one in plain.validations], rel=LOSS)
    assert {one.device.type for one in model.state_dict().values()} == {"cpu"}
    assert {one.device.type for one in log.heads.values()} == {"cpu"}
    print(backbone, losses, [one.losses["loss"] for one in plain.validations])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_it_embeds_the_same_on_both(backbone: str) -> None:
    """In float32: only the order of sums is another one, and TF32 is off."""
    model = copy.deepcopy(whole(backbone, "cuda")[0])
    sequences = made.sequences(lengths=[1, 3, 40, 700, 5, 9, 90, 2], seed=5)
    now = int(sequences.fields["us"].max()) + made.DAY_US
    here = embed(model, sequences, now)
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        there = embed(model.to("cuda"), sequences, now)
        torch.backends.cudnn.allow_tf32 = True
        rough = embed(model, sequences, now)
    finally:
        torch.backends.cudnn.allow_tf32 = before
    print(backbone, np.abs(here - there).max(), np.abs(here - rough).max())
    np.testing.assert_allclose(there, here, atol=1e-3)


@pytest.mark.parametrize("backbone", STREAMING)
def test_its_step_is_exported(backbone: str) -> None:
    pytest.importorskip("onnxruntime")
    model, _ = whole(backbone, "cuda")
    eager = EagerStepper(model, "behaviour-0001", "0" * 16)
    sequences = made.sequences(customers=5, length=12, seed=8)
    now = int(sequences.fields["us"].max())
    states = build(eager, sequences, now).carries
    later = made.sequences(lengths=[1] * 5, seed=9)
    later.fields["us"][:] = now + made.HOUR_US
    one = advance(eager, states, later, now + made.HOUR_US)
    other = advance(stepper(eager), states, later, now + made.HOUR_US)
    np.testing.assert_allclose(other.embeddings, one.embeddings, atol=1e-4)


class Stop:
    """A report that interrupts after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, step: int, planned: int, figures: Any) -> None:
        if step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("backbone", ["gru", "recurrence", "transformer"])
def test_an_interrupted_training_goes_on(backbone: str, tmp_path: Path) -> None:
    """To the weights of one that was not interrupted, as near as two runs of it come."""
    first, log = whole(backbone, "cuda")
    again, _ = trained(backbone, tmp_path / "again", "cuda")
    with pytest.raises(OperationError, match="interrupted after step 17"):
        trained(backbone, tmp_path / "two", "cuda", report=Stop(17))
    resumed, told = trained(backbone, tmp_path / "two", "cuda", resume=True)
    assert (told.resumed_from, told.steps) == (17, 40)
    print(backbone, "twice", apart(first, again), "resumed", apart(first, resumed))
    assert apart(first, resumed) <= 10 * apart(first, again) + 1e-3
    assert told.validations[-1].losses["loss"] == pytest.approx(
        log.validations[-1].losses["loss"], rel=LOSS
    )


@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_checkpoint_goes_on_on_the_other_device(first: str, then: str, tmp_path: Path) -> None:
    _, plain = whole("gru", "cpu")
    with pytest.raises(OperationError, match="interrupted after step 21"):
        trained("gru", tmp_path / "two", first, report=Stop(21))
    _, log = trained("gru", tmp_path / "two", then, resume=True)
    assert (log.resumed_from, log.steps) == (21, 40)
    losses = [one.losses["loss"] for one in log.validations]
    assert losses == pytest.approx([one.losses["loss"] for one in plain.validations], rel=LOSS)


def test_it_is_trained_on_from_another_version(tmp_path: Path) -> None:
    model, log = whole("gru", "cuda")
    start = {name: one.clone() for name, one in model.state_dict().items()}
    sequences = made.sequences(customers=80, length=60, seed=2)
    since = int(np.median(sequences.fields["us"]))
    _, on = trained("gru", tmp_path, "cuda", start=start, start_heads=log.heads,
                    from_us=since)  # fmt: skip
    assert on.forgetting is not None
    assert np.isfinite([*on.forgetting.before.values(), *on.forgetting.after.values()]).all()


@pytest.mark.parametrize("places", [1, 2, 3, 64, 513])
def test_both_scans_agree_forward_and_backward(places: int) -> None:
    """Against float64 one place after the other: a sum of log2 T terms is no less exact."""
    torch.manual_seed(places)
    a = torch.rand(5, places, 8, dtype=torch.float64) ** 0.1
    b, before = torch.randn(5, places, 8, dtype=torch.float64), torch.randn(5, 8).double()
    told = [one.clone().requires_grad_() for one in (a, b, before)]
    states = recurrence.scan(*told)
    weights = torch.randn_like(states)
    (states * weights).sum().backward()
    there = [one.float().cuda().requires_grad_() for one in (a, b, before)]
    found = recurrence.scan(*there)
    (found * weights.float().cuda()).sum().backward()
    slopes = [(one.grad, other.grad) for one, other in zip(told, there, strict=True)]
    for one, other in [(states.detach(), found.detach()), *slopes]:
        assert one is not None and other is not None
        assert (other.cpu().double() - one).norm() <= 1e-5 * one.norm()
    steps = recurrence._by_steps(*(one.detach() for one in there))
    torch.testing.assert_close(steps, found.detach(), rtol=1e-4, atol=1e-4)


def test_random_numbers_of_the_caller_go_on(tmp_path: Path) -> None:
    torch.cuda.manual_seed(5)
    torch.rand(3, device="cuda")
    before = torch.cuda.get_rng_state()
    with seeded(1):
        torch.rand(2)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    model = made.tiny_model("gru")  # seeds all of them
    torch.cuda.set_rng_state(before)
    sequences = made.sequences(customers=80, length=60, seed=2)
    config = TrainConfig(**{**CONFIG.to_document(), "steps": 2})
    fit(model, sequences, config=config, sizes=made.sizes(), item_counts=np.ones(made.ITEMS),
        until_us=int(sequences.fields["us"].max()) + 1, value_kind=4, directory=tmp_path,
        device="cuda")  # fmt: skip
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_more_memory_than_there_is_is_told() -> None:
    with pytest.raises(OperationError) as caught, enough_memory():
        torch.empty(2**44, device="cuda")
    assert caught.value.code == "out_of_memory"


# -- through the shop's verbs ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of 60 customers whose model was trained on the accelerator."""
    home = tmp_path_factory.mktemp("accelerated")
    pq.write_table(events(60), home / "events.parquet")
    config = Config(shop=ShopConfig(buckets=2), model=BehaviourConfig(recipe="nano", seed=3))
    with package.init(home / "shop", config) as made_:
        made_.ingest([home / "events.parquet"], preset="shoal")
        told = made_.train(
            recipe="nano", steps=20, seed=3, device="cuda", until="2024-02-10"
        ).document
        assert told["device"] == "cuda"
    return home / "shop"


def test_a_machine_without_an_accelerator_reads_and_embeds(shop: Path, tmp_path: Path) -> None:
    with package.open(shop) as opened:
        opened.write_embeddings(tmp_path / "here.parquet")
    call = [sys.executable, "-m", "shoal.cli.main", "embed", str(shop), "--out"]
    told = subprocess.run(
        [*call, str(tmp_path / "there.parquet")], env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    here, there = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("here", "there"))
    assert here.num_rows == 60
    assert here.equals(there)


def test_it_is_trained_on_from_the_command_line(shop: Path, tmp_path: Path) -> None:
    taken = Path(shutil.copytree(shop, tmp_path / "shop"))
    call = [sys.executable, "-m", "shoal.cli.main", "train", str(taken), "--recipe", "nano"]
    call += ["--steps", "6", "--warm-start", "current", "--device", "cuda", "--json"]
    told = subprocess.run(call, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr + told.stdout
    assert json.loads(told.stdout)["device"] == "cuda"


def test_adjusting_trains_on_where_there_is_one(
    base: Path,  # noqa: F811 (fixtures)
    preferred: None,  # noqa: F811
    tmp_path: Path,
) -> None:
    taken = Path(shutil.copytree(base, tmp_path / "shop"))
    with package.open(taken) as opened:
        assert opened.adjust(as_of=NOW).published is not None
        assert opened.models()["current"] == "behaviour-0002"
    document = taken / "artefacts" / "model" / "behaviour-0002" / "model.json"
    assert json.loads(document.read_text(encoding="utf-8"))["device"] == "cuda"
