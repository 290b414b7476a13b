"""Forgetting one person changes nothing of anybody else, and nothing brings the person back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.laws.test_people_in_states import csv_of, rows
from tests.shops import BUCKETS, ZONE, Shop

from shoal.adapters.files import FileRegistry
from shoal.config import IdentityConfig
from shoal.domain.errors import UsageError
from shoal.events.presets import load
from shoal.events.tombstones import fingerprint
from shoal.features.admission import NEVER_US
from shoal.workflows import identity
from shoal.workflows.admission import Admission
from shoal.workflows.catch_up import rebuild
from shoal.workflows.forget import Forgetting, Places
from shoal.workflows.ingest import ingest

SHARED_BY = 4
#: Ids of five customers, so of none.
CROWDED = ("till", "office")
#: Customers, of whom "old" is a device and an id that was merged as well.
PEOPLE = ("ann", "bob", "old")


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Shop, Forgetting]]:
    shop = Shop(folder / "shop")
    settings = IdentityConfig(shared_by=SHARED_BY)
    admission = Admission(shop.warehouse, shop.store, people=settings, buckets=BUCKETS)
    places = Places(shop.directory, shop.quarantine_dir, folder / "exports", folder / "work")
    registry = FileRegistry(folder / "artefacts")
    yield (
        shop,
        Forgetting(shop.warehouse, shop.store, registry, admission, shop.fold, places),
    )
    shop.close()


def bring(shop: Shop, forgetting: Forgetting, path: Path) -> dict[str, Any]:
    """Ingest a file with the law's settings of identity; the JSON document."""
    return ingest(
        warehouse=shop.warehouse,
        store=shop.store,
        fold=shop.fold,
        admission=forgetting.admission,
        quarantine_dir=shop.quarantine_dir,
        paths=[str(path)],
        mapping=load("shoal"),
        zone=ZONE,
        buckets=BUCKETS,
    ).as_document()


def crowd(seed: int) -> list[dict[str, Any]]:
    """The events of the law of identity, and customers at a till that is nobody's.

    Some say that the till always was them, as others do of the address of a whole office.
    """
    chance = random.Random(seed)
    made = rows(seed, 60)
    for n, who in enumerate(("ann", "bob", "cat", "dan", "eve", "")):
        for again, till in enumerate(("till", "till", "office")):
            says = '{"alias":true}' if who and (till == "office" or chance.random() < 0.3) else ""
            row = {**made[0], "source": "web", "properties": says, "customer_id": who}
            row |= {"event_id": f"t{n}-{again}", "kind": "login", "anonymous_id": till}
            row["event_time"] = chance.choice(made)["event_time"]
            made.append(row)
    return made


def ids_of(shop: Shop) -> set[str]:
    """Ids of all stored events."""
    table = shop.events()
    return {name for column in ("customer_id", "anonymous_id") for name in table[column].to_pylist()
            if name}  # fmt: skip


def pairs_of(shop: Shop) -> set[tuple[str | None, str | None]]:
    """Customers and anonymous ids of all stored events."""
    table = shop.events().select(["customer_id", "anonymous_id"])
    return {(row["customer_id"], row["anonymous_id"]) for row in table.to_pylist()}


def whose(shop: Shop) -> set[tuple[str, str]]:
    """Ids and the customers whose they are, at times."""
    rows = identity.people_at(shop.store, NEVER_US, SHARED_BY).to_pylist()
    return {(one["id"], one["customer_id"]) for one in rows}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("person", PEOPLE)
def test_others_stay_as_they_are(tmp_path: Path, seed: int, person: str) -> None:
    made = crowd(seed)
    with opened(tmp_path) as (shop, forgetting):
        bring(shop, forgetting, csv_of(tmp_path / "a.csv", made))
        before, raw = shop.states(), shop.store.people.links()
        owners = whose(shop)
        receipt = forgetting.forget([person])
        after, links = shop.states(), shop.store.people.links()
        assert person not in after
        rebuild(
            warehouse=shop.warehouse,
            store=shop.store,
            fold=shop.fold,
            admission=forgetting.admission,
        )
        assert shop.states() == after
        assert shop.store.people.links().equals(links)
        assert raw.num_rows - links.num_rows == receipt["removed"]["links"]
        assert {(None, one) for one in CROWDED} <= pairs_of(shop)
        # A till with fewer customers is somebody's now; a customer's id was another's device.
        others = {who for one, who in whose(shop) - owners if one in CROWDED}
        others |= {who for one, who in owners if one == person}
        for name, state in after.items():
            assert name in others or before[name] == state, name
        assert receipt["removed"]["events"] + shop.events().num_rows == len(made)
        assert person not in ids_of(shop)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("person", PEOPLE)
def test_old_files_bring_nobody_back(tmp_path: Path, seed: int, person: str) -> None:
    made = crowd(seed)
    with opened(tmp_path) as (shop, forgetting):
        bring(shop, forgetting, csv_of(tmp_path / "a.csv", made))
        forgetting.forget([person])
        events, states = shop.events(), shop.states()
        again = random.Random(seed).sample(made, len(made))
        result = bring(shop, forgetting, csv_of(tmp_path / "b.csv", again))
        assert result["rows"]["stored"] == 0
        assert result["rows"]["conflicting"] == 0
        assert result["forgotten"] + result["rows"]["duplicate"] == len(made)
        assert shop.events().equals(events)
        assert shop.states() == states
        second = forgetting.forget([person])
        assert sum(second["removed"].values()) == 0
        assert second["earlier_versions"] == "kept"
        assert shop.states() == states


def test_repeated_rows_without_ids_come_once(tmp_path: Path) -> None:
    plain = {"source": "web", "item_id": "i1", "event_time": "2024-05-01T08:00:00Z"}
    alias = {**plain, "kind": "custom", "customer_id": "ann", "anonymous_id": "d1",
             "properties": '{"alias":true}'}  # fmt: skip
    view = {**plain, "kind": "view", "customer_id": "bob", "anonymous_id": "d1", "properties": ""}
    made = [alias, view, view, view]
    with opened(tmp_path) as (shop, forgetting):
        bring(shop, forgetting, csv_of(tmp_path / "a.csv", made))
        assert shop.events().num_rows == 4
        forgetting.forget(["ann"])
        assert pairs_of(shop) == {("bob", None)}
        events = shop.events()
        result = bring(
            shop, forgetting, csv_of(tmp_path / "b.csv", [*made, {**view, "item_id": "i2"}])
        )
        assert (result["rows"]["stored"], result["rows"]["duplicate"]) == (1, 3)
        assert result["forgotten"] == 1
        assert shop.events().num_rows == events.num_rows + 1


def came_back(folder: Path, shop: Shop, forgetting: Forgetting, number: int) -> set[Any]:
    """What is stored of new events: a sign-in of ann on her device, and views there."""
    plain = {"source": "web", "item_id": "i1", "anonymous_id": "d1", "kind": "view",
             "event_time": f"2025-05-0{number}T08:00:00Z"}  # fmt: skip
    made = [{**plain, "customer_id": who, "event_id": f"n{number}{who}"} for who in ("", "ann")]
    before = shop.events()["event_id"].to_pylist()
    bring(shop, forgetting, csv_of(folder / f"new{number}.csv", made))
    rows = shop.events().to_pylist()
    return {(row["customer_id"], row["anonymous_id"]) for row in rows
            if row["event_id"] not in before}  # fmt: skip


def test_who_is_let_back_in_comes_with_the_devices(tmp_path: Path) -> None:
    plain = {"source": "web", "event_time": "2024-05-01T08:00:00Z", "kind": "login"}
    pairs = (("ann", "d1"), ("ann", "d2"), ("bob", "d3"), ("bob", ""), ("cat", "d4"))
    made = [{**plain, "event_id": f"e{n}", "customer_id": who, "anonymous_id": device}
            for n, (who, device) in enumerate(pairs)]  # fmt: skip
    with opened(tmp_path) as (shop, forgetting):
        bring(shop, forgetting, csv_of(tmp_path / "a.csv", made))
        receipt = forgetting.forget(["ann", "bob"])
        assert sorted(map(len, receipt["persons"])) == [2, 3]
        assert sorted(n for one in receipt["persons"] for n in one) == receipt["tombstones"]
        assert came_back(tmp_path, shop, forgetting, 1) == set()
        assert forgetting.lift(["d1"]) == 1
        assert came_back(tmp_path, shop, forgetting, 2) == {(None, "d1")}
        assert forgetting.lift(["ann"]) == 2
        assert came_back(tmp_path, shop, forgetting, 3) == {("ann", "d1"), (None, "d1")}
        assert forgetting.lift(["ann"]) == 0
        assert shop.store.erasures.tombstones().keys() == {
            fingerprint(shop.store.erasures.key(), name) for name in ("bob", "d3")
        }


def test_a_device_of_two_forgotten_stays_out_with_one_of_them(tmp_path: Path) -> None:
    plain = {"source": "web", "event_time": "2024-05-01T08:00:00Z", "kind": "login"}
    with opened(tmp_path) as (shop, forgetting):
        for n, who in enumerate(("ann", "bob")):
            row = {**plain, "event_id": who, "customer_id": who, "anonymous_id": "d1"}
            forgetting.lift(["d1"])
            bring(shop, forgetting, csv_of(tmp_path / f"{n}.csv", [row]))
            forgetting.forget([who])
        assert forgetting.lift(["ann"]) == 1
        assert came_back(tmp_path, shop, forgetting, 1) == {("ann", None)}
        assert forgetting.lift(["bob"]) == 2
        assert came_back(tmp_path, shop, forgetting, 2) == {("ann", "d1"), (None, "d1")}


@pytest.mark.parametrize("name", CROWDED)
def test_a_device_of_several_is_nobodys_name(tmp_path: Path, name: str) -> None:
    with opened(tmp_path) as (shop, forgetting):
        bring(shop, forgetting, csv_of(tmp_path / "a.csv", crowd(1)))
        states = shop.states()
        with pytest.raises(UsageError, match=f"'{name}' is a device on which 5 customers signed"):
            forgetting.forget([name])
        assert shop.states() == states
        assert shop.store.erasures.pending() == []
