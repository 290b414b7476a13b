"""Segments explained from end to end: all, one, two, a customer, and as SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.features.portable import COLUMNS
from shoal.segments.explain.persona import unsupported

START = datetime(2024, 3, 1, tzinfo=UTC)
CUSTOMERS = 120


def rows() -> Iterator[dict[str, Any]]:
    """Three kinds of customers: night readers, gardeners by day, and bargain hunters."""
    rng = np.random.default_rng(5)
    for number in range(CUSTOMERS):
        kind = number % 3
        for place in range(int(rng.integers(4, 16)) if number else 1):
            day = timedelta(days=float(rng.integers(60)), hours=(1, 10, 19)[kind], minutes=place)
            bought = rng.random() < (0.2, 0.6, 0.4)[kind]
            yield {
                "event_id": f"{number}-{place}",
                "customer_id": f"c{number:03d}",
                "kind": "purchase" if bought else "view",
                "event_time": START + day,
                "item_id": f"i{rng.integers(8)}",
                "category": ("books/novels", "garden/tools", "toys")[kind],
                "order_id": f"o{number}-{place}" if bought else None,
                "price": (9.0, 70.0, 25.0)[kind] + float(rng.integers(5)),
                "discount": 3.0 if kind == 2 and bought else 0.0,
                "currency": "EUR",
                "quantity": 1,
            }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("explained")
    file = directory / "events.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows())), file)
    home = directory / "shop"
    with package.init(home) as opened:
        opened.ingest([file], preset="shoal")
        opened.segment(k=3, seed=1)
    return home


@pytest.fixture(scope="module")
def explained(shop: Path) -> dict[str, Any]:
    with package.open(shop) as opened:
        return opened.explain()


def test_every_segment_is_explained(explained: dict[str, Any]) -> None:
    assert explained["schema"] == "shoal.explain/1"
    placed = [one for one in explained["segments"] if one["segment_id"] != "new"]
    assert len(placed) == 3
    for one in placed:
        assert all(each["low"] <= each["effect"] <= each["high"] for each in one["effects"])
        assert one["typical"]
        assert one["rule"]["words"]["en"].endswith(".")
        facts = one["persona"]["facts"]
        assert unsupported(one["persona"]["en"], facts, one["persona"]["labels"]) == []
        assert one["value"]["next"]["customers"] == one["size"]
        assert one["value"]["next"]["orders"] > 0
    assert sum(one["value"]["revenue_share"] for one in explained["segments"]) == pytest.approx(1)
    assert sum(one["share"] for one in explained["segments"]) == pytest.approx(1)


def test_the_tree_says_how_true_it_is(explained: dict[str, Any]) -> None:
    tree = explained["tree"]
    assert tree["leaves"] <= tree["leaves_allowed"] == 6
    fidelity = tree["fidelity"]
    assert fidelity["balanced"] > fidelity["majority_balanced"] == pytest.approx(1 / 3)
    assert fidelity["reached"] is (fidelity["balanced"] >= 0.9)
    assert fidelity["balanced"] > 0.8
    assert tree["cost_ratio"] >= 0.99
    gone = {one["feature"] for one in tree["left_out"]["columns"]}
    assert "price_level" in gone
    assert not gone & set(tree["features"])
    assert explained["stability"] is None


def test_the_sql_finds_whom_the_tree_puts_there(shop: Path, explained: dict[str, Any]) -> None:
    with package.open(shop) as opened:
        parts = opened._parts
        events = parts.engine.run("SELECT * FROM events", {"events": parts.admission.at().events()})
        own = events.select([name for name in COLUMNS if name in events.column_names])
        everybody = parts.engine.run(opened.segment_sql()["sql"], {"events": own})
        told = dict(
            zip(everybody["customer_id"].to_pylist(), everybody["segment_id"].to_pylist(),
                strict=True)
        )  # fmt: skip
        assert len(told) == CUSTOMERS
        for one in explained["segments"]:
            sql = opened.segment_sql(one["segment_id"])["sql"]
            members = parts.engine.run(sql, {"events": own})["customer_id"].to_pylist()
            assert members == sorted(who for who in told if told[who] == one["segment_id"])
        found = opened.memberships()
    where = dict(
        zip(found["customer_id"].to_pylist(), found["segment_id"].to_pylist(), strict=True)
    )
    right = sum(told[who] == where[who] for who in where) / len(where)
    assert right > 0.85
    assert told["c000"] == where["c000"] == "new"


def test_the_tree_that_a_customer_is_told_is_the_one_of_the_sql(shop: Path) -> None:
    with package.open(shop) as opened:
        parts = opened._parts
        events = parts.admission.at().events()
        everybody = parts.engine.run(opened.segment_sql()["sql"], {"events": events})
        for one in everybody.to_pylist()[1:120:17]:
            found = opened.explain_customer(one["customer_id"])
            assert found["rule"]["segment_id"] == one["segment_id"]
            assert found["rule"]["agrees"] is (found["segment_id"] == one["segment_id"])


@pytest.mark.parametrize("dialect", ["duckdb", "bigquery", "snowflake", "spark"])
def test_every_dialect_from_the_command_line(
    shoal: Shoal, shop: Path, tmp_path: Path, dialect: str
) -> None:
    out = tmp_path / "rule.sql"
    answer = shoal("explain", shop, "--sql", "s02", "--dialect", dialect, "--out", out, "--json")
    assert answer.code == 0
    assert answer.document["path"] == str(out)
    text = out.read_text()
    assert text == answer.document["sql"]
    assert text.startswith("-- Segment s02 of kmeans-0001")
    assert sqlglot.parse_one(text, read=dialect).named_selects == ["customer_id"]


def test_a_customer_is_told_why(shoal: Shoal, shop: Path) -> None:
    answer = shoal("explain", shop, "--customer", "c003", "--json")
    found = answer.document
    assert found["schema"] == "shoal.explain_customer/1"
    assert found["decided_by"] == "distance"
    assert found["why_here"][0]["size"] >= found["why_here"][1]["size"] > 0
    assert sum(found["themes"].values()) == pytest.approx(found["total"])
    assert found["next"]["segment_id"] != found["segment_id"]
    change = found["change"]
    assert change["sentence"]["en"]
    if change["found"]:
        assert change["segment_id"] != found["segment_id"]
        assert all(one["from"] != one["to"] for one in change["changes"])
    people = shoal("explain", shop, "--customer", "c003")
    assert "Why here:" in people.out
    assert found["why_here"][0]["sentence"]["en"] in people.out


def test_who_is_too_little_known_is_told_so(shoal: Shoal, shop: Path) -> None:
    found = shoal("explain", shop, "--customer", "c000", "--json").document
    assert found["segment_id"] == "new"
    assert found["why_not_next"]["sentence"]["en"].startswith("Fewer than 3 events")
    assert found["change"]["found"] is False


def test_a_customer_as_of_a_moment(shoal: Shoal, shop: Path) -> None:
    found = shoal("explain", shop, "--customer", "c003", "--as-of", "2024-04-01", "--json").document
    assert found["as_of"] == "2024-04-01T00:00:00Z"
    assert any("knows what was still to come" in text for text in found["warnings"])


def test_two_segments_are_told_apart(shoal: Shoal, shop: Path) -> None:
    found = shoal("explain", shop, "--pair", "s01", "s02", "--json").document
    assert list(found["segments"]) == ["s01", "s02"]
    assert found["effects"][0]["low"] <= found["effects"][0]["effect"]
    assert "in s02" in found["effects"][0]["sentence"]["en"]
    assert found["tree"]["fidelity"]["balanced"] > 0.9
    turned = shoal("explain", shop, "--pair", "s02", "s01", "--json").document
    first = {one["feature"]: one["effect"] for one in found["effects"]}
    for one in turned["effects"]:
        if one["feature"] in first:
            assert one["effect"] == pytest.approx(-first[one["feature"]])


def test_people_read_tables(shoal: Shoal, shop: Path) -> None:
    answer = shoal("explain", shop)
    assert answer.code == 0
    assert "The rules are a tree of" in answer.out
    assert "Rule:" in answer.out
    one = shoal("explain", shop, "--segment", "s01")
    assert "Borderline customers:" in one.out
    assert shoal("explain", shop, "--sql", "all").out.startswith("-- Every customer's segment")
    assert "apart" not in shoal("explain", shop, "--pair", "s01", "s03").err


@pytest.mark.parametrize(
    ("asked", "code", "hint"),
    [
        (["--segment", "s99"], "unknown_segment", "s01"),
        (["--sql", "s99"], "unknown_segment", "s01"),
        (["--pair", "s01", "s99"], "unknown_segment", "s01"),
        (["--pair", "s01", "s01"], "usage", "two different segments"),
        (["--customer", "nobody"], "unknown_customer", "case-sensitive"),
        (["--sql", "s01", "--dialect", "oracle"], "unknown_dialect", "bigquery"),
        (["--segment", "s01", "--customer", "c003"], "usage", "one of --segment"),
        (["--segment", "s01", "--as-of", "2024-04-01"], "usage", "as of the moment"),
        (["--segmentation", "kmeans-0099"], "unknown_segmentation", "kmeans-0001"),
        (["--out", "x.sql"], "usage", "--json"),
    ],
)
def test_wrong_questions_get_a_message(
    shoal: Shoal, shop: Path, asked: list[str], code: str, hint: str
) -> None:
    answer = shoal("explain", shop, *asked, "--json")
    assert answer.code == 2
    assert answer.error["code"] == code
    assert hint in answer.error["hint"]


def test_before_segmenting_it_says_what_to_do(shoal: Shoal, shop: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    assert shoal("init", empty, "--buckets", 2).code == 0
    answer = shoal("explain", empty, "--json")
    assert answer.error["code"] == "unknown_segmentation"
    assert "shoal segment" in answer.error["hint"]


def test_rules_are_explained_when_asked(shop: Path) -> None:
    with package.open(shop) as opened:
        rfm = opened.current("rfm")
        found = opened.explain(rfm)
        sql = opened.segment_sql("r00", segmentation=rfm)
    assert found["method"] == "rfm"
    assert found["tree"]["cost_ratio"] is None
    assert found["tree"]["fidelity"]["balanced"] > found["tree"]["fidelity"]["majority_balanced"]
    assert "RFM segment r00" in sql["sql"]
    assert sql["fidelity"] is None


def test_refit_and_forgetting(shop: Path, explained: dict[str, Any]) -> None:
    """Names and rules go on over a refit; who is forgotten stands in no explanation."""
    with package.open(shop) as opened:
        names = {one["segment_id"]: one["name"] for one in explained["segments"]}
        opened.segment(k=3, seed=2)
        again = opened.explain()
        assert {one["segment_id"]: one["name"] for one in again["segments"]} == names
        stable = again["stability"]
        assert stable["previous"] == "kmeans-0001"
        assert stable["agreement"] > 0.9
        assert 0 < stable["features"]["shared"] <= stable["features"]["of"]
        whom = again["segments"][0]["borderline"][0]["customer_id"]
        opened.forget([whom])
    texts = list(shop.glob("artefacts/segmentation/*/explanation.json"))
    assert len(texts) == 2
    for path in texts:
        assert json.loads(path.read_text())["schema"] == "shoal.explanation/1"
        assert f'"{whom}"' not in path.read_text()
