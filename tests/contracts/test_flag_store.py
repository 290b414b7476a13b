"""What every store of pace flags must do; one suite over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tests.contracts.stores import KINDS, state_store

from shoal.features.admission import FLAGS_SCHEMA
from shoal.ports import StateStore


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    with state_store(request.param, tmp_path) as made:
        yield made


def flags(*rows: tuple[str, int, str]) -> pa.Table:
    """Flags of (visitor, told, rule), a day long."""
    return pa.Table.from_pylist(
        [
            {"visitor_id": visitor, "from_us": told - 10, "to_us": told + 10, "rule": rule,
             "told_us": told}
            for visitor, told, rule in rows
        ],
        schema=FLAGS_SCHEMA,
    )  # fmt: skip


def test_a_new_store_has_no_flags(store: StateStore) -> None:
    assert store.flags.flags().schema == FLAGS_SCHEMA
    assert store.flags.flags().num_rows == 0


def test_flags_come_back_in_order(store: StateStore) -> None:
    given = flags(("b", 5, "rate"), ("a", 7, "rate"), ("a", 7, "no_think_time"), ("a", 3, "rate"))
    store.flags.replace(None, given)
    assert store.flags.flags().equals(given.take([3, 2, 1, 0]))


def test_replacing_touches_only_the_visitors_named(store: StateStore) -> None:
    store.flags.replace(None, flags(("a", 1, "rate"), ("b", 2, "rate"), ("c", 3, "rate")))
    store.flags.replace(["a", "b", "unknown"], flags(("b", 9, "no_think_time")))
    assert store.flags.flags().equals(flags(("b", 9, "no_think_time"), ("c", 3, "rate")))


def test_asking_for_visitors_gives_theirs(store: StateStore) -> None:
    store.flags.replace(None, flags(("a", 1, "rate"), ("b", 2, "rate")))
    assert store.flags.flags(["b", "b", "z"]).equals(flags(("b", 2, "rate")))
    assert store.flags.flags([]).num_rows == 0


def test_many_visitors_at_once(store: StateStore) -> None:
    given = flags(*((f"v{n:05d}", n, "rate") for n in range(12_000)))
    names = given["visitor_id"].to_pylist()
    store.flags.replace(names, given)
    assert store.flags.flags(names).num_rows == 12_000
    store.flags.delete(names[1:])
    assert store.flags.flags()["visitor_id"].to_pylist() == ["v00000"]


def test_deleting_all(store: StateStore) -> None:
    store.flags.replace(None, flags(("a", 1, "rate"), ("b", 2, "rate")))
    store.flags.delete(None)
    assert store.flags.flags().num_rows == 0


def test_flags_go_back_with_their_transaction(store: StateStore) -> None:
    store.flags.replace(None, flags(("a", 1, "rate")))
    with pytest.raises(RuntimeError, match="no"), store.transaction():
        store.flags.replace(["a", "b"], flags(("b", 2, "rate")))
        store.put_setting("key", "value")
        raise RuntimeError("no")
    assert store.flags.flags().equals(flags(("a", 1, "rate")))
    assert store.get_settings() == {}
