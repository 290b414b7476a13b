"""The measured pieces of work; each is a call in a process of its own on one core.

`seconds` is the wall, `cpu_seconds` what the process worked: on a busy machine only the second one
can be compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.harness.data import CACHE

ENGINES: Final = ("shoal", "scikit-learn", "scikit-learn minibatch", "faiss", "faiss sample")
METHODS: Final = ("kmeans", "mixture", "hierarchy", "density", "seeded", "consensus", "deep")
#: Latent groups of the rows, of unequal size and spread, in a space of fewer dimensions.
_LATENT: Final = 24
_DIRECTIONS: Final = 20


def measure(what: str, **arguments: Any) -> dict[str, Any]:
    """One of `TASKS`, with the greatest resident memory of the process."""
    one_core()
    return {**TASKS[what](**arguments), "peak_mib": peak_mib()}


def rows(customers: int, columns: int, seed: int) -> np.ndarray:
    """(customers, columns) float32: overlapping groups in few directions, and noise in all."""
    rng = np.random.default_rng(seed)
    mass = rng.dirichlet(np.full(_LATENT, 2.0))
    group = rng.choice(_LATENT, size=customers, p=mass)
    few = min(_DIRECTIONS, columns)
    middle = rng.normal(size=(_LATENT, few)) * 2
    spread = rng.uniform(0.6, 1.4, _LATENT)
    turn = rng.normal(size=(few, columns)) / np.sqrt(few)
    found = np.empty((customers, columns), np.float32)
    for start in range(0, customers, 100_000):
        own = group[start : start + 100_000]
        inner = middle[own] + rng.normal(size=(len(own), few)) * spread[own][:, None]
        found[start : start + len(own)] = inner @ turn + 0.3 * rng.normal(size=(len(own), columns))
    return found


def kmeans(
    *, engine: str, customers: int, columns: int, groups: int, starts: int, seed: int
) -> dict[str, Any]:
    """Fit on all rows; the inertia of its centres over all rows, counted alike for all."""
    X = rows(customers, columns, seed)
    if engine.startswith("faiss"):
        told, centers = _faiss(X, "sample" if engine.endswith("sample") else "kmeans", groups,
                               starts, seed)  # fmt: skip
    else:
        fit = _fitting(engine, groups, starts, seed)
        told, centers = _timed(lambda: np.asarray(fit(X).cluster_centers_))
    return {**told, "inertia": _inertia(X, centers)}


def _fitting(engine: str, groups: int, starts: int, seed: int) -> Callable[[np.ndarray], Any]:
    import sklearn.cluster as peers

    from shoal.segments.kmeans import KMeans

    return {
        "shoal": lambda X: KMeans(groups, n_starts=starts, random_state=seed).fit(X),
        "scikit-learn": lambda X: peers.KMeans(groups, n_init=starts, random_state=seed).fit(X),
        "scikit-learn minibatch": lambda X: peers.MiniBatchKMeans(
            groups, n_init=starts, random_state=seed, reassignment_ratio=0
        ).fit(X),
    }[engine]


def assign(*, engine: str, customers: int, columns: int, groups: int, seed: int) -> dict[str, Any]:
    """The nearest centre of every row, the second time in a process."""
    from shoal.segments.kmeans import KMeans

    X = rows(customers, columns, seed)
    model = KMeans(groups, n_starts=1, random_state=seed).fit(X[:20_000])
    centers = model.cluster_centers_.astype(np.float32)
    if engine == "faiss":
        told, _ = _faiss(X, "assign", groups, 1, seed, centers)
    else:
        model.cluster_centers_ = centers
        predict = model.predict
        if engine == "scikit-learn":
            import sklearn.cluster as peers

            predict = (
                peers.KMeans(groups, init=centers, n_init=1, max_iter=1).fit(X[:20_000]).predict
            )
        predict(X[:20_000])
        told, _ = _timed(lambda: predict(X))
    return {**told, "rows_per_cpu_s": customers / told["cpu_seconds"]}


def method(*, name: str, customers: int, columns: int, groups: int, seed: int) -> dict[str, Any]:
    """A method of Shoal: learn, then the weights of everybody."""
    from shoal.segments.methods.registry import Options, make
    from shoal.segments.methods.seeded import Anchors

    X = rows(customers, columns, seed).astype(np.float64)
    order = np.argsort(X[:, 0])
    known = Anchors(("low", "high"), X[np.r_[order[:200], order[-200:]]], np.repeat([0, 1], 200))
    made = make(name, groups, Options(), known)
    learn, _ = _timed(lambda: made.fit(X, seed=seed))
    weigh, weights = _timed(lambda: made.weights(X))
    return {
        "seconds": learn["seconds"] + weigh["seconds"],
        "cpu_seconds": learn["cpu_seconds"] + weigh["cpu_seconds"],
        "weights_cpu_seconds": weigh["cpu_seconds"], "segments": weights.shape[1],
        "notes": [note.en for note in made.notes],
    }  # fmt: skip


def density_loss(*, customers: int, seed: int) -> dict[str, Any]:
    """HDBSCAN of everybody against ours from a sample: who is with whom, and who is noise."""
    from sklearn.cluster import HDBSCAN
    from sklearn.metrics import adjusted_rand_score

    from shoal.segments.methods.density import Density

    X = _apart(customers, seed)
    whole, labels = _timed(
        lambda: HDBSCAN(min_cluster_size=int(0.05 * customers), min_samples=10, copy=True)
        .fit(X).labels_
    )  # fmt: skip
    sampled, made = _timed(lambda: Density().fit(X, seed=seed))
    own, noise = made.weights(X).argmax(axis=1), made.noise(X)
    both = (labels >= 0) & ~noise
    return {
        "seconds": sampled["seconds"], "cpu_seconds": sampled["cpu_seconds"],
        "whole_cpu_seconds": whole["cpu_seconds"],
        "agreement": float(adjusted_rand_score(labels[both], own[both])),
        "noise_share": float(noise.mean()), "whole_noise_share": float((labels < 0).mean()),
        "noise_agreement": float((noise == (labels < 0)).mean()),
    }  # fmt: skip


def _apart(customers: int, seed: int) -> np.ndarray:
    """(customers, 4) curved groups with a tenth of noise between them."""
    rng = np.random.default_rng(seed)
    group = rng.choice(5, size=customers, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    along = rng.uniform(0, np.pi, customers)
    bow = np.column_stack([np.cos(along), np.sin(along), along / 2, np.zeros(customers)])
    found = 3 * bow + 8 * rng.normal(size=(5, 4))[group] + 0.25 * rng.normal(size=(customers, 4))
    noise = rng.random(customers) < 0.1
    found[noise] = rng.uniform(found.min(axis=0), found.max(axis=0), size=(int(noise.sum()), 4))
    return found


def _faiss(
    X: np.ndarray, what: str, groups: int, starts: int, seed: int, centers: np.ndarray | None = None
) -> tuple[dict[str, Any], np.ndarray]:
    from bench.harness.environment import python_of

    python = python_of("faiss", timeout_s=900.0)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        file, places = Path(folder) / "rows.npy", Path(folder) / "centers.npy"
        np.save(file, X)
        if centers is not None:
            np.save(places, centers)
        worker = Path(__file__).with_name("faiss_worker.py")
        told = [str(file), str(places), what, *map(str, (groups, starts, seed))]
        done = subprocess.run(
            [str(python), str(worker), *told], capture_output=True, text=True, check=False,
            cwd=folder,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"faiss failed: {done.stderr.strip()[-400:]}")
        return json.loads(done.stdout.splitlines()[-1]), np.load(places)


def _inertia(X: np.ndarray, centers: np.ndarray) -> float:
    total = 0.0
    for start in range(0, len(X), 50_000):
        own = X[start : start + 50_000].astype(np.float64)
        gaps = (own**2).sum(axis=1)[:, None] - 2 * own @ centers.T + (centers**2).sum(axis=1)
        total += float(gaps.min(axis=1).sum())
    return total


def _timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    begun, busy = time.perf_counter(), time.process_time()
    found = work()
    return {
        "seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - busy
    }, found  # fmt: skip


def one_core() -> None:
    """Keep this process and those it starts on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def peak_mib() -> float:
    """Greatest resident memory of this process so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


TASKS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "kmeans": kmeans, "assign": assign, "method": method, "density_loss": density_loss,
}  # fmt: skip
