"""Detectors as their authors advise, on the same looks.

Tests compare a look with the one of four weeks before (the nearest there is): Kolmogorov-Smirnov of
each feature at 0.05 with Bonferroni's correction; the population stability index over ten
quantile bins, above 0.25 (Siddiqi 2006); and the rule that a data set drifted if half of its
columns did, each by Kolmogorov-Smirnov at 0.05. Lifetime totals and tenure, which only grow, are
left out for them: nothing else would be heard.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.drift.panel import Panel
from bench.harness.environment import python_of
from shoal.adjust.drift.look import Look

Floats = npt.NDArray[np.float64]

KS: Final = "KS per feature, Bonferroni"
PSI: Final = "PSI > 0.25"
HALF: Final = "half of the columns by KS"
TESTS: Final = (KS, PSI, HALF)
#: river's detectors by class; one of a feature, with river's defaults.
RIVER: Final = ("ADWIN", "KSWIN", "PageHinkley")
_GROWS: Final = frozenset({"events", "orders", "tenure_days"})
#: Customers a day that a stream detector is shown, drawn anew each day.
SHOWN: Final = 10
#: Days of the stream before the day from which alarms count.
LEARNED_DAYS: Final = 30
_WORKER: Final = Path(__file__).with_name("river_worker.py")
_BINS: Final = 10


def names_of(look: Look) -> list[str]:
    return [name for name in look.names if name not in _GROWS]


def tests(now: Look, then: Look) -> set[str]:
    """Which of `TESTS` tell of drift."""
    from scipy.stats import ks_2samp

    p_values, index = [], []
    for name in names_of(now):
        pair = [look.feature(name)[look.known] for look in (then, now)]
        one, other = (values[~np.isnan(values)] for values in pair)
        if min(len(one), len(other)) < 10:
            gone = len(one) != len(other)
            p_values.append(0.0 if gone else 1.0)
            index.append(np.inf if gone else 0.0)
            continue
        p_values.append(float(ks_2samp(one, other, method="asymp").pvalue))
        index.append(stability_index(one, other))
    p = np.array(p_values)
    found = {KS: p.min() <= 0.05 / len(p), PSI: max(index) > 0.25, HALF: (p <= 0.05).mean() >= 0.5}
    return {name for name, told in found.items() if told}


def stability_index(before: Floats, now: Floats) -> float:
    """Sum over quantile bins of (q - p) ln(q / p); empty bins count as half a customer."""
    edges = np.unique(np.quantile(before, np.arange(1, _BINS) / _BINS))
    shares = []
    for values in (before, now):
        counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
        shares.append(np.maximum(counts, 0.5) / len(values))
    p, q = shares
    return float(((q - p) * np.log(q / p)).sum())


def river_days(panel: Panel, seed: int) -> dict[str, list[int]]:
    """Days after the first on which a detector of any feature told of drift."""
    days = range(panel.days - LEARNED_DAYS + 1, panel.days + panel.watched + 1)
    random = np.random.default_rng([seed, 13])
    rows, labels = [], []
    for day in days:
        look = panel.look(day)
        shown = random.permutation(np.flatnonzero(look.known))[:SHOWN]
        rows.append(np.column_stack([look.feature(name)[shown] for name in names_of(look)]))
        labels += [day - panel.days] * len(shown)
    X = np.concatenate(rows)
    learned = X[np.array(labels) <= 0]
    X = (X - np.nanmean(learned, axis=0)) / np.maximum(np.nanstd(learned, axis=0), 1e-9)
    with tempfile.TemporaryDirectory(prefix="shoal-drift-") as folder:
        file = Path(folder) / "rows.npy"
        np.save(file, X)
        done = subprocess.run(
            [str(python_of("river")), "-W", "ignore", str(_WORKER), str(file), *RIVER],
            capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": ""},
        )  # fmt: skip
    told: dict[str, list[int]] = json.loads(done.stdout)
    return {name: sorted({labels[row] for row in told[name] if labels[row] > 0}) for name in RIVER}


def as_counts(days: dict[str, Any]) -> dict[str, int]:
    """How many days each told of something."""
    return {name: len(told) for name, told in days.items()}
