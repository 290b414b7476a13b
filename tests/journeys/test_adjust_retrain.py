"""Segments on a behaviour model: trained on, judged, promoted or dropped; a model that is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import shoal as package
from shoal.adjust.adjustment import RETRAIN, Adjustment, Evidence
from shoal.adjust.decide import decide
from shoal.config import AdjustConfig, BehaviourConfig, Config
from shoal.domain.errors import OperationError, UsageError
from shoal.workflows import adjuster_look

START = datetime(2024, 1, 1, tzinfo=UTC)
LEARNED, NOW = "2024-03-15", "2024-04-25"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _events() -> pa.Table:
    random = np.random.default_rng(1)
    rows = []
    for number in range(80):
        kind = number % 2
        for place in range(24):
            day = timedelta(days=float(random.integers(120)), hours=(3, 15)[kind], minutes=place)
            item = int(random.integers(10)) * 2 + kind
            rows.append(
                {
                    "event_id": f"{number}-{place}", "customer_id": f"c{number:03d}",
                    "kind": str(random.choice(["view", "view", "purchase"])),
                    "event_time": START + day, "item_id": f"i{item}",
                    "category": ("books/novels", "garden/tools")[kind],
                    "price": (5.0, 80.0)[kind] + item, "currency": "EUR", "quantity": 1,
                }
            )  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments on the embedding of a model that has seen 60 % of the log."""
    home = tmp_path_factory.mktemp("retrain")
    pq.write_table(_events(), home / "events.parquet")
    config = Config(
        model=BehaviourConfig(recipe="nano", minutes=0.02),
        adjust=AdjustConfig(retrain_growth=0.3, challenger_days=28.0, retrain_days=0.0),
    )
    with package.init(home / "shop", config) as made:
        made.ingest([home / "events.parquet"], preset="shoal")
        made.train(recipe="nano", steps=20, seed=1, device="cpu", until=LEARNED)
        made.segment(k=2, until=LEARNED, on="embedding", aim="style")
    return home / "shop"


@pytest.fixture
def shop(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "shop")
    return tmp_path / "shop"


def _models(shop: Path) -> tuple[list[str], str | None]:
    with package.open(shop) as opened:
        told = opened.models()
        return [one["model_id"] for one in told["models"]], told["current"]


def test_a_model_that_is_due_is_trained_on_and_judged(shop: Path) -> None:
    """On two kinds that do not change, other segments bring nothing: it is dropped, and said so."""
    with package.open(shop) as opened:
        made = opened.adjust(as_of=NOW)
        told = made.document["retrained"]
        assert (told["due"], told["was"]) == ("growth", "behaviour-0001")
        considered = {one["action"]: one for one in made.document["considered"]}
        assert RETRAIN in considered
        assert considered[RETRAIN]["evidence"]["model_id"] == told["model_id"]
        assert told["forgotten"], "what was forgotten is measured"
        assert not any(one["action"] == RETRAIN for one in made.adjustments)
        assert any("was dropped" in note["en"] for note in made.document["notes"])
        assert _models(shop) == (["behaviour-0001"], "behaviour-0001")
        again = opened.adjust(as_of="2024-04-26")
        assert again.document["retrained"] is None, "it was asked for only just now"


@pytest.fixture
def preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that takes a retraining wherever there is one."""

    def chosen(evidence: Evidence, *given: Any) -> tuple[Adjustment, ...]:
        for one in evidence.proposals:
            if one.action == RETRAIN:
                return (Adjustment(RETRAIN, one, 1.0, "test", "pays"),)
        return decide(evidence, *given)

    monkeypatch.setattr(adjuster_look, "decide", chosen)


def test_a_model_goes_live_together_with_its_segments(shop: Path, preferred: None) -> None:
    with package.open(shop) as opened:
        made = opened.adjust(as_of=NOW)
        assert made.published is not None, made.document["gates"]
        assert opened.current() == made.published
        names, current = _models(shop)
        assert current == "behaviour-0002"
        assert names == ["behaviour-0001", "behaviour-0002"]
        document = opened.segments()
        assert document["segmentation_id"] == made.published
        members = opened.memberships(as_of=NOW)
        assert members.num_rows == 80
        opened.rollback("kmeans-0001")
        assert opened.current() == "kmeans-0001"
        assert opened.memberships(as_of=NOW).num_rows == 80, "the old model is still there"


def test_a_model_is_tried_on_a_share_of_customers_first(shop: Path, preferred: None) -> None:
    """Both models place customers meanwhile; the new one goes live with its segments."""
    path = shop / "shop.toml"
    path.write_text(path.read_text().replace("canary_share = 0.0", "canary_share = 0.5"))
    with package.open(shop) as opened:
        made = opened.adjust(as_of=NOW)
        tried = made.document["canary"]
        assert (tried["outcome"], tried["segmentation_id"]) == ("begun", "kmeans-0002")
        assert opened.current() == "kmeans-0001"
        assert _models(shop) == (["behaviour-0001", "behaviour-0002"], "behaviour-0001")
        told = opened.refresh(as_of="2024-05-02")
        moved = {one["segmentation_id"]: one for one in told.segmentations}
        assert moved["kmeans-0001"]["customers"] == 80
        assert moved["kmeans-0002"]["customers"] == tried["customers"] < 80
        assert {one["read"] for one in told.segmentations} == {"states"}
        whole = opened.memberships(recorded=True)["segmentation_id"].to_pylist()
        assert whole.count("kmeans-0002") == tried["customers"]
        look = opened.adjust(as_of="2024-05-03").document
        assert look["retrained"] is None, "what is tried is judged first"
        assert look["canary"]["outcome"] == "goes_on"
        assert opened.adjust(approve="look-0001").published == "kmeans-0002"
        assert _models(shop)[1] == "behaviour-0002"
        assert opened.memberships(recorded=True).num_rows == 80
        opened.rollback("kmeans-0001")
        assert opened.memberships(recorded=True).num_rows == 80


def test_no_retraining_where_nobody_wants_it_or_nothing_is_due(shop: Path) -> None:
    with package.open(shop) as opened:
        made = opened.adjust(as_of=NOW, retrain=False)
        assert made.document["retrained"] is None
    assert _models(shop)[0] == ["behaviour-0001"]


def test_a_training_that_was_killed_is_gone_on_with(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal.workflows import train

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, package.open(shop) as opened:
        patch.setattr(train, "publish", die)
        with pytest.raises(Killed):
            opened.adjust(as_of=NOW)
    assert _models(shop) == (["behaviour-0001"], "behaviour-0001")
    resumed: list[bool] = []
    usual = train.train

    def told(**given: Any) -> Any:
        resumed.append(bool(given.get("resume")))
        return usual(**given)

    monkeypatch.setattr(train, "train", told)
    with package.open(shop) as opened:
        made = opened.adjust(as_of=NOW)
    assert made.document["retrained"]["model_id"] == "behaviour-0002"
    assert resumed == [True], "not begun anew"


def test_a_model_that_cannot_be_trained_on_is_said_and_segments_go_on(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal.workflows import train

    def diverges(**_: object) -> None:
        raise OperationError("training_diverged", "the loss is no number")

    monkeypatch.setattr(train, "train", diverges)
    with package.open(shop) as opened:
        made = opened.adjust(as_of=NOW)
    assert made.looked
    assert made.document["retrained"] is None
    assert any("the loss is no number" in note["en"] for note in made.document["notes"])


def test_a_lost_model_leaves_the_last_good_version(shop: Path) -> None:
    weights = next((shop / "artefacts").glob("model*/behaviour-0001/*.safetensors"), None)
    assert weights is not None
    weights.unlink()
    with package.open(shop) as opened:
        with pytest.raises((OperationError, UsageError)) as caught:
            opened.adjust(as_of=NOW)
        assert caught.value.code == "artefact_damaged"
        assert opened.current() == "kmeans-0001"
        assert opened.memberships(recorded=True).num_rows == 80
