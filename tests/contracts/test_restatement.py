"""A later statement of a scope replaces the earlier one: one suite, all warehouses."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.event_rows import BUCKETS, events, ingest, row, stored

from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.memory import MemoryWarehouse
from shoal.ports import Warehouse

ENGINE = DuckEngine(threads=1, memory_mib=256)
MAKERS = {
    "delta": lambda path: DeltaWarehouse(path / "events", BUCKETS, ENGINE),
    "memory": lambda path: MemoryWarehouse(ENGINE),
}


@pytest.fixture(params=sorted(MAKERS))
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    return MAKERS[request.param](tmp_path)


def line(number: int, scope: int | None, version: int | None = None, **more: Any) -> dict[str, Any]:
    return row(number, scope_key=scope, scope_version=version, **more)


def held(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    names = ("event_id", "price", "customer_id", "scope_key", "scope_version")
    return [tuple(one[name] for name in names) for one in stored(warehouse)]


def test_a_day_stated_again_is_what_was_said_last(warehouse: Warehouse) -> None:
    first = [line(1, 7), line(2, 7), line(3, 7), line(4, 8), line(5, None)]
    assert ingest(warehouse, "a", events(first)) == {
        "stored": 5, "duplicate": 0, "conflicting": 0, "scopes": 2, "older": 0, "withdrawn": 0,
    }  # fmt: skip
    again = [line(1, 7), line(2, 7, price=99), line(6, 7, customer_id=None, anonymous_id="x")]
    assert ingest(warehouse, "b", events(again)) == {
        "stored": 2, "duplicate": 1, "conflicting": 0, "scopes": 1, "older": 0, "withdrawn": 2,
    }  # fmt: skip
    assert {one[0] for one in held(warehouse)} == {"e1", "e2", "e4", "e5", "e6"}
    assert next(one for one in held(warehouse) if one[0] == "e2")[1] == 99
    (unit,) = list(warehouse.since(warehouse.version() - 1))
    assert set(unit.rewritten_customers) == {"c2", "c3"}


def test_the_greater_version_counts_whatever_came_first(warehouse: Warehouse) -> None:
    ingest(warehouse, "new", events([line(1, 7, 20, price=2), line(2, 7, 20)]))
    assert ingest(warehouse, "old", events([line(1, 7, 10, price=1), line(3, 7, 10)])) == {
        "stored": 0, "duplicate": 0, "conflicting": 0, "scopes": 1, "older": 2, "withdrawn": 0,
    }  # fmt: skip
    assert [one[:2] for one in held(warehouse)] == [("e1", 2), ("e2", 2_000_000)]
    # the same lines at a later time: what lies between the two is older from now on
    ingest(warehouse, "newest", events([line(1, 7, 40, price=2), line(2, 7, 40)]))
    ingest(warehouse, "between", events([line(1, 7, 30, price=5)]))
    assert [one[1] for one in held(warehouse)] == [2, 2_000_000]
    assert {one[4] for one in held(warehouse)} == {40}


def test_the_same_statement_again_changes_nothing(warehouse: Warehouse) -> None:
    said = events([line(1, 7, 20), line(2, 7, 20)])
    ingest(warehouse, "a", said)
    assert ingest(warehouse, "b", said) == {
        "stored": 0, "duplicate": 2, "conflicting": 0, "scopes": 1, "older": 0, "withdrawn": 0,
    }  # fmt: skip


def test_rows_without_ids_repeat_within_a_scope(warehouse: Warehouse) -> None:
    same = [line(1, 7), line(1, 7), line(2, 7)]
    ingest(warehouse, "a", events(same, generated=True))
    assert ingest(warehouse, "b", events(same, generated=True))["withdrawn"] == 0
    assert ingest(warehouse, "c", events(same[1:], generated=True)) == {
        "stored": 0, "duplicate": 2, "conflicting": 0, "scopes": 1, "older": 0, "withdrawn": 1,
    }  # fmt: skip
    assert len(held(warehouse)) == 2


def test_a_scope_survives_a_compaction(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, 7), line(2, 7)]))
    warehouse.compact()
    ingest(warehouse, "b", events([line(2, 7)]))
    assert [one[0] for one in held(warehouse)] == ["e2"]


def statements(seed: int) -> list[list[dict[str, Any]]]:
    """Statements of three orders at different times, each a few lines of few prices."""
    chance = random.Random(seed)
    made = []
    for moment in range(8):
        scope = chance.randrange(3)
        numbers = chance.sample(range(5), chance.randrange(1, 5))
        made.append(
            [line(10 * scope + n, scope, moment, price=chance.randrange(2)) for n in numbers]
        )
    return made


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_any_order_and_split_of_statements_gives_the_last_of_each(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    said = statements(seed)
    expected: dict[int, list[dict[str, Any]]] = {}
    for statement in said:
        expected[statement[0]["scope_key"]] = statement
    wanted = sorted(
        (one["event_id"], one["price"], one["scope_version"])
        for statement in expected.values()
        for one in statement
    )
    chance = random.Random(seed)
    chance.shuffle(said)
    for name, make in MAKERS.items():
        warehouse = make(tmp_path_factory.mktemp(name))
        total = 0
        for place, start in enumerate(range(0, len(said), 3)):
            rows = [one for statement in said[start : start + 3] for one in statement]
            found = ingest(warehouse, f"u{place}", events(rows))
            total += found["stored"] - found["withdrawn"]
            assert len(rows) == sum(
                found[key] for key in ("stored", "duplicate", "conflicting", "older")
            )
        got = sorted((one[0], one[1], one[4]) for one in held(warehouse))
        assert got == wanted, name
        assert total == len(wanted)
