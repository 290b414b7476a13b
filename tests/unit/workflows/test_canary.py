"""A canary in the state store: begun, read, ended; the live log goes on beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from shoal.adapters.memory_store import MemoryStateStore
from shoal.adapters.sql import SqlStateStore
from shoal.adjust.canary import DROPPED, PROMOTED
from shoal.ports import StateStore
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows import canary
from shoal.workflows.advance import record_version, recorded_of
from shoal.workflows.canary import Canary
from shoal.workflows.changes import page_after
from shoal.workflows.members import Place, page, sizes
from shoal.workflows.membership_log import line, line_of, spells

BEGAN = datetime(2024, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = [f"c{number:02d}" for number in range(40)]
TRIAL = Canary("k-2", "k-1", "look-0004", 0.5, BEGAN + 10 * DAY, BEGAN + 24 * DAY)
MINE = [name for name, own in zip(NAMES, TRIAL.chosen(NAMES), strict=True) if own]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    found: StateStore
    if request.param == "memory":
        found = MemoryStateStore()
    else:
        found = SqlStateStore(f"sqlite:///{tmp_path}/shop.sqlite")
    placed(found, "k-1", {name: f"s{place % 2}" for place, name in enumerate(NAMES)}, BEGAN)
    found.set_pointer(artefact.MAIN, "k-1", BEGAN)
    yield found
    found.close()


def members(places: dict[str, str]) -> pa.Table:
    names = sorted(places)
    return pa.table(
        {"customer_id": names, "segment_id": [places[one] for one in names],
         "weight": [0.75] * len(names), "margin": [0.5] * len(names)}
    )  # fmt: skip


def placed(store: StateStore, name: str, places: dict[str, str], moment: datetime) -> None:
    record_version(store, name, None, members(places), moment)


def rows(name: str, places: dict[str, str], moment: datetime) -> pa.Table:
    """What a step changed."""
    told = [
        {"customer_id": who, "segmentation_id": name, "segment_id": where, "weight": 0.625,
         "since": moment, "cause": "event", "margin": 0.25} for who, where in places.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(told, schema=MEMBERSHIPS_SCHEMA)


def begun(store: StateStore) -> None:
    """The canary has everybody in s0 but the first of its customers, who is in a new segment."""
    places = dict.fromkeys(NAMES, "s0") | {MINE[0]: "s9"}
    with store.transaction():
        canary.begin(store, TRIAL, members(places), TRIAL.since, 3)


def stepped(store: StateStore, places: dict[str, str], moment: datetime) -> None:
    """A step of the live version, with a canary or without."""
    changed = rows("k-1", places, moment)
    found = canary.beside(store, "k-1")
    store.put_memberships(changed if found is None else found.diverted(changed))


def where(store: StateStore, ids: object) -> dict[str, str]:
    table = store.get_memberships(ids)  # type: ignore[arg-type]
    return dict(zip(table["customer_id"].to_pylist(), table["segment_id"].to_pylist(), strict=True))


def test_it_is_read_back_as_it_was(store: StateStore) -> None:
    assert canary.running(store) is None
    assert canary.kept(store, "k-1") == canary.answering(store, "k-1") == ("k-1",)
    begun(store)
    assert canary.running(store) == TRIAL
    assert store.get_pointer(canary.POINTER) == "k-2"
    assert store.get_pointer(artefact.MAIN) == "k-1"
    assert recorded_of(store, "k-2") is not None
    assert canary.kept(store, "k-1") == ("k-1", "k-1~k-2")
    assert canary.kept(store, "k-2") == ("k-2",)
    assert canary.answering(store, "k-1") == ("k-1", "k-2")
    assert canary.placing(store, MINE[0], TRIAL.since) == "k-2"
    assert canary.placing(store, MINE[0], TRIAL.since - DAY) is None
    others = sorted(set(NAMES) - set(MINE))
    assert canary.placing(store, others[0], TRIAL.since) is None


def test_only_its_customers_are_in_it_and_who_stays_keeps_since_and_cause(
    store: StateStore,
) -> None:
    before = store.get_memberships("k-1", customers=MINE)
    begun(store)
    tried = store.get_memberships("k-2")
    assert tried["customer_id"].to_pylist() == sorted(MINE)
    stayed = {
        row["customer_id"]: row["since"]
        for row in before.to_pylist()
        if row["segment_id"] == "s0" and row["customer_id"] != MINE[0]
    }
    told = {row["customer_id"]: row for row in tried.to_pylist()}
    for name in MINE:
        since, cause = told[name]["since"], told[name]["cause"]
        assert since == stayed.get(name, TRIAL.since)
        assert cause == "version"


def test_the_live_version_goes_on_for_everybody_and_reads_answer_by_both(
    store: StateStore,
) -> None:
    begun(store)
    stepped(store, dict.fromkeys(NAMES, "s1"), BEGAN + 12 * DAY)
    assert where(store, canary.kept(store, "k-1")) == dict.fromkeys(NAMES, "s1")
    told = where(store, canary.answering(store, "k-1"))
    assert {name for name, one in told.items() if one == "s1"} == set(NAMES) - set(MINE)
    assert told[MINE[0]] == "s9"
    last = store.last_membership()
    assert sizes(store, "k-1", last) == {
        "s0": len(MINE) - 1, "s1": len(NAMES) - len(MINE), "s9": 1,
    }  # fmt: skip
    listed, behind = page(store, Place("k-1", last), "s0", 100)
    assert behind is None
    assert [one["customer_id"] for one in listed] == sorted(MINE[1:])
    assert {one["segmentation_id"] for one in listed} == {"k-2"}


def test_pages_fit_together_over_the_end_of_a_canary(store: StateStore) -> None:
    begun(store)
    place = Place("k-1", store.last_membership())
    whole, _ = page(store, place, "s0", 100)
    first, behind = page(store, place, "s0", 7)
    canary.end(store, DROPPED, "word", BEGAN + 12 * DAY, BEGAN)
    found = list(first)
    while behind is not None:
        part, behind = page(store, behind, "s0", 7)
        found += part
    assert found == whole


def test_dropped_its_customers_have_what_they_would_have_had(store: StateStore) -> None:
    twin = MemoryStateStore()
    placed(twin, "k-1", {name: f"s{place % 2}" for place, name in enumerate(NAMES)}, BEGAN)
    begun(store)
    for day, places in (
        (11, {MINE[0]: "s1", "c01": "s0"}), (13, {MINE[1]: "s0", MINE[2]: "s1"}),
        (15, {MINE[1]: "s1", "new": "s1"}),
    ):  # fmt: skip
        stepped(store, places, BEGAN + day * DAY)
        stepped(twin, places, BEGAN + day * DAY)
    ended = canary.end(store, DROPPED, "gates", BEGAN + 20 * DAY, BEGAN)
    assert ended is not None and ended.ended is not None
    assert ended.ended["outcome"] == DROPPED
    assert canary.running(store) is None
    assert not store.get_pointer(canary.POINTER)
    assert canary.kept(store, "k-1") == ("k-1",)
    assert store.get_memberships("k-1").equals(twin.get_memberships("k-1"))
    assert canary.end(store, DROPPED, "gates", BEGAN, BEGAN) is None


def test_who_came_meanwhile_is_not_lost_when_it_is_dropped(store: StateStore) -> None:
    begun(store)
    fresh = [f"n{number}" for number in range(30)]
    own = [name for name, one in zip(fresh, TRIAL.chosen(fresh), strict=True) if one]
    stepped(store, dict.fromkeys(fresh, "s1"), BEGAN + 12 * DAY)
    store.put_memberships(rows("k-2", dict.fromkeys(own, "s0"), BEGAN + 12 * DAY))
    canary.end(store, DROPPED, "gates", BEGAN + 20 * DAY, BEGAN)
    told = where(store, "k-1")
    assert {told[name] for name in fresh} == {"s1"}


def test_changes_are_told_once_each_way_and_never_of_the_log_beside(store: StateStore) -> None:
    after = store.last_membership()
    begun(store)
    into = {one.customer_id: (one.before, one.after) for one in page_after(store, after).changes}
    assert set(into) <= set(MINE)
    assert into[MINE[0]][1] == "s9"
    after = store.last_membership()
    stepped(store, dict.fromkeys(MINE, "s1"), BEGAN + 12 * DAY)
    assert page_after(store, after).changes == ()
    canary.end(store, DROPPED, "gates", BEGAN + 20 * DAY, BEGAN)
    back = page_after(store, after).changes
    assert sorted(one.customer_id for one in back) == sorted(MINE)
    assert {(one.after, one.cause, one.since) for one in back} == {
        ("s1", "rollback", BEGAN + 20 * DAY)
    }


def test_what_was_tried_is_of_the_main_line_and_the_log_beside_of_none(store: StateStore) -> None:
    begun(store)
    assert line(store) == ("k-2", "k-1")
    assert line_of(store, "k-2") == line(store)
    assert line_of(store, "k-1~k-2") == ("k-1~k-2",)
    stepped(store, {MINE[0]: "s1"}, BEGAN + 12 * DAY)
    told = spells(store.membership_history(MINE[0], segmentations=line(store))).to_pylist()
    assert [one["segment_id"] for one in told][-1] == "s9"


def test_promoted_its_customers_stay_and_the_version_before_is_read_as_it_was(
    store: StateStore,
) -> None:
    begun(store)
    place = store.last_membership()
    before = sizes(store, "k-1", place)
    moment = BEGAN + 24 * DAY
    everybody = dict.fromkeys(NAMES, "s1") | where(store, "k-2")
    with store.transaction():
        canary.end(store, PROMOTED, "passed", moment, BEGAN)
        moved = record_version(store, "k-2", ("k-1", "k-2"), members(everybody), moment)
        store.set_pointer(artefact.MAIN, "k-2", BEGAN)
    others = [name for place, name in enumerate(NAMES) if name not in MINE and place % 2 == 0]
    assert moved == len(others)
    told = {row["customer_id"]: row for row in store.get_memberships("k-2").to_pylist()}
    assert set(told) == set(NAMES)
    assert told[MINE[0]]["since"] == TRIAL.since
    assert told[others[0]]["since"] == moment
    assert canary.answering(store, "k-2") == ("k-2",)
    assert canary.answering(store, "k-1") == ("k-1",)
    assert sizes(store, "k-1", place) == before


def test_a_second_canary_of_the_same_version_begins_with_what_the_live_one_says(
    store: StateStore,
) -> None:
    begun(store)
    canary.end(store, DROPPED, "gates", BEGAN + 12 * DAY, BEGAN)
    second = replace(TRIAL, segmentation_id="k-3", since=BEGAN + 13 * DAY)
    with store.transaction():
        canary.begin(store, second, members(dict.fromkeys(NAMES, "s1")), BEGAN, 3)
    assert canary.tried(store) == ("k-2", "k-3")
    told = where(store, canary.answering(store, "k-1"))
    mine = {name for name, own in zip(NAMES, second.chosen(NAMES), strict=True) if own}
    assert mine != set(MINE)
    assert {name for name in mine if told[name] == "s1"} == mine


def test_an_end_that_is_undone_leaves_it_running(store: StateStore) -> None:
    begun(store)
    before = store.last_membership()
    with pytest.raises(KeyboardInterrupt), store.transaction():
        canary.end(store, DROPPED, "gates", BEGAN + 12 * DAY, BEGAN)
        raise KeyboardInterrupt
    assert canary.running(store) == TRIAL
    assert where(store, canary.answering(store, "k-1"))[MINE[0]] == "s9"
    assert store.get_memberships("k-1").num_rows == len(NAMES)
    assert before > 0
