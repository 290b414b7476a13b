"""What every state store must do; one suite, each behaviour once, over all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.contracts.stores import KINDS, state_store

from shoal.adapters.memory_store import MemoryStateStore
from shoal.adapters.sql import SqlStateStore
from shoal.domain.errors import OperationError
from shoal.ports import StateStore
from shoal.segments.assign import MEMBERSHIPS_SCHEMA

MOMENT = datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    with state_store(request.param, tmp_path) as made:
        yield made


def states(**bodies: bytes) -> pa.Table:
    return pa.table(
        {
            "customer_id": pa.array(list(bodies), pa.string()),
            "version": pa.array([1] * len(bodies), pa.int32()),
            "body": pa.array(list(bodies.values()), pa.binary()),
        }
    )


def memberships(rows: list[tuple[str, str, str, float]]) -> pa.Table:
    customers, segmentations, segments, weights = zip(*rows, strict=True)
    return pa.table(
        {
            "customer_id": customers,
            "segmentation_id": segmentations,
            "segment_id": segments,
            "weight": weights,
            "since": pa.array([MOMENT] * len(rows), pa.timestamp("us", tz="UTC")),
            "cause": ["version"] * len(rows),
        }
    )


def dated(rows: list[tuple[str, str, str, int, str, float | None]]) -> pa.Table:
    """Memberships: customer, segmentation, segment, day of March, cause, margin."""
    customers, segmentations, segments, days, causes, margins = zip(*rows, strict=True)
    since = [MOMENT.replace(day=day) for day in days]
    return pa.table(
        {
            "customer_id": customers,
            "segmentation_id": segmentations,
            "segment_id": segments,
            "weight": [0.5] * len(rows),
            "since": pa.array(since, pa.timestamp("us", tz="UTC")),
            "cause": causes,
            "margin": pa.array(margins, pa.float64()),
        }
    )


def test_a_new_store_is_empty(store: StateStore) -> None:
    assert store.applied_version() == -1
    assert store.get_settings() == {}
    assert store.units() == []
    assert store.count_states() == 0
    assert list(store.iter_states()) == []
    assert store.get_states(["a"]).num_rows == 0
    assert store.get_unit("u") is None
    assert store.get_pointer("segmentation.main") is None
    assert store.get_memberships("kmeans-0001").num_rows == 0


def test_settings_and_applied_version_are_replaced(store: StateStore) -> None:
    for value in ("purchase", "review"):
        store.put_setting("value_event", value)
    for version in (3, 4):
        store.set_applied_version(version)
    assert store.get_settings() == {"value_event": "review"}
    assert store.applied_version() == 4


def test_states_are_inserted_replaced_and_deleted(store: StateStore) -> None:
    store.put_states(states(b=b"two", a=b"one"))
    store.put_states(states(c=b"\x00three", b=b""))
    found = store.get_states(["c", "b", "nobody", "b"])
    assert found.to_pydict() == {
        "customer_id": ["b", "c"],
        "version": [1, 1],
        "body": [b"", b"\x00three"],
    }
    assert found.schema.types == [pa.string(), pa.int32(), pa.binary()]
    store.delete_states(["b", "nobody"])
    assert store.count_states() == 2


def test_a_slice_of_states_is_stored_as_its_own_rows(store: StateStore) -> None:
    store.put_states(states(a=b"one", b=b"two", c=b"three").slice(1, 1))
    assert store.get_states(["a", "b", "c"])["body"].to_pylist() == [b"two"]


def test_states_are_walked_in_order_in_bounded_batches(store: StateStore) -> None:
    names = [f"c{i:02d}" for i in range(10)]
    store.put_states(states(**{name: name.encode() for name in reversed(names)}))
    batches = list(store.iter_states(rows_per_batch=4))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert pa.concat_tables(batches)["customer_id"].to_pylist() == names


def test_customers_are_told_part_by_part(store: StateStore) -> None:
    assert store.customers_after("", 2) == []
    store.put_states(states(b=b"1", a=b"2", c=b"3", Z=b"4"))
    assert store.customers_after("", 2) == ["Z", "a"]
    assert store.customers_after("a", 2) == ["b", "c"]
    assert store.customers_after("c", 2) == store.customers_after("zz", 9) == []


def test_states_may_be_deleted_while_walking(store: StateStore) -> None:
    store.put_states(states(**{f"c{i:02d}": b"x" for i in range(10)}))
    for batch in store.iter_states(rows_per_batch=3):
        store.delete_states(batch["customer_id"].to_pylist())
    assert store.count_states() == 0


def test_more_customers_than_one_statement_takes(store: StateStore) -> None:
    names = [f"c{i:05d}" for i in range(12_000)]
    store.put_states(states(**dict.fromkeys(names, b"x")))
    assert store.get_states(names).num_rows == 12_000
    store.delete_states(names[:11_000])
    assert store.count_states() == 1_000


def carries(at: int, **bodies: bytes) -> pa.Table:
    """Carries of a version, each with its last event at that microsecond."""
    names = list(bodies)
    return pa.table(
        {
            "customer_id": pa.array(names, pa.string()),
            "version": pa.array([at] * len(names), pa.int64()),
            "last_us": pa.array([at] * len(names), pa.int64()),
            "body": pa.array(list(bodies.values()), pa.binary()),
        }
    )


def test_carries_are_kept_by_model_and_go_with_the_state(store: StateStore) -> None:
    store.put_states(states(a=b"1", b=b"2", c=b"3", d=b"4"))
    kept = store.carries
    assert kept.lacking("gru") == ["a", "b", "c", "d"]
    kept.put("gru", carries(3, b=b"two", a=b"one", c=b"three"))
    kept.put("gru", carries(7, b=b"", d=b"four"))
    kept.put("lstm", carries(7, a=b"other"))
    found = kept.get("gru", ["d", "b", "nobody", "b"])
    assert found.to_pydict() == {
        "customer_id": ["b", "d"], "version": [7, 7], "last_us": [7, 7], "body": [b"", b"four"],
    }  # fmt: skip
    assert found.schema.types == [pa.string(), pa.int64(), pa.int64(), pa.binary()]
    assert kept.lacking("lstm") == ["b", "c", "d"]
    store.delete_states(["a"])
    assert kept.get("gru", ["a"]).num_rows == kept.get("lstm", ["a"]).num_rows == 0
    kept.put("lstm", carries(7, b=b"other", d=b"another"))
    kept.delete_since("gru", 7)
    assert kept.lacking("gru") == ["b", "d"]
    assert store.forget(["b", "c"])["carries"] == 2
    kept.delete("lstm", ["nobody"])
    assert kept.get("lstm", ["d"])["body"].to_pylist() == [b"another"]
    kept.delete("lstm", None)
    assert kept.lacking("lstm") == ["d"]


def test_carries_are_part_of_a_transaction(store: StateStore) -> None:
    store.put_states(states(a=b"1"))
    with pytest.raises(RuntimeError, match="stop"), store.transaction():
        store.carries.put("gru", carries(1, a=b"one"))
        raise RuntimeError("stop")
    assert store.carries.lacking("gru") == ["a"]
    store.carries.put("gru", carries(1, a=b"one"))
    with pytest.raises(RuntimeError, match="stop"), store.transaction():
        store.delete_states(["a"])
        raise RuntimeError("stop")
    assert store.carries.get("gru", ["a"])["body"].to_pylist() == [b"one"]


def test_memberships_in_pieces_of_which_some_are_empty(store: StateStore) -> None:
    rows = memberships([("a", "k-1", "s01", 0.9), ("b", "k-1", "s02", 0.8)])
    store.put_memberships(pa.concat_tables([rows.slice(0, 0), rows.slice(0, 1), rows.slice(1, 1)]))
    assert store.get_memberships("k-1")["segment_id"].to_pylist() == ["s01", "s02"]


def test_a_transaction_keeps_all_or_nothing(store: StateStore) -> None:
    store.put_states(states(a=b"before"))
    store.put_unit("u1", {"status": "staged"})
    with pytest.raises(RuntimeError, match="stop"), store.transaction():
        store.put_states(states(a=b"after", b=b"after"))
        store.set_applied_version(7)
        store.put_unit("u1", {"status": "committed"})
        store.put_setting("k", "v")
        store.set_pointer("p", "t", MOMENT)
        assert store.applied_version() == 7
        with store.transaction():
            store.delete_states(["a"])
        raise RuntimeError("stop")
    assert store.get_states(["a", "b"])["body"].to_pylist() == [b"before"]
    assert store.applied_version() == -1
    assert store.get_unit("u1") == {"status": "staged"}
    assert store.get_settings() == {}
    assert store.get_pointer("p") is None
    with store.transaction():
        store.set_applied_version(8)
    assert store.applied_version() == 8


def test_units_keep_their_document_and_order(store: StateStore) -> None:
    store.put_unit("z", {"status": "staged", "rows": {"read": 3}})
    store.put_unit("a", {"status": "committed"})
    store.put_unit("z", {"status": "committed", "rows": {"read": 3}})
    assert store.get_unit("z") == {"status": "committed", "rows": {"read": 3}}
    assert [unit["unit"] for unit in store.units()] == ["z", "a"]


def test_the_latest_membership_of_each_customer_is_found(store: StateStore) -> None:
    store.put_memberships(memberships([("a", "k-1", "k-1/s00", 0.9), ("b", "k-1", "k-1/s01", 0.8)]))
    store.put_memberships(memberships([("a", "k-1", "k-1/s02", 0.7), ("a", "rfm-1", "x", 1.0)]))
    found = store.get_memberships("k-1")
    assert found["customer_id"].to_pylist() == ["a", "b"]
    assert found["segment_id"].to_pylist() == ["k-1/s02", "k-1/s01"]
    assert found["weight"].to_pylist() == [0.7, 0.8]
    assert found["since"].to_pylist() == [MOMENT, MOMENT]
    assert found["cause"].to_pylist() == ["version", "version"]
    assert found["margin"].to_pylist() == [None, None], "not told is no margin of nought"
    assert store.get_memberships("k-1", customers=["b", "nobody"]).num_rows == 1
    assert store.get_memberships("k-1", customers=[]).num_rows == 0
    assert store.get_memberships("none").schema == found.schema


LOG = [
    ("a", "k-1", "s01", 1, "version", 0.3),
    ("b", "k-1", "s02", 1, "version", 0.2),
    ("a", "k-1", "s02", 5, "event", 0.15),
    ("c", "k-1", "new", 9, "event", 1.0),
    ("b", "k-2", "s02", 1, "version", 0.4),
    ("a", "k-2", "s03", 20, "version", 0.1),
    ("c", "k-1", "s01", 25, "silence", None),
]  # fmt: skip


@pytest.fixture
def logged(store: StateStore) -> StateStore:
    for row in LOG:
        store.put_memberships(dated([row]))
    return store


def test_every_membership_is_kept_in_the_order_it_was_written(logged: StateStore) -> None:
    whole = logged.membership_history()
    columns = ("customer_id", "segmentation_id", "segment_id", "cause", "margin")
    rows = list(zip(*(whole[name].to_pylist() for name in columns), strict=True))
    assert rows == [(*row[:3], *row[4:]) for row in LOG]
    assert [moment.day for moment in whole["since"].to_pylist()] == [row[3] for row in LOG]
    assert logged.membership_history("a")["segment_id"].to_pylist() == ["s01", "s02", "s03"]
    some = logged.membership_history(["c", "b", "nobody"], segmentations=["k-1"])
    assert some["customer_id"].to_pylist() == ["b", "c", "c"]
    assert logged.membership_history([]).num_rows == 0
    assert logged.membership_history(segmentations=[]).num_rows == 0
    assert logged.membership_history("nobody").schema == whole.schema


def test_memberships_are_read_as_they_stood_at_a_moment(logged: StateStore) -> None:
    def at(day: int, *segmentations: str) -> dict[str, str]:
        found = logged.get_memberships(segmentations, as_of=MOMENT.replace(day=day))
        return dict(
            zip(found["customer_id"].to_pylist(), found["segment_id"].to_pylist(), strict=True)
        )

    assert at(1, "k-1") == {"a": "s01", "b": "s02"}
    assert at(5, "k-1") == {"a": "s02", "b": "s02"}
    assert at(19, "k-1", "k-2") == {"a": "s02", "b": "s02", "c": "new"}
    assert at(31, "k-1", "k-2") == {"a": "s03", "b": "s02", "c": "s01"}
    latest = logged.get_memberships(["k-1", "k-2"], customers=["b"])
    assert latest["segmentation_id"].to_pylist() == ["k-2"], "the last one written"
    before = MOMENT.replace(month=2)
    assert logged.get_memberships("k-1", as_of=before).num_rows == 0


def test_forgetting_reaches_every_row_of_the_log(logged: StateStore) -> None:
    assert logged.forget(["a"])["memberships"] == 3
    assert logged.membership_history("a").num_rows == 0
    left = logged.membership_history()["customer_id"].to_pylist()
    assert left == [row[0] for row in LOG if row[0] != "a"]


def test_histories_of_many_customers_come_in_the_order_written(store: StateStore) -> None:
    names = [f"c{i:05d}" for i in range(12_000)]
    shuffled = names[::2] + names[1::2]
    store.put_memberships(memberships([(name, "k-1", "s01", 1.0) for name in shuffled]))
    assert store.membership_history(names)["customer_id"].to_pylist() == shuffled
    assert store.get_memberships("k-1")["customer_id"].to_pylist() == names


def changes_of(store: StateStore, after: int = 0, rows: int = 100) -> list[tuple[Any, ...]]:
    """Position, customer, segment, the one before and its day; k-1 and k-2 follow each other."""
    lines = {"k-1": ("k-1", "k-2"), "k-2": ("k-1", "k-2")}
    found = store.membership_log(after, rows, lambda one: lines.get(one, (one,)))
    return [
        (row["position"], row["customer_id"], row["segment_id"], row["before"],
         row["before_since"] and row["before_since"].day)
        for row in found.to_pylist()
    ]  # fmt: skip


def test_the_log_is_read_by_position_with_what_stood_before(logged: StateStore) -> None:
    whole = changes_of(logged)
    assert [one[0] for one in whole] == [1, 2, 3, 4, 5, 6, 7]
    assert [one[1:] for one in whole] == [
        ("a", "s01", None, None), ("b", "s02", None, None), ("a", "s02", "s01", 1),
        ("c", "new", None, None), ("b", "s02", "s02", 1), ("a", "s03", "s02", 5),
        ("c", "s01", "new", 9),
    ]  # fmt: skip
    assert logged.last_membership() == 7
    # Pages tell the same, wherever they are cut.
    for size in (1, 3):
        pages, after = [], 0
        while page := changes_of(logged, after, size):
            pages += page
            after = page[-1][0]
        assert pages == whole
    assert changes_of(logged, 7) == []


def test_segmentations_that_do_not_follow_each_other_know_nothing_of_each_other(
    logged: StateStore,
) -> None:
    logged.put_memberships(dated([("a", "rfm-1", "r01", 26, "event", 0.5)]))
    assert changes_of(logged, 7) == [(8, "a", "r01", None, None)]


def test_no_position_of_the_log_is_given_twice(logged: StateStore) -> None:
    logged.forget(["c"])
    assert [one[0] for one in changes_of(logged)] == [1, 2, 3, 5, 6]
    assert logged.last_membership() == 7, "it was given to a row that went"
    logged.put_memberships(dated([("a", "k-2", "s01", 27, "event", 0.5)]))
    assert changes_of(logged, 6) == [(8, "a", "s01", "s03", 20)]


def test_an_empty_log_has_no_position(store: StateStore) -> None:
    assert (store.last_membership(), changes_of(store)) == (0, [])


def test_memberships_of_a_failed_transaction_are_not_kept(logged: StateStore) -> None:
    with pytest.raises(RuntimeError, match="stop"), logged.transaction():
        logged.put_memberships(dated([("d", "k-1", "s01", 26, "event", 0.5)]))
        logged.forget(["a"])
        raise RuntimeError("stop")
    assert logged.membership_history().num_rows == len(LOG)


def test_a_pointer_moves_and_remembers(store: MemoryStateStore | SqlStateStore) -> None:
    store.set_pointer("segmentation.main", "kmeans-0001", MOMENT)
    store.set_pointer("segmentation.main", "kmeans-0002", MOMENT)
    assert store.get_pointer("segmentation.main") == "kmeans-0002"
    assert store.pointer_history("segmentation.main") == [
        ("kmeans-0001", MOMENT),
        ("kmeans-0002", MOMENT),
    ]


def test_the_lease_can_be_entered_again_by_its_holder(store: StateStore) -> None:
    with store.lease(), store.lease():
        store.put_setting("a", "1")
    with store.lease():
        store.put_setting("a", "2")
    assert store.get_settings() == {"a": "2"}


def test_other_threads_read_while_one_writes(store: StateStore) -> None:
    store.put_states(states(a=b"one"))
    seen: list[int] = []
    with store.lease():
        reader = threading.Thread(target=lambda: seen.append(store.count_states()))
        reader.start()
        reader.join()
    assert seen == [1]


def test_an_error_inside_the_lease_gives_it_back(store: StateStore) -> None:
    with pytest.raises(OperationError, match="no space"), store.lease():
        raise OperationError("disk_full", "no space")
    with store.lease():
        pass


def test_every_pointer_is_told_with_what_it_names_now(store: StateStore) -> None:
    assert store.pointers() == {}
    store.set_pointer("segmentation.main", "kmeans-0001", MOMENT)
    store.set_pointer("segmentation.main", "kmeans-0002", MOMENT)
    store.set_pointer("covariates.weather", "", MOMENT)
    assert store.pointers() == {"segmentation.main": "kmeans-0002", "covariates.weather": ""}


def test_what_the_shop_knew_later_of_erasures_is_taken_over(store: StateStore) -> None:
    def receipt(number: int, asked: int) -> dict[str, Any]:
        day = "2024-03-01T12:00:00Z"
        return {"number": number, "asked_at": day, "finished_at": day, "asked": asked}

    assert store.erasures.begin({"own": []}, MOMENT) == 1
    store.erasures.finish(1, receipt(1, 7), MOMENT)
    store.erasures.adopt(b"k" * 32, [receipt(1, 99), receipt(3, 8)])
    assert store.erasures.key() == b"k" * 32
    assert [one["asked"] for one in store.erasures.receipts()] == [7, 8]
    assert store.erasures.begin({"own": []}, MOMENT) == 4
    store.erasures.adopt(b"l" * 32, [])
    assert store.erasures.key() == b"l" * 32


def test_units_are_read_behind_a_position_and_keep_theirs(store: StateStore) -> None:
    assert store.units_after(0) == []
    assert store.last_unit_number() == 0
    for name in ("a", "b"):
        store.put_unit(name, {"status": "staged"})
    [(first, one), (second, other)] = store.units_after(0)
    assert 0 < first < second
    assert (one, other) == (
        {"status": "staged", "unit": "a"}, {"status": "staged", "unit": "b"},
    )  # fmt: skip
    store.put_unit("a", {"status": "committed"})
    store.put_unit("c", {"status": "staged"})
    assert store.last_unit_number() == 0
    for name, number in (("b", 12), ("c", 9)):
        store.put_unit(name, {"status": "staged", "number": number})
    assert store.last_unit_number() == 12
    assert store.units_after(0)[0] == (first, {"status": "committed", "unit": "a"})
    assert [one["unit"] for _, one in store.units_after(second)] == ["c"]


def test_a_history_is_told_as_it_stood_at_a_position(store: StateStore) -> None:
    for segment in ("s1", "s2"):
        rows = [{"customer_id": "a", "segmentation_id": "k", "segment_id": segment, "weight": 1.0,
                 "since": datetime(2024, 3, 1, tzinfo=UTC), "cause": "event",
                 "margin": 0.5}]  # fmt: skip
        store.put_memberships(pa.Table.from_pylist(rows, schema=MEMBERSHIPS_SCHEMA))
    last = store.last_membership()

    def told(upto: int | None) -> list[str]:
        return store.membership_history("a", upto=upto)["segment_id"].to_pylist()

    assert (told(last), told(last - 1), told(None), told(0)) == (
        ["s1", "s2"],
        ["s1"],
        ["s1", "s2"],
        [],
    )
