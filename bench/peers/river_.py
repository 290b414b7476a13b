"""river's stream clusterers, each in a worker process of the isolated environment.

`fit` learns every customer's state in a seeded order, `update` every state anew at each cut; one
row is one call of `learn_one`, as river's documentation has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.harness.environment import python_of
from bench.peers.base import Columns, Inputs, Kind, Labels, Matrix, prepared

_WORKER = Path(__file__).with_name("river_worker.py")


class RiverError(RuntimeError):
    """The worker failed or died."""


class RiverPeer:
    """One of river's clusterers by class name."""

    name = "river"

    def __init__(
        self,
        algorithm: str,
        inputs: Kind = "features",
        columns: Columns = "all",
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.algorithm, self.inputs = algorithm, inputs
        self._settings = settings
        self.prepared = prepared(inputs, columns)
        self._worker: _Worker | None = None
        self.work_seconds = 0.0

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        Z = self.prepared.fit(X).transform(X)
        self._random = np.random.default_rng(seed)
        self._worker = _Worker(python_of("river"))
        settings = settings_of(self.algorithm, k, seed, Z) | (self._settings or {})
        self._worker.ask(do="make", algorithm=self.algorithm, settings=settings)
        for _ in range(PASSES[self.algorithm]):
            self._learn(Z)
        return self

    def update(self, X: Inputs) -> None:
        self._learn(self.prepared.transform(X))

    def predict(self, X: Inputs) -> Labels:
        assert self._worker
        labels, answer = self._worker.rows("predict", self.prepared.transform(X))
        self.work_seconds += answer["seconds"]
        assert labels is not None
        return labels

    def weights(self, X: Inputs) -> Matrix | None:
        return None

    def _learn(self, Z: Matrix) -> None:
        assert self._worker
        _, answer = self._worker.rows("learn", Z[self._random.permutation(len(Z))])
        self.work_seconds += answer["seconds"]

    def close(self) -> None:
        """End the worker."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def __del__(self) -> None:
        self.close()


class _Worker:
    """The worker process and the folder through which rows and labels pass."""

    def __init__(self, python: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="shoal-river-")
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(_WORKER)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": ""},
        )  # fmt: skip

    def ask(self, **command: Any) -> dict[str, Any]:
        """The worker's answer.

        Raises:
            RiverError: it failed, or died.
        """
        process = self._process
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise RiverError("river's worker is gone") from error
        line = process.stdout.readline()
        if not line:
            raise RiverError(f"river's worker ended with {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise RiverError(answer["failed"])
        return answer

    def rows(self, do: str, Z: Matrix) -> tuple[Labels | None, dict[str, Any]]:
        """Let it learn or predict rows; labels (predict only) and what it told."""
        home = Path(self._folder.name)
        np.save(home / "rows.npy", Z)
        labels = home / "labels.npy"
        answer = self.ask(do=do, rows=str(home / "rows.npy"), labels=str(labels))
        return (np.load(labels) if do == "predict" else None), answer

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()
        self._folder.cleanup()


#: Passes over the customers at `fit`: k-means that begin at random points need more than one.
PASSES = {"KMeans": 3, "STREAMKMeans": 3, "CluStream": 1, "DenStream": 1, "DBSTREAM": 1}
_START = {"halflife": 0.1, "sigma": 0.3}


def settings_of(algorithm: str, k: int, seed: int, Z: Matrix) -> dict[str, Any]:
    """Settings of an algorithm in the prepared space of `Z`.

    Found on world steady, seed 1 (1,500 customers, 126 days, weekly cuts), by the highest sum of
    accuracy and mean adjusted Rand index: KMeans half-lives 0.02 to 0.3 and sigma 0.3 and 1 (0.31
    of ARI); STREAMKMeans the same and chunks of 50 to 600 (0.30); CluStream radius factors 1 to 3,
    30 to 100 micro-clusters, windows of 300 and 1,000, gaps of 100 and 500 (0.19; 100
    micro-clusters cost three times as much for 0.003 more); DenStream epsilon 0.5 to 2 and mu 2.5
    and 10 (0.36); DBSTREAM radius 0.7 to 3, fading 0.001 and 0.01, intersection 0.1 and 0.3
    (0.18). Radii count in median distances of a customer to the next one. What is not named is
    river's default.
    """
    near = _near_distance(Z)
    return {
        "KMeans": {"n_clusters": k, "seed": seed, **_START, "halflife": 0.05},
        "STREAMKMeans": {"n_clusters": k, "seed": seed, **_START, "chunk_size": 300},
        "CluStream": {"n_macro_clusters": k, "seed": seed, **_START, "max_micro_clusters": 50,
                      "time_window": 1_000, "time_gap": 500},
        "DenStream": {"decaying_factor": 0.01, "beta": 0.5, "mu": 2.5, "epsilon": 0.5 * near,
                      "n_samples_init": min(len(Z), 300), "stream_speed": 100},
        "DBSTREAM": {"clustering_threshold": 2.0 * near, "fading_factor": 0.01,
                     "cleanup_interval": 10, "intersection_factor": 0.3, "minimum_weight": 1.0},
    }[algorithm]  # fmt: skip


def _near_distance(Z: Matrix) -> float:
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=2).fit(Z).kneighbors(Z)
    return float(max(np.median(distances[:, 1]), 1e-6))
