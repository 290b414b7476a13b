"""`python -m bench.speed.adjust`: what it costs that segments learn from customers who changed.

    python -m bench.speed.adjust --quick             20,000 customers, seconds: does it still run?
    python -m bench.speed.adjust                     a million customers x 64, some minutes
    python -m bench.speed.adjust --only learn        of learn, nudge

`learn` is one pass over the changed customers that ends with other centres: Shoal's statistics and
a whole step (sums, and squares of columns for spreads), beside `MiniBatchKMeans.partial_fit` from
the same centres, in batches and at once. `nudge` is all of Shoal's step: halves, six steps tried,
the switching margin and the budget. One core a process; every unit is a process of its own. Inertia
is that of customers of the same moment whom nobody learned from. Writes speed-adjust.json and
speed-adjust.md to --out.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.harness.data import CACHE
from bench.harness.results import RESULTS, header, machine_line, spread, table, told, write
from bench.harness.run import Unit, code_hash, run, say

_FUNCTION: Final = "bench.speed.adjust:measure"
COLUMNS: Final = 64
GROUPS: Final = 16
BATCH: Final = 10_000
LEARNERS: Final = ("shoal", "shoal at once", "minibatch", "minibatch at once", "mixture diag",
                   "mixture full")  # fmt: skip
PARTS: Final = ("learn", "nudge")
_NOW: Final = datetime(2024, 6, 1, tzinfo=UTC)
#: How far every group goes between the fit and the pass, in one dimension's spread, along all.
_DRIFT: Final = 0.15
_JUDGES: Final = 50_000


def main() -> int:
    options = _options()
    units = _units(options)
    say(f"{len(units)} units, load {os.getloadavg()[0]:.1f}")
    rows = run(_FUNCTION, units, kept=options.kept, timeout_s=1_800.0, keep=not options.fresh)
    document = {
        **header("bench.speed.adjust/1", "bench.speed.adjust", [options.seed]),
        "customers": options.customers, "columns": COLUMNS, "groups": GROUPS, "batch": BATCH,
        "repeats": options.repeats,
        "units": [{**row, **unit.arguments} for unit, row in zip(units, rows, strict=True)],
    }  # fmt: skip
    write("speed-adjust", document, markdown(document), options.out)
    print(markdown(document))
    return int(any("failed" in row for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speed.adjust", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="20,000 customers, one run of each")
    parser.add_argument("--customers", type=lambda text: int(float(text)), metavar="N")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--repeats", type=int, help="runs of each unit (default 3)")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--kept", type=Path, default=CACHE / "speed-adjust")
    parser.add_argument("--fresh", action="store_true", help="measure all anew")
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: --kept)")
    options = parser.parse_args()
    options.customers = options.customers or (20_000 if options.quick else 1_000_000)
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.out = options.out or (options.kept if options.quick else RESULTS)
    return options


def _units(options: argparse.Namespace) -> list[Unit]:
    """All units, repeats in the outer loop, so that a busy minute does not hit one row alone."""
    calls = [("learn", name) for name in LEARNERS] + [("nudge", "shoal")]
    stamp = {"code": code_hash("bench/speed/adjust.py", "src/shoal/adjust/online.py",
                               "src/shoal/adjust/steps.py", "src/shoal/adjust/nudge.py",
                               "src/shoal/segments/methods")}  # fmt: skip
    return [
        Unit(
            f"{what}-{name.replace(' ', '-')}-{options.customers}", f"{options.seed}-{turn}", turn,
            {"what": what, "name": name, "customers": options.customers, "seed": options.seed},
            {**stamp, "turn": str(turn)},
        )
        for turn in range(options.repeats)
        for what, name in calls
        if what in options.only
    ]  # fmt: skip


# -- measured --------------------------------------------------------------------------------------


def measure(*, what: str, name: str, customers: int, seed: int) -> dict[str, Any]:
    """One unit, in a process of its own on one core."""
    from bench.speed.segments.tasks import one_core, peak_mib, rows

    one_core()
    X = rows(customers + _JUDGES, COLUMNS, seed)
    before, X = X[:20_000].astype(np.float64), X + np.float32(_DRIFT)
    work = (
        _learner(name, before, X[:customers], seed) if what == "learn" else _nudge(before, X, seed)
    )
    begun, busy = time.perf_counter(), time.process_time()
    centers = work()
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - busy
    started = _started(before, seed).centers
    return {
        "seconds": seconds, "cpu_seconds": cpu_seconds, "rows_per_cpu_s": customers / cpu_seconds,
        "inertia": _inertia(X[customers:], centers) / _inertia(X[customers:], started),
        "peak_mib": peak_mib(),
    }  # fmt: skip


def _started(before: np.ndarray, seed: int) -> Any:
    from shoal.segments.methods.kmeans import KMeansClusterer

    return KMeansClusterer(GROUPS, starts=1).fit(before, seed=seed)


def _learner(name: str, before: np.ndarray, X: np.ndarray, seed: int) -> Callable[[], np.ndarray]:
    """What passes over the rows once and gives centres; what it starts from is made already."""
    if name.startswith("minibatch"):
        return _minibatch(_started(before, seed).centers, before, X, at_once="once" in name)
    from shoal.adjust.online import Statistics
    from shoal.adjust.steps import stepped
    from shoal.segments.methods.mixture import Mixture

    clusterer: Any = _started(before, seed)
    full = name == "mixture full"
    if name.startswith("mixture"):
        kmeans = clusterer
        clusterer = Mixture(GROUPS)
        spread_of = np.full(COLUMNS, kmeans.variance)
        ones = np.array([np.diag(spread_of) if full else spread_of] * GROUPS)
        clusterer = clusterer.moved(kmeans.centers, mass=np.ones(GROUPS), covariances=ones)
    ids = tuple(f"s{place:02d}" for place in range(GROUPS))
    nobody = Statistics.nothing(ids, COLUMNS, _NOW, half_life_days=90.0, full=full)
    size = len(X) if name == "shoal at once" else BATCH

    def work() -> np.ndarray:
        found, statistics = clusterer, nobody
        for start in range(0, len(X), size):
            statistics = statistics.learned(found, X[start : start + size], _NOW)
            found = stepped(found, statistics, 1.0, np.zeros(GROUPS, dtype=bool))
        return np.asarray(found.centers)

    return work


def _minibatch(
    centers: np.ndarray, before: np.ndarray, X: np.ndarray, *, at_once: bool
) -> Callable[[], np.ndarray]:
    from sklearn.cluster import MiniBatchKMeans

    size = len(X) if at_once else BATCH
    model = MiniBatchKMeans(
        GROUPS, init=centers.astype(np.float32), n_init=1, batch_size=size, reassignment_ratio=0
    )
    # the first call sets it up; as many rows as Shoal's start knows would outweigh the pass
    model.partial_fit(before[:GROUPS].astype(np.float32))

    def work() -> np.ndarray:
        for start in range(0, len(X), size):
            model.partial_fit(X[start : start + size])
        return np.asarray(model.cluster_centers_, dtype=np.float64)

    return work


def _nudge(before: np.ndarray, X: np.ndarray, seed: int) -> Callable[[], np.ndarray]:
    from shoal.adjust.nudge import nudge
    from shoal.adjust.online import begun
    from shoal.adjust.settings import AdjustSettings
    from shoal.segments.clustered import ClusterSegmenter

    segmenter = ClusterSegmenter([], clusterer=_started(before, seed))
    segmenter.rename([f"s{place:02d}" for place in range(GROUPS)])
    memory = begun(segmenter, _NOW, half_life_days=90.0).learned(segmenter.clusterer, before, _NOW)
    Z = X[:-_JUDGES].astype(np.float64)
    places = segmenter.weights(Z).argmax(axis=1)

    def work() -> np.ndarray:
        found = nudge(
            segmenter, Z, places, memory, margin=0.1, settings=AdjustSettings(), budget=1.0
        )
        assert found is not None, "k-means has centres"
        return np.asarray(found.segmenter.centers)

    return work


def _inertia(X: np.ndarray, centers: np.ndarray) -> float:
    own = X.astype(np.float64)
    gaps = (own**2).sum(axis=1)[:, None] - 2 * own @ centers.T + (centers**2).sum(axis=1)
    return float(gaps.min(axis=1).sum())


# -- told ------------------------------------------------------------------------------------------


def markdown(document: Mapping[str, Any]) -> str:
    """The page; every figure is computed from the document."""
    units, machine = document["units"], document["machine"]
    there = [one for one in units if "failed" not in one]
    measured = (
        f"`{document['command']}`, seed {document['seeds'][0]}, {document['repeats']} runs of "
        f"each, load {machine['load']} at the end. {machine_line(machine)}"
    )
    reading = (
        f"One pass over {document['customers']:,} simulated customers x {document['columns']} "
        f"columns in single precision, {document['groups']} segments, one core; all groups have "
        f"gone {_DRIFT:g} along every column since the centres were made. Batches of "
        f"{document['batch']:,}. Shoal keeps the squares of every column (a mixture: with full "
        "covariances all products) beside the sums. Inertia: on 50,000 other customers of the same "
        "moment, in shares of that of the centres before; the less the better. Means of the runs, "
        "least and greatest in brackets; CPU seconds are what is compared."
    )
    blocks = ["# What learning costs", measured, reading, _rows(there)]
    failed = sorted({f"{one['name']}: {one['failed']}" for one in units if "failed" in one})
    blocks += ["Failed: " + "; ".join(failed)] if failed else []
    return "\n\n".join(blocks) + "\n"


def _rows(units: Sequence[Mapping[str, Any]]) -> str:
    names = {("learn", one): one for one in LEARNERS} | {("nudge", "shoal"): "shoal: whole nudge"}
    found = []
    for (what, name), label in names.items():
        mine = [one for one in units if (one["what"], one["name"]) == (what, name)]
        if mine:
            rate = spread(one["rows_per_cpu_s"] / 1e6 for one in mine)
            columns = [(one, 2) for one in ("seconds", "cpu_seconds")]
            figures = [told(spread(one[key] for one in mine), digits) for key, digits in columns]
            inertia = told(spread(one["inertia"] for one in mine), 4)
            memory = told(spread(one["peak_mib"] for one in mine), 0)
            found.append([label, *figures, told(rate), inertia, memory])
    head = ["learner", "seconds", "CPU seconds", "M customers / CPU s", "inertia", "peak MiB"]
    return table(head, found) if found else ""


if __name__ == "__main__":
    sys.exit(main())
