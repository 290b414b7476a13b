"""Clusterers of scikit-learn on the shared preparation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.peers.base import Columns, Inputs, Kind, Labels, Matrix, Prepared, prepared


class Clusterer:
    """A scikit-learn clusterer with `predict`, fitted once on prepared rows.

    Args:
        make: (k, seed) -> an estimator.
        soft: (estimator, Z) -> (n, m) weights; None: it has none.
    """

    def __init__(
        self,
        inputs: Kind,
        make: Callable[[int, int], Any],
        soft: Callable[[Any, Matrix], Matrix] | None = None,
        preparation: Prepared | None = None,
    ) -> None:
        self.name = ""
        self.inputs = inputs
        self._make, self._soft = make, soft
        self.prepared = preparation or Prepared()

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        Z = self.prepared.fit(X).transform(X)
        self.model = self._make(min(k, len(Z)), seed).fit(Z)
        return self

    def update(self, X: Inputs) -> None:
        """Frozen."""

    def predict(self, X: Inputs) -> Labels:
        return np.asarray(self.model.predict(self.prepared.transform(X)), np.int64)

    def weights(self, X: Inputs) -> Matrix | None:
        return self._soft(self.model, self.prepared.transform(X)) if self._soft else None


def kmeans(inputs: Kind = "features", columns: Columns = "all") -> Clusterer:
    """Lloyd's k-means, best of ten k-means++ starts (scikit-learn's default before 1.4)."""
    from sklearn.cluster import KMeans

    def make(k: int, seed: int) -> Any:
        return KMeans(k, n_init=10, random_state=seed)

    return Clusterer(inputs, make, centre_weights, prepared(inputs, columns))


def gaussian_mixture(inputs: Kind = "features", columns: Columns = "all") -> Clusterer:
    """A mixture of spherical Gaussians, three starts.

    Found on world steady, seed 1: spherical, full, tied and diagonal covariances, each with 0.001
    and 0.1 added to variances; adjusted Rand index 0.18 to 0.31, this one the best.
    """
    from sklearn.mixture import GaussianMixture

    def make(k: int, seed: int) -> Any:
        return GaussianMixture(
            k, covariance_type="spherical", n_init=3, reg_covar=0.1, random_state=seed
        )

    return Clusterer(
        inputs, make, lambda model, Z: model.predict_proba(Z), prepared(inputs, columns)
    )


def kmeans_silhouette(inputs: Kind = "features", columns: Columns = "all") -> Clusterer:
    """K-means with the k of the highest mean silhouette (Rousseeuw, 1987), whatever k is told."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    def score(model: Any, Z: Matrix) -> float:
        return -float(silhouette_score(Z, model.labels_))

    def make(k: int, seed: int) -> Any:
        return KMeans(k, n_init=3, random_state=seed)

    chosen = _Chosen(make, score, least=2)
    return Clusterer(inputs, chosen, centre_weights, prepared(inputs, columns))


def mixture_bic(inputs: Kind = "features", columns: Columns = "all") -> Clusterer:
    """The Gaussian mixture with the k of the lowest BIC (Schwarz, 1978), one included, whatever k
    is told."""
    from sklearn.mixture import GaussianMixture

    def make(k: int, seed: int) -> Any:
        return GaussianMixture(k, covariance_type="spherical", reg_covar=0.1, random_state=seed)

    chosen = _Chosen(make, lambda model, Z: float(model.bic(Z)), least=1)
    return Clusterer(
        inputs, chosen, lambda model, Z: model.predict_proba(Z), prepared(inputs, columns)
    )


@dataclass(frozen=True)
class _Chosen:
    """Makes an estimator whose `fit` tries every k and keeps the one of the lowest score."""

    make: Callable[[int, int], Any]
    score: Callable[[Any, Matrix], float]
    least: int
    most: int = 12

    def __call__(self, k: int, seed: int) -> Any:
        return _Tried(self, seed)


class _Tried:
    def __init__(self, choice: _Chosen, seed: int) -> None:
        self._choice, self._seed = choice, seed

    def fit(self, Z: Matrix) -> Any:
        choice = self._choice
        most = min(choice.most, len(Z) - 1)
        models = [choice.make(k, self._seed).fit(Z) for k in range(choice.least, most + 1)]
        return min(models, key=lambda model: choice.score(model, Z))


def centre_weights(model: Any, Z: Matrix) -> Matrix:
    """(n, k) posterior of equal spherical Gaussians at the centres, pooled variance."""
    from shoal.segments.kmeans import soft_weights, squared_distances

    centers = np.asarray(model.cluster_centers_, np.float64)
    if not hasattr(model, "bench_variance_"):
        nearest = squared_distances(Z, centers).min(axis=1)
        model.bench_variance_ = max(float(nearest.mean()) / Z.shape[1], 1e-12)
    return soft_weights(Z, centers, model.bench_variance_)


class MiniBatch:
    """MiniBatchKMeans (Sculley, 2010), `partial_fit` with every customer's state at each cut.

    `reassignment_ratio=0`: otherwise ids of starved clusters are silently given to other places.
    """

    name = "minibatch"

    def __init__(self, inputs: Kind = "features", columns: Columns = "all") -> None:
        self.inputs = inputs
        self.prepared = prepared(inputs, columns)

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        from sklearn.cluster import MiniBatchKMeans

        Z = self.prepared.fit(X).transform(X)
        self.model = MiniBatchKMeans(
            min(k, len(Z)), n_init=10, reassignment_ratio=0, random_state=seed
        ).fit(Z)
        return self

    def update(self, X: Inputs) -> None:
        self.model.partial_fit(self.prepared.transform(X))

    def predict(self, X: Inputs) -> Labels:
        return np.asarray(self.model.predict(self.prepared.transform(X)), np.int64)

    def weights(self, X: Inputs) -> Matrix | None:
        return centre_weights(self.model, self.prepared.transform(X))


class BirchPeer:
    """Birch (Zhang et al., 1996): subclusters grow with each cut, their centres are clustered anew
    into k by Ward's method, as scikit-learn does. That step numbers clusters afresh, so labels are
    carried over by common customers (`bench.peers.refit.matched`). Of thresholds 0.3 to 1.6 the
    first was best on world steady, seed 1."""

    name = "birch"

    def __init__(
        self, inputs: Kind = "features", columns: Columns = "all", threshold: float = 0.3
    ) -> None:
        self.inputs, self.threshold = inputs, threshold
        self.prepared = prepared(inputs, columns)

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        from sklearn.cluster import Birch

        Z = self.prepared.fit(X).transform(X)
        self.k_ = min(k, len(Z))
        self.model = Birch(threshold=self.threshold, n_clusters=self.k_).fit(Z)
        self.label_ = np.arange(self.k_)
        return self

    def update(self, X: Inputs) -> None:
        from bench.peers.refit import matched

        Z = self.prepared.transform(X)
        before = self.label_[self.model.predict(Z)]
        self.model.partial_fit(Z)
        self.label_ = matched(before, self.model.predict(Z), self.k_)

    def predict(self, X: Inputs) -> Labels:
        found = self.label_[self.model.predict(self.prepared.transform(X))]
        return np.asarray(found, np.int64)

    def weights(self, X: Inputs) -> Matrix | None:
        return None
