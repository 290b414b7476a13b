"""What the speed bench of replays says of its figures."""

from __future__ import annotations

from typing import Any

import pytest
from bench.speed.replay import ALLOWED, markdown


def figure(value: float) -> dict[str, float]:
    return {"median": value, "min": value, "max": value}


def document(seconds: float, events: int = 1_000_000) -> dict[str, Any]:
    row = {
        name: figure(seconds)
        for name in ("seconds", "cpu_seconds", "seconds_a_cut", "cuts", "changes", "peak_mib")
    }
    return {
        "command": "python -m bench.speed.replay", "seed": 100, "method": "kmeans",
        "machine": {"cores": 2, "processor": "x", "memory_gib": 24, "python": "3.11"},
        "events": events, "customers": 26_000, "world": "steady",
        "replays": {"every 7d": row, "every 1d": {"failed": "Trace\nout of memory"}},
    }  # fmt: skip


@pytest.mark.parametrize(("seconds", "said"), [(ALLOWED - 1, "is kept"), (ALLOWED + 1, "not kept")])
def test_the_bound_is_said_to_be_kept_only_where_it_is(seconds: float, said: str) -> None:
    assert f"The bound of {ALLOWED} s a million events {said}" in markdown(
        document(seconds)
    ).replace("is not kept", "not kept")


def test_a_small_log_says_nothing_of_a_million_and_a_failure_is_told() -> None:
    text = markdown(document(5.0, events=80_000))
    assert "The bound" not in text
    assert "| every 1d | failed: out of memory |" in text
