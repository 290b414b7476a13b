"""The parts of the speed bench that decide what is said."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from bench.speed.equality import differences
from bench.speed.harness import run, summary
from bench.speed.report import markdown


def test_differences_are_of_values_nulls_and_missing_columns() -> None:
    mine = pa.table(
        {
            "customer_id": ["a", "b"], "same": [1.0, None], "close": [1.0, 2.0],
            "value": [1, 2], "null": [None, 1.0], "text": ["x", None], "missing": [1, 2],
        }
    )  # fmt: skip
    other = pa.table(
        {
            "customer_id": ["b", "a"], "same": [None, 1.0], "close": [2.0, 1.0 + 1e-12],
            "value": [2, 3], "null": [1.0, 0.0], "text": ["y", "x"],
        }
    )  # fmt: skip
    assert differences(mine, other) == ["value", "null", "text", "missing"]
    assert differences(mine, mine) == []


def test_another_number_of_customers_differs() -> None:
    assert differences(pa.table({"customer_id": ["a", "b"]}), pa.table({"customer_id": ["a"]})) == [
        "customer_id"
    ]


def test_a_summary_is_median_least_and_greatest() -> None:
    rows = [{"seconds": 3.0, "what": "x"}, {"seconds": 1.0}, {"seconds": 10.0}]
    assert summary(rows) == {"seconds": {"median": 3.0, "min": 1.0, "max": 10.0}}


def test_a_failing_task_says_why() -> None:
    with pytest.raises(RuntimeError, match="fold failed"):
        run("fold", {"directory": "/does/not/exist", "engine": "sql", "turn": 0})


def test_goals_are_judged_and_failures_told() -> None:
    def figure(seconds: float, mib: float = 1024.0, **more: float) -> dict[str, Any]:
        return summary([{"seconds": seconds, "first_seconds": seconds, "peak_mib": mib, **more}])

    page = markdown(
        {
            "command": "python -m bench.speed", "seed": 1,
            "machine": {"cores": 2, "processor": "p", "memory_gib": 8, "system": "s",
                        "python": "3.11", "packages": {"shoal": "0"}},
            "sizes": {
                "1000000": {
                    "events": 1_000_000, "world": "steady v1",
                    "fold": {"shoal": figure(1.2), "sql": figure(1.0), "polars": figure(1.0),
                             "pandas": {"failed": "out of memory"}},
                    "different": {"polars": ["spend"]},
                    "ingest": {"shoal csv": figure(1.0, events_per_second=70_000.0)},
                }
            },
            "startup": {"shoal --help": figure(0.9)},
        }
    )  # fmt: skip
    assert "| fold of 1.0 M: at most 1.30 x hand-written DuckDB SQL | 1.20 x | met |" in page
    assert "| fold of 1.0 M: at most 1.15 x polars, streaming | 1.20 x | missed |" in page
    assert "| ingest of 1.0 M from csv | 70,000 events/s | met |" in page
    assert "| `shoal --help` under 0.7 s | 0.90 s | missed |" in page
    assert "| 1.0 M | pandas | failed |" in page
    assert "**polars differs at 1.0 M: spend.**" in page
