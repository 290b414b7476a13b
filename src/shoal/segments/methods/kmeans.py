"""K-means: round groups of like spread. The default; `shoal.segments.kmeans` does the work."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.text import Text
from shoal.features.row_order import sample_rows
from shoal.segments.base import Arrays, Weights
from shoal.segments.kmeans import KMeans, nearest, soft_weights
from shoal.segments.methods.base import (
    Labels,
    Matrix,
    in_blocks,
    refuse_too_few,
    warm_centers,
)

#: Rows that an earlier version's groups are looked up in.
_WARM_ROWS: Final = 100_000
#: An earlier version's groups stay where others are not better by so many standard errors: between
#: ends that may be as good, customers would be relabelled for nothing (`bench.identity`).
WARM_ERRORS: Final = 1.0


class KMeansClusterer:
    """Several k-means++ starts on a sample, the best refined on all rows.

    Weights are the posterior of equal spherical Gaussians at the centres.
    """

    method: ClassVar[str] = "kmeans"

    def __init__(self, k: int = 0, *, starts: int = 8) -> None:
        self.k = k
        self.starts = starts
        self.centers: Matrix = np.empty((0, 0))
        self.variance = 1.0
        self.loss: float | None = None
        self.notes: tuple[Text, ...] = ()
        self.facts: Mapping[str, Any] = {}
        self.names: Mapping[int, Text] = {}

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn the centres; see `Clusterer.fit`."""
        refuse_too_few(len(Z), self.k)
        init = None
        if warm is not None:
            rows = sample_rows(Z, _WARM_ROWS, seed)
            init = warm_centers(Z[rows], warm[rows], self.k, seed)
        model = KMeans(
            self.k, n_starts=self.starts, random_state=seed, init=init, init_errors=WARM_ERRORS
        )
        model.fit(Z)
        self.centers, self.variance = model.cluster_centers_, model.variance_
        self.loss = model.inertia_ / len(Z)
        return self

    def moved(
        self, centers: Matrix, *, mass: Matrix | None = None, covariances: Matrix | None = None
    ) -> Self:
        """Another one with the same groups elsewhere; notes and facts stay those of the fit.

        Args:
            mass, covariances: (k,) and (k, d) second moments about the centres, to tell the pooled
                variance; None: it stays.
        """
        other = copy(self)
        other.centers = np.asarray(centers, dtype=np.float64)
        if covariances is not None:
            spread = np.average(covariances.mean(axis=1), weights=mass)
            other.variance = max(float(spread), 1e-12)
        return other

    def split(self, place: int, centers: Matrix) -> Self:
        """One group in two; the second comes last."""
        means = np.vstack([self.centers, centers[1:]])
        means[place] = centers[0]
        return self._reshaped(means)

    def merged(self, place: int, other: int) -> Self:
        """Two groups in one at the lower place, in the middle of both: sizes are not known here."""
        first, second = sorted((place, other))
        means = self.centers.copy()
        means[first] = means[[first, second]].mean(axis=0)
        return self._reshaped(np.delete(means, second, axis=0))

    def born(self, center: Matrix) -> Self:
        """A further group, last."""
        return self._reshaped(np.vstack([self.centers, center]))

    def _reshaped(self, means: Matrix) -> Self:
        other = self.moved(means)
        other.k, other.loss = len(means), None  # the loss was of other groups
        return other

    def weights(self, Z: Matrix) -> Weights:
        """(n, groups), each row sums to one."""
        return in_blocks(Z, lambda rows: soft_weights(rows, self.centers, self.variance))

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) minus the squared distance to the nearest centre."""
        return np.asarray(-nearest(Z, self.centers)[1])

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """The variance, and the centres."""
        return {"k": self.k, "variance": self.variance, "loss": self.loss}, {
            "centers": self.centers
        }

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        self = cls(document["k"])
        self.centers, self.variance = np.array(arrays["centers"]), document["variance"]
        self.loss = document.get("loss")
        return self
