"""Segments on the embedding of a behaviour model: made, applied, told of, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import shoal
from shoal.domain.errors import UsageError

START = datetime(2024, 1, 1, tzinfo=UTC)
CUSTOMERS = 90


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[shoal.shop.Shop]:
    """Two kinds of customers, who look at other categories at other prices and hours."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(CUSTOMERS):
        of = number % 2
        for place in range(14):
            day = timedelta(days=float(rng.integers(60)), hours=(3, 15)[of], minutes=place)
            item = int(rng.integers(10)) * 2 + of
            rows.append(
                {
                    "event_id": f"{number}-{place}",
                    "customer_id": f"c{number:03d}",
                    "kind": str(rng.choice(["view", "view", "purchase"])),
                    "event_time": START + day,
                    "item_id": f"i{item}",
                    "category": ("books/novels", "garden/tools")[of],
                    "price": (5.0, 80.0)[of] + item,
                    "currency": "EUR",
                    "quantity": 1,
                }
            )
    home = tmp_path_factory.mktemp("embedded")
    pq.write_table(pa.Table.from_pylist(rows), home / "events.parquet")
    with shoal.init(home / "shop") as made:
        made.ingest([home / "events.parquet"], preset="shoal")
        yield made


@pytest.fixture(scope="module")
def model(shop: shoal.shop.Shop) -> str:
    return shop.train(recipe="nano", steps=40, seed=1, device="cpu").model_id


def test_without_a_model_segments_are_made_on_features(shop: shoal.shop.Shop) -> None:
    if shop.models()["models"]:
        pytest.skip("the model of this module is made already")
    (document, *_) = shop.segment(k=2).as_document()["segmentations"]
    assert document["on"] == "features" and document["model_id"] is None
    with pytest.raises(UsageError, match="no behaviour model yet") as raised:
        shop.segment(k=2, on="embedding")
    assert raised.value.code == "unknown_model" and "shoal train" in raised.value.hint


def test_what_segments_cannot_be_made_on_is_refused(shop: shoal.shop.Shop) -> None:
    with pytest.raises(UsageError, match="'moods'") as raised:
        shop.segment(on="moods")
    assert raised.value.code == "unknown_input"
    assert "features, embedding, both" in raised.value.hint


def test_segments_on_the_embedding_tell_the_kinds_of_customers_apart(
    shop: shoal.shop.Shop, model: str
) -> None:
    (document, *_) = shop.segment(k=2, seed=1, on="embedding").as_document()["segmentations"]
    assert document["on"] == "embedding" and document["model_id"] == model
    table = shop.memberships()
    kinds = np.array([int(one[1:]) % 2 for one in table["customer_id"].to_pylist()])
    found = np.array([int(one == "s01") for one in table["segment_id"].to_pylist()])
    right = (kinds == found).mean()
    assert max(right, 1 - right) > 0.95


def test_a_segmentation_on_the_embedding_is_applied_to_any_moment(
    shop: shoal.shop.Shop, model: str
) -> None:
    shop.segment(k=2, seed=1, on="embedding")
    now = shop.memberships()
    customer = now["customer_id"][7].as_py()
    told = shop.customer(customer)
    assert told["memberships"][0]["segment_id"] == now["segment_id"][7].as_py()
    assert told["memberships"][0]["weight"] == pytest.approx(now["weight"][7].as_py(), abs=1e-6)
    before = START + timedelta(days=30)
    then = shop.memberships(as_of=before)
    one = next(iter(then.to_pylist()))
    asked = shop.customer(one["customer_id"], as_of=before)
    assert asked["memberships"][0]["segment_id"] == one["segment_id"]
    assert any("still to come" in text for text in asked["warnings"])


def test_segments_are_on_both_unless_asked(shop: shoal.shop.Shop, model: str) -> None:
    on_both = shop.segment(k=2).as_document()["segmentations"][0]
    assert on_both["on"] == "both" and on_both["model_id"] == model
    on_features = shop.segment(k=2, on="features").as_document()["segmentations"][0]
    assert on_features["on"] == "features" and on_features["model_id"] is None


def test_the_report_says_what_the_segments_were_made_on(
    shop: shoal.shop.Shop, model: str, tmp_path: Path
) -> None:
    shop.segment(k=2, seed=1)
    page = Path(shop.report(out=tmp_path / "report.html")).read_text(encoding="utf-8")
    assert model in page
