"""Who is where, asked one by one and page by page: the same of every state store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from tests.contracts.stores import KINDS, state_store

from shoal.adapters import sql_standings
from shoal.adapters.sql import SqlStateStore
from shoal.adapters.store_schema import STATES_SCHEMA
from shoal.ports import StateStore
from shoal.segments.assign import MEMBERSHIPS_SCHEMA


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    with state_store(request.param, tmp_path) as made:
        yield made


def place(store: StateStore, *rows: tuple[str, str, str, int]) -> None:
    """Write memberships: customer, segmentation, segment, day of March."""
    store.put_memberships(
        pa.Table.from_pylist(
            [{"customer_id": customer, "segmentation_id": segmentation, "segment_id": segment,
              "weight": 0.5, "since": datetime(2024, 3, day, tzinfo=UTC), "cause": "event",
              "margin": 0.1} for customer, segmentation, segment, day in rows],
            schema=MEMBERSHIPS_SCHEMA,
        )
    )  # fmt: skip


def test_a_transaction_sees_what_it_wrote_and_nobody_else_does(store: StateStore) -> None:
    store.put_states(pa.table([["a"], [1], [b"x"]], schema=STATES_SCHEMA))
    place(store, ("a", "k", "s1", 1), ("a", "k", "s2", 2))
    assert store.standings.of("a", ["k"]).memberships["k"]["segment_id"] == "s2"
    with store.transaction():
        place(store, ("a", "k", "s3", 3))
        assert store.standings.of("a", ["k"]).memberships["k"]["segment_id"] == "s3"
    assert store.standings.of("a", ["k", "k"]).memberships["k"]["segment_id"] == "s3"
    assert store.standings.of("a", ()).known
    assert not store.standings.of("nobody", ["k"]).known


def test_many_threads_ask_at_once_and_a_closed_store_holds_no_file(tmp_path: Path) -> None:
    store = SqlStateStore(f"sqlite:///{tmp_path}/shop.sqlite")
    place(store, *((f"c{number}", "k", f"s{number}", 1) for number in range(50)))
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: store.standings.of(f"c{n % 50}", ["k"]), range(400)))
    assert [one.memberships["k"]["segment_id"] for one in told] == [
        f"s{number % 50}" for number in range(400)
    ]
    store.close()
    # The last connection folds the log of writes into the file.
    assert not (tmp_path / "shop.sqlite-wal").exists()
    assert store.standings.of("c1", ["k"]).memberships["k"]["segment_id"] == "s1"
    store.close()


def members(store: StateStore, segment: str, upto: int, after: str = "", limit: int = 9) -> str:
    table = store.standings.members("k", segment, upto=upto, after=after, limit=limit)
    assert table.schema == MEMBERSHIPS_SCHEMA
    return "".join(table["customer_id"].to_pylist())


def test_the_latest_membership_counts_in_each_segmentation(store: StateStore) -> None:
    place(store, ("a", "k", "s1", 1), ("a", "r", "r1", 1), ("b", "k", "s1", 1), ("a", "k", "s2", 2))
    store.put_states(pa.table([["a"], [1], [b"x"]], schema=STATES_SCHEMA))
    found = store.standings.of("a", ["k", "r", "z"])
    assert found.known
    assert {name: one["segment_id"] for name, one in found.memberships.items()} == {
        "k": "s2", "r": "r1",
    }  # fmt: skip
    assert found.memberships["k"] == {
        "segmentation_id": "k", "segment_id": "s2", "weight": 0.5, "cause": "event",
        "margin": 0.1, "since": datetime(2024, 3, 2, tzinfo=UTC),
    }  # fmt: skip
    assert not store.standings.of("b", ["k"]).known
    assert store.standings.of("a", []).memberships == {}


def test_pages_and_sizes_are_of_the_position_that_they_are_asked_for(store: StateStore) -> None:
    place(store, *((name, "k", "s1", 1) for name in "dbca"), ("e", "k", "s2", 1))
    upto = store.last_membership()
    assert members(store, "s1", upto) == "abcd"
    assert members(store, "s1", upto, limit=2) == "ab"
    place(store, ("a", "k", "s2", 2), ("c", "k", "s2", 2), ("f", "k", "s1", 2))
    place(store, ("c", "other", "s1", 3))
    assert members(store, "s1", upto, after="b") == "cd"
    assert members(store, "s1", store.last_membership()) == "bdf"
    assert members(store, "s2", store.last_membership()) == "ace"
    assert store.standings.sizes("k", upto) == {"s1": 4, "s2": 1}
    assert store.standings.sizes("k", store.last_membership()) == {"s1": 3, "s2": 3}
    assert (members(store, "s9", upto), store.standings.sizes("none", upto)) == ("", {})


def test_who_is_forgotten_is_in_no_page(store: StateStore) -> None:
    place(store, *((name, "k", "s1", 1) for name in "abc"))
    upto = store.last_membership()
    store.forget(["b"])
    assert members(store, "s1", upto) == "ac"


def test_a_rare_segment_is_found_behind_many_customers(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_standings, "_CUSTOMERS", 3)
    place(store, *((f"{n:02d}", "k", "s2" if n in (4, 17, 18) else "s1", 1) for n in range(20)))
    upto = store.last_membership()
    assert members(store, "s2", upto) == "041718"
    assert members(store, "s2", upto, limit=2) == "0417"
    assert members(store, "s2", upto, after="04", limit=1) == "17"
    assert len(members(store, "s1", upto, limit=50)) == 2 * 17


def test_of_several_segmentations_the_row_that_was_written_last_counts(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of each end at other customers, and every customer is told once all the same."""
    monkeypatch.setattr(sql_standings, "_CUSTOMERS", 2)
    names = "abcdefghij"
    place(store, *((name, "k", "s1", 1) for name in names))
    place(store, *((name, "t", "s2", 2) for name in "bfgi"), ("k", "t", "s1", 2))
    place(store, ("f", "k", "s1", 3))
    last = store.last_membership()

    def told(segment: str, after: str = "", limit: int = 99, upto: int = last) -> str:
        table = store.standings.members(
            ("k", "t"), segment, upto=upto, after=after, limit=limit
        )  # fmt: skip
        return "".join(table["customer_id"].to_pylist())

    assert told("s1") == "acdefhjk"
    assert told("s2") == "bgi"
    assert told("s1", after="d", limit=3) == "efh"
    assert told("s1", upto=len(names)) == names
    assert store.standings.sizes(("k", "t"), last) == {"s1": 8, "s2": 3}
    assert store.standings.sizes(["k"], last) == {"s1": 10}
