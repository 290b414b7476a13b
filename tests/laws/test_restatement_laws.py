"""Laws of restatement: any order and split gives one table, and both warehouses agree."""

from __future__ import annotations

from itertools import pairwise
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
SCOPES = 3

#: What is said of one scope at one time: each line with a price; a line may be said twice.
LINES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=5)
STATEMENTS = st.dictionaries(
    st.tuples(st.integers(0, SCOPES - 1), st.integers(0, 5)), LINES, min_size=1, max_size=9
)


def rows_of(scope: int, version: int | None, lines: list[tuple[int, int]]) -> list[dict[str, Any]]:
    return [
        row(
            10 * scope + line,
            price=price,
            customer_id=f"c{price}" if line else None,
            anonymous_id=f"a{line}",
            scope_key=scope,
            scope_version=version,
        )
        for line, price in lines
    ]


def warehouses(path: Path) -> list[Warehouse]:
    return [DeltaWarehouse(path / "events", BUCKETS, ENGINE), MemoryWarehouse(ENGINE)]


def seen(warehouse: Warehouse) -> list[dict[str, Any]]:
    return [{**one, "sequence": None} for one in stored(warehouse)]


def take_in(warehouse: Warehouse, unit: str, rows: list[dict[str, Any]], generated: bool) -> Any:
    """Take rows in; checks the account and that the table grew by what it says."""
    before = sum(warehouse.bucket_counts().values())
    found = ingest(warehouse, unit, events(rows, generated=generated))
    outcomes = ("stored", "duplicate", "conflicting", "older")
    assert sum(found.get(name, 0) for name in outcomes) == len(rows)
    grown = sum(warehouse.bucket_counts().values()) - before
    assert grown == found["stored"] - found.get("withdrawn", 0)
    return found


@settings(max_examples=20, deadline=None)
@given(said=STATEMENTS, data=st.data(), generated=st.booleans())
def test_any_order_and_split_of_dated_statements_gives_the_last_of_each_scope(
    tmp_path_factory: pytest.TempPathFactory,
    said: dict[tuple[int, int], list[tuple[int, int]]],
    data: st.DataObject,
    generated: bool,
) -> None:
    newest = {scope: version for scope, version in sorted(said)}  # noqa: C416  (the last counts)
    last = [
        one
        for scope, version in newest.items()
        for one in rows_of(scope, version, said[scope, version])
    ]
    plain = MemoryWarehouse(ENGINE)
    ingest(plain, "last of each", events(last, generated=generated))
    order = data.draw(st.permutations(sorted(said)))
    cuts = data.draw(st.lists(st.integers(0, len(order)), max_size=4))
    edges = [0, *sorted(cuts), len(order)]
    accounts = []
    for warehouse in warehouses(tmp_path_factory.mktemp("law")):
        told = []
        for start, end in pairwise(edges):
            parts = [rows_of(*statement, said[statement]) for statement in order[start:end]]
            rows = [one for part in parts for one in part]
            told.append(take_in(warehouse, f"u{len(told)}", rows, generated))
        assert seen(warehouse) == seen(plain)
        visitors = [unit.rewritten_customers for unit in warehouse.since(-1)]
        accounts.append((told, visitors))
    assert accounts[0] == accounts[1]


@settings(max_examples=20, deadline=None)
@given(
    units=st.lists(
        st.lists(
            st.tuples(
                st.one_of(st.none(), st.integers(0, SCOPES - 1)),
                st.one_of(st.none(), st.integers(0, 3)),
                st.integers(0, 4),
                st.integers(0, 2),
            ),
            max_size=8,
        ),
        max_size=5,
    ),
    joining=st.lists(st.booleans(), min_size=5, max_size=5),
    generated=st.booleans(),
)
def test_delta_and_memory_agree_on_anything(
    tmp_path_factory: pytest.TempPathFactory,
    units: list[list[tuple[int | None, int | None, int, int]]],
    joining: list[bool],
    generated: bool,
) -> None:
    """Rows with and without scopes and versions, one id in several scopes, rows that join."""
    results = []
    for warehouse in warehouses(tmp_path_factory.mktemp("law")):
        told = []
        for place, lines in enumerate(units):
            rows = [
                row(number, price=price, scope_key=scope, scope_version=version)
                for scope, version, number, price in lines
            ]
            writer = warehouse.unit(f"u{place}", joining=joining[place])
            before = sum(warehouse.bucket_counts().values())
            if rows:
                writer.append(events(rows, generated=generated))
            found = dict(writer.resolve())
            told.append((found, writer.stated()))
            writer.commit({})
            grown = sum(warehouse.bucket_counts().values()) - before
            assert grown == found["stored"] - found.get("withdrawn", 0)
        visitors = [unit.rewritten_customers for unit in warehouse.since(-1)]
        counted = [(found, list(stated or ())) for found, stated in told]
        results.append((counted, stored(warehouse), visitors))
    assert results[0] == results[1]
