"""Anonymous visitors become customers: states and snapshots follow, in any split and order."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.shops import BUCKETS, ZONE, Shop, engine, fold, write_csv

from shoal.features.snapshot import snapshot_table
from shoal.workflows.admission import Admission

START = datetime(2024, 5, 1, 8, tzinfo=UTC)
FOLD = ("purchase", "GBP")


def rows(seed: int, size: int) -> list[dict[str, Any]]:
    """Events of two customers on two devices: anonymous ones, sign-ins, an alias, an un-merging."""
    chance = random.Random(seed)
    made = []
    for n in range(size):
        kind = chance.choice(["view", "view", "purchase", "login"])
        who = chance.choice(["ann", "bob", "old", "", "", ""])
        device = chance.choice(["phone", "desk", "old", ""])
        says = chance.choice(["", "", "", '{"alias":true}', '{"identity":"unmerge"}'])
        cut = says.startswith('{"identity')
        made.append(
            {
                "event_id": f"e{n}",
                "source": "shoal" if cut else "web",
                "kind": "custom" if cut else kind,
                "sequence": n % 3,
                "event_time": (START + timedelta(minutes=chance.randrange(50))).isoformat(),
                "customer_id": who,
                "anonymous_id": device,
                "item_id": f"i{n % 4}",
                "price": "2.50" if kind == "purchase" else "",
                "currency": "GBP",
                "properties": says,
            }
        )
    return made


def table_of(shop: Shop, moment: datetime) -> list[dict[str, Any]]:
    admission = Admission(shop.warehouse, shop.store, buckets=BUCKETS)
    found = snapshot_table(admission.at(moment), fold(*FOLD), zone=ZONE, as_of=moment)
    return [row for row in found.to_pylist() if row]


def csv_of(path: Path, some: list[dict[str, Any]]) -> Path:
    return write_csv(path, some, columns=tuple(some[0]))


@pytest.mark.parametrize(("seed", "parts"), [(1, 1), (2, 2), (3, 3), (4, 5)])
def test_states_are_those_of_one_ingest(tmp_path: Path, seed: int, parts: int) -> None:
    folder, made = tmp_path, rows(seed, 40)
    whole, split = Shop(folder / "whole"), Shop(folder / "split")
    whole.ingest(csv_of(folder / "all.csv", made))
    shuffled = random.Random(seed).sample(made, len(made))
    for k in range(parts):
        split.ingest(csv_of(folder / f"{k}.csv", shuffled[k::parts]))
    assert split.store.people.links().equals(whole.store.people.links())
    assert split.states() == whole.states()
    split.rebuild()
    assert split.states() == whole.states()
    whole.close()
    split.close()


@pytest.mark.parametrize(("seed", "minute"), [(11, 10), (12, 25), (13, 40)])
def test_a_snapshot_knows_only_who_had_signed_in(tmp_path: Path, seed: int, minute: int) -> None:
    folder = tmp_path
    made, moment = rows(seed, 30), START + timedelta(minutes=minute)
    early = [row for row in made if row["event_time"] < moment.isoformat()]
    assert any(row["customer_id"] for row in early)
    everything, known = Shop(folder / "everything"), Shop(folder / "known")
    everything.ingest(csv_of(folder / "all.csv", made))
    known.ingest(csv_of(folder / "early.csv", early))
    later, before = table_of(everything, moment), table_of(known, moment)
    assert later == before
    everything.close()
    known.close()


def test_the_past_on_a_device_goes_to_the_first_who_signs_in(tmp_path: Path) -> None:
    def row(n: int, minute: int, who: str, kind: str = "view") -> dict[str, Any]:
        moment = (START + timedelta(minutes=minute)).isoformat()
        return {
            "event_id": f"e{n}", "event_time": moment, "kind": kind, "customer_id": who,
            "anonymous_id": "till", "item_id": "i", "properties": "",
        }  # fmt: skip

    shop = Shop(tmp_path / "shop")
    shop.ingest(csv_of(tmp_path / "a.csv", [row(1, 0, ""), row(2, 1, "")]))
    assert shop.states() == {}
    shop.ingest(csv_of(tmp_path / "b.csv", [row(3, 5, "ann", "login"), row(4, 6, "")]))
    shop.ingest(csv_of(tmp_path / "c.csv", [row(5, 9, "bob", "login"), row(6, 10, "")]))
    now = START + timedelta(hours=1)
    counts = {one["customer_id"]: one["events"] for one in table_of(shop, now)}
    assert counts == {"ann": 4, "bob": 2}
    before_bob = {
        one["customer_id"]: one["events"] for one in table_of(shop, START + timedelta(minutes=7))
    }
    assert before_bob == {"ann": 4}
    assert engine().dialect == "duckdb"
    shop.close()
