"""What an event does not tell of its item: states and snapshots follow, in any split and order."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.shops import ZONE, Shop, fold, write_csv

from shoal.domain.errors import OperationError
from shoal.events.mapping import SourceMapping, read_mapping
from shoal.features.snapshot import snapshot_table
from shoal.workflows import item_facts

START = datetime(2024, 5, 1, 8, tzinfo=UTC)
FOLD = ("purchase", "GBP")


def row(n: int, minute: int, **told: Any) -> dict[str, Any]:
    moment = (START + timedelta(minutes=minute)).isoformat()
    blank = dict.fromkeys(("customer_id", "anonymous_id", "item_id", "category", "brand"), "")
    return {
        "event_id": f"e{n}",
        "event_time": moment,
        "kind": "view",
        "sequence": 0,
        **blank,
    } | told


def rows(seed: int, size: int) -> list[dict[str, Any]]:
    """Views of two customers and a visitor who signs in, of items of which facts are told."""
    chance = random.Random(seed)
    made = []
    for n in range(size):
        kind = chance.choice(["view", "view", "item", "login"])
        who = "" if kind == "item" else chance.choice(["ann", "bob", ""])
        told = {
            "kind": kind, "sequence": n % 3, "customer_id": who,
            "anonymous_id": "" if kind == "item" else chance.choice(["phone", ""]),
            "item_id": "" if kind == "login" else chance.choice(["lamp", "tin", "mug"]),
            "category": chance.choice(["", "", "home", "garden/tools"]),
            "brand": chance.choice(["", "acme", "zeta"]),
        }  # fmt: skip
        made.append(row(n, chance.randrange(50), **told))
    return made


def table_of(shop: Shop, moment: datetime) -> list[dict[str, Any]]:
    found = snapshot_table(shop.admission.at(moment), fold(*FOLD), zone=ZONE, as_of=moment)
    return list(found.to_pylist())


def csv_of(path: Path, some: list[dict[str, Any]]) -> Path:
    return write_csv(path, some, columns=tuple(some[0]))


@pytest.mark.parametrize(("seed", "parts"), [(1, 1), (2, 2), (3, 3), (4, 5), (5, 8)])
def test_states_are_those_of_one_ingest(tmp_path: Path, seed: int, parts: int) -> None:
    made = rows(seed, 60)
    whole, split = Shop(tmp_path / "whole"), Shop(tmp_path / "split")
    whole.ingest(csv_of(tmp_path / "all.csv", made))
    shuffled = random.Random(seed).sample(made, len(made))
    for k in range(parts):
        split.ingest(csv_of(tmp_path / f"{k}.csv", shuffled[k::parts]))
    facts = item_facts.current(whole.store, whole.registry)
    assert facts.num_rows
    assert item_facts.current(split.store, split.registry).equals(facts)
    assert split.states() == whole.states()
    split.rebuild()
    assert split.states() == whole.states()
    assert len(split.registry.list(item_facts.KIND)) <= 2
    whole.close()
    split.close()


@pytest.mark.parametrize(("seed", "minute"), [(11, 10), (12, 25), (13, 40)])
def test_a_snapshot_takes_no_fact_of_a_later_day(tmp_path: Path, seed: int, minute: int) -> None:
    made, moment = rows(seed, 50), START + timedelta(minutes=minute)
    early = [one for one in made if one["event_time"] < moment.isoformat()]
    everything, known = Shop(tmp_path / "everything"), Shop(tmp_path / "known")
    everything.ingest(csv_of(tmp_path / "all.csv", made))
    known.ingest(csv_of(tmp_path / "early.csv", early))
    assert table_of(everything, moment) == table_of(known, moment)
    everything.close()
    known.close()


def test_a_category_told_later_of_an_earlier_day_reaches_those_who_looked(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    views = [
        row(1, 5, customer_id="ann", item_id="lamp"),
        row(2, 6, customer_id="bob", item_id="m"),
    ]
    shop.ingest(csv_of(tmp_path / "views.csv", views))
    untold = shop.states()
    now = START + timedelta(hours=1)
    assert {one["customer_id"]: one["categories"] for one in table_of(shop, now)} == {
        "ann": 0, "bob": 0,
    }  # fmt: skip
    told = [row(3, 0, kind="item", item_id="lamp", category="home/lamps")]
    shop.ingest(csv_of(tmp_path / "items.csv", told))
    assert {one["customer_id"]: one["categories"] for one in table_of(shop, now)} == {
        "ann": 1, "bob": 0,
    }  # fmt: skip
    assert shop.states()["bob"] == untold["bob"]
    assert shop.states()["ann"] != untold["ann"]
    shop.close()


def catalogue(directory: Path) -> SourceMapping:
    """Files that state the facts of a part as a whole: what a later one leaves out is withdrawn."""
    path = directory / "catalogue.toml"
    path.write_text(
        """
        source = "catalogue"
        [columns]
        event_time = "event_time"
        kind = "kind"
        [optional]
        event_id = "event_id"
        item_id = "item_id"
        category = "category"
        customer_id = "customer_id"
        [restates]
        scope = ["part"]
        """
    )
    return read_mapping(path)


def test_a_fact_that_is_withdrawn_is_taken_back(tmp_path: Path) -> None:
    shop, mapping = Shop(tmp_path / "shop"), catalogue(tmp_path)
    now = START + timedelta(hours=1)
    shop.ingest(csv_of(tmp_path / "views.csv", [row(1, 5, customer_id="ann", item_id="lamp")]))
    untold = shop.states()

    def told(name: str, *lines: dict[str, Any]) -> None:
        shop.ingest(
            csv_of(tmp_path / name, [line | {"part": "p"} for line in lines]), mapping=mapping
        )

    told("both.csv", row(2, 0, kind="item", item_id="lamp", category="home"),
         row(3, 0, kind="item", item_id="tin", category="food"))  # fmt: skip
    assert [one["categories"] for one in table_of(shop, now)] == [1]
    told("none.csv", row(4, 0, kind="custom"))  # the part holds no fact any more
    assert item_facts.current(shop.store, shop.registry).num_rows == 0
    assert [one["categories"] for one in table_of(shop, now)] == [0]
    assert shop.states() == untold
    shop.close()


def test_events_that_tell_all_themselves_are_read_where_they_lie(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    whole = {"item_id": "lamp", "category": "home", "brand": "acme"}
    shop.ingest(
        csv_of(
            tmp_path / "a.csv",
            [row(1, 0, kind="item", **whole), row(2, 5, customer_id="ann", **whole)],
        )
    )
    assert shop.admission.decisions().items.num_rows == 1
    assert shop.admission.at() is shop.warehouse
    shop.close()


def test_a_damaged_version_of_the_facts_is_told(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    told = [row(1, 0, kind="item", item_id="lamp", category="home")]
    shop.ingest(csv_of(tmp_path / "items.csv", told))
    [name] = shop.registry.list(item_facts.KIND)
    home = shop.registry.directory(item_facts.KIND, name)
    (home / "items.parquet").write_bytes(b"")
    with pytest.raises(OperationError) as error:
        shop.admission.at()
    assert error.value.code == "artefact_damaged"
    assert str(home) in error.value.hint
    shutil.rmtree(home)  # as the hint says
    shop.ingest(csv_of(tmp_path / "more.csv", [row(2, 5, customer_id="ann", item_id="lamp")]))
    assert item_facts.current(shop.store, shop.registry).num_rows == 1
    assert [one["categories"] for one in table_of(shop, START + timedelta(hours=1))] == [1]
    shop.close()
