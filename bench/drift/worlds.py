"""The simulator's worlds: weekly looks at what their shops know, through k-means of features."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from bench.harness.data import WorldSpec, world
from shoal.adjust.drift.detect import Detection, detect
from shoal.adjust.drift.look import Look
from shoal.adjust.settings import AdjustSettings
from shoal.features.catalog import CATALOG
from shoal.features.tastes import Vocabulary
from shoal.segments.clustered import ClusterSegmenter, Preparation
from shoal.segments.inputs import FEATURES, WEIGHTS, inputs

_K: Final = 8
#: Days of the first earlier look, of the fit and first look, and between looks.
_FIRST, _FITTED, _EVERY = 28, 63, 7


def run(name: str, customers: int, days: int, seed: int, cache: str) -> dict[str, Any]:
    """Alarms by day of a world's weekly looks."""
    source = world(WorldSpec(name, customers, days, seed), Path(cache))
    settings, monitors = AdjustSettings(), None
    looks: list[Look] = []
    found: list[dict[str, Any]] = []
    tables = {
        day: source.features(source.start + timedelta(days=day))
        for day in range(_FIRST, days + 1, _EVERY)
    }
    table = tables[_FITTED]
    columns = inputs(table, CATALOG, Vocabulary((), ()), FEATURES)
    segmenter = ClusterSegmenter(columns, _K, preparation=Preparation(group_weights=WEIGHTS))
    segmenter.fit(table)
    for day, table in tables.items():
        now = Look.of(segmenter, table, None, source.start + timedelta(days=day))
        if day >= _FITTED:
            told = detect(now, looks, monitors=monitors, settings=settings)
            monitors = told.monitors
            found.append(_row(day, now, told))
        looks.append(now)
    return {"world": name, "seed": seed, "looks": found}


def _row(day: int, now: Look, told: Detection) -> dict[str, Any]:
    return {
        "day": day, "customers": now.customers, "state": told.state,
        "asks": any(one.harmful for one in told.alarms),
        "alarms": [[one.subject, one.what, round(one.size, 3), one.p_value] for one in told.alarms],
    }  # fmt: skip
