"""Counts that follow the membership log are those that the whole log gives, at every moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.adapters.memory_store import MemoryStateStore
from shoal.adapters.sql import SqlStateStore
from shoal.ports import StateStore
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows import segment_counts
from shoal.workflows.history import history
from shoal.workflows.segment_counts import SegmentCounts

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
MOMENTS = [MARCH + timedelta(hours=12 * number) for number in range(-1, 14)]
SEGMENTS = ("s1", "s2", "s3")

#: customer, segmentation, segment, day of March: days may go back, as late events let them.
Row = tuple[str, str, str, int]
ROWS = st.tuples(
    st.sampled_from("abcd"), st.sampled_from(["k-1", "k-2", "r-1"]), st.sampled_from(SEGMENTS),
    st.integers(0, 5),
)  # fmt: skip


def put(store: StateStore, rows: Sequence[Row]) -> None:
    told: list[dict[str, Any]] = [
        {"customer_id": customer, "segmentation_id": version, "segment_id": segment,
         "weight": 0.5, "since": MARCH + timedelta(days=day), "cause": "event", "margin": 0.1}
        for customer, version, segment, day in rows
    ]  # fmt: skip
    store.put_memberships(pa.Table.from_pylist(told, schema=MEMBERSHIPS_SCHEMA))


def counted(store: StateStore, segmentation_id: str) -> dict[str, list[int]]:
    """Customers of each segment at each moment, by all spells."""
    spells = history(store, segmentation_id)
    found = {}
    for segment in SEGMENTS:
        own = [one for one in spells.to_pylist() if one["segment_id"] == segment]
        found[segment] = [
            sum(one["since"] <= moment and (one["until"] is None or moment < one["until"])
                for one in own)
            for moment in MOMENTS
        ]  # fmt: skip
    return found


def agree(store: StateStore, counts: SegmentCounts, erasures: int = 0) -> None:
    for version in ("k-1", "k-2", "r-1"):
        found = counts.of(version, erasures)
        assert {name: found.at(name, MOMENTS) for name in SEGMENTS} == counted(store, version)
        began = history(store, version)["since"].to_pylist()
        assert found.earliest() == (min(began) if began else None)


@given(batches=st.lists(st.lists(ROWS, max_size=6), max_size=5), most=st.sampled_from([0, 3, 100]))
def test_counts_follow_whatever_is_written(batches: list[list[Row]], most: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segment_counts, "FOLLOWED", most)
        store = MemoryStateStore()
        store.set_pointer(artefact.MAIN, "k-1", MARCH)
        counts = SegmentCounts(store)
        for number, batch in enumerate(batches):
            if number == 2:  # a refit: the line has another version
                store.set_pointer(artefact.MAIN, "k-2", MARCH)
            put(store, batch)
            agree(store, counts)


def test_what_changed_alone_is_read_and_erasures_are_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlStateStore(f"sqlite:///{tmp_path}/shop.sqlite")
    store.set_pointer(artefact.MAIN, "k-1", MARCH)
    drawn = np.random.default_rng(1)

    def some(n: int) -> list[Row]:
        return [
            (f"c{drawn.integers(40)}", "k-1", SEGMENTS[drawn.integers(3)], int(drawn.integers(6)))
            for _ in range(n)
        ]

    put(store, some(200))
    counts = SegmentCounts(store)
    agree(store, counts)
    with monkeypatch.context() as patched:
        asked: list[Any] = []
        whole = store.membership_history

        def watched(customers: Any = None, **named: Any) -> pa.Table:
            asked.append(customers)
            return whole(customers, **named)

        patched.setattr(store, "membership_history", watched)
        before = counts.of("k-1", 0)
        put(store, [("c1", "k-1", "s1", 5), ("c2", "k-1", "s2", 5)])
        counts.of("k-1", 0)
        counts.of("k-1", 0)
        assert [sorted(one) for one in asked] == [["c1", "c2"], ["c1", "c2"]]
        assert before.at("s1", MOMENTS)  # of whoever was told before nothing changes
    agree(store, counts)
    store.forget(["c1", "c2"])
    agree(store, counts, erasures=1)
    store.close()
