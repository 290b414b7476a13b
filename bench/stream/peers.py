"""Methods that follow the stream, each a label for every sighting before it learns from it.

All of them see the first epoch at once (`fit`), then micro-batches of `BATCH` sightings: first
asked (`predict`), then told (`learn`). Who fits anew does so at the end of an epoch (`epoch`) on
the sightings of the last `WINDOW` epochs. Labels are any whole numbers that keep their meaning from
call to call, as far as the method keeps it. Settings come from the methods' documentation and a
search on seeds 1 to 5, which are not reported (`notes.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from bench.peers.refit import matched

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

#: Sightings that are asked about before they are learned from.
BATCH = 50
#: Segments that exist in the first epoch; who takes a number is told this one.
K = 6
#: Epochs that a refit is made on.
WINDOW = 2
#: Numbers of segments that an adaptive refit tries.
MOST_K = 12
#: Customers common with an old segment, as a share of a new one, that hand the name on.
SHARED = 0.5


class Follower(Protocol):
    """A method on the stream; see the module."""

    def fit(self, X: Floats, seed: int) -> Self:
        """Learn from the sightings of the first epoch."""
        ...

    def predict(self, X: Floats, users: Places) -> Places:
        """(n,) labels."""
        ...

    def weights(self, X: Floats) -> Floats | None:
        """(n, m) soft weights over labels 0..m-1, or None; asked right before `learn`."""
        ...

    def learn(self, X: Floats, users: Places) -> None:
        """Learn from sightings that were asked about."""
        ...

    def epoch(self) -> None:
        """An epoch is over."""
        ...


class Frozen:
    """K-means of the first epoch for ever, best of ten starts."""

    def fit(self, X: Floats, seed: int) -> Self:
        self.seed, self.centers = seed, _kmeans(X, K, seed)
        self.variance = _variance(X, self.centers)
        return self

    def predict(self, X: Floats, users: Places) -> Places:
        return _nearest(X, self.centers)

    def weights(self, X: Floats) -> Floats | None:
        from shoal.segments.kmeans import soft_weights

        return np.asarray(soft_weights(X, self.centers, self.variance))

    def learn(self, X: Floats, users: Places) -> None:
        pass

    def epoch(self) -> None:
        pass


class Never(Frozen):
    """The first label of every user, for ever."""

    def fit(self, X: Floats, seed: int) -> Self:
        super().fit(X, seed)
        self.first: dict[int, int] = {}
        return self

    def predict(self, X: Floats, users: Places) -> Places:
        said = super().predict(X, users).tolist()
        found = [
            self.first.setdefault(user, label)
            for user, label in zip(users.tolist(), said, strict=True)
        ]
        return np.array(found, dtype=np.int64)

    def weights(self, X: Floats) -> Floats | None:
        return None


class MiniBatch(Frozen):
    """MiniBatchKMeans (Sculley, 2010), `partial_fit` on every micro-batch.

    `reassignment_ratio=0`: otherwise ids of starved clusters are silently given to other places.
    """

    def fit(self, X: Floats, seed: int) -> Self:
        from sklearn.cluster import MiniBatchKMeans

        self.model = MiniBatchKMeans(K, n_init=10, reassignment_ratio=0, random_state=seed).fit(X)
        self.variance = _variance(X, self.model.cluster_centers_)
        return self

    @property
    def centers(self) -> Floats:  # type: ignore[override]
        return np.asarray(self.model.cluster_centers_)

    def learn(self, X: Floats, users: Places) -> None:
        self.model.partial_fit(X)


class Refit(Frozen):
    """K-means fitted anew at the end of every epoch.

    Args:
        match: how labels are carried over: `none`; `centroids`, the nearest centres of before, one
            to one (Kuhn, 1955, on distances).
    """

    def __init__(self, match: str = "none") -> None:
        self.match = match

    def fit(self, X: Floats, seed: int) -> Self:
        super().fit(X, seed)
        self.seen, self.label = [X], np.arange(K)
        return self

    def predict(self, X: Floats, users: Places) -> Places:
        return np.asarray(self.label[super().predict(X, users)])

    def weights(self, X: Floats) -> Floats | None:
        found = super().weights(X)
        assert found is not None
        wide = np.zeros((len(found), int(self.label.max()) + 1))
        wide[:, self.label] = found
        return wide

    def learn(self, X: Floats, users: Places) -> None:
        self.seen.append(X)

    def epoch(self) -> None:
        self._keep()
        before, label = self.centers, self.label
        X = np.concatenate(self.seen)
        self.centers = _kmeans(X, K, self.seed)
        self.variance = _variance(X, self.centers)
        if self.match == "centroids":
            from scipy.optimize import linear_sum_assignment
            from scipy.spatial.distance import cdist

            old, new = linear_sum_assignment(cdist(before, self.centers))
            self.label = np.empty(K, dtype=np.int64)
            self.label[new] = label[old]

    def _keep(self) -> None:
        """Of the sightings that were seen, those of the last epochs."""
        X, most = np.concatenate(self.seen), WINDOW * _rows(self.seen)
        self.seen = [X[-most:]]


class Overlap(Refit):
    """As `Refit` but matched by common sightings: the same rows under the old and the new model."""

    def __init__(self) -> None:
        super().__init__("overlap")

    def epoch(self) -> None:
        self._keep()
        X = np.concatenate(self.seen)
        before = _nearest(X, self.centers)
        self.centers = _kmeans(X, K, self.seed)
        self.variance = _variance(X, self.centers)
        self.label = self.label[matched(before, _nearest(X, self.centers), K)]


class Adaptive(Refit):
    """K-means fitted anew each epoch with the k of the best silhouette (Rousseeuw, 1987); a new
    cluster that shares half of the rows of both with an old one keeps its name, others get a new
    one (MONIC's match)."""

    def __init__(self) -> None:
        super().__init__("overlap")

    def fit(self, X: Floats, seed: int) -> Self:
        self.seed, self.seen = seed, [X]
        self.centers = self._best(X)
        self.variance = _variance(X, self.centers)
        self.label = np.arange(len(self.centers))
        self.next = len(self.label)
        return self

    def epoch(self) -> None:
        self._keep()
        X = np.concatenate(self.seen)
        before = self.label[_nearest(X, self.centers)]
        self.centers = self._best(X)
        self.variance = _variance(X, self.centers)
        after = _nearest(X, self.centers)
        names, old = np.unique(before, return_inverse=True)
        table = np.zeros((len(names), len(self.centers)))
        np.add.at(table, (old, after), 1)
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        back = table / np.maximum(table.sum(axis=0, keepdims=True), 1)
        good = np.where((share >= SHARED) & (back >= SHARED), table, 0)
        from scipy.optimize import linear_sum_assignment

        self.label = np.full(len(self.centers), -1)
        for row, column in zip(*linear_sum_assignment(-good), strict=True):
            if good[row, column]:
                self.label[column] = names[row]
        for place in np.flatnonzero(self.label < 0).tolist():
            self.label[place] = self.next
            self.next += 1

    def _best(self, X: Floats) -> Floats:
        from sklearn.metrics import silhouette_score

        some = np.random.default_rng(self.seed).permutation(len(X))[:1_500]

        def score(centers: Floats) -> float:
            return float(silhouette_score(X[some], _nearest(X[some], centers)))

        tried = [_kmeans(X, k, self.seed, starts=3) for k in range(2, MOST_K + 1)]
        return max(tried, key=score)


def _rows(blocks: list[Floats]) -> int:
    """Sightings of the last epoch: everything but the block kept of those before."""
    later = sum(len(one) for one in blocks[1:])
    return later or len(blocks[0])


def _kmeans(X: Floats, k: int, seed: int, starts: int = 10) -> Floats:
    from sklearn.cluster import KMeans

    model = KMeans(k, n_init=starts, random_state=seed).fit(X)
    return np.asarray(model.cluster_centers_, np.float64)


def _nearest(X: Floats, centers: Floats) -> Places:
    from shoal.segments.kmeans import squared_distances

    return np.asarray(squared_distances(X, centers).argmin(axis=1), np.int64)


def _variance(X: Floats, centers: Floats) -> float:
    """Pooled, of one feature; what the posterior of equal spherical Gaussians needs."""
    from shoal.segments.kmeans import squared_distances

    return max(float(squared_distances(X, centers).min(axis=1).mean()) / X.shape[1], 1e-12)


# --- river ----------------------------------------------------------------------------------------


class River:
    """A stream clusterer of river, `learn_one` a row, in the bench's environment of river."""

    def __init__(self, algorithm: str, settings: Mapping[str, Any] | None = None) -> None:
        self.algorithm, self.settings = algorithm, dict(settings or {})
        self.peer: Any = None

    def fit(self, X: Floats, seed: int) -> Self:
        from bench.harness.environment import python_of
        from bench.peers.river_ import _Worker

        self.peer = _Worker(python_of("river"))
        self.peer.ask(
            do="make", algorithm=self.algorithm,
            settings=river_settings(self.algorithm, seed) | self.settings,
        )  # fmt: skip
        # K-means that begins at random points needs more than one pass.
        for _ in range(3 if self.algorithm in ("KMeans", "STREAMKMeans") else 1):
            self.peer.rows("learn", X)
        return self

    def predict(self, X: Floats, users: Places) -> Places:
        labels, _ = self.peer.rows("predict", X)
        return np.asarray(labels, np.int64)

    def weights(self, X: Floats) -> Floats | None:
        return None

    def learn(self, X: Floats, users: Places) -> None:
        self.peer.rows("learn", X)

    def epoch(self) -> None:
        pass

    def close(self) -> None:
        """End the worker."""
        if self.peer is not None:
            self.peer.close()
            self.peer = None


def river_settings(algorithm: str, seed: int) -> dict[str, Any]:
    """What is not river's default; radii in units of the noise's deviation."""
    return {
        "KMeans": {"n_clusters": K, "halflife": 0.05, "sigma": 2.0, "seed": seed},
        "STREAMKMeans": {"chunk_size": 200, "n_clusters": K, "halflife": 0.3, "sigma": 2.0,
                         "seed": seed},
        "CluStream": {"n_macro_clusters": K, "max_micro_clusters": 50,
                      "micro_cluster_r_factor": 3, "time_window": 2_500,
                      "time_gap": 250, "halflife": 0.3, "sigma": 2.0, "seed": seed},
        "DenStream": {"decaying_factor": 0.001, "beta": 0.3, "mu": 5.0, "epsilon": 6.0,
                      "n_samples_init": 1_000, "stream_speed": 100},
        "DBSTREAM": {"clustering_threshold": 5.0, "fading_factor": 0.003, "cleanup_interval": 50,
                     "intersection_factor": 0.3, "minimum_weight": 3.0},
    }[algorithm]  # fmt: skip


# --- All of them ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A method of the bench: how it is made, and as tables name it."""

    title: str
    make: Callable[[], Any]
    environment: str = ""


def _shoal(**switches: Any) -> Callable[[], Any]:
    def make() -> Any:
        from bench.stream.shoal_ import ShoalFollower

        return ShoalFollower(**switches)

    return make


ENTRIES: dict[str, Entry] = {
    "never": Entry("never switches (first label kept)", Never),
    "kmeans": Entry("k-means, frozen", Frozen),
    "minibatch": Entry("MiniBatchKMeans, partial_fit", MiniBatch),
    "refit": Entry("k-means refit each epoch", Refit),
    "refit-centroids": Entry("k-means refit, matched on centroids", lambda: Refit("centroids")),
    "refit-overlap": Entry("k-means refit, matched on overlap", Overlap),
    "adaptive": Entry("k-means refit, k by silhouette, matched on overlap", Adaptive),
    "river-kmeans": Entry("river KMeans", lambda: River("KMeans"), "river"),
    "river-streamkmeans": Entry("river STREAMKMeans", lambda: River("STREAMKMeans"), "river"),
    "river-clustream": Entry("river CluStream", lambda: River("CluStream"), "river"),
    "river-denstream": Entry("river DenStream", lambda: River("DenStream"), "river"),
    "river-dbstream": Entry("river DBSTREAM", lambda: River("DBSTREAM"), "river"),
    "shoal": Entry("Shoal", _shoal()),
    "shoal-margin": Entry("Shoal, margin 0.4", _shoal(margin=0.4)),
    "shoal-nonudge": Entry("Shoal without online learning", _shoal(without=frozenset({"nudge"}))),
    "shoal-noreshape": Entry(
        "Shoal without splits, births and merges", _shoal(without=frozenset({"split", "merge"}))
    ),
    "shoal-noidentity": Entry("Shoal without identity", _shoal(identity=False)),
}  # fmt: skip

#: Shoal, whole and without a part.
SHOAL = tuple(name for name in ENTRIES if name.startswith("shoal"))
