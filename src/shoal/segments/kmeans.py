"""K-means with results that depend on the customers and the seed only.

1. Rows are put in canonical order (by value), so the order they arrive in changes nothing.
2. Several k-means++ starts (Arthur and Vassilvitskii, 2007) are run to the end on a sample.
3. The best one is refined by Lloyd's iterations on all rows. A good start on a sample matters
   more than the engine: one million rows need a few passes.
4. Segments are numbered by size, largest first.

Soft weights are the posterior of a mixture of equal spherical Gaussians at the centres, of equal
prior, with the pooled variance within clusters: the largest weight is the nearest centre.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from shoal.features.prepare import canonical_order

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_CHUNK_ROWS = 65_536


class KMeans(ClusterMixin, TransformerMixin, BaseEstimator):
    """Multi-start k-means, deterministic by seed, scikit-learn compatible.

    Args:
        n_clusters: segments wanted; fewer are made if there are fewer different rows.
        n_starts: k-means++ starts on the sample.
        sample_rows: rows of the sample for the starts.
        max_iterations: bound on Lloyd's iterations.
        random_state: seed.

    Attributes:
        cluster_centers_: (n_clusters_, d), largest cluster first.
        labels_: (n,) of the rows fitted.
        inertia_: sum of squared distances to the nearest centre.
        variance_: pooled variance within clusters, of one dimension.

    >>> KMeans(n_clusters=2).fit([[0.0], [0.1], [0.2], [9.0], [9.1]]).labels_
    array([0, 0, 0, 1, 1])
    """

    def __init__(
        self,
        n_clusters: int = 8,
        n_starts: int = 8,
        sample_rows: int = 10_000,
        max_iterations: int = 100,
        random_state: int | None = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_starts = n_starts
        self.sample_rows = sample_rows
        self.max_iterations = max_iterations
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the centres from (n, d) rows.

        Raises:
            ValueError: fewer rows than clusters.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32], order="C")
        if self.n_clusters < 1:
            raise ValueError(f"n_clusters is {self.n_clusters}; at least 1 is needed")
        if len(X) < self.n_clusters:
            raise ValueError(f"n_samples={len(X)} must be at least n_clusters={self.n_clusters}")
        random = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        Z = X[canonical_order(X)]
        shift = Z.mean(axis=0)
        Z = Z - shift
        rows = np.sort(random.permutation(len(Z))[: self.sample_rows])
        sample = Z if len(rows) == len(Z) else Z[rows]
        tries = (
            lloyd(sample, plus_plus(sample, self.n_clusters, random), self.max_iterations)
            for _ in range(self.n_starts)
        )
        centers, _, inertia, steps = min(tries, key=lambda found: found[2])
        if len(sample) < len(Z):
            centers, _, inertia, steps = lloyd(Z, centers, self.max_iterations)
        labels, _ = nearest(X - shift, centers)
        self._set(centers + shift, labels, inertia, steps)
        return self

    def _set(self, centers: Matrix, labels: Labels, inertia: float, steps: int) -> None:
        sizes = np.bincount(labels, minlength=len(centers))
        # Largest first; equal sizes by the coordinates of the centre.
        order = np.lexsort((*np.round(centers.T[::-1], 9), -sizes))
        order = order[sizes[order] > 0]
        place = np.empty(len(centers), dtype=np.int64)
        place[order] = np.arange(len(order))
        self.cluster_centers_ = np.ascontiguousarray(centers[order])
        self.labels_ = place[labels]
        self.inertia_ = float(inertia)
        self.n_iter_ = steps
        self.variance_ = max(float(inertia) / labels.size / centers.shape[1], 1e-12)

    @property
    def n_clusters_(self) -> int:
        """Clusters made: `n_clusters`, or fewer where there were fewer different rows."""
        return len(self.cluster_centers_)

    def predict(self, X: Any) -> Labels:
        """(n,) number of the nearest centre."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)
        return nearest(X, self.cluster_centers_)[0]

    def transform(self, X: Any) -> Matrix:
        """(n, n_clusters_) soft weights; each row sums to one."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)
        return soft_weights(X, self.cluster_centers_, self.variance_)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """kmeans0, kmeans1, ..."""
        check_is_fitted(self)
        return np.array([f"kmeans{i}" for i in range(self.n_clusters_)], dtype=object)


def squared_distances(X: Matrix, centers: Matrix) -> Matrix:
    """(n, k) squared Euclidean distances, never negative."""
    found: Matrix = (
        (X * X).sum(axis=1)[:, None] - 2.0 * (X @ centers.T) + (centers * centers).sum(axis=1)
    )
    return np.maximum(found, 0.0)


def nearest(X: Matrix, centers: Matrix) -> tuple[Labels, Matrix]:
    """(n,) number of the nearest centre and (n,) squared distance to it, in bounded memory."""
    labels = np.empty(len(X), dtype=np.int64)
    distances = np.empty(len(X))
    half = (centers * centers).sum(axis=1) / 2
    for start in range(0, len(X), _CHUNK_ROWS):
        rows = X[start : start + _CHUNK_ROWS]
        score = half - rows @ centers.T
        best = score.argmin(axis=1)
        labels[start : start + len(rows)] = best
        squares = (rows * rows).sum(axis=1) + 2 * score[np.arange(len(rows)), best]
        distances[start : start + len(rows)] = np.maximum(squares, 0.0)
    return labels, distances


def soft_weights(X: Matrix, centers: Matrix, variance: float) -> Matrix:
    """(n, k) posterior of equal spherical Gaussians; each row sums to one."""
    logits = -squared_distances(np.asarray(X, dtype=np.float64), centers) / (2 * variance)
    logits -= logits.max(axis=1, keepdims=True)
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def plus_plus(X: Matrix, k: int, random: np.random.Generator) -> Matrix:
    """(<= k, d) greedy k-means++ start: of a few candidates drawn by squared distance, the best."""
    candidates = 2 + int(np.log(k))
    centers = [X[random.integers(len(X))]]
    closest = squared_distances(X, centers[0][None])[:, 0]
    for _ in range(k - 1):
        total = closest.sum()
        if total <= 1e-12:
            break  # every row is a centre already: fewer different rows than k
        drawn = np.searchsorted(np.cumsum(closest), random.random(candidates) * total)
        drawn = np.minimum(drawn, len(X) - 1)
        options = np.minimum(squared_distances(X, X[drawn]), closest[:, None])
        best = int(options.sum(axis=0).argmin())
        closest = options[:, best]
        centers.append(X[drawn[best]])
    return np.array(centers)


def lloyd(X: Matrix, centers: Matrix, max_iterations: int) -> tuple[Matrix, Labels, float, int]:
    """Lloyd's iterations from a start until no row changes its centre.

    Returns centres, labels, inertia and the iterations made. A centre that loses all its rows is
    put on the row that lies farthest from its own centre.
    """
    labels, distances = nearest(X, centers)
    for step in range(1, max_iterations + 1):
        centers = _means(X, labels, distances, centers)
        again, distances = nearest(X, centers)
        if np.array_equal(again, labels):
            return centers, labels, float(distances.sum()), step
        labels = again
    return centers, labels, float(distances.sum()), max_iterations


def _means(X: Matrix, labels: Labels, distances: Matrix, centers: Matrix) -> Matrix:
    k = len(centers)
    sizes = np.bincount(labels, minlength=k)
    sums = np.zeros_like(centers, dtype=np.float64)
    for start in range(0, len(X), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        member = np.zeros((len(labels[rows]), k), dtype=X.dtype)
        member[np.arange(len(member)), labels[rows]] = 1
        sums += member.T @ X[rows]
    means = sums / np.maximum(sizes, 1)[:, None]
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        means[empty] = X[np.argsort(-distances, kind="stable")[: len(empty)]]
    return means.astype(X.dtype, copy=False)
