"""What a person sees when files state days anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.journeys.conftest import Shoal
from tests.shops import purchase, write_csv

FIELDS = ("event_id", "customer_id", "kind", "event_time", "price", "currency", "day", "changed")


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "web.toml"
    path.write_text(
        """name = "web"
[columns]
event_id = "event_id"
customer_id = "customer_id"
kind = "kind"
event_time = "event_time"
[optional]
price = "price"
currency = "currency"
[restates]
scope = ["day"]
version = "changed"
"""
    )
    return path


def shard(path: Path, numbers: range, day: int, changed: str = "", price: str = "5.00") -> Path:
    rows = [
        purchase(n, f"c{n % 3}", day=f"d{day}", changed=changed, price=price, currency="EUR")
        for n in numbers
    ]
    return write_csv(path, rows, FIELDS)


def test_a_folder_again_takes_what_is_new_or_restated_and_says_so(
    shop: Path, tmp_path: Path, mapping: Path, shoal: Shoal
) -> None:
    folder = tmp_path / "shards"
    for day in range(1, 6):
        shard(folder / f"day{day}.csv", range(day * 10, day * 10 + 8), day)
    first = shoal("ingest", shop, folder, "--mapping", mapping)
    assert "Files: 5 new." in first.out
    shard(folder / "day2.csv", range(21, 30), 2)
    shard(folder / "day3.csv", range(30, 38), 3, price="6.00")
    shard(folder / "day6.csv", range(60, 64), 6)
    answer = shoal("ingest", shop, folder, "--mapping", mapping)
    assert "Files: 1 new, 2 restating, 3 unchanged." in answer.out
    assert (
        "Stated anew: 2 days or orders that the shop held; events withdrawn: 1, changed: 8."
        in answer.out
    )
    again = shoal("ingest", shop, folder, "--mapping", mapping, "--json").document
    assert again["files"] == {"new": 0, "restating": 0, "unchanged": 6, "superseded": 0}
    assert again["events"] == 5 * 8 + 1 + 4
    assert shoal("status", shop, "--json").document["events"] == again["events"]


def test_an_old_shard_after_the_new_one_brings_nothing_back(
    shop: Path, tmp_path: Path, mapping: Path, shoal: Shoal
) -> None:
    old = shard(tmp_path / "old.csv", range(8), 1)
    new = shard(tmp_path / "new.csv", range(2, 8), 1)
    shoal("ingest", shop, old, "--mapping", mapping)
    shoal("ingest", shop, new, "--mapping", mapping)
    answer = shoal("ingest", shop, old, "--mapping", mapping)
    assert "Files: 1 unchanged (1 of them stated anew by a later export)." in answer.out
    assert "holds 6 events" in answer.out


def test_rows_of_an_older_statement_are_told(
    shop: Path, tmp_path: Path, mapping: Path, shoal: Shoal
) -> None:
    new = shard(tmp_path / "new.csv", range(8), 1, changed="2024-04-02")
    old = shard(tmp_path / "old.csv", range(3), 1, changed="2024-04-01")
    answer = shoal("ingest", shop, new, old, "--mapping", mapping)
    assert "Older statement: 3 rows skipped" in answer.out


def test_two_halves_of_a_day_in_one_call_are_named(
    shop: Path, tmp_path: Path, mapping: Path, shoal: Shoal
) -> None:
    halves = [shard(tmp_path / f"{h}.csv", range(h * 5, h * 5 + 5), 1) for h in (1, 2)]
    answer = shoal("ingest", shop, *halves, "--mapping", mapping)
    assert f"{halves[1]} withdrew events of {halves[0]}" in answer.out
    assert "NAME-000000000000" in answer.out
    parts = tmp_path / "parts"
    for half in (1, 2):
        shard(parts / f"day-{half - 1:012d}.csv", range(half * 5, half * 5 + 5), 1)
    whole = shoal("ingest", shop, parts, "--mapping", mapping, "--json").document
    assert (whole["rows"]["read"], whole["events"]) == (10, 10)
