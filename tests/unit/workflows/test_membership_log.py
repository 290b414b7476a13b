"""Spells read from the log, versions recorded, and the line that segmentations form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.time import from_us
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows.advance import record_version, with_margins
from shoal.workflows.membership_log import SPELLS_SCHEMA, line, line_of, spells

MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return MARCH.replace(day=number)


def log(*rows: tuple[str, str, str, int, str]) -> pa.Table:
    """Customer, segmentation, segment, day of March, cause."""
    return pa.Table.from_pylist(
        [
            {"customer_id": customer, "segmentation_id": segmentation, "segment_id": segment,
             "weight": 0.5, "since": day(since), "cause": cause, "margin": 0.1}
            for customer, segmentation, segment, since, cause in rows
        ],
        schema=MEMBERSHIPS_SCHEMA,
    )  # fmt: skip


def told(table: pa.Table) -> list[tuple[Any, ...]]:
    return [
        (row["customer_id"], row["segment_id"], row["since"].day,
         row["until"] and row["until"].day, row["cause"])
        for row in table.to_pylist()
    ]  # fmt: skip


def test_spells_follow_each_other_and_the_last_goes_on() -> None:
    found = spells(
        log(
            ("b", "k-1", "s02", 1, "version"),
            ("a", "k-1", "s01", 1, "version"),
            ("a", "k-1", "s02", 5, "event"),
            ("a", "k-1", "s01", 9, "silence"),
        )
    )
    assert found.schema == SPELLS_SCHEMA
    assert told(found) == [
        ("a", "s01", 1, 5, "version"),
        ("a", "s02", 5, 9, "event"),
        ("a", "s01", 9, None, "silence"),
        ("b", "s02", 1, None, "version"),
    ]


def test_what_a_version_confirms_is_one_spell_and_what_it_moves_is_two() -> None:
    found = spells(
        log(
            ("a", "k-1", "s01", 1, "version"),
            ("b", "k-1", "s01", 1, "version"),
            ("a", "k-2", "s01", 1, "version"),
            ("b", "k-2", "s03", 20, "version"),
            ("b", "k-1", "s01", 25, "rollback"),
        )
    )
    assert told(found) == [
        ("a", "s01", 1, None, "version"),
        ("b", "s01", 1, 20, "version"),
        ("b", "s03", 20, 25, "version"),
        ("b", "s01", 25, None, "rollback"),
    ]
    assert found["segmentation_id"].to_pylist()[0] == "k-2"


def test_what_was_written_over_from_its_beginning_on_is_no_spell() -> None:
    found = spells(
        log(
            ("a", "k-1", "s01", 10, "version"),
            ("a", "k-1", "s02", 12, "event"),
            ("a", "k-2", "s03", 5, "version"),
        )
    )
    assert told(found) == [("a", "s03", 5, None, "version")]


def test_nobody_has_no_spells() -> None:
    assert spells(MEMBERSHIPS_SCHEMA.empty_table()).schema == SPELLS_SCHEMA


ROW = st.tuples(st.sampled_from("abc"), st.sampled_from(["s01", "s02", "s03"]), st.integers(1, 28))


@given(rows=st.lists(ROW, min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_spells_say_at_every_moment_what_the_log_says(rows: list[tuple[str, str, int]]) -> None:
    table = log(*((who, "k-1", where, since, "event") for who, where, since in rows))
    store = MemoryStateStore()
    store.put_memberships(table)
    found = spells(table).to_pylist()
    for number in range(1, 29):
        as_told = store.get_memberships("k-1", as_of=day(number))
        in_spells = {
            row["customer_id"]: row["segment_id"]
            for row in found
            if row["since"] <= day(number) and (row["until"] is None or day(number) < row["until"])
        }
        assert in_spells == dict(
            zip(as_told["customer_id"].to_pylist(), as_told["segment_id"].to_pylist(), strict=True)
        )


# --- versions -------------------------------------------------------------------------------------


def members(**segments: str) -> pa.Table:
    return pa.table(
        [list(segments), list(segments.values()), [0.7] * len(segments)],
        schema=artefact.MEMBERS_SCHEMA,
    )


def test_a_version_keeps_since_and_cause_of_who_stays() -> None:
    store = MemoryStateStore()
    assert record_version(store, "k-1", None, members(a="s01", b="s01"), day(1)) == 2
    store.put_memberships(log(("b", "k-1", "s02", 5, "event")))
    later = members(a="s01", b="s02", c="s01")
    assert record_version(store, "k-2", "k-1", later, day(20)) == 1
    assert told(spells(store.membership_history())) == [
        ("a", "s01", 1, None, "version"),
        ("b", "s01", 1, 5, "version"),
        ("b", "s02", 5, None, "event"),
        ("c", "s01", 20, None, "version"),
    ]
    back = record_version(store, "k-1", "k-2", members(a="s02", b="s02"), day(25), cause="rollback")
    assert back == 1
    latest = store.get_memberships("k-1").to_pydict()
    assert latest["cause"] == ["rollback", "event"]
    assert [moment.day for moment in latest["since"]] == [25, 5]


def test_a_version_whose_ids_mean_something_else_begins_anew() -> None:
    store = MemoryStateStore()
    record_version(store, "k-1", None, members(a="s01"), day(1))
    assert record_version(store, "k-2", None, members(a="s01"), day(20)) == 1
    assert store.get_memberships("k-2")["since"].to_pylist() == [day(20)]


def test_a_version_of_an_earlier_moment_takes_nothing_over_from_a_later_one() -> None:
    store = MemoryStateStore()
    record_version(store, "k-1", None, members(a="s01"), day(20))
    record_version(store, "k-2", "k-1", members(a="s01"), day(5))
    assert store.get_memberships("k-2")["since"].to_pylist() == [day(5)]


def test_margins_of_a_version_are_kept_and_may_be_untold() -> None:
    store = MemoryStateStore()
    weights = np.array([[0.7, 0.2, 0.1], [0.3, 0.7, 0.0]])
    record_version(store, "k-1", None, with_margins(members(a="s01", b="s02"), weights), day(1))
    assert store.get_memberships("k-1")["margin"].to_pylist() == pytest.approx([0.5, 0.4])
    record_version(store, "k-2", None, members(a="s01"), day(1))
    assert store.get_memberships("k-2")["margin"].to_pylist() == [None]


def test_a_line_is_what_a_pointer_has_named_without_rules_that_stood_in() -> None:
    store = MemoryStateStore()
    now = from_us(0)
    for pointer, target in (
        (artefact.RFM, "rfm-0001"), (artefact.MAIN, "rfm-0001"), (artefact.MAIN, "kmeans-0001"),
        (artefact.RFM, "rfm-0002"), (artefact.MAIN, "kmeans-0002"), (artefact.MAIN, "kmeans-0001"),
    ):  # fmt: skip
        store.set_pointer(pointer, target, now)
    assert line(store) == ("kmeans-0001", "kmeans-0002")
    assert line(store, artefact.RFM) == ("rfm-0001", "rfm-0002")
    assert line_of(store, "rfm-0001") == ("rfm-0001", "rfm-0002")
    assert line_of(store, "kmeans-0009") == ("kmeans-0009",)
