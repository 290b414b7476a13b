"""Gaussian mixture: groups of different size, spread and (where the data pay for it) tilt.

Fitted by expectation-maximisation (scikit-learn) on a sample, from k-means starts; diagonal or full
covariances by the Bayesian information criterion (Schwarz, 1978). Weights are posteriors.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.text import Text
from shoal.features.prepare import sample_rows
from shoal.segments.base import Arrays, Weights
from shoal.segments.kmeans import KMeans, nearest
from shoal.segments.methods.base import (
    Labels,
    Matrix,
    by_size,
    in_blocks,
    notes_as_documents,
    notes_of,
    refuse_too_few,
    softmax,
    warm_centers,
)

_SAMPLE_ROWS: Final = 20_000
_ITERATIONS: Final = 200
#: Share of the variance within groups that every covariance keeps: none shrinks to a point.
_LEAST_SPREAD: Final = 1e-2
#: Rows a group needs for every column before full covariances are tried.
_ROWS_A_COLUMN: Final = 5
_SHAPES: Final = ("diag", "full")


class Mixture:
    """A mixture of k Gaussians.

    Args:
        starts: k-means solutions that expectation-maximisation starts from.
    """

    method: ClassVar[str] = "mixture"

    def __init__(self, k: int = 0, *, starts: int = 3) -> None:
        self.k = k
        self.starts = starts
        self.centers: Matrix = np.empty((0, 0))
        #: (groups, d) or (groups, d, d): columns of the inverse's root, as scikit-learn has them.
        self.roots: Matrix = np.empty((0, 0))
        self.mass: Matrix = np.empty(0)
        self.loss: float | None = None
        self.notes: tuple[Text, ...] = ()
        self.facts: Mapping[str, Any] = {}
        self.names: Mapping[int, Text] = {}

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn the Gaussians; see `Clusterer.fit`. The loss is the criterion, half of it a row."""
        refuse_too_few(len(Z), self.k)
        rows = sample_rows(Z, _SAMPLE_ROWS, seed)
        sample = np.asarray(Z[rows], dtype=np.float64)
        starts = self._starts(sample, seed, None if warm is None else warm[rows])
        groups, columns = len(starts[0]), sample.shape[1]
        full = len(sample) >= _ROWS_A_COLUMN * columns * groups
        least = _least(sample, starts)
        judged = []
        for shape in _SHAPES if full else _SHAPES[:1]:
            for start in starts:
                model = _fitted(sample, start, shape, least)
                judged.append((float(model.bic(sample)), shape, model))
        criterion, shape, best = min(judged, key=lambda one: one[0])
        order = by_size(np.bincount(best.predict(sample), minlength=groups), best.means_)
        self.centers, self.mass = best.means_[order], best.weights_[order]
        self.mass = self.mass / self.mass.sum()
        self.roots = best.precisions_cholesky_[order]
        self.loss = criterion / (2 * len(sample))
        self._tell(shape, len(sample), judged, bool(best.converged_), groups - len(order))
        return self

    def _starts(self, sample: Matrix, seed: int, warm: Labels | None) -> list[Matrix]:
        """(groups, d) means to start from; the warm one comes last."""
        found = [
            KMeans(self.k, n_starts=4, random_state=seed + number).fit(sample).cluster_centers_
            for number in range(self.starts)
        ]
        most = max(len(one) for one in found)
        found = [one for one in found if len(one) == most]
        init = None if warm is None else warm_centers(sample, warm, most, seed)
        return found if init is None else [*found, init]

    def _tell(
        self, shape: str, rows: int, judged: list[tuple[float, str, Any]], done: bool, empty: int
    ) -> None:
        bic = {shape: min(one[0] for one in judged if one[1] == shape) for _, shape, _ in judged}
        self.facts = {"shape": shape, "bic": bic, "sample_customers": rows, "converged": done}
        notes = []
        if empty:
            notes.append(
                Text(
                    f"{empty} of the Gaussians hold nobody and were left out.",
                    f"{empty} 个高斯分量没有成员，已略去。",
                )
            )
        if not done:
            notes.append(
                Text(
                    f"The mixture had not settled after {_ITERATIONS} steps.",
                    f"混合模型在 {_ITERATIONS} 步后仍未收敛。",
                )
            )
        self.notes = tuple(notes)

    def weights(self, Z: Matrix) -> Weights:
        """(n, groups) posterior of each Gaussian; each row sums to one."""
        return in_blocks(Z, lambda rows: softmax(self._densities(rows) + np.log(self.mass)))

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) log-density of the own Gaussian."""

        def own(rows: Matrix) -> Matrix:
            densities = self._densities(rows)
            places = (densities + np.log(self.mass)).argmax(axis=1)
            return np.asarray(densities[np.arange(len(rows)), places])

        return in_blocks(Z, own)

    def _densities(self, Z: Matrix) -> Matrix:
        """(n, groups) log-density, less a constant."""
        found = np.empty((len(Z), len(self.centers)))
        for place, (center, root) in enumerate(zip(self.centers, self.roots, strict=True)):
            if root.ndim == 1:
                scaled, volume = (Z - center) * root, np.log(root).sum()
            else:
                scaled, volume = (Z - center) @ root, np.log(np.diag(root)).sum()
            found[:, place] = volume - 0.5 * np.square(scaled).sum(axis=1)
        return found

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """Means, mass, and roots of the inverse covariances."""
        document = {
            "k": self.k, "loss": self.loss, "facts": dict(self.facts),
            "notes": notes_as_documents(self.notes),
        }  # fmt: skip
        return document, {"centers": self.centers, "roots": self.roots, "mass": self.mass}

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        self = cls(document["k"])
        self.centers, self.roots = np.array(arrays["centers"]), np.array(arrays["roots"])
        self.mass = np.array(arrays["mass"])
        self.loss, self.facts = document["loss"], document["facts"]
        self.notes = notes_of(document["notes"])
        return self


def _least(sample: Matrix, starts: list[Matrix]) -> float:
    """The variance that every group keeps: a share of that within the tightest start's groups."""
    within = min(float(nearest(sample, means)[1].mean()) for means in starts)
    return max(_LEAST_SPREAD * within / sample.shape[1], 1e-9)


def _fitted(sample: Matrix, means: Matrix, shape: str, least: float) -> Any:
    """Expectation-maximisation from groups of the nearest mean."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(
        len(means), covariance_type=shape, reg_covar=least, max_iter=_ITERATIONS,
        means_init=means, weights_init=np.full(len(means), 1 / len(means)),
        precisions_init=_precisions(sample, means, shape, least), random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told in `facts`
        model.fit(sample)
    return model


def _precisions(sample: Matrix, means: Matrix, shape: str, least: float) -> Matrix:
    """Inverse of the spread within the groups, the same for all: nothing is drawn at random."""
    labels, _ = nearest(sample, means)
    spread = np.square(sample - means[labels]).mean(axis=0) + least
    inverse = np.tile(1 / spread, (len(means), 1))
    return inverse if shape == "diag" else np.array([np.diag(one) for one in inverse])
