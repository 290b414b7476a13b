"""What the speed bench of a day's sync says of its figures, and how a history is told again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bench.speed.sync import FLAT, markdown
from bench.speed.sync_tasks import _day_of, _later, memberships


def figure(value: float) -> dict[str, float]:
    return {"median": value, "min": value, "max": value}


def row(cpu: float) -> dict[str, Any]:
    names = ("ingest_seconds", "catch_up_seconds", "refresh_seconds", "ingest_mib", "refresh_mib")
    return {**{name: figure(1.0) for name in names}, "refresh_cpu": figure(cpu)}


def document(longer: float, times: int = 10, load: float = 1.0) -> dict[str, Any]:
    parts = ("record_all", "read", "decide", "record_changes")
    alone = {f"{part}_{what}": figure(2.0) for part in parts for what in ("seconds", "mib")}
    return {
        "command": "python -m bench.speed.sync", "seed": 100, "on": "features",
        "machine": {"cores": 2, "processor": "x", "memory_gib": 24, "python": "3.11"},
        "grown": {"customers": 20, "days": 200, "day": 70,
                  "shops": {"1": {"events": 100}, "10": {"events": 100 * times}}},
        "days": {"1 states": row(1.0), "10 states": row(longer), "1 events": row(2.0),
                 "10 events": {"failed": "Trace\nout of memory"}},
        "memberships": {**alone, "customers": figure(1e6), "changed": figure(1e4)},
        "load": load,
    }  # fmt: skip


@pytest.mark.parametrize(("longer", "said"), [(FLAT, ": reached."), (FLAT + 1, "not reached.")])
def test_the_aim_is_said_to_be_reached_only_where_it_is(longer: float, said: str) -> None:
    text = markdown(document(longer))
    assert (
        f"With 10.0 times the history a refresh takes, in CPU seconds, from states {longer:.1f}"
        in text
    )
    assert said in text
    assert "| 1,000 | events | failed: out of memory |" in text
    assert "1,000,000 customers with a recorded membership, of whom 10,000 change" in text


def test_a_short_history_is_not_judged() -> None:
    assert "aimed at" not in markdown(document(3.0, times=4))


def test_other_work_beside_it_is_said() -> None:
    assert "load 8.2 at the end" in markdown(document(2.0, load=8.2))
    assert "Other work" not in markdown(document(2.0))


def test_the_published_page_is_made_of_what_is_published() -> None:
    results = Path(__file__).parents[3] / "docs" / "results"
    told = json.loads((results / "speed-sync.json").read_text(encoding="utf-8"))
    assert markdown(told) == (results / "speed-sync.md").read_text(encoding="utf-8")


def test_a_log_told_again_comes_after_itself_with_ids_of_its_own() -> None:
    start = datetime(2024, 1, 1, 23, tzinfo=UTC)
    kinds = ["view", "item", "purchase"]
    log = pa.table(
        {
            "event_id": ["a", "b", "c"], "order_id": [None, None, "o"], "kind": kinds,
            "event_time": pa.array(
                [start, start, start + timedelta(hours=2)], pa.timestamp("us", tz="UTC")
            ),
        }
    )  # fmt: skip
    assert _day_of(log).to_pylist() == [0, 0, 1]
    again = _later(log, 2, 10)
    assert again["event_id"].to_pylist() == ["r2-a", "r2-c"], "facts of items are told once"
    assert again["order_id"].to_pylist() == [None, "r2-o"]
    assert again["event_time"].to_pylist()[0] == start + timedelta(days=20)
    assert _later(log, 0, 10) is log


def test_the_membership_step_alone_writes_changes_only() -> None:
    told = memberships(customers=500, turn=0)
    assert 0 < told["changed"] <= 5
    assert {"read_seconds", "record_changes_mib"} <= told.keys()
