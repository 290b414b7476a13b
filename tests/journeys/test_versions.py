"""Versions, lineage, rollback and an incumbent segmentation, through the command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

import shoal as package

START = datetime(2024, 1, 1, tzinfo=UTC)
KINDS = ("books", "grocery", "fashion")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A shop of three kinds of customers with two versions of segments, and a file of the kinds."""
    random = np.random.default_rng(0)
    rows = [
        {
            "event_id": f"{number}-{place}", "customer_id": f"c{number:03d}",
            "kind": str(random.choice(["view", "cart_add", "purchase"], p=[0.5, 0.2, 0.3])),
            "event_time": START
            + timedelta(days=int(random.integers(120)), hours=(2, 10, 19)[number % 3]),
            "item_id": f"i{number % 3}{int(random.integers(9))}", "category": KINDS[number % 3],
            "price": float(random.integers(1, 60)), "quantity": 1, "currency": "EUR",
        }
        for number in range(120)
        for place in range(int(random.integers(6, 14)))
    ]  # fmt: skip
    home = tmp_path_factory.mktemp("versions")
    pq.write_table(pa.Table.from_pylist(rows), home / "events.parquet")
    with package.init(home / "shop") as made:
        made.ingest([home / "events.parquet"], preset="shoal")
        made.segment(k=3, until="2024-03-15", aim="style")
        made.segment(k=3, aim="style")
    lines = ["customer_id,segment,since"]
    lines += [f"c{number:03d},{KINDS[number % 3]},2023-12-01" for number in range(120)]
    (home / "old.csv").write_text("\n".join([*lines, "stranger,books,2023-12-01"]) + "\n")
    yield home


def test_versions_for_people_and_programs(shoal: Shoal, folder: Path) -> None:
    found = shoal("versions", folder / "shop", "--json").document
    assert found["schema"] == "shoal.versions/1"
    assert found["current"] == {"main": "kmeans-0002", "rfm": "rfm-0002"}
    shown = shoal("versions", folder / "shop").out
    assert "kmeans-0001" in shown
    assert "main" in shown


def test_an_empty_shop_has_no_versions_and_no_lineage(shoal: Shoal, shop: Path) -> None:
    assert "No segments yet" in shoal("versions", shop).out
    answer = shoal("lineage", shop, "--json")
    assert (answer.code, answer.error["code"]) == (2, "unknown_segmentation")


def test_lineage_as_table_document_and_picture(shoal: Shoal, folder: Path) -> None:
    out = folder / "pictures" / "lineage.svg"
    answer = shoal("lineage", folder / "shop", "--picture", out, "--lang", "zh")
    assert answer.code == 0
    assert "2 versions from kmeans-0001" in answer.out
    assert f"Picture in {out}" in answer.out
    assert ElementTree.parse(out).getroot().tag.endswith("svg")
    found = shoal("lineage", folder / "shop", "--json").document
    assert found["schema"] == "shoal.lineages/1"
    assert {one["segment_id"] for one in found["segments"]} == {"s01", "s02", "s03"}
    answer = shoal("lineage", folder / "shop", "--picture", folder / "lineage.png", "--json")
    assert (answer.code, answer.error["code"]) == (2, "unknown_format")


def test_movement_in_two_parts(shoal: Shoal, folder: Path) -> None:
    found = shoal("lineage", folder / "shop", "--movement", "--json").document
    assert found["schema"] == "shoal.movement/1"
    assert sum(found["kinds"].values()) == found["customers"]["common"]
    shown = shoal("lineage", folder / "shop", "--movement").out
    assert "moved because they behave differently" in shown
    answer = shoal("lineage", folder / "shop", "--since", "kmeans-0001", "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    answer = shoal("lineage", folder / "shop", "--version", "kmeans-0001", "--movement", "--json")
    assert answer.error["message"] == "kmeans-0001 continues no earlier version"


def test_rollback_and_forward_again(shoal: Shoal, folder: Path) -> None:
    found = shoal("rollback", folder / "shop", "kmeans-0001", "--json").document
    assert (found["schema"], found["was"]) == ("shoal.rollback/1", "kmeans-0002")
    current = shoal("segments", folder / "shop", "--json").document
    assert current["segmentation_id"] == "kmeans-0001"
    answer = shoal("rollback", folder / "shop", "kmeans-0002")
    assert "kmeans-0002 is current again (was kmeans-0001)" in answer.out
    entries = shoal("audit", folder / "shop", "--json").document["entries"]
    told = [(one["outcome"], one["facts"]["to"]) for one in entries if one["action"] == "rollback"]
    back, forward = "kmeans-0001", "kmeans-0002"
    assert told == [("begun", back), ("done", back), ("begun", forward), ("done", forward)]
    answer = shoal("rollback", folder / "shop", "kmeans-0002", "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    answer = shoal("rollback", folder / "shop", "s01", "--json")
    assert (answer.code, answer.error["code"]) == (2, "unknown_segmentation")
    assert "kmeans-0001" in answer.error["hint"]


def test_an_incumbent_segmentation_is_compared(shoal: Shoal, folder: Path) -> None:
    found = shoal("incumbent", folder / "shop", folder / "old.csv", "--json").document
    assert found["schema"] == "shoal.incumbent/1"
    assert found["rows"]["unknown"] == 1
    assert found["backtest"]["skipped"] is None
    answer = shoal("incumbent", folder / "shop", folder / "old.csv")
    assert "1 unknown: stranger" in answer.out
    assert "adjusted Rand index" in answer.out
    assert "Backtest: segments as of" in answer.out
    answer = shoal("incumbent", folder / "shop", folder / "none.csv", "--json")
    assert (answer.code, answer.error["code"]) == (3, "input_missing")
