"""What every event table does: one suite, all warehouses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.event_rows import BUCKETS, events, ingest, row, rows, stored

from shoal.adapters import delta_unit
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.memory import MemoryWarehouse
from shoal.domain.errors import UsageError
from shoal.events.clean import Cleaned
from shoal.events.schema import QUARANTINE_SCHEMA, TABLE_SCHEMA
from shoal.events.tombstones import EVER, Tombstones, fingerprint
from shoal.ports import Warehouse

ENGINE = DuckEngine(threads=1, memory_mib=256)
Make = Callable[[Path], Warehouse]

MAKERS: dict[str, Make] = {
    "delta": lambda path: DeltaWarehouse(path / "events", BUCKETS, ENGINE),
    "memory": lambda path: MemoryWarehouse(ENGINE),
}


@pytest.fixture(params=["delta", "delta, nothing held", "memory"])
def warehouse(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Warehouse:
    name, _, hold = request.param.partition(", ")
    if hold:  # as units are settled that are too large to be numbered in memory
        monkeypatch.setattr(delta_unit, "HELD_ROWS", 0)
    return MAKERS[name](tmp_path)


def counts(stored: int = 0, duplicate: int = 0, conflicting: int = 0) -> dict[str, int]:
    return {"stored": stored, "duplicate": duplicate, "conflicting": conflicting}


def test_an_empty_table_has_no_version_and_no_rows(warehouse: Warehouse) -> None:
    assert warehouse.version() == -1
    assert warehouse.events().paths == ()
    assert warehouse.events().schema == TABLE_SCHEMA
    assert stored(warehouse) == []
    assert dict(warehouse.bucket_counts()) == {}
    assert list(warehouse.since(-1)) == []
    assert warehouse.compact() == -1


def test_a_unit_comes_back_as_it_went_in(warehouse: Warehouse) -> None:
    given_rows = [
        *rows(range(50)),
        row(60, customer_id=None, anonymous_id="a1", rating=4.5, properties='{"a":1}'),
        row(61, title="café \u4e2d ' \" \\", text="x" * 100_000, category="a/b/c", price=None),
    ]
    table = events(given_rows)
    assert ingest(warehouse, "first", table.slice(0, 20), table.slice(20)) == counts(stored=52)
    wanted = table.drop_columns(["generated_id"]).to_pylist()
    assert stored(warehouse) == sorted(wanted, key=lambda r: (r["source"], r["event_id"]))
    got = warehouse.engine.run("SELECT * FROM events", {"events": warehouse.events()})
    assert got.schema.equals(TABLE_SCHEMA)


def test_buckets_can_be_read_alone_and_are_counted(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events([*rows(range(50)), row(99, customer_id=None)]))
    by_bucket: dict[int, int] = {}
    for event in stored(warehouse):
        by_bucket[event["bucket"]] = by_bucket.get(event["bucket"], 0) + 1
    assert dict(warehouse.bucket_counts()) == by_bucket
    assert by_bucket[-1] == 1
    for bucket, count in by_bucket.items():
        files = warehouse.events(buckets=[bucket])
        got = warehouse.engine.run("SELECT bucket FROM events", {"events": files})
        assert got["bucket"].to_pylist() == [bucket] * count
    assert warehouse.events(buckets=[]).paths == ()


def test_nothing_is_visible_before_the_commit_or_after_discard(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events(rows(range(5))))
    before = stored(warehouse)
    version = warehouse.version()
    writer = warehouse.unit("second")
    writer.append(events(rows(range(5, 10))))
    assert stored(warehouse) == before
    assert writer.resolve() == counts(stored=5)
    assert (stored(warehouse), warehouse.version()) == (before, version)
    writer.discard()
    assert (stored(warehouse), warehouse.version()) == (before, version)
    assert not warehouse.committed("second")
    assert ingest(warehouse, "second", events(rows(range(5, 10)))) == counts(stored=5)
    assert warehouse.committed("second")


def test_a_unit_commits_once(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events(rows(range(5))))
    again = warehouse.unit("first")
    again.append(events(rows(range(100, 105))))
    assert again.commit({}) == warehouse.version()
    assert len(stored(warehouse)) == 5


def test_an_empty_unit_is_committed_too(warehouse: Warehouse) -> None:
    assert ingest(warehouse, "nothing") == counts()
    assert warehouse.committed("nothing")
    ingest(warehouse, "first", events(rows(range(3))))
    assert ingest(warehouse, "again", events(rows(range(3)))) == counts(duplicate=3)
    assert warehouse.committed("again")
    assert [len(unit.added.paths) for unit in warehouse.since(-1)][2] == 0


def test_redelivery_is_counted_and_changes_nothing(warehouse: Warehouse) -> None:
    first = events(rows(range(20)))
    assert ingest(warehouse, "first", first, first.slice(0, 5)) == counts(20, 5)
    before = stored(warehouse)
    more = events(rows(range(15, 30)))
    assert ingest(warehouse, "second", more) == counts(10, 5)
    assert [r for r in stored(warehouse) if int(r["event_id"][1:]) < 20] == before


def test_where_and_when_a_row_was_read_is_not_its_content(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events([row(1)]))
    assert ingest(warehouse, "second", events([row(1, sequence=77)])) == counts(duplicate=1)
    assert stored(warehouse)[0]["sequence"] == 1


def test_the_same_id_of_another_source_is_another_event(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events([row(1)]))
    assert ingest(warehouse, "second", events([row(1, source="web")])) == counts(stored=1)


@pytest.mark.parametrize("order", [(3, 4, 5), (5, 4, 3), (4, 5, 3)])
@pytest.mark.parametrize("together", [True, False])
def test_a_conflict_has_one_winner_whatever_the_order(
    warehouse: Warehouse, order: tuple[int, ...], together: bool
) -> None:
    bystanders = rows(range(20, 40))
    ingest(warehouse, "others", events(bystanders))
    versions = [events([row(1, quantity=quantity)]) for quantity in order]
    units = [versions] if together else [[version] for version in versions]
    said = [ingest(warehouse, f"u{n}", *chunks) for n, chunks in enumerate(units)]
    assert sum(c["stored"] for c in said) == 1
    assert sum(c["conflicting"] for c in said) == 2
    table = stored(warehouse)
    assert len(table) == 21
    winner = min(versions, key=lambda version: version["content_key"][0].as_py())
    kept = [event for event in table if event["event_id"] == "e1"]
    assert kept[0]["quantity"] == winner["quantity"][0].as_py()


def test_a_replaced_row_names_both_customers(warehouse: Warehouse) -> None:
    one, other = events([row(1, customer_id="ann")]), events([row(1, customer_id="bob")])
    loser, winner = sorted([one, other], key=lambda t: -t["content_key"][0].as_py())
    ingest(warehouse, "first", loser, events(rows(range(10, 20))))
    assert ingest(warehouse, "second", winner, events([row(30)])) == counts(1, 0, 1)
    units = list(warehouse.since(-1))
    assert [unit.rewritten_customers for unit in units] == [(), ("ann", "bob")]
    added = warehouse.engine.run(
        "SELECT event_id FROM events ORDER BY event_id", {"events": units[1].added}
    )
    assert added["event_id"].to_pylist() == ["e1", "e30"], "only what the unit brought"
    assert len(stored(warehouse)) == 12
    assert len(stored(warehouse, version=units[0].version)) == 11, "the version before stands"
    assert sum(warehouse.bucket_counts().values()) == 12


def test_identical_rows_without_ids_are_numbered(warehouse: Warehouse) -> None:
    twice = events([row(1), row(2), row(1, sequence=9), row(1, sequence=12)], generated=True)
    assert ingest(warehouse, "first", twice.slice(0, 3), twice.slice(3)) == counts(stored=4)
    ids = [event["event_id"] for event in stored(warehouse)]
    assert len(set(ids)) == 4
    renamed = events([row(2), row(1, sequence=3), row(1), row(1)], generated=True)
    assert ingest(warehouse, "renamed file", renamed) == counts(duplicate=4)
    more = events([row(1)] * 5, generated=True)
    assert ingest(warehouse, "grown file", more) == counts(stored=2, duplicate=3)
    for event in stored(warehouse):
        keys = events([{**event}])["event_key"].to_pylist()
        assert event["event_key"] == keys[0], "a new id has its own key"


def test_repeated_rows_that_lost_a_forgotten_id_are_duplicates(warehouse: Warehouse) -> None:
    came = [row(1, anonymous_id="d")] * 3 + [row(1)] * 2 + [row(2, anonymous_id="d")]
    table = events(came, generated=True)
    assert ingest(warehouse, "first", table) == counts(stored=6)
    forgotten = Tombstones(b"k", {fingerprint(b"k", "d"): [EVER]})
    given_rows = Cleaned(table, QUARANTINE_SCHEMA.empty_table(), table.num_rows, 0)
    again = forgotten.left_out(given_rows).events
    assert again["anonymous_id"].null_count == 6
    assert ingest(warehouse, "again", again.slice(0, 2), again.slice(2)) == counts(duplicate=6)
    fresh = MemoryWarehouse(ENGINE)
    assert ingest(fresh, "first", again) == counts(stored=6)
    assert [one["event_id"] for one in stored(fresh)] == [
        one["event_id"] for one in stored(warehouse)
    ]


def test_identical_rows_with_ids_of_their_own_are_duplicates(warehouse: Warehouse) -> None:
    assert ingest(warehouse, "first", events([row(1), row(1)])) == counts(1, 1)


def test_ids_whose_keys_collide_are_different_events(warehouse: Warehouse) -> None:
    assert ingest(warehouse, "first", events(rows([1, 2]), keys=[5, 5])) == counts(stored=2)
    assert ingest(warehouse, "second", events(rows([2, 3]), keys=[5, 5])) == counts(1, 1)
    assert [event["event_id"] for event in stored(warehouse)] == ["e1", "e2", "e3"]


def test_earlier_versions_stay_readable(warehouse: Warehouse) -> None:
    ingest(warehouse, "first", events(rows(range(5))))
    first = warehouse.version()
    ingest(warehouse, "second", events(rows(range(5, 9))))
    warehouse.compact()
    assert len(stored(warehouse, version=first)) == 5
    assert len(stored(warehouse)) == 9


@pytest.mark.parametrize("wanted", [-1, 7])
def test_a_version_that_never_was_is_refused(warehouse: Warehouse, wanted: int) -> None:
    with pytest.raises(UsageError, match=f"has no version {wanted}; it has no version yet"):
        warehouse.events(version=wanted)
    ingest(warehouse, "first", events(rows(range(5))))
    with pytest.raises(UsageError) as caught:
        warehouse.events(version=wanted)
    assert caught.value.code == "bad_setting"
    assert caught.value.message == (
        f"the event table has no version {wanted}; it has versions 0 to {warehouse.version()}"
    )
    assert "shoal status" in caught.value.hint


def test_since_gives_each_unit_in_order_also_after_compaction(warehouse: Warehouse) -> None:
    for number in range(4):
        ingest(warehouse, f"u{number}", events(rows(range(number * 10, number * 10 + 10))))
        if number == 2:
            warehouse.compact()
    units = list(warehouse.since(-1))
    assert [unit.unit for unit in units] == ["u0", "u1", "u2", "u3"]
    assert [dict(unit.info) for unit in units] == [{"file": f"u{n}.csv"} for n in range(4)]
    assert [unit.version for unit in units] == sorted({unit.version for unit in units})
    for number, unit in enumerate(units):
        got = warehouse.engine.run("SELECT sequence FROM events", {"events": unit.added})
        assert sorted(got["sequence"].to_pylist()) == list(range(number * 10, number * 10 + 10))
    assert [unit.unit for unit in warehouse.since(units[1].version)] == ["u2", "u3"]
    assert list(warehouse.since(warehouse.version())) == []


def test_compaction_changes_no_row_and_sorts_customers(warehouse: Warehouse) -> None:
    shuffled = np.random.default_rng(3).permutation(200).tolist()
    for number in range(4):
        ingest(warehouse, f"u{number}", events(rows(shuffled[number * 50 : number * 50 + 50])))
    before = stored(warehouse)
    version = warehouse.compact()
    assert version == warehouse.version()
    assert stored(warehouse) == before
    for path in warehouse.events().paths:
        order = pq.read_table(path, partitioning=None).select(
            ["customer_id", "event_time", "sequence"]
        )
        listed = [tuple(r.values()) for r in order.to_pylist()]
        assert listed == sorted(listed)
    assert warehouse.compact() == version, "nothing is left to do"
    assert not list(warehouse.since(version))


def test_events_of_one_anonymous_visitor_lie_together(warehouse: Warehouse) -> None:
    given_rows = [
        row(n, customer_id=f"c{n % 2}" if n % 3 == 0 else None, anonymous_id=f"a{n * 7 % 5}")
        for n in range(90)
    ]
    ingest(warehouse, "a", events(given_rows[:50]), events(given_rows[50:]))
    ingest(warehouse, "b", events([row(200, customer_id=None, anonymous_id="a1")]))
    warehouse.compact()
    names = ("customer_id", "anonymous_id", "event_time")
    for path in warehouse.events().paths:
        columns = [pq.read_table(path, partitioning=None)[name].to_pylist() for name in names]
        listed = [(c or "", "" if c else a, t) for c, a, t in zip(*columns, strict=True)]
        visitors = {one[:2] for one in listed}
        changes = sum(one[:2] != other[:2] for one, other in pairwise(listed))
        assert changes == len(visitors) - 1, "the rows of each are one stretch"
        for visitor in visitors:
            times = [one[2] for one in listed if one[:2] == visitor]
            assert times == sorted(times)
    anonymous = [event for event in stored(warehouse) if event["customer_id"] is None]
    assert len({(event["anonymous_id"], event["bucket"]) for event in anonymous}) == 5


@settings(max_examples=12)
@given(
    numbers=st.lists(st.integers(0, 12), max_size=30),
    quantities=st.lists(st.integers(1, 3), min_size=30, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=3),
    generated=st.booleans(),
    held=st.sampled_from([0, 4, 100]),
)
def test_delta_and_memory_agree(
    tmp_path_factory: pytest.TempPathFactory,
    numbers: list[int],
    quantities: list[int],
    cuts: list[int],
    generated: bool,
    held: int,
) -> None:
    path = tmp_path_factory.mktemp("law")
    table = [row(n, quantity=q) for n, q in zip(numbers, quantities, strict=False)]
    edges = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    results: list[Any] = []
    for make in MAKERS.values():
        warehouse = make(path)
        with patch.object(delta_unit, "HELD_ROWS", held):
            said = [
                ingest(warehouse, f"u{start}-{n}", events(table[start:end], generated=generated))
                for n, (start, end) in enumerate(pairwise(edges))
            ]
        assert len(stored(warehouse)) == sum(c["stored"] for c in said)
        customers = [unit.rewritten_customers for unit in warehouse.since(-1)]
        results.append((said, stored(warehouse), customers))
    assert results[0] == results[1]
