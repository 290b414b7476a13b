"""Letting go of old versions of the event table: what every warehouse must do."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from tests.contracts.event_rows import events, ingest, row, rows, stored
from tests.contracts.test_erasing import NOBODY, whole
from tests.contracts.test_warehouse import warehouse

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import system_clock
from shoal.ports import ErasedRows, Trimmed, Warehouse

__all__ = ["warehouse"]  # a fixture of the suite that it belongs to


def moment() -> datetime:
    """A moment between two commits, whose entries count milliseconds."""
    time.sleep(0.005)
    now = system_clock()
    time.sleep(0.005)
    return now


def filled(warehouse: Warehouse, first: int, units: int) -> None:
    """Units of ten events, each merged with what is there."""
    for number in range(first, first + units):
        ingest(warehouse, f"u{number}", events(rows(range(number * 10, number * 10 + 10))))
        warehouse.compact()


def test_an_empty_table_has_nothing_to_trim(warehouse: Warehouse) -> None:
    assert warehouse.trim(moment()) == Trimmed()


def test_what_was_the_latest_at_the_moment_and_later_stays(warehouse: Warehouse) -> None:
    filled(warehouse, 0, 3)
    then, before = warehouse.version(), moment()
    filled(warehouse, 3, 2)
    table, older = stored(warehouse), stored(warehouse, version=then)
    found = warehouse.trim(before)
    assert (found.oldest, found.versions, found.left) == (then, then, False)
    assert found.files > 0
    assert (stored(warehouse), stored(warehouse, version=then)) == (table, older)
    for version in range(then, warehouse.version() + 1):
        stored(warehouse, version=version)
    with pytest.raises(UsageError) as caught:
        warehouse.events(version=then - 1)
    assert caught.value.code == "bad_setting"
    assert caught.value.message == (
        f"version {then - 1} of the event table is not kept any more; the oldest that is kept is "
        f"{then}"
    )
    assert warehouse.trim(before) == Trimmed(then)


def test_units_stay_known_and_those_that_are_told_have_their_files(warehouse: Warehouse) -> None:
    filled(warehouse, 0, 3)
    before = moment()
    filled(warehouse, 3, 2)
    oldest = warehouse.trim(before).oldest
    assert [unit.unit for unit in warehouse.since(oldest)] == ["u3", "u4"]
    for unit in warehouse.since(oldest):
        added = warehouse.engine.run("SELECT event_id FROM events", {"events": unit.added})
        assert added.num_rows == 10
    with pytest.raises(OperationError) as caught:
        list(warehouse.since(0))
    assert caught.value.code == "shop_damaged"
    assert all(warehouse.committed(f"u{number}") for number in range(5))
    # events that came in versions which are gone are duplicates all the same
    again = events([*rows(range(5)), row(100)])
    assert ingest(warehouse, "again", again)["duplicate"] == 5


def test_of_a_table_that_was_left_alone_the_latest_version_stays(warehouse: Warehouse) -> None:
    filled(warehouse, 0, 3)
    table, latest = stored(warehouse), warehouse.version()
    found = warehouse.trim(moment() + timedelta(days=400))
    assert (found.oldest, warehouse.version()) == (latest, latest), "no version is made"
    assert stored(warehouse) == table
    filled(warehouse, 3, 1)
    assert len(stored(warehouse)) == 40


def test_what_is_young_stays(warehouse: Warehouse) -> None:
    before = moment()
    filled(warehouse, 0, 3)
    assert warehouse.trim(before) == Trimmed(0)
    for version in range(warehouse.version() + 1):
        stored(warehouse, version=version)


def test_a_version_that_somebody_needs_stays_and_all_after_it(warehouse: Warehouse) -> None:
    filled(warehouse, 0, 3)
    needed = 2
    older = stored(warehouse, version=needed)
    units = [unit.unit for unit in warehouse.since(needed)]
    assert warehouse.trim(moment(), needed=needed).oldest == needed
    assert stored(warehouse, version=needed) == older
    assert [unit.unit for unit in warehouse.since(needed)] == units
    assert warehouse.trim(moment(), needed=warehouse.version()).oldest == warehouse.version()


def test_a_little_at_a_time_comes_to_the_same(warehouse: Warehouse) -> None:
    filled(warehouse, 0, 4)
    table, before = stored(warehouse), moment()
    steps = [warehouse.trim(before, most=3)]
    while steps[-1].left:
        assert steps[-1].versions <= 3
        assert steps[-1].files <= 3
        steps.append(warehouse.trim(before, most=3))
    assert len(steps) > 2
    assert steps[-1].oldest == sum(one.versions for one in steps) == warehouse.version()
    assert warehouse.trim(before) == Trimmed(warehouse.version())
    assert stored(warehouse) == table


def test_an_erasure_after_it_finds_all_and_tells_it_again(warehouse: Warehouse) -> None:
    filled(warehouse, 0, 2)
    before = moment()
    filled(warehouse, 2, 1)
    warehouse.trim(before)
    gone = sum(one["customer_id"] == "c3" for one in stored(warehouse))
    assert warehouse.erase(whole("c3"), NOBODY, 1) == ErasedRows(gone)
    warehouse.trim(before)
    assert warehouse.erase(whole("c3"), NOBODY, 1) == ErasedRows(gone)
    assert warehouse.remembers(whole("c3"))
    warehouse.purge()
    assert not warehouse.remembers(whole("c3"))
    assert warehouse.trim(moment()).files == 0
