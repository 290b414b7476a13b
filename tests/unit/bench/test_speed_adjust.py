"""What the bench of learning measures and says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench.speed import adjust
from bench.speed.segments.tasks import rows


@pytest.mark.parametrize("name", adjust.LEARNERS)
def test_every_learner_ends_nearer_to_customers_it_never_saw(name: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(adjust, "GROUPS", 4)
    monkeypatch.setattr(adjust, "BATCH", 500)
    monkeypatch.setattr(adjust, "COLUMNS", 8)
    X = rows(4_000, 8, 1)
    before, later = X[:1_000].astype(np.float64), X[1_000:] + np.float32(1.0)
    centers = adjust._learner(name, before, later[:2_000], 0)()
    started = adjust._started(before, 0).centers
    assert adjust._inertia(later[2_000:], centers) < 0.9 * adjust._inertia(later[2_000:], started)


def test_the_page_holds_the_means_and_tells_failures() -> None:
    figures = {"seconds": 2.0, "cpu_seconds": 1.0, "inertia": 0.95, "peak_mib": 300.0}
    units: list[dict[str, Any]] = [
        {"what": "learn", "name": "shoal", "rows_per_cpu_s": rate, **figures} for rate in (2e6, 4e6)
    ]
    units.append({"what": "learn", "name": "minibatch", "failed": "out of memory"})
    machine = {"cores": 2, "processor": "x", "memory_gib": 24, "system": "Linux", "python": "3.11",
               "load": 1.0, "packages": {"numpy": "2"}}  # fmt: skip
    page = adjust.markdown(
        {"command": "python -m bench.speed.adjust", "seeds": [100], "repeats": 2, "batch": 500,
         "customers": 1_000, "columns": 8, "groups": 4, "machine": machine, "units": units}
    )  # fmt: skip
    assert "| shoal | 2.00 (2.00-2.00) | 1.00 (1.00-1.00) | 3.00 (2.00-4.00) |" in page
    assert "Failed: minibatch: out of memory" in page
