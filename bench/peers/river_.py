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
        self.prepared = prepared(inputs, columns, MOST_COMPONENTS)
        self._worker: _Worker | None = None
        self.work_seconds = 0.0

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        Z = self.prepared.fit(X).transform(X)
        self._random = np.random.default_rng(seed)
        self._worker = _Worker(python_of("river"))
        settings = settings_of(self.algorithm, k, seed, len(Z), Z) | (self._settings or {})
        self._worker.ask(do="make", algorithm=self.algorithm, settings=settings)
        for _ in range(PASSES):
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


#: Dimensions of the principal components given to river: distances over dictionaries cost time by
#: the dimension. Found on seed 1 with the rest.
MOST_COMPONENTS = 10
#: Passes over the customers at `fit`: stream methods start from nothing.
PASSES = 3


def settings_of(algorithm: str, k: int, seed: int, n: int, Z: Matrix) -> dict[str, Any]:
    """Settings of an algorithm for n customers a cut in the prepared space of `Z`.

    Radii are told in units of the data's own: the median distance of a customer to the next one.
    """
    near = _near_distance(Z)
    return {
        "KMeans": {"n_clusters": k, "halflife": 0.1, "sigma": 1.0, "seed": seed},
        "STREAMKMeans": {"chunk_size": max(k, n // 2), "n_clusters": k, "halflife": 0.1,
                         "sigma": 1.0, "seed": seed},
        "CluStream": {"n_macro_clusters": k, "max_micro_clusters": 100,
                      "micro_cluster_r_factor": 2, "time_window": 2 * n, "time_gap": n,
                      "seed": seed, "halflife": 0.1, "sigma": 1.0},
        "DenStream": {"decaying_factor": 0.01, "beta": 0.5, "mu": 2.5, "epsilon": near,
                      "n_samples_init": min(n, 300), "stream_speed": 100},
        "DBSTREAM": {"clustering_threshold": near, "fading_factor": 0.01,
                     "cleanup_interval": 10, "intersection_factor": 0.3, "minimum_weight": 1.0},
    }[algorithm]  # fmt: skip


def _near_distance(Z: Matrix) -> float:
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=2).fit(Z).kneighbors(Z)
    return float(max(np.median(distances[:, 1]), 1e-6))
