"""Units that are followed tell what reading all of them tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.service.served import Shelf, served

import shoal
from shoal.adapters.memory_store import MemoryStateStore
from shoal.adapters.sql import SqlStateStore
from shoal.domain.account import RowAccount
from shoal.ports import StateStore
from shoal.workflows import units
from shoal.workflows.quarantine import CodeCounts
from shoal.workflows.quarantine_file import read_batches
from shoal.workflows.units import COMMITTED, DISCARDED, STAGED, Unit
from shoal.workflows.units_followed import UnitsFollowed, summary

#: Number of the unit, what becomes of it, whether rows are in quarantine, and whose it takes.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from([STAGED, COMMITTED, DISCARDED]), st.booleans(),
        st.none() | st.integers(0, 5), st.sampled_from([(), (7,), None]),
    ),
    max_size=8,
)  # fmt: skip


def step(store: StateStore, told: tuple[int, str, bool, int | None, Any]) -> None:
    """A unit is put, as an ingest or a replay does it; committed ones stay as they are."""
    number, status, held, takes, scopes = told
    known = units.find(store, f"u{number}")
    if known is not None and known.status == COMMITTED:
        return
    unit = Unit(
        f"u{number}", status, "f.csv", "web", RowAccount(read=number + 1, stored=number + 1),
        quarantine=f"u{number}.parquet" if held else None, scopes=scopes, number=number,
    )  # fmt: skip
    source = None if takes is None else units.find(store, f"u{takes}")
    if source is not None and source.status == COMMITTED and source.name != unit.name:
        unit = replace(unit, replaces={source.name: None})
    if status == COMMITTED:
        units.put(store, replace(unit, status=STAGED))
        units.finish(store, unit)
    else:
        units.put(store, unit)


def agree(store: StateStore, followed: UnitsFollowed, erasures: int = 0) -> None:
    found, wanted = followed.read(erasures), summary(units.all_units(store))
    assert (found.units, found.events) == (wanted.units, wanted.events)
    assert list(found.telling) == list(wanted.telling)
    assert found.with_quarantine == wanted.with_quarantine


@given(STEPS)
def test_followed_units_are_all_units(told: list[Any]) -> None:
    store = MemoryStateStore()
    followed = UnitsFollowed(store)
    agree(store, followed)
    for one in told:
        step(store, one)
        agree(store, followed)


def test_only_what_came_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqlStateStore(f"sqlite:///{tmp_path}/shop.sqlite")
    followed = UnitsFollowed(store)
    for number in range(5):
        step(store, (number, COMMITTED, number == 2, None, ()))
    agree(store, followed)
    asked: list[int] = []
    after = store.units_after

    def watched(position: int) -> list[tuple[int, dict[str, Any]]]:
        asked.append(position)
        return after(position)

    monkeypatch.setattr(store, "units_after", watched)
    step(store, (5, COMMITTED, False, None, ()))
    agree(store, followed)
    agree(store, followed)
    assert 0 < asked[0] < asked[1]
    assert [len(after(one)) for one in asked] == [1, 0]
    # An erasure takes rows out of an older unit's quarantine.
    held = units.find(store, "u2")
    assert held is not None
    units.put(store, replace(held, quarantine=None))
    agree(store, followed, erasures=1)
    store.close()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with served(tmp_path_factory.mktemp("units")) as found:
        yield found


def told_of(shelf: Shelf) -> None:
    """The service tells of units and quarantine what a shop that was just opened tells."""
    shelf.asking_again()
    with shoal.open(shelf.shop.directory) as fresh:
        status = {name: one for name, one in fresh.status().items() if name != "shop"}
        listed = fresh.quarantine(samples=0).as_document()
    for one in listed["reasons"]:
        del one["samples"]
    for _ in range(2):
        assert shelf.get("/v1/status")["shop"] == status
        page = shelf.get("/v1/quarantine")
        assert {name: page[name] for name in ("rows", "restated", "reasons")} == {
            name: listed[name] for name in ("rows", "restated", "reasons")
        }
        assert len(page["items"]) == listed["rows"]


def bad_rows(home: Path, name: str, *customers: str) -> Path:
    """A file with rows of some customers that cannot be stored, and one that can."""
    lines = [f"e-{name}-{n},{who},purchase,yesterday" for n, who in enumerate(customers)]
    lines.append(f"e-{name},c1,view,2024-03-02")
    (home / name).write_text("event_id,customer_id,kind,event_time\n" + "\n".join(lines) + "\n")
    return home / name


def test_status_and_quarantine_are_told_as_before_whatever_happens(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_of(shelf)
    shelf.shop.ingest(bad_rows(tmp_path, "one.csv", "c1", "c4", "c4"), preset="shoal")
    told_of(shelf)
    before = shelf.get("/v1/quarantine")["rows"]
    read: list[Path] = []

    def watched(path: Path) -> Any:
        read.append(path)
        return read_batches(path)

    with monkeypatch.context() as patched:
        patched.setattr("shoal.workflows.quarantine.read_batches", watched)
        kept = CodeCounts()
        for _ in range(3):
            for path in sorted((shelf.shop.directory / "quarantine").glob("*.parquet")):
                kept.of(path)
    assert len(read) == len(set(read)) > 1
    shelf.shop.forget(["c4"])
    told_of(shelf)
    assert shelf.get("/v1/quarantine")["rows"] == before - 2
    shelf.shop.replay_quarantine(preset="shoal")
    told_of(shelf)
