"""A later statement of a scope replaces the earlier one: one suite, all warehouses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.contracts.event_rows import BUCKETS, events, ingest, row, stored

from shoal.adapters import delta_unit
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.memory import MemoryWarehouse
from shoal.ports import SCOPES_TOLD, THINNED, Warehouse

ENGINE = DuckEngine(threads=1, memory_mib=256)
MAKERS = {
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


def line(number: int, scope: int | None, version: int | None = None, **more: Any) -> dict[str, Any]:
    return row(number, scope_key=scope, scope_version=version, **more)


def held(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """(id, price, scope, version) of every row of the table."""
    names = ("event_id", "price", "scope_key", "scope_version")
    return [tuple(one[name] for name in names) for one in stored(warehouse)]


def ids(warehouse: Warehouse) -> list[str]:
    return [one[0] for one in held(warehouse)]


def counts(**given: int) -> dict[str, int]:
    """Counts of a unit with scopes; what is not given is 0."""
    names = ("stored", "duplicate", "conflicting", "scopes", "withdrawn", "changed", "older",
             "renewed")  # fmt: skip
    assert set(given) <= set(names)
    return {name: given.get(name, 0) for name in names}


def test_a_day_stated_again_is_what_was_said_last(warehouse: Warehouse) -> None:
    first = [line(1, 7), line(2, 7), line(3, 7), line(4, 8), line(5, None)]
    assert ingest(warehouse, "a", events(first)) == counts(stored=5)
    again = [line(1, 7), line(2, 7, price=99), line(6, 7, customer_id=None, anonymous_id="x")]
    assert ingest(warehouse, "b", events(again)) == counts(
        stored=2, duplicate=1, scopes=1, withdrawn=2, changed=1
    )
    assert ids(warehouse) == ["e1", "e2", "e4", "e5", "e6"]
    assert ("e2", 99, 7, None) in held(warehouse)
    (unit,) = list(warehouse.since(warehouse.version() - 1))
    assert unit.rewritten_customers == ("c2", "c3")
    assert [one.restating for one in warehouse.since(-1)] == [False, True]


def test_scopes_that_lose_most_of_their_rows_are_counted(warehouse: Warehouse) -> None:
    days = [line(n, 7) for n in range(12)] + [line(n, 8) for n in range(20, 30)]
    small = [line(n, 9) for n in range(40, 49)]
    ingest(warehouse, "a", events([*days, *small]))
    half = [line(n, 8, price=1) for n in range(20, 25)]
    found = ingest(warehouse, "b", events([line(1, 7), line(99, 7), line(99, 7), *half, small[0]]))
    assert {name: found[name] for name in THINNED} == {"thinned": 1, "held": 12, "left": 2}
    assert "thinned" not in ingest(warehouse, "c", events([line(1, 7)]))


def test_the_content_said_last_counts_not_the_smaller_key(warehouse: Warehouse) -> None:
    for price in (1, 2, 3, 4, 3, 2, 1):
        ingest(warehouse, f"u{warehouse.version()}", events([line(1, 7, price=price)]))
        assert held(warehouse) == [("e1", price, 7, None)]


def test_anonymous_visitors_of_what_went_are_named(warehouse: Warehouse) -> None:
    both = line(1, 7, customer_id="ann", anonymous_id="a1")
    ingest(warehouse, "a", events([both, line(2, 7, customer_id=None, anonymous_id="a2")]))
    ingest(warehouse, "b", events([line(3, 7)]))
    (unit,) = list(warehouse.since(warehouse.version() - 1))
    assert unit.rewritten_customers == ("a1", "a2", "ann")


@pytest.mark.parametrize("order", [(10, 20, 30), (30, 20, 10), (20, 30, 10), (20, 10, 30)])
@pytest.mark.parametrize("compacted", [False, True])
def test_the_greatest_version_counts_in_whatever_order(
    warehouse: Warehouse, order: tuple[int, ...], compacted: bool
) -> None:
    said = {
        10: [line(1, 7, 10), line(2, 7, 10)],
        20: [line(1, 7, 20), line(3, 7, 20)],
        30: [line(1, 7, 30), line(2, 7, 30)],
    }
    for version in order:
        ingest(warehouse, f"v{version}", events(said[version]))
        if compacted:
            warehouse.compact()
    assert held(warehouse) == [("e1", 1_000_000, 7, 30), ("e2", 2_000_000, 7, 30)]


def test_an_older_statement_is_not_stored_and_is_counted(warehouse: Warehouse) -> None:
    ingest(warehouse, "new", events([line(1, 7, 20, price=2), line(2, 7, 20)]))
    before = stored(warehouse)
    old = [line(1, 7, 10, price=1), line(3, 7, 10), line(4, 8, 10)]
    assert ingest(warehouse, "old", events(old)) == counts(stored=1, older=2)
    assert [one for one in stored(warehouse) if one["scope_key"] == 7] == before


def test_rows_said_again_stay_and_take_the_newer_version(warehouse: Warehouse) -> None:
    """Else a statement between the two would be taken for news."""
    ingest(warehouse, "a", events([line(1, 7, 20), line(2, 7, 20)]))
    assert ingest(warehouse, "b", events([line(1, 7, 40), line(2, 7, 40)])) == counts(
        duplicate=2, renewed=2
    )
    (unit,) = list(warehouse.since(warehouse.version() - 1))
    assert (unit.rewritten_customers, unit.added.paths) == ((), ()), "nobody's states change"
    assert unit.restating
    assert ingest(warehouse, "c", events([line(1, 7, 30, price=5)])) == counts(older=1)
    assert held(warehouse) == [("e1", 1_000_000, 7, 40), ("e2", 2_000_000, 7, 40)]


def test_a_statement_that_only_withdraws(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, 7), line(2, 7), line(3, 7)]))
    assert ingest(warehouse, "b", events([line(2, 7)])) == counts(
        duplicate=1, scopes=1, withdrawn=2
    )
    assert ids(warehouse) == ["e2"]


def test_of_equal_versions_the_later_ingested_counts(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, 7, 20), line(2, 7, 20)]))
    assert ingest(warehouse, "b", events([line(2, 7, 20, price=3)])) == counts(
        stored=1, scopes=1, withdrawn=2, changed=1
    )
    assert held(warehouse) == [("e2", 3, 7, 20)]


def test_a_statement_without_a_version_is_the_latest_when_it_comes(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, 7, 20), line(2, 7, 20)]))
    assert ingest(warehouse, "b", events([line(1, 7), line(3, 7)])) == counts(
        stored=1, duplicate=1, scopes=1, withdrawn=1, renewed=1
    )
    ingest(warehouse, "c", events([line(4, 7, 10)]))
    assert held(warehouse) == [("e4", 4_000_000, 7, 10)]


@pytest.mark.parametrize("generated", [False, True])
def test_within_one_unit_only_the_newest_statement_counts(
    warehouse: Warehouse, generated: bool
) -> None:
    first, last = line(1, 7, 10), line(1, 7, 30)
    both = [first, line(2, 7, 10), last, line(3, 7, 20), line(4, 7)]
    assert ingest(warehouse, "a", events(both, generated=generated)) == counts(stored=1, older=4)
    alone = events([last], generated=generated)
    assert ids(warehouse) == alone["event_id"].to_pylist(), "its number is not that of a repetition"


def test_conflicts_inside_a_statement_have_one_winner(warehouse: Warehouse) -> None:
    said = [events([line(1, 7, price=price)]) for price in (5, 6)]
    winner = min(said, key=lambda one: one["content_key"][0].as_py())["price"][0].as_py()
    assert ingest(warehouse, "a", *said) == counts(stored=1, conflicting=1)
    assert ingest(warehouse, "b", *reversed(said)) == counts(duplicate=1, conflicting=1)
    assert held(warehouse) == [("e1", winner, 7, None)]


def test_a_row_stored_without_a_scope_joins_the_scope_that_says_it(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, None), line(2, None)]))
    assert ingest(warehouse, "b", events([line(1, 7)])) == counts(duplicate=1, renewed=1)
    ingest(warehouse, "c", events([line(3, 7)]))
    assert ids(warehouse) == ["e2", "e3"]


def test_rows_without_ids_repeat_within_a_scope(warehouse: Warehouse) -> None:
    same = [line(1, 7), line(1, 7), line(2, 7)]
    ingest(warehouse, "a", events(same, generated=True))
    assert ingest(warehouse, "b", events(same, generated=True)) == counts(duplicate=3)
    assert ingest(warehouse, "c", events(same[1:], generated=True)) == counts(
        duplicate=2, scopes=1, withdrawn=1
    )
    assert len(held(warehouse)) == 2


def test_a_unit_without_scopes_counts_three_outcomes_alone(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, 7)]))
    assert ingest(warehouse, "b", events([line(1, None), line(2, None)])) == {
        "stored": 1, "duplicate": 1, "conflicting": 0,
    }  # fmt: skip
    assert held(warehouse)[0][2:] == (7, None)


def test_a_unit_says_which_scopes_it_states(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, 9, 5)]))
    writer = warehouse.unit("b")
    writer.append(events([line(1, 9, 4), line(2, 8), line(3, 7), line(4, None)]))
    assert list(writer.stated() or ()) == [7, 8]
    writer.discard()
    many = warehouse.unit("c")
    many.append(events([line(n, n) for n in range(SCOPES_TOLD + 1)]))
    assert many.stated() is None
    many.discard()


def joined(warehouse: Warehouse, unit: str, rows: list[dict[str, Any]]) -> dict[str, int]:
    writer = warehouse.unit(unit, joining=True)
    writer.append(events(rows))
    found = dict(writer.resolve())
    writer.commit({})
    return found


def test_rows_that_join_a_statement_withdraw_nothing(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, 7), line(2, 8, 20), line(3, 9, 20)]))
    late = [line(4, 7), line(5, 8, 20), line(6, 9, 10), line(1, 7)]
    assert joined(warehouse, "b", late) == counts(stored=2, duplicate=1, older=1)
    assert ids(warehouse) == ["e1", "e2", "e3", "e4", "e5"]


def test_rows_that_join_replace_what_is_older_than_they(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", events([line(1, 7, 20), line(2, 7, 20)]))
    assert joined(warehouse, "b", [line(2, 7, 30), line(3, 7, 30)]) == counts(
        stored=1, duplicate=1, scopes=1, withdrawn=1, renewed=1
    )
    assert held(warehouse) == [("e2", 2_000_000, 7, 30), ("e3", 3_000_000, 7, 30)]
