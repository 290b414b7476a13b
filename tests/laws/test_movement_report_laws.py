"""Movement from the log adds up, and agrees with asking everybody three times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shoal.adapters.memory_store import MemoryStateStore
from shoal.adjust.movement import KINDS, MODEL, movement
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows.movement_report_log import OWN, moved

START = datetime(2024, 3, 1, tzinfo=UTC)
SINCE = START + timedelta(days=7)
LINE = ("kmeans-0001", "kmeans-0002")
IDS = ("s01", "s02", "s03", "new")


def rows(*told: tuple[str, str, str, float, str]) -> pa.Table:
    """Memberships of (customer, segmentation, segment, day, cause)."""
    return pa.Table.from_pylist(
        [
            {
                "customer_id": who, "segmentation_id": which, "segment_id": where, "weight": 1.0,
                "since": START + timedelta(days=day), "cause": cause, "margin": 0.5,
            }
            for who, which, where, day, cause in told
        ],
        schema=MEMBERSHIPS_SCHEMA,
    )  # fmt: skip


def random_log(seed: int) -> tuple[MemoryStateStore, dict[str, list[str]]]:
    """Sixty customers: placed on day 0 or later, moved by events before day 10, and by a version
    on day 10; and where each was at the beginning, before the version, and at the end."""
    random = np.random.default_rng(seed)
    store = MemoryStateStore()
    where: dict[str, list[str]] = {}
    for number in range(60):
        name = f"c{number:02d}"
        first = 0 if number % 4 else 8
        place = IDS[random.integers(4)]
        store.put_memberships(rows((name, LINE[0], place, first, "version")))
        then, since, cause = (place if first == 0 else ""), float(first), "version"
        for day in (3, 9):
            target = IDS[random.integers(4)]
            if random.random() < 0.4 and day > first and target != place:
                place, since, cause = target, float(day), str(random.choice(OWN))
                store.put_memberships(rows((name, LINE[0], place, day, cause)))
            if day == 3 and first == 0:
                then = place
        between = place
        if random.random() < 0.3:
            target = IDS[random.integers(4)]
            if target != place:
                place, since, cause = target, 10.0, "version"
        store.put_memberships(rows((name, LINE[1], place, since, cause)))
        where[name] = [then, between, place]
    return store, where


@pytest.mark.parametrize("seed", range(12))
def test_it_agrees_with_asking_everybody_three_times(seed: int) -> None:
    """The log of one version, then the next: the same kinds and the same net by segment."""
    store, where = random_log(seed)
    found = moved(store, LINE, SINCE)
    then, between, now = (np.array(column) for column in zip(*where.values(), strict=True))
    known = then != ""
    assert found.known == known.sum()
    assert found.arrived == (~known).sum()
    asked = movement(then[known], between[known], now[known])
    own = {one.segment_id: one for one in asked.segments}
    for one in found.segments:
        assert one.then + one.arrived - one.gone + one.behaviour + one.model == one.now
        assert one.now == (now == one.segment_id).sum()
        if one.segment_id in own:
            told = own[one.segment_id]
            assert (one.behaviour, one.model) == (told.behaviour, told.model)
    proper = known & (then != "new") & (now != "new")
    kinds = movement(then[proper], between[proper], now[proper]).kinds
    assert found.kinds == kinds
    assert set(found.kinds) == set(KINDS)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_customers_changes_nothing(seed: int) -> None:
    store, where = random_log(seed)
    other = MemoryStateStore()
    history = store.membership_history()
    for name in reversed(list(where)):
        own = [one == name for one in history["customer_id"].to_pylist()]
        other.put_memberships(history.filter(pa.array(own)))
    one, two = moved(store, LINE, SINCE), moved(other, LINE, SINCE)
    assert one.table.equals(two.table)
    assert (one.kinds, one.changes, one.segments) == (two.kinds, two.changes, two.segments)


def test_a_version_that_only_confirms_moves_nobody() -> None:
    store = MemoryStateStore()
    store.put_memberships(
        rows(("a", LINE[0], "s01", 0, "version"), ("b", LINE[0], "s02", 0, "version"))
    )
    store.put_memberships(
        rows(("a", LINE[1], "s01", 0, "version"), ("b", LINE[1], "s01", 10, "version"))
    )
    found = moved(store, LINE, SINCE)
    assert found.table["customer_id"].to_pylist() == ["b"]
    assert found.kinds[MODEL] == 1
    assert found.changes == {"version": 1}


def test_who_went_and_came_back_has_not_moved() -> None:
    store = MemoryStateStore()
    store.put_memberships(rows(("a", LINE[0], "s01", 0, "version")))
    store.put_memberships(rows(("a", LINE[0], "s02", 8, "event")))
    store.put_memberships(rows(("a", LINE[0], "s01", 9, "silence")))
    found = moved(store, LINE, SINCE)
    assert found.table.num_rows == 0
    assert found.changes == {"event": 1, "silence": 1}
    assert found.kinds["stayed"] == 1


def test_an_empty_log_tells_nothing() -> None:
    found = moved(MemoryStateStore(), LINE, SINCE)
    assert (found.known, found.arrived, found.segments) == (0, 0, ())
