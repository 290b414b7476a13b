"""The membership log read as changes: what is one, pages without gap or double, filters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from shoal.adapters.memory_store import MemoryStateStore
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows import changes
from shoal.workflows.changes import changes_after, listed, page_after

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def store_of(*rows: tuple[str, str, str]) -> MemoryStateStore:
    """A log of customer, segmentation, segment, a row an hour; k-2 follows k-1."""
    store = MemoryStateStore()
    for name in ("k-1", "k-2"):
        store.set_pointer(artefact.MAIN, name, NOW)
    store.set_pointer(artefact.RFM, "rfm-1", NOW)
    for hour, (customer, segmentation, segment) in enumerate(rows):
        row = {
            "customer_id": customer, "segmentation_id": segmentation, "segment_id": segment,
            "weight": 0.75, "since": NOW + timedelta(hours=hour), "cause": "event", "margin": None,
        }  # fmt: skip
        store.put_memberships(pa.Table.from_pylist([row], schema=MEMBERSHIPS_SCHEMA))
    return store


LOG = (
    ("a", "k-1", "new"), ("b", "k-1", "s01"), ("a", "k-1", "s02"), ("a", "rfm-1", "r01"),
    ("a", "k-2", "s02"), ("b", "k-2", "s03"), ("a", "rfm-1", "r01"), ("a", "k-2", "s01"),
)  # fmt: skip


def told(found: tuple[changes.Change, ...]) -> list[tuple[int, str, str | None, str]]:
    return [(one.sequence, one.customer_id, one.before, one.after) for one in found]


WHOLE = [
    (1, "a", None, "new"), (2, "b", None, "s01"), (3, "a", "new", "s02"), (4, "a", None, "r01"),
    (6, "b", "s01", "s03"), (8, "a", "s02", "s01"),
]  # fmt: skip


def test_a_row_that_confirms_is_no_change() -> None:
    page = page_after(store_of(*LOG), 0)
    assert told(page.changes) == WHOLE
    assert (page.until, page.more) == (8, False)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_pages_tell_everything_once_wherever_they_are_cut(
    most: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(*LOG)
    monkeypatch.setattr(changes, "ROWS", rows)
    monkeypatch.setattr(changes, "_PAGE_ROWS", 2 * rows)
    found, after, more = [], 0, True
    while more:
        page = changes_after(store, after, most)
        assert len(page.changes) <= most
        assert page.until > after or not page.more
        found += told(page.changes)
        after, more = page.until, page.more
    assert found == WHOLE
    assert after == 8


def test_only_what_leads_into_or_out_of_some_segments_is_told() -> None:
    store = store_of(*LOG)
    assert told(changes_after(store, 0, 10, {"s01"}).changes) == [
        (2, "b", None, "s01"), (6, "b", "s01", "s03"), (8, "a", "s02", "s01"),
    ]  # fmt: skip
    page = changes_after(store, 0, 10, {"s99"})
    assert (page.changes, page.until, page.more) == ((), 8, False)


def test_a_stretch_ends_where_it_is_to_end() -> None:
    store = store_of(*LOG)
    page = changes_after(store, 1, 10, until=4)
    assert told(page.changes) == WHOLE[1:4]
    assert (page.until, page.more) == (4, False)
    assert told(changes_after(store, 4, 10, until=5).changes) == []


def test_who_was_forgotten_is_not_told_of() -> None:
    store = store_of(*LOG)
    store.forget(["a"])
    assert told(changes_after(store, 0, 10).changes) == [
        (2, "b", None, "s01"), (6, "b", "s01", "s03"),
    ]  # fmt: skip
    assert changes_after(store, 0, 10).until == 8, "the end is reached though its rows are gone"


def test_who_was_further_than_the_log_begins_at_its_end() -> None:
    store = store_of(*LOG)
    assert listed(store, 99, 10)["next_seq"] == 8


def test_a_page_is_a_document() -> None:
    found = listed(store_of(*LOG), 2, 1)
    assert found["changes"] == [
        {"seq": 3, "customer_id": "a", "segmentation_id": "k-1", "from": "new", "to": "s02",
         "cause": "event", "weight": 0.75, "margin": None, "since": "2026-05-01T02:00:00Z"}
    ]  # fmt: skip
    assert (found["schema"], found["next_seq"], found["more"]) == ("shoal.changes/1", 3, True)
    assert listed(store_of(), 0, 10)["changes"] == []
