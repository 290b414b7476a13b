"""One look of 30 features and an embedding on 20,000 customers: seconds on one core."""

from __future__ import annotations

import resource
import statistics
import time
from typing import Any

from bench.drift.panel import Panel
from bench.drift.runs import YOUNG_DAYS
from shoal.adjust.drift.detect import detect
from shoal.adjust.settings import AdjustSettings

CUSTOMERS, SEED, REPEATS = 23_000, 301, 3


def measure() -> dict[str, Any]:
    """Median seconds of processor and of the clock; the first look, which loads SciPy, apart."""
    panel = Panel(CUSTOMERS, YOUNG_DAYS, 1, SEED)
    day = YOUNG_DAYS + 1
    runs = []
    for _ in range(REPEATS + 1):
        now, *earlier = [panel.look(day - 7 * week) for week in (0, 1, 2, 3, 4, 6, 8)]
        began, clock = time.process_time(), time.perf_counter()
        found = detect(now, earlier, monitors=None, settings=AdjustSettings())
        runs.append((time.process_time() - began, time.perf_counter() - clock))
    assert found.state == "ok"
    assert now.embeddings is not None
    return {
        "customers": min(now.customers, 20_000), "features": len(now.names),
        "embedding": now.embeddings.shape[1], "earlier_looks": len(earlier),
        "first_processor_s": round(runs[0][0], 2),
        "processor_s": round(statistics.median(own for own, _ in runs[1:]), 2),
        "clock_s": round(statistics.median(own for _, own in runs[1:]), 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }  # fmt: skip
