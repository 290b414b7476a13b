"""K-means with results that depend on the customers and the seed only.

1. Rows are put in canonical order (by value), so the order they arrive in changes nothing.
2. Several k-means++ starts (Arthur and Vassilvitskii, 2007) are run to the end on a sample.
3. The best one is refined by Lloyd's iterations on all rows. A good start on a sample matters
   more than the engine: one million rows need a few passes, after centres that are hardly missed
   were tried elsewhere on the sample and a stop at a larger one.
4. Segments are numbered by size, largest first.

Many rows are read in single precision, in blocks that stay in the processor's cache, by all cores;
sums of blocks are added in their order, so the number of cores changes nothing. Their iterations
end when the inertia hardly falls; those of few rows when no row changes its centre.

Soft weights are the posterior of a mixture of equal spherical Gaussians at the centres, of equal
prior, with the pooled variance within clusters: the largest weight is the nearest centre.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data
from threadpoolctl import threadpool_limits

from shoal.features.row_order import canonical_order

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

#: Centres, labels, inertia, iterations made.
Ended = tuple[Matrix, Labels, float, int]
T = TypeVar("T")

_CHUNK_ROWS = 8_192
#: Beyond this many rows: single precision, all cores, and an end where hardly anything is gained.
_MANY_ROWS = 100_000
#: Relative fall of the inertia in a step below which many rows are left as they are.
_HARDLY: Final = 1e-6
#: The same while ends are only compared, the vain swaps in a row after which it is enough, and how
#: many of the starts are gone on with so.
_NEARLY: Final = 1e-4
_VAIN: Final = 8
_BEST: Final = 3
#: Rows of the sample of many, and the iterations in which a group is halved.
_LARGER: Final = 30_000
_HALVING: Final = 20
#: Two ends are the same if their inertia differs by less than this share.
_NO_BETTER: Final = 1e-9


class KMeans(ClusterMixin, TransformerMixin, BaseEstimator):
    """Multi-start k-means, deterministic by seed, scikit-learn compatible.

    Args:
        n_clusters: segments wanted; fewer are made if there are fewer different rows.
        n_starts: k-means++ starts on the sample.
        sample_rows: rows of the sample for the starts.
        max_iterations: bound on Lloyd's iterations.
        random_state: seed.
        init: (n_clusters, d) centres of a further start, such as an earlier version's; it is taken
            where it ends better than all others.
        init_errors: it is taken as well where theirs is not better by more than so many standard
            errors of the rows' differences: what may be as good stays as it was.

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
        init: Matrix | None = None,
        init_errors: float = 0.0,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_starts = n_starts
        self.sample_rows = sample_rows
        self.max_iterations = max_iterations
        self.random_state = random_state
        self.init = init
        self.init_errors = init_errors

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
        # Blocks are shared among cores here, not within a product: the sums keep their order.
        many = len(X) > _MANY_ROWS
        with threadpool_limits(1, user_api="blas") if many else nullcontext():
            self._fit(X, random)
        return self

    def _fit(self, X: Matrix, random: np.random.Generator) -> None:
        many = len(X) > _MANY_ROWS
        order = canonical_order(X)
        taken = max(self.sample_rows, _LARGER) if many else self.sample_rows
        rows = np.sort(random.permutation(len(X))[:taken])
        if not many:
            Z = X[order]
            shift = Z.mean(axis=0)
            Z = Z - shift
            sample = Z if len(rows) == len(Z) else Z[rows]
        else:
            sample = X[order[rows]]
            shift = sample.mean(axis=0)
            sample = (sample - shift).astype(np.float32)
            Z = _single(X, order, shift)
        starts = [plus_plus(sample, self.n_clusters, random) for _ in range(self.n_starts)]
        tries = _shared(lambda start: lloyd(sample, start, self.max_iterations), starts, many)
        if many:
            seeds = random.integers(2**31, size=_BEST)
            best = sorted(tries, key=lambda one: one[2])[:_BEST]
            tries = _shared(
                lambda pair: swapped(sample, pair[0], self.max_iterations, pair[1]),
                list(zip(best, map(np.random.default_rng, seeds), strict=False)),
                many,
            )
        found = min(tries, key=lambda one: one[2])
        if len(sample) < len(Z):
            found = _refined(Z, found[0], self.max_iterations, random)
        if self.init is not None:
            warm = (np.asarray(self.init) - shift).astype(Z.dtype)
            again = _refined(Z, warm, self.max_iterations, random)
            if again[2] < found[2] * (1 - _NO_BETTER) or self._as_good(Z, found[0], again[0]):
                found = again
        centers, _, inertia, steps = found
        if many:
            centers = centers.astype(X.dtype) + shift
            labels, distances = nearest(X, centers)
            self._set(centers, labels, float(distances.sum()), steps)
        else:
            labels, _ = nearest(X - shift, centers)
            self._set(centers + shift, labels, inertia, steps)

    def _as_good(self, Z: Matrix, best: Matrix, other: Matrix) -> bool:
        """Whether the other centres may be as good, as far as these rows can tell."""
        if not self.init_errors:
            return False
        worse = nearest(Z, other)[1] - nearest(Z, best)[1]
        error = float(worse.std()) / np.sqrt(len(worse))
        return float(worse.mean()) <= max(self.init_errors * error, 0.0)

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

    def block(start: int) -> None:
        rows = X[start : start + _CHUNK_ROWS]
        best, score = _scored(rows, centers, half)
        labels[start : start + len(rows)] = best
        squares = np.einsum("ij,ij->i", rows, rows) + 2 * score
        distances[start : start + len(rows)] = np.maximum(squares, 0.0)

    _shared(block, range(0, len(X), _CHUNK_ROWS), len(X) > _MANY_ROWS)
    return labels, distances


def _scored(rows: Matrix, centers: Matrix, half: Matrix) -> tuple[Labels, Matrix]:
    """(m,) the nearest centre and half the squared distance to it, less half the row's square."""
    score = half - rows @ centers.T
    best = score.argmin(axis=1)
    return best, score[np.arange(len(rows)), best]


def _shared(work: Callable[[Any], T], parts: Any, many: bool) -> list[T]:
    """What the work makes of each part, in order; by all cores where there is much to do."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not many or not cores or cores < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(work, parts))


def _refined(Z: Matrix, centers: Matrix, max_iterations: int, random: np.random.Generator) -> Ended:
    """Lloyd's iterations on all rows; where they are many, on a larger sample first."""
    if len(Z) <= _MANY_ROWS:
        return lloyd(Z, centers, max_iterations)
    larger = Z[np.sort(random.permutation(len(Z))[:_MANY_ROWS])]
    centers = lloyd(larger, centers, max_iterations, _HARDLY)[0]
    return lloyd(Z, centers, max_iterations, _HARDLY)


def _single(X: Matrix, order: Labels, shift: Matrix) -> Matrix:
    """(n, d) rows in an order, shifted, in single precision."""
    Z: Any = np.empty(X.shape, dtype=np.float32)

    def block(start: int) -> None:
        rows = slice(start, start + _CHUNK_ROWS)
        Z[rows] = X[order[rows]] - shift

    _shared(block, range(0, len(X), _CHUNK_ROWS), True)
    return Z


def soft_weights(X: Matrix, centers: Matrix, variance: float) -> Matrix:
    """(n, k) posterior of equal spherical Gaussians; each row sums to one."""
    logits = -squared_distances(np.asarray(X, dtype=np.float64), centers) / (2 * variance)
    logits -= logits.max(axis=1, keepdims=True)
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def plus_plus(
    X: Matrix, k: int, random: np.random.Generator, given: Matrix | None = None
) -> Matrix:
    """(<= k, d) greedy k-means++ start: of a few candidates drawn by squared distance, the best.

    Args:
        given: centres that are there already, kept as the first ones.
    """
    candidates = 2 + int(np.log(k))
    centers = [X[random.integers(len(X))]] if given is None else list(given)
    closest = squared_distances(X, np.array(centers)).min(axis=1)
    for _ in range(k - len(centers)):
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


def swapped(X: Matrix, found: Ended, max_iterations: int, random: np.random.Generator) -> Ended:
    """A better end near one that was found: a centre that is hardly missed starts elsewhere.

    The centre whose rows would lose least by going to their second nearest is taken away, and a
    group that gains most by two centres gets a second one; the iterations go on, and the end is
    kept if it is better. This ends after a few vain tries in a row (random swap, Franti, 2018, with
    a choice of whom to swap).
    """
    gains = [halved(X[found[1] == group], random) for group in range(len(found[0]))]
    tried: set[tuple[int, int]] = set()
    while len(tried) < _VAIN:
        pair = _swap(X, found, gains, tried)
        if pair is None:
            break
        gone, cut = pair
        tried.add(pair)
        start = np.vstack([np.delete(found[0], [gone, cut], axis=0), gains[cut][1]])
        other = lloyd(X, start, max_iterations, _NEARLY)
        if other[2] < found[2] * (1 - _HARDLY):
            found, tried = other, set()
            gains = [halved(X[found[1] == group], random) for group in range(len(found[0]))]
    return lloyd(X, found[0], max_iterations)


def halved(rows: Matrix, random: np.random.Generator) -> tuple[float, Matrix]:
    """What two centres instead of one would take from the inertia of a group, and the two."""
    if len(rows) < 2:
        return 0.0, rows
    tries = [lloyd(rows, plus_plus(rows, 2, random), _HALVING, _NEARLY) for _ in range(2)]
    best = min(tries, key=lambda one: one[2])
    return float(np.square(rows - rows.mean(axis=0)).sum()) - best[2], best[0]


def _swap(
    X: Matrix, found: Ended, gains: list[tuple[float, Matrix]], tried: set[tuple[int, int]]
) -> tuple[int, int] | None:
    """The centre to take away and the group to cut that promise most; None where none is left."""
    k = len(found[0])
    if k < 2:
        return None
    gaps = np.partition(squared_distances(X, found[0]), 1, axis=1)
    missed = np.bincount(found[1], gaps[:, 1] - gaps[:, 0], minlength=k)
    worth = [
        (gains[cut][0] - float(missed[gone]), gone, cut)
        for gone in range(k)
        for cut in range(k)
        if gone != cut and len(gains[cut][1]) == 2 and (gone, cut) not in tried
    ]
    if not worth:
        return None
    _, gone, cut = max(worth)
    return gone, cut


def lloyd(X: Matrix, centers: Matrix, max_iterations: int, tolerance: float = 0.0) -> Ended:
    """Lloyd's iterations from a start until no row changes its centre.

    Returns centres, labels, inertia and the iterations made. A centre that loses all its rows is
    put on the row that lies farthest from its own centre.

    Args:
        tolerance: end as well where a step lowers the inertia by less than this share of it.
    """
    many = len(X) > _MANY_ROWS
    squares = sum(
        _shared(
            lambda start: float(np.square(X[start : start + _CHUNK_ROWS]).sum(dtype=np.float64)),
            range(0, len(X), _CHUNK_ROWS), many,
        )
    )  # fmt: skip
    labels, inertia = np.full(len(X), -1), np.inf
    for step in range(max_iterations + 1):
        again, sums, score = _passed(X, centers, many)
        before, inertia = inertia, max(squares + 2 * score, 0.0)
        same = np.array_equal(again, labels)
        labels = again
        settled = tolerance > 0 and before - inertia <= tolerance * inertia
        if same or settled or step == max_iterations:
            break
        centers = _means(X, labels, sums, centers)
    return centers, labels, inertia, max(step, 1)


def _passed(X: Matrix, centers: Matrix, many: bool) -> tuple[Labels, Matrix, float]:
    """(n,) nearest centres, (k, d) sums of their rows, and the sum of scores (see `_scored`)."""
    half = (centers * centers).sum(axis=1) / 2
    labels = np.empty(len(X), dtype=np.int64)

    def block(start: int) -> tuple[Matrix, float]:
        rows = X[start : start + _CHUNK_ROWS]
        best, score = _scored(rows, centers, half)
        labels[start : start + len(rows)] = best
        member = np.zeros((len(rows), len(centers)), dtype=X.dtype)
        member[np.arange(len(rows)), best] = 1
        return member.T @ rows, float(score.sum(dtype=np.float64))

    sums, total = np.zeros(centers.shape, dtype=np.float64), 0.0
    for part, score in _shared(block, range(0, len(X), _CHUNK_ROWS), many):
        sums += part
        total += score
    return labels, sums, total


def _means(X: Matrix, labels: Labels, sums: Matrix, centers: Matrix) -> Matrix:
    sizes = np.bincount(labels, minlength=len(centers))
    means = sums / np.maximum(sizes, 1)[:, None]
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        distances = ((X - centers[labels]) ** 2).sum(axis=1)
        means[empty] = X[np.argsort(-distances, kind="stable")[: len(empty)]]
    return means.astype(X.dtype, copy=False)
