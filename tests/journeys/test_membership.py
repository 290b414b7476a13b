"""Memberships over time from the command line: refresh, recorded, customer, forgetting."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from tests.journeys.conftest import Shoal

import shoal as package
from shoal.config import Config, ShopConfig

START = datetime(2024, 3, 1, tzinfo=UTC)
CUT = 30
DAYS = 60
#: Customers, and those of them who are there before the cut.
ALL = 60
FIRST_ONES = 50
KIND = ("books", "grocery", "fashion")
#: Was a reader, and turned to fashion after the cut.
TURNED = "c003"


def rows() -> list[dict[str, Any]]:
    """Three kinds of customers; one changes after `CUT` days, some come late or stop coming."""
    random = np.random.default_rng(11)
    found = []
    for number in range(60 * DAYS):
        day, customer = number // 60, int(random.integers(ALL))
        if customer >= FIRST_ONES and day < CUT:
            continue
        if customer < FIRST_ONES and customer % 4 == 1 and day > 20:
            continue
        kind = customer % 3
        if f"c{customer:03d}" == TURNED and day >= CUT:
            kind = 2
        found.append(
            {
                "event_id": f"e{number}", "customer_id": f"c{customer:03d}",
                "event_time": START + timedelta(days=day, hours=(2, 10, 19)[kind],
                                                minutes=int(random.integers(60))),
                "kind": str(random.choice(["view", "purchase"], p=[0.6, 0.4])),
                "category": KIND[kind], "item_id": f"i{kind}{int(random.integers(20))}",
                "price": 10 + 40 * kind, "quantity": 1 + kind, "currency": "EUR",
            }
        )  # fmt: skip
    turned = [
        {**found[0], "event_id": f"t{n}", "customer_id": TURNED, "category": KIND[2],
         "event_time": START + timedelta(days=CUT + n // 3, hours=19, minutes=n), "price": 90,
         "quantity": 3, "kind": "purchase", "item_id": f"i2{n % 20}"}
        for n in range(60)
    ]  # fmt: skip
    return found + turned


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, default=datetime.isoformat) + "\n" for row in events))
    return path


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop segmented after `CUT` days that has taken in the rest."""
    folder = tmp_path_factory.mktemp("membership")
    cut = START + timedelta(days=CUT)
    events = rows()
    with package.init(folder / "shop", Config(shop=ShopConfig(buckets=2))) as shop:
        early = [row for row in events if row["event_time"] < cut]
        shop.ingest([write(folder / "early.jsonl", early)], preset="shoal")
        shop.segment(k=3, aim="style")
        late = [row for row in events if row["event_time"] >= cut]
        shop.ingest([write(folder / "late.jsonl", late)], preset="shoal")
    return folder / "shop"


@pytest.fixture
def shop(grown: Path, tmp_path: Path) -> Path:
    return shutil.copytree(grown, tmp_path / "shop")


def test_a_refresh_says_who_moved_and_why_and_is_done_once(shop: Path, shoal: Shoal) -> None:
    answer = shoal("refresh", shop, "--json")
    assert answer.code == 0, answer.err
    document = answer.document
    assert document["schema"] == "shoal.refresh/1"
    main, rules = document["segmentations"]
    assert main["method"] == "kmeans" and rules["method"] == "rfm"
    assert main["customers"] == ALL
    newcomers = sum(move["customers"] for move in main["moves"] if move["from"] is None)
    assert newcomers == ALL - FIRST_ONES
    for one in document["segmentations"]:
        assert sum(one["causes"].values()) == one["changed"]
    said = shoal("refresh", shop)
    assert said.code == 0
    assert f"0 of {ALL} customers changed" in said.out


def test_silence_is_told_apart_from_events(shop: Path, shoal: Shoal) -> None:
    shoal("refresh", shop)
    later = shoal("refresh", shop, "--as-of", "2024-09-01", "--json").document
    assert later["as_of"] == "2024-09-01T00:00:00Z"
    assert later["segmentations"][1]["causes"].keys() == {"silence"}
    words = shoal("refresh", shop, "--as-of", "2024-09-02").out
    assert f"0 of {ALL} customers changed from 2024-09-01 00:00 UTC" in words


def test_a_customer_who_turned_is_told_with_the_date_and_the_cause(
    shop: Path, shoal: Shoal
) -> None:
    before = shoal("customer", shop, TURNED, "--json").document["memberships"][0]
    assert not before["recorded"], "what was ingested is not in the log before a refresh"
    assert before["cause"] is None
    moment = shoal("refresh", shop, "--json").document["as_of"]
    told = shoal("customer", shop, TURNED, "--json").document["memberships"][0]
    assert (told["recorded"], told["cause"], told["since"]) == (True, "event", moment)
    [earlier] = told["previous"]
    assert earlier["segment_id"] != told["segment_id"]
    assert (earlier["cause"], earlier["ended_by"]) == ("version", "event")
    assert earlier["until"] == moment
    words = shoal("customer", shop, TURNED).out
    assert "by what they did" in words
    assert f"before: {earlier['segment_id']}" in words
    then = shoal("customer", shop, TURNED, "--as-of", "2024-04-02", "--json").document
    assert then["memberships"][0]["segment_id"] == earlier["segment_id"]
    assert then["memberships"][0]["previous"] == []


def test_the_log_is_written_as_it_stood(shop: Path, shoal: Shoal, tmp_path: Path) -> None:
    shoal("refresh", shop)
    now, then = tmp_path / "now.parquet", tmp_path / "then.csv"
    assert shoal("memberships", shop, "--recorded", "--out", now).code == 0
    written = shoal("memberships", shop, "--recorded", "--as-of", "2024-04-02", "--out", then,
                    "--json").document  # fmt: skip
    table, early = pq.read_table(now), pa_csv.read_csv(then)
    assert table.schema.names[-2:] == ["cause", "margin"]
    assert (table.num_rows, early.num_rows) == (ALL, written["rows"])
    assert written["rows"] == FIRST_ONES, "those who came later are not there"
    assert set(early["cause"].to_pylist()) == {"version"}
    applied = tmp_path / "applied.parquet"
    shoal("memberships", shop, "--out", applied)
    columns = ["customer_id", "segment_id", "since"]
    assert pq.read_table(applied).select(columns).equals(table.select(columns))


def test_forgetting_reaches_every_row_of_a_persons_history(shop: Path, shoal: Shoal) -> None:
    shoal("refresh", shop)
    with package.open(shop) as opened:
        rows = opened._parts.store.membership_history(TURNED).num_rows
    assert rows >= 4, "two in each segmentation"
    assert shoal("forget", shop, TURNED, "--yes").code == 0
    with package.open(shop) as opened:
        store = opened._parts.store
        assert store.membership_history(TURNED).num_rows == 0
        left = opened.memberships(recorded=True)
    assert TURNED not in left["customer_id"].to_pylist()
    assert left.num_rows == ALL - 1
    assert TURNED.encode() not in (shop / "shop.sqlite").read_bytes()


def test_refresh_follows_a_new_version_and_a_rollback(shop: Path, shoal: Shoal) -> None:
    shoal("refresh", shop)
    assert shoal("segment", shop, "--k", 3, "--aim", "style").code == 0
    with package.open(shop) as opened:
        second = opened.current()
        spans = opened.memberships(recorded=True)
    assert second == "kmeans-0002"
    assert set(spans["segmentation_id"].to_pylist()) == {second}
    assert "event" in spans["cause"].to_pylist(), "who stays keeps the cause"
    assert pc.min(spans["since"]).as_py() < pc.max(spans["since"]).as_py(), "and since when"
    assert shoal("rollback", shop, "kmeans-0001").code == 0
    document = shoal("refresh", shop, "--json").document
    assert document["segmentations"][0]["segmentation_id"] == "kmeans-0001"
    with package.open(shop) as opened:
        assert opened.memberships(recorded=True).num_rows == ALL


WRONG = {
    "earlier": (("refresh", "--as-of", "2024-03-05"), "bad_period", "are recorded up to"),
    "no time": (("refresh", "--as-of", "soon"), "bad_time", "'soon'"),
    "soft log": (("memberships", "--recorded", "--soft", "--out", "m.csv"), "usage", "one segment"),
    "version": (
        ("memberships", "--recorded", "--segmentation", "k-9", "--out", "m.csv"),
        "unknown_segmentation", "'k-9'",
    ),
    "ending": (("memberships", "--recorded", "--out", "m.xlsx"), "unknown_format", "m.xlsx"),
    "nobody": (("customer", "nobody"), "unknown_customer", "'nobody'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_are_told(
    name: str, grown: Path, shoal: Shoal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (verb, *flags), code, words = WRONG[name]
    answer = shoal(verb, grown, *flags, "--json")
    assert (answer.code, answer.error["code"]) == (2, code)
    assert words in answer.error["message"]
    assert answer.error["hint"]
    assert not list(tmp_path.iterdir())


def test_without_segments_there_is_nothing_to_refresh(tmp_path: Path, shoal: Shoal) -> None:
    assert shoal("init", tmp_path / "shop").code == 0
    answer = shoal("refresh", tmp_path / "shop", "--json")
    assert (answer.code, answer.error["code"]) == (2, "unknown_segmentation")
    assert "shoal segment" in answer.error["hint"]
