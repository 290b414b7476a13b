"""Erasing persons: what every event table, state store and registry must do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.contracts.event_rows import START, events, ingest, row, rows, stored
from tests.contracts.test_state_store import MOMENT, memberships, states, store
from tests.contracts.test_warehouse import warehouse

from shoal.adapters.files import FileRegistry
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import to_us
from shoal.features.admission import EVER_US, LINKS_SCHEMA, NEVER_US, PEOPLE_SCHEMA
from shoal.ports import ErasedRows, StateStore, Warehouse

__all__ = ["store", "warehouse"]  # fixtures of the suites that these belong to

NOBODY = pa.table({"id": pa.array([], pa.string()), "customer_id": pa.array([], pa.string())})


def people(*spans: tuple[str, int, int, bool]) -> pa.Table:
    told = [
        {"id": name, "from_us": first, "to_us": last, "customer_id": "x", "merged": merged}
        for name, first, last, merged in spans
    ]
    return pa.Table.from_pylist(told, schema=PEOPLE_SCHEMA)


def whole(*names: str) -> pa.Table:
    return people(*((name, EVER_US, NEVER_US, True) for name in names))


def minute(number: int) -> int:
    return to_us(START + timedelta(minutes=number))


# --- event tables ---------------------------------------------------------------------------------


def test_an_empty_table_has_nothing_to_erase(warehouse: Warehouse) -> None:
    assert warehouse.erase(whole("c1"), NOBODY, 1) == ErasedRows()
    assert not warehouse.remembers(whole("c1"))
    warehouse.purge()
    assert warehouse.version() == -1


def test_the_rows_of_some_go_in_one_version(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events(rows(range(30))))
    ingest(warehouse, "second", events(rows(range(30, 50))))
    before, version = stored(warehouse), warehouse.version()
    gone = [one for one in before if one["customer_id"] in ("c1", "c4")]
    assert warehouse.erase(whole("c1", "c4", "nobody"), NOBODY, 7) == ErasedRows(len(gone))
    assert warehouse.version() == version + 1
    assert stored(warehouse) == [one for one in before if one not in gone]
    assert list(warehouse.since(version)) == []
    # asked again, the same request tells what it did; another finds nothing and makes no version
    assert warehouse.erase(whole("c1", "c4"), NOBODY, 7) == ErasedRows(len(gone))
    assert warehouse.erase(whole("c1", "c4"), NOBODY, 8) == ErasedRows()
    assert warehouse.version() == version + 1


def test_stretches_of_a_device_go_and_the_rest_stays(warehouse: Warehouse) -> None:
    visits = [row(n, customer_id=None, anonymous_id="till") for n in range(10)]
    known = [row(n, customer_id="c3", anonymous_id="till") for n in range(20, 24)]
    ingest(warehouse, "first", events([*visits, *known]))
    spans = people(("till", EVER_US, minute(2), False), ("till", minute(5), minute(7), False))
    assert warehouse.erase(spans, NOBODY, 1).rows == 4
    left = [one["sequence"] for one in stored(warehouse)]
    assert sorted(left) == [2, 3, 4, 7, 8, 9, 20, 21, 22, 23]


def test_a_forgotten_id_goes_from_events_of_others(warehouse: Warehouse) -> None:
    named = [row(n, customer_id="c3", anonymous_id=f"was-{n % 2}") for n in range(6)]
    ingest(warehouse, "first", events([*named, *rows(range(10, 20))]))
    before = stored(warehouse)
    pairs = pa.table({"id": ["was-1"], "customer_id": ["c3"]})
    assert warehouse.erase(whole("was-1"), pairs, 1) == ErasedRows(0, 3)
    wanted = [
        {**one, "anonymous_id": None} if one["anonymous_id"] == "was-1" else one for one in before
    ]
    assert stored(warehouse) == wanted


def test_after_a_purge_only_the_latest_version_is_kept(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events(rows(range(20))))
    ingest(warehouse, "again", events([row(3, price=5)]))  # replaces a row of c3, and says whose
    ingest(warehouse, "last", events(rows(range(20, 30))))
    before = warehouse.version()
    warehouse.erase(whole("c3"), NOBODY, 1)
    kept = stored(warehouse)
    assert warehouse.remembers(whole("c3"))
    assert not warehouse.remembers(whole("never-seen"))
    warehouse.purge()
    warehouse.purge()
    assert not warehouse.remembers(whole("c3"))
    assert stored(warehouse) == kept
    with pytest.raises(UsageError):
        warehouse.events(version=before)
    for unit in ("first", "again", "last"):
        assert warehouse.committed(unit)
    with pytest.raises(OperationError):
        list(warehouse.since(0))
    # the table goes on
    assert ingest(warehouse, "new", events([row(100), row(29)]))["stored"] == 1
    latest = warehouse.version()
    assert [unit.unit for unit in warehouse.since(latest - 1)] == ["new"]
    warehouse.compact()
    assert len(stored(warehouse)) == len(kept) + 1


def test_an_entry_of_the_log_that_names_somebody_does_not_stay(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events(rows(range(7))))
    ingest(warehouse, "again", events([row(3, price=5)]))
    kept = stored(warehouse)
    assert warehouse.remembers(whole("c3"))
    warehouse.purge()
    assert not warehouse.remembers(whole("c3"))
    assert stored(warehouse) == kept
    assert list(warehouse.since(warehouse.version() - 1)) == []


# --- state stores ---------------------------------------------------------------------------------


def links(*pairs: tuple[str, str]) -> pa.Table:
    told = [
        {"id": name, "from_us": n, "sequence": 0, "event_id": f"e{n}", "customer_id": customer,
         "says": "link", "source": "web", "kind": "login"}
        for n, (name, customer) in enumerate(pairs)
    ]  # fmt: skip
    return pa.Table.from_pylist(told, schema=LINKS_SCHEMA)


def test_a_store_forgets_states_memberships_and_flags(store: StateStore) -> None:
    store.put_states(states(ann=b"a", bob=b"b", cat=b"c"))
    store.put_memberships(memberships([("ann", "k-1", "s1", 1.0), ("bob", "k-1", "s1", 1.0)]))
    store.put_memberships(memberships([("ann", "k-1", "s2", 1.0), ("ann", "k-2", "s1", 1.0)]))
    flags = {"from_us": [1, 1], "to_us": [2, 2], "rule": ["rate", "rate"], "told_us": [1, 1]}
    store.flags.replace(None, pa.table({"visitor_id": ["ann", "bob"], **flags}))
    store.people.replace_links(None, links(("phone", "ann"), ("desk", "bob")))
    gone = store.forget(["ann", "nobody"])
    assert {name: gone[name] for name in ("states", "flags")} == {"states": 1, "flags": 1}
    assert gone["memberships"] >= 2
    assert store.count_states() == 2
    assert store.get_memberships("k-1")["customer_id"].to_pylist() == ["bob"]
    assert store.get_memberships("k-2").num_rows == 0
    assert store.flags.flags()["visitor_id"].to_pylist() == ["bob"]
    assert store.people.links().num_rows == 2
    assert store.people.forget(["ann"]) == 1
    assert sum(store.forget(["ann"]).values()) == 0
    store.scrub(["ann"])
    store.scrub()
    assert store.count_states() == 2


def test_requests_are_journaled_until_their_receipt_takes_their_place(store: StateStore) -> None:
    erasures = store.erasures
    first = erasures.begin({"own": ["ann"]}, MOMENT)
    second = erasures.begin({"own": ["bob"]}, MOMENT)
    erasures.note(first, {"own": ["ann"], "removed": {"events": 3}})
    assert erasures.pending() == [
        (first, {"own": ["ann"], "removed": {"events": 3}}), (second, {"own": ["bob"]}),
    ]  # fmt: skip
    assert erasures.receipts() == []
    erasures.finish(first, {"number": first}, MOMENT)
    assert erasures.pending() == [(second, {"own": ["bob"]})]
    assert erasures.receipts() == [{"number": first}]


def test_tombstones_stand_until_they_are_lifted(store: StateStore) -> None:
    erasures = store.erasures
    assert dict(erasures.tombstones()) == {}
    assert erasures.key() == erasures.key()
    assert len(erasures.key()) == 32
    erasures.add_tombstones([("f1", 0, 5), ("f2", 1, 2), ("f1", 7, 9)])
    erasures.add_tombstones([("f1", 0, 5)])
    found = {name: sorted(spans) for name, spans in erasures.tombstones().items()}
    assert found == {"f1": [(0, 5), (7, 9)], "f2": [(1, 2)]}
    assert erasures.lift(["f1", "f3"]) == 2
    assert list(erasures.tombstones()) == ["f2"]


def test_exports_are_remembered_once_each(store: StateStore) -> None:
    store.erasures.note_export("/a.csv", "export", MOMENT)
    store.erasures.note_export("/a.csv", "memberships", MOMENT + timedelta(days=1))
    store.erasures.note_export("/b.parquet", "features", MOMENT)
    assert store.erasures.exports() == [
        ("/a.csv", "memberships", MOMENT + timedelta(days=1)), ("/b.parquet", "features", MOMENT),
    ]  # fmt: skip
    store.erasures.drop_exports(["/a.csv", "/never"])
    assert [path for path, _, _ in store.erasures.exports()] == ["/b.parquet"]


def test_an_erasure_is_one_transaction(store: StateStore) -> None:
    store.put_states(states(ann=b"a"))
    with pytest.raises(KeyError), store.transaction():
        store.erasures.begin({"own": ["ann"]}, MOMENT)
        store.erasures.add_tombstones([("f1", 0, 5)])
        store.forget(["ann"])
        raise KeyError
    assert store.erasures.pending() == []
    assert dict(store.erasures.tombstones()) == {}
    assert store.count_states() == 1


# --- the registry ---------------------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FileRegistry]:
    made = FileRegistry(tmp_path / "artefacts")
    with made.create("segmentation", "kmeans") as directory:
        (directory / "members.txt").write_text("ann bob ann")
        (directory / "other.txt").write_text("nothing")
    yield made


def held(path: Path) -> int:
    return path.read_text().count("ann")


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("ann", "").strip())


def manifest(registry: FileRegistry) -> dict[str, Any]:
    home = registry.path("segmentation", "kmeans-0001")
    return json.loads((home / "manifest.json").read_text())


def test_a_redacted_artefact_says_so_and_is_whole(registry: FileRegistry) -> None:
    before = manifest(registry)
    assert registry.redact("segmentation", "kmeans-0001", lambda _: 0, edit) == 0
    assert manifest(registry) == before
    assert registry.redact("segmentation", "kmeans-0001", held, edit) == 2
    after = manifest(registry)
    assert (after["erased"], after["note"]) == (2, "not reproducible after erasure")
    assert after["files"]["other.txt"] == before["files"]["other.txt"]
    assert after["files"]["members.txt"] != before["files"]["members.txt"]
    was = after["was"]
    edited = registry.path("segmentation", "kmeans-0001") / "members.txt"
    assert edited.read_text() == "bob"
    assert registry.redact("segmentation", "kmeans-0001", lambda p: p.read_text().count("bob"),
                           lambda p: p.write_text("")) == 1  # fmt: skip
    assert manifest(registry)["erased"] == 3
    assert manifest(registry)["was"] == was


def test_a_redaction_that_was_killed_goes_on(registry: FileRegistry) -> None:
    def dies(path: Path) -> None:
        edit(path)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        registry.redact("segmentation", "kmeans-0001", held, dies)
    assert manifest(registry)["redacting"]["entries"] == 2  # and it can be read meanwhile
    assert registry.redact("segmentation", "kmeans-0001", held, edit) == 2
    assert manifest(registry)["erased"] == 2
    assert "redacting" not in manifest(registry)


def test_damage_that_was_there_before_stays_damage(registry: FileRegistry) -> None:
    home = registry.directory("segmentation", "kmeans-0001")
    (home / "other.txt").write_text("changed by hand")
    registry.redact("segmentation", "kmeans-0001", held, edit)
    with pytest.raises(OperationError, match=r"other\.txt was changed"):
        registry.path("segmentation", "kmeans-0001")
    (home / "manifest.json").unlink()
    (home / "members.txt").write_text("ann")
    assert registry.redact("segmentation", "kmeans-0001", held, edit) == 1
    assert (home / "members.txt").read_text() == ""


def test_links_of_a_device_close_up() -> None:
    from shoal.workflows.forget_links import trimmed

    before = links(("d", "bob"), ("d", "ann"), ("d", "bob"), ("d", "cat"), ("e", "ann"))
    after, freed = trimmed(before, ["ann"], 2)
    assert pc.equal(after["id"], "d").to_pylist() == [True, True]
    assert after["customer_id"].to_pylist() == ["bob", "cat"]
    assert freed == ["d"]
    assert trimmed(before.slice(0, 0), ["ann"], 2)[1] == []
