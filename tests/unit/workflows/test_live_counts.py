"""Counts by stretch are never too low, nearly never too high, and take no more than so much."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.domain.time import to_us
from shoal.features.pace import HOUR_US, Pace
from shoal.workflows.live_counts import MOST, Counts
from shoal.workflows.live_people import Crowds

#: A hash and a stretch; few of both, so that some come again.
SEEN = st.lists(st.tuples(st.integers(0, 2**64 - 1) | st.integers(0, 9), st.integers(-3, 3)))
START = to_us(datetime(2026, 5, 1, tzinfo=UTC))


def arrays(seen: list[tuple[int, int]]) -> tuple[Any, Any]:
    return (
        np.array([one for one, _ in seen], np.uint64), np.array([n for _, n in seen], np.int64),
    )  # fmt: skip


@given(st.lists(SEEN, max_size=6), st.sampled_from([64, 1 << 16]))
def test_counts_are_at_least_what_was_seen(parts: list[list[tuple[int, int]]], cells: int) -> None:
    """With 64 cells every stretch of more than one hash is a sketch, with many none is."""
    found, true = Counts(cells), Counter[tuple[int, int]]()
    for part in parts:
        found.add(*arrays(part))
        true.update(part)
    asked = [*true, (77, 0), (1, 99)]
    told = found.of(*arrays(asked)).tolist()
    assert all(count >= true[one] for one, count in zip(asked, told, strict=True))
    if cells > 64:
        assert told == [true[one] for one in asked]
    found.let_go(1)
    left = found.of(*arrays(asked)).tolist()
    assert left == [
        count if place >= 1 else 0 for (_, place), count in zip(asked, told, strict=True)
    ]


def test_a_full_stretch_takes_as_much_as_any_and_tells_nearly_the_truth() -> None:
    found, drawn = Counts(1 << 16), np.random.default_rng(1)
    who = drawn.integers(0, 2**64, 20_000, dtype=np.uint64)
    seen = drawn.choice(who, 90_000)
    for start in range(0, len(seen), 1_000):
        found.add(seen[start : start + 1_000], np.full(1_000, 7))
    assert [rows.nbytes for rows in found._many.values()] == [1 << 18]
    assert found._few == {}
    own, counts = np.unique(seen, return_counts=True)
    told = found.of(own, np.full(len(own), 7))
    assert (told >= counts).all()
    assert (told == counts).mean() > 0.9
    assert (told - counts).max() < 20


def test_a_cell_stops_at_the_most_that_it_holds() -> None:
    for cells in (64, 1 << 16):
        found = Counts(cells)
        for _ in range(3):
            found.add(np.full(30_000, 5, np.uint64), np.zeros(30_000, np.int64))
            found.add(np.arange(9, dtype=np.uint64), np.zeros(9, np.int64))
        assert found.of(np.array([5], np.uint64), np.zeros(1, np.int64)).tolist() == [MOST]


@pytest.mark.parametrize("cells", [0, 3, -4, 1 << 33])
def test_cells_are_a_power_of_two(cells: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Counts(cells)


def events(seen: list[tuple[str | None, int, str]]) -> pa.Table:
    names = pa.array([name for name, _, _ in seen], pa.string())
    return pa.table({
        "customer_id": names, "anonymous_id": pa.nulls(len(seen), pa.string()),
        "kind": pa.array([kind for _, _, kind in seen], pa.string()),
        "event_time": pa.array([us for _, us, _ in seen], pa.timestamp("us", "UTC")),
    })  # fmt: skip


def begun(pace: Pace) -> Crowds:
    found = Crowds(pace)
    found._since_us = START
    return found


def test_who_browses_fast_is_suspected_and_who_does_not_is_not() -> None:
    pace = Pace(rate_events=50, run_events=60, think_seconds=1.0)
    crowds, second = begun(pace), 1_000_000
    assert pace.crowd < 50
    calm = [(f"u{n}", START + n * second, "view") for n in range(300)]
    fast = [("fast", START + n * second // 2, "view") for n in range(pace.crowd)]
    tills = [("till", START + n * 1_000, "purchase") for n in range(500)]
    assert crowds.suspects(events([*calm, *tills, (None, START, "view")]))[0].to_pylist() == []
    found, late = crowds.suspects(events(fast[:-1]))
    assert (found.to_pylist(), late) == ([], False)
    assert crowds.suspects(events(fast[-1:]))[0].to_pylist() == ["fast"]
    hour = [("all-hour", START + n * 60 * second, "view") for n in range(51)]
    assert crowds.suspects(events(hour[:50]))[0].to_pylist() == []
    assert crowds.suspects(events(hour[50:]))[0].to_pylist() == ["all-hour"]


def test_what_is_too_old_is_told_and_takes_no_place() -> None:
    crowds = begun(Pace(600, 60, 1.0))
    old = [(f"u{n}", START - (n + 1) * HOUR_US, "view") for n in range(200)]
    found, late = crowds.suspects(events([*old, ("now", START + 9 * HOUR_US, "view")]))
    assert (found.to_pylist(), late) == ([], True)
    assert sum(map(len, (crowds._hours._few, crowds._slots._few))) == 2
    assert crowds.suspects(events([]))[1] is False
