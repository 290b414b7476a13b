"""A model trained from the command line: published, gone on with after a kill, and forgotten of."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.config import BehaviourConfig, Config, ShopConfig
from shoal.domain.errors import OperationError
from shoal.workflows import train_tune
from shoal.workflows.progress import NoProgress

START = datetime(2024, 1, 1, tzinfo=UTC)
KINDS = ("view", "view", "cart_add", "purchase")
QUICK = ("--recipe", "nano", "--steps", 6, "--seed", 3, "--device", "cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def events(customers: int, days: int = 60, items: int = 20, first: int = 0) -> pa.Table:
    """Customers of a dozen events each, of one of two categories."""
    rng = np.random.default_rng(first)
    rows = []
    for number in range(customers):
        for place in range(12):
            item = int(rng.integers(items)) * 2 + number % 2
            rows.append(
                {
                    "event_id": f"{first}-{number}-{place}",
                    "customer_id": f"customer-{number:03d}",
                    "kind": str(rng.choice(KINDS)),
                    "event_time": START + timedelta(days=first + float(rng.random()) * days),
                    "item_id": f"i{item}",
                    "category": f"a/{number % 2}",
                    "title": f"lamp {item}",
                    "price": 1.0 + item,
                    "currency": "EUR",
                    "quantity": 1,
                }
            )
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stocked")
    pq.write_table(events(60), home / "events.parquet")
    config = Config(shop=ShopConfig(buckets=2), model=BehaviourConfig(recipe="nano", seed=3))
    with package.init(home / "shop", config) as shop:
        shop.ingest([home / "events.parquet"], preset="shoal")
    return home / "shop"


@pytest.fixture
def shop(stocked: Path, tmp_path: Path) -> Path:
    """A shop of 60 customers and 720 events, without a model."""
    return Path(shutil.copytree(stocked, tmp_path / "shop"))


def weights(shop: Path, model_id: str = "behaviour-0001") -> dict[str, np.ndarray]:
    return load_file(shop / "artefacts" / "model" / model_id / "weights.safetensors")


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)


# --- Trained --------------------------------------------------------------------------------------


def test_a_model_is_trained_and_used(shop: Path, shoal: Shoal, tmp_path: Path) -> None:
    answer = shoal("train", shop, *QUICK, "--json")
    assert answer.code == 0
    document = answer.document
    assert document["schema"] == "shoal.train/1"
    assert (document["model_id"], document["recipe"]) == ("behaviour-0001", "nano")
    assert (document["customers"], document["events"]) == (60, 720)
    assert document["fit"]["steps"] == 6
    assert not list((shop / "work").glob("train-*")), "the work is over"
    card = (shop / "artefacts/model/behaviour-0001/card.md").read_text()
    assert "720 events of 60 customers" in card and "customer-0" not in card
    out = tmp_path / "e.parquet"
    assert shoal("embed", shop, "--out", out).code == 0
    assert pq.read_table(out).num_rows == 60


def test_the_same_seed_gives_the_same_weights(shop: Path, shoal: Shoal) -> None:
    for _ in range(2):
        assert shoal("train", shop, *QUICK).code == 0
    assert shoal("train", shop, *QUICK, "--seed", 4).code == 0
    assert same(weights(shop), weights(shop, "behaviour-0002"))
    assert not same(weights(shop), weights(shop, "behaviour-0003"))


def test_nothing_at_or_after_until_is_used(shop: Path, shoal: Shoal, tmp_path: Path) -> None:
    until = ("--until", "2024-02-10")
    assert shoal("train", shop, *QUICK, *until).code == 0
    later = tmp_path / "later.parquet"
    pq.write_table(events(60, days=5, items=50, first=70), later)
    assert shoal("ingest", shop, later, "--preset", "shoal").code == 0
    assert shoal("train", shop, *QUICK, *until).code == 0
    assert same(weights(shop), weights(shop, "behaviour-0002"))


def test_people_are_shown_models_and_may_go_back(shop: Path, shoal: Shoal) -> None:
    assert "No model yet" in shoal("models", shop).out
    first = shoal("train", shop, *QUICK)
    assert "Behaviour model behaviour-0001" in first.out and "720 events" in first.out
    shoal("train", shop, *QUICK, "--seed", 4)
    assert shoal("models", shop, "--json").document["current"] == "behaviour-0002"
    back = shoal("models", shop, "--use", "behaviour-0001", "--json").document
    assert back["current"] == "behaviour-0001"
    assert [one["current"] for one in back["models"]] == [True, False]
    error = shoal("models", shop, "--use", "behaviour-0009", "--json").error
    assert error["code"] == "unknown_model" and "behaviour-0002" in error["hint"]


def test_a_model_of_other_rules_is_not_used(shop: Path, shoal: Shoal, tmp_path: Path) -> None:
    shoal("train", shop, *QUICK)
    settings = shop / "shop.toml"
    settings.write_text(settings.read_text().replace('currency = ""', 'currency = "GBP"'))
    answer = shoal("embed", shop, "--out", tmp_path / "e.parquet", "--json")
    assert (answer.code, answer.error["code"]) == (2, "model_mismatch")
    assert answer.error["message"].endswith("the currency was EUR and is GBP now")


# --- Killed ---------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from shoal.model import checkpoint
from shoal.workflows import train_data
from shoal.cli.main import run

written = checkpoint.write
def write(directory, tensors, document):
    written(directory, tensors, document)
    if document["step"] >= 2:
        os.kill(os.getpid(), signal.SIGKILL)

def spooled(*values, **named):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "after a checkpoint":
    checkpoint.write = write
else:
    train_data.SequenceFile.write = spooled
run(sys.argv[2:])
"""


def killed(shop: Path, point: str) -> None:
    arguments = [str(one) for one in ("train", shop, *QUICK)]
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, point, *arguments],
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list((shop / "work").glob("train-*"))) == 1


@pytest.fixture(scope="module")
def killed_once(stocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shop = Path(shutil.copytree(stocked, tmp_path_factory.mktemp("killed") / "shop"))
    killed(shop, "after a checkpoint")
    return shop


@pytest.fixture
def left(killed_once: Path, tmp_path: Path) -> Path:
    """The shop with a training that was killed after a checkpoint."""
    return Path(shutil.copytree(killed_once, tmp_path / "left"))


def test_a_killed_training_goes_on_to_the_same_weights(
    shop: Path, left: Path, shoal: Shoal
) -> None:
    unread = shop.with_name("unread")
    shutil.copytree(shop, unread)
    killed(unread, "while reading events")
    assert shoal("train", shop, *QUICK).code == 0
    for other, resumed in ((left, True), (unread, False)):
        answer = shoal("train", other, "--resume", "--json")
        assert answer.code == 0
        assert (answer.document["fit"]["resumed_from"] is not None) == resumed
        assert same(weights(other), weights(shop))
        assert not list((other / "work").glob("train-*"))


def test_a_training_that_differs_is_not_gone_on_with(left: Path, shoal: Shoal) -> None:
    error = shoal("train", left, "--resume", "--seed", 5, "--json").error
    assert error["code"] == "nothing_to_resume"
    assert error["message"] == "the unfinished training is another one: seed is 3, received 5"
    text = (left / "shop.toml").read_text().replace('value_event = ""', 'value_event = "view"')
    (left / "shop.toml").write_text(text)
    error = shoal("train", left, "--resume", "--json").error
    assert error["message"].endswith("has changed since: rules of the shop")


def test_a_training_begun_anew_says_so(left: Path, shoal: Shoal) -> None:
    answer = shoal("train", left, *QUICK)
    assert answer.code == 0
    assert "A training of the same settings had been interrupted" in answer.err


def test_a_trained_model_waits_for_who_writes_to_the_shop(shop: Path) -> None:
    with package.open(shop) as one, package.open(shop) as other:
        with (
            other._parts.store.lease(),
            pytest.raises(OperationError, match="trained and not published yet") as told,
        ):
            one.train(steps=3)
        assert told.value.code == "shop_locked" and "--resume" in told.value.hint
        assert one.models()["models"] == []
        assert one.train(resume=True).document["fit"]["steps"] == 3
        assert one.models()["current"] == "behaviour-0001"


def test_events_that_came_meanwhile_are_told_of(left: Path, shoal: Shoal, tmp_path: Path) -> None:
    pq.write_table(events(60, days=5, first=70), tmp_path / "later.parquet")
    shoal("ingest", left, tmp_path / "later.parquet", "--preset", "shoal")
    answer = shoal("train", left, "--resume")
    assert answer.code == 0
    assert "Events came in since the training was begun" in answer.err
    assert "720 events of 60 customers before 2024-02-29" in answer.out.replace("\n", " ")


def test_an_interrupt_keeps_what_was_learned(shop: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with package.open(shop) as opened:
        with pytest.raises(OperationError, match="interrupted after step 1 of 6") as told:
            opened.train(steps=6, progress=Meanwhile(interrupt))
        assert told.value.code == "interrupted" and "--resume" in told.value.hint
        assert opened.train(resume=True).document["fit"]["resumed_from"] == 1


# --- Forgotten ------------------------------------------------------------------------------------


def test_who_is_forgotten_is_in_no_unfinished_training(left: Path, shoal: Shoal) -> None:
    name = b"customer-007"
    assert any(name in path.read_bytes() for path in (left / "work").rglob("*") if path.is_file())
    assert shoal("forget", left, "customer-007", "--yes").code == 0
    assert not any((left / "work").rglob("*"))
    assert shoal("train", left, "--resume", "--json").error["code"] == "nothing_to_resume"


class Meanwhile(NoProgress):
    """Does something once when a training has begun."""

    def __init__(self, then: Callable[[], object]) -> None:
        self._then = then
        self._label = ""

    def start(self, label: str, total: float | None, unit: str = "") -> None:
        self._label = label

    def advance(self, amount: float = 1) -> None:
        if self._label == "training":
            self._label = ""
            self._then()


def test_a_training_stops_when_somebody_is_forgotten(shop: Path) -> None:
    with package.open(shop) as one, package.open(shop) as other:
        meanwhile = Meanwhile(lambda: other.forget(["customer-007"]))
        with pytest.raises(OperationError, match="somebody was forgotten while") as told:
            one.train(steps=6, progress=meanwhile)
        assert told.value.code == "interrupted"
        assert one.models()["models"] == []
        assert not any((shop / "work").rglob("*"))
        assert one.train(steps=2).document["customers"] == 59


def test_a_model_of_somebody_forgotten_says_so(shop: Path, shoal: Shoal) -> None:
    shoal("train", shop, *QUICK)
    assert shoal("models", shop, "--json").document["models"][0]["reproducible"] is True
    assert shoal("forget", shop, "customer-007", "--yes").code == 0
    assert shoal("models", shop, "--json").document["models"][0]["reproducible"] is False
    assert "somebody was forgotten since" in " ".join(shoal("models", shop).out.split())
    whole = b"".join(p.read_bytes() for p in (shop / "artefacts").rglob("*") if p.is_file())
    assert b"customer-0" not in whole


# --- Fine-tuned, searched -------------------------------------------------------------------------


def test_a_model_is_trained_on_with_what_came_since(
    shop: Path, shoal: Shoal, tmp_path: Path
) -> None:
    shoal("train", shop, *QUICK)
    later = tmp_path / "later.parquet"
    pq.write_table(events(60, days=30, items=30, first=60), later)
    assert shoal("ingest", shop, later, "--preset", "shoal").code == 0
    answer = shoal("train", shop, "--warm-start", "current", "--steps", 6, "--json")
    assert answer.code == 0
    assert answer.document["warm_start"] == "behaviour-0001"
    assert answer.document["fit"]["forgetting"]
    told = [
        json.loads((shop / f"artefacts/model/behaviour-000{n}/model.json").read_text())
        for n in (1, 2)
    ]
    before, after = (one["tokenizer"]["names"]["item"]["known"] for one in told)
    assert after[: len(before)] == before and len(after) > len(before)
    card = (shop / "artefacts/model/behaviour-0002/card.md").read_text()
    assert "It goes on from behaviour-0001" in card and "What it forgot" in card


def test_settings_are_tried_before(shop: Path, shoal: Shoal) -> None:
    pytest.importorskip("optuna")
    answer = shoal("train", shop, *QUICK, "--tune", 3, "--json")
    assert answer.code == 0
    tuning = answer.document["tuning"]
    assert [one["trial"] for one in tuning["trials"]] == [0, 1, 2]
    scores = [one["score"] for one in tuning["trials"]]
    assert tuning["chosen"] == int(np.argmax(scores))
    stored = json.loads((shop / "artefacts/model/behaviour-0001/model.json").read_text())
    chosen = tuning["trials"][tuning["chosen"]]["parameters"]
    assert stored["train"]["learning_rate"] == chosen["learning_rate"]
    assert stored["config"]["embedding_dim"] == chosen["embedding_dim"]
    assert "Settings tried" in (shop / "artefacts/model/behaviour-0001/card.md").read_text()


def test_a_search_that_was_interrupted_goes_on_to_the_same_result(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = {"steps": 6, "tune": 4, "search": "random"}
    smooth = Path(shutil.copytree(shop, tmp_path / "smooth"))
    with package.open(smooth) as opened:
        expected = opened.train(**call).document["tuning"]
    judged = train_tune.score
    calls = iter(range(10))

    def stopping(*values: Any) -> dict[str, float]:
        if next(calls) == 2:
            raise RuntimeError("stopped")
        return judged(*values)

    with package.open(shop) as opened:
        monkeypatch.setattr(train_tune, "score", stopping)
        with pytest.raises(RuntimeError, match="stopped"):
            opened.train(**call)
        monkeypatch.setattr(train_tune, "score", judged)
        found = opened.train(resume=True).document["tuning"]
    for one in (*expected["trials"], *found["trials"]):
        one.pop("seconds")
    assert found == expected
    assert same(weights(shop), weights(smooth))


# --- Bad input ------------------------------------------------------------------------------------


def test_too_little_to_train_on(shoal: Shoal, tmp_path: Path) -> None:
    shop = tmp_path / "small"
    shoal("init", shop, "--buckets", 2)
    error = shoal("train", shop, "--json").error
    assert (error["code"], error["message"]) == ("too_little_data", "the shop holds no event yet")
    pq.write_table(events(4), tmp_path / "few.parquet")
    shoal("ingest", shop, tmp_path / "few.parquet", "--preset", "shoal")
    answer = shoal("train", shop, "--recipe", "nano", "--json")
    assert (answer.code, answer.error["code"]) == (3, "too_little_data")
    assert "there are 4 such customers" in answer.error["message"]
    assert "shoal features SHOP" in answer.error["hint"]
    assert not list((shop / "work").glob("train-*"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--recipe", "huge"), "unknown_recipe", "no recipe of a model is called 'huge'"),
        (("--backbone", "mamba"), "bad_setting", "no backbone is called 'mamba'"),
        (("--device", "tpu"), "usage", "there is no device 'tpu'"),
        (("--minutes", -1), "usage", "minutes is -1.0"),
        (("--search", "luck", "--tune", 3), "usage", "there is no search 'luck'"),
        (("--until", "soon"), "bad_time", "soon"),
        (("--resume",), "nothing_to_resume", "there is no unfinished training to go on with"),
        (("--warm-start", "current"), "unknown_model", "the shop has no behaviour model yet"),
        (("--warm-start", "behaviour-0007"), "unknown_model", "behaviour-0007"),
        (("--warm-start", "current", "--tune", 3), "usage", "a warm start keeps those"),
        (("--text", "/no/such/encoder"), "unknown_text_encoder", "/no/such/encoder"),
    ],
)
def test_what_cannot_be_asked_for(
    arguments: tuple[object, ...], code: str, message: str, shop: Path, shoal: Shoal
) -> None:
    answer = shoal("train", shop, *arguments, "--json")
    assert answer.code == 2
    assert answer.error["code"] == code
    assert message in answer.error["message"]
    assert not list((shop / "work").glob("train-*"))


def test_a_search_without_its_library(
    shop: Path, shoal: Shoal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = shoal("train", shop, *QUICK, "--tune", 2, "--json")
    assert (answer.code, answer.error["code"]) == (1, "missing_extra")
    assert "pip install 'shoal[tune]'" in answer.error["hint"]
    assert not list((shop / "work").glob("train-*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has an accelerator")
def test_an_accelerator_that_is_not_there(shop: Path, shoal: Shoal) -> None:
    answer = shoal("train", shop, *QUICK[:-1], "cuda", "--json")
    assert (answer.code, answer.error["code"]) == (2, "no_device")
    assert "--device cpu" in answer.error["hint"]
