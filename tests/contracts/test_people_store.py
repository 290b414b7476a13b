"""What every store of identity links must do; one suite over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tests.contracts.stores import KINDS, state_store

from shoal.features.admission import LINKS_SCHEMA
from shoal.ports import StateStore


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    with state_store(request.param, tmp_path) as made:
        yield made


def links(*rows: tuple[str, str, int]) -> pa.Table:
    """Links of (id, customer, time)."""
    return pa.Table.from_pylist(
        [
            {"id": name, "customer_id": customer, "from_us": us, "sequence": 0,
             "event_id": f"e{us}", "says": "link", "source": "web", "kind": "login"}
            for name, customer, us in rows
        ],
        schema=LINKS_SCHEMA,
    )  # fmt: skip


ALL = links(("desk", "ann", 4), ("old", "ann", 1), ("phone", "ann", 2), ("phone", "bob", 3))


def test_a_new_store_has_no_links(store: StateStore) -> None:
    assert store.people.links().schema == LINKS_SCHEMA
    assert store.people.links().num_rows == 0


def test_links_come_back_in_order(store: StateStore) -> None:
    store.people.replace_links(None, ALL.take([3, 1, 0, 2]))
    assert store.people.links().equals(ALL)


def test_links_of_some_ids_or_to_some_customers(store: StateStore) -> None:
    store.people.replace_links(None, ALL)
    assert store.people.links(ids=["old", "desk", "desk", "z"]).equals(ALL.take([0, 1]))
    assert store.people.links(customers=["bob"]).equals(ALL.take([3]))
    assert store.people.links(ids=[]).num_rows == 0
    assert store.people.links(customers=[]).num_rows == 0


def test_a_link_of_one_of_the_ids_to_one_of_the_customers_comes_once(store: StateStore) -> None:
    store.people.replace_links(None, ALL)
    assert store.people.links(ids=["old", "phone"], customers=["ann"]).equals(ALL)


def test_replacing_touches_only_the_ids_named(store: StateStore) -> None:
    store.people.replace_links(None, ALL)
    store.people.replace_links(["phone", "z"], links(("phone", "cid", 9)))
    assert store.people.links().equals(
        links(("desk", "ann", 4), ("old", "ann", 1), ("phone", "cid", 9))
    )
    store.people.replace_links(None, links(("x", "y", 1)))
    assert store.people.links().equals(links(("x", "y", 1)))


def test_forgetting_removes_links_from_and_to(store: StateStore) -> None:
    store.people.replace_links(None, ALL)
    assert store.people.forget(["bob", "desk", "z"]) == 2
    assert store.people.links().equals(ALL.take([1, 2]))


def test_what_failed_leaves_links_as_they_were(store: StateStore) -> None:
    store.people.replace_links(None, ALL)
    with pytest.raises(RuntimeError, match="stop"), store.transaction():
        store.people.replace_links(None, links(("x", "y", 1)))
        raise RuntimeError("stop")
    assert store.people.links().equals(ALL)
