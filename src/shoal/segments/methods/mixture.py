"""Gaussian mixture: groups of different size, spread and (where the data pay for it) tilt.

Fitted by expectation-maximisation (scikit-learn) on a sample, from k-means of the rows as they are
and of rows whose spread is the same in all directions (long groups side by side are round there);
diagonal or full covariances by the Bayesian information criterion (Schwarz, 1978). Weights are
posteriors.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.text import Text
from shoal.features.row_order import sample_rows
from shoal.segments.base import Arrays, Weights
from shoal.segments.kmeans import KMeans, nearest
from shoal.segments.methods.base import (
    Labels,
    Matrix,
    by_size,
    in_blocks,
    means_of,
    notes_as_documents,
    notes_of,
    refuse_too_few,
    softmax,
    spread_within,
    warm_centers,
)
from shoal.segments.methods.moments import between, parts_of, within

_SAMPLE_ROWS: Final = 20_000
_ITERATIONS: Final = 200
#: Gain in mean log-likelihood of a step below which starts are compared, and the best one ends.
_NEAR: Final = 1e-3
_SETTLED: Final = 1e-5
#: Share of the variance within groups that every covariance keeps: none shrinks to a point.
_LEAST_SPREAD: Final = 1e-2
#: Rows a group needs for every column before full covariances are tried.
_ROWS_A_COLUMN: Final = 5
_SHAPES: Final = ("diag", "full")


class Mixture:
    """A mixture of k Gaussians.

    Args:
        starts: k-means solutions of either kind that expectation-maximisation starts from.
    """

    method: ClassVar[str] = "mixture"

    def __init__(self, k: int = 0, *, starts: int = 2) -> None:
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
        cold = self._starts(sample, seed)
        groups, columns = int(cold[0].max()) + 1, sample.shape[1]
        before = None if warm is None else _groups_before(sample, warm[rows], groups, seed)
        least = _least(sample, cold)
        full = len(sample) >= _ROWS_A_COLUMN * columns * groups
        judged = []
        for shape in _SHAPES if full else _SHAPES[:1]:
            tries = [_fitted(sample, _start(sample, one, shape, least), least) for one in cold]
            starts = [_going_on(min(tries, key=lambda one: float(one.bic(sample))))]
            if before is not None:
                starts.append(_start(sample, before, shape, least))
            for start in starts:
                model = _fitted(sample, start, least, _SETTLED)
                judged.append((float(model.bic(sample)), shape, model))
        criterion, shape, best = min(judged, key=lambda one: one[0])
        order = by_size(np.bincount(best.predict(sample), minlength=groups), best.means_)
        self.centers, self.mass = best.means_[order], best.weights_[order]
        self.mass = self.mass / self.mass.sum()
        self.roots = best.precisions_cholesky_[order]
        self.loss = criterion / (2 * len(sample))
        self._tell(shape, len(sample), judged, bool(best.converged_), groups - len(order))
        return self

    def _starts(self, sample: Matrix, seed: int) -> list[Labels]:
        """Groups of the sample to start from, all of the same number."""
        found = []
        for rows in (sample, _whitened(sample)):
            for number in range(self.starts):
                model = KMeans(self.k, n_starts=4, random_state=seed + number)
                found.append(model.fit(rows).labels_)
        most = max(int(one.max()) for one in found)
        return [one for one in found if int(one.max()) == most]

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

    @property
    def covariances(self) -> Matrix:
        """(groups, d) variances or (groups, d, d)."""
        if self.roots.ndim == 2:
            return np.asarray(1 / np.square(self.roots))
        return np.asarray(np.linalg.inv(self.roots @ self.roots.transpose(0, 2, 1)))

    def moved(
        self, centers: Matrix, *, mass: Matrix | None = None, covariances: Matrix | None = None
    ) -> Self:
        """Another one with the same groups of other mean, spread and share; notes and facts stay
        those of the fit.

        Args:
            mass: (k,) of any sum; None: it stays.
            covariances: (k, d) variances or (k, d, d); None: they stay.

        Raises:
            numpy.linalg.LinAlgError: a covariance is not positive definite.
        """
        other = copy(self)
        other.centers = np.asarray(centers, dtype=np.float64)
        if mass is not None:
            other.mass = np.asarray(mass, dtype=np.float64) / np.sum(mass)
        if covariances is not None:
            other.roots = _roots(np.asarray(covariances, dtype=np.float64))
        return other

    def split(self, place: int, centers: Matrix) -> Self:
        """One Gaussian in two that make together what it was; the second comes last.

        Args:
            centers: (2, d); shares follow from where its mean lies between them.
        """
        parts = parts_of(self.centers[place], centers)
        spread = self.covariances
        left = within(spread[place], parts, centers)
        mass, means = np.append(self.mass, 0.0), np.vstack([self.centers, centers[1:]])
        mass[[place, -1]] = parts * mass[place]
        means[place], spread[place] = centers[0], left
        return self._reshaped(means, mass, np.concatenate([spread, left[None]]))

    def merged(self, place: int, other: int) -> Self:
        """Two Gaussians in one of their common moments, at the lower place."""
        pair = sorted((place, other))
        parts = self.mass[pair] / self.mass[pair].sum()
        spread, means, mass = self.covariances, self.centers.copy(), self.mass.copy()
        both = np.tensordot(parts, spread[pair], axes=1)
        spread[pair[0]] = both + between(parts, means[pair], both)
        means[pair[0]], mass[pair[0]] = parts @ means[pair], mass[pair].sum()
        stay = np.arange(len(mass)) != pair[1]
        return self._reshaped(means[stay], mass[stay], spread[stay])

    def born(self, center: Matrix) -> Self:
        """A further Gaussian of the usual spread and of the mean share, last."""
        usual = np.tensordot(self.mass, self.covariances, axes=1)
        mass = np.append(self.mass, 1 / len(self.mass))
        spread = np.concatenate([self.covariances, usual[None]])
        return self._reshaped(np.vstack([self.centers, center]), mass, spread)

    def _reshaped(self, means: Matrix, mass: Matrix, spread: Matrix) -> Self:
        other = self.moved(means, mass=mass, covariances=spread)
        other.k, other.loss = len(means), None  # the loss was of other groups
        return other

    def log_likelihood(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) log-density of rows, less a constant."""

        def work(rows: Matrix) -> Matrix:
            logs = self._densities(rows) + np.log(self.mass)
            most = logs.max(axis=1)
            return np.asarray(most + np.log(np.exp(logs - most[:, None]).sum(axis=1)))

        return in_blocks(Z, work)

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


def _roots(covariances: Matrix) -> Matrix:
    """Roots of the inverses: 1 / deviations, or columns as scikit-learn has them."""
    if covariances.ndim == 2:
        return np.asarray(1 / np.sqrt(covariances))
    lower = np.linalg.cholesky(covariances)
    return np.linalg.inv(lower).transpose(0, 2, 1)


def _whitened(sample: Matrix) -> Matrix:
    """Rows with the same spread in every direction in which they vary."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(sample, rowvar=False)))
    if values[-1] <= 0:
        return sample
    there = values > 1e-9 * values[-1]
    return np.asarray(sample @ (vectors[:, there] / np.sqrt(values[there])))


def _least(sample: Matrix, starts: list[Labels]) -> float:
    """The variance that every group keeps: a share of that within the tightest start's groups."""
    groups = int(starts[0].max()) + 1
    within = min(
        spread_within(sample, labels, means_of(sample, labels, groups)) for labels in starts
    )
    return max(_LEAST_SPREAD * within, 1e-9)


def _groups_before(sample: Matrix, warm: Labels, groups: int, seed: int) -> Labels | None:
    """The groups of an earlier version; None if they are fewer."""
    means = warm_centers(sample, warm, groups, seed)
    if means is None:
        return None
    labels, _ = nearest(sample, means)
    return labels if len(np.unique(labels)) == groups else None


@dataclass(frozen=True)
class _Start:
    shape: str
    means: Matrix
    mass: Matrix
    precisions: Matrix


def _start(sample: Matrix, labels: Labels, shape: str, least: float) -> _Start:
    """The means, shares and spreads of groups."""
    groups = int(labels.max()) + 1
    mass = np.bincount(labels, minlength=groups) / len(labels)
    return _Start(
        shape, means_of(sample, labels, groups), mass, _precisions(sample, labels, shape, least)
    )


def _going_on(model: Any) -> _Start:
    """Where a model ended."""
    return _Start(model.covariance_type, model.means_, model.weights_, model.precisions_)


def _fitted(sample: Matrix, start: _Start, least: float, tolerance: float = _NEAR) -> Any:
    """Expectation-maximisation from a start until a step gains hardly anything."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(
        len(start.means), covariance_type=start.shape, reg_covar=least, max_iter=_ITERATIONS,
        tol=tolerance, means_init=start.means, weights_init=start.mass,
        precisions_init=start.precisions, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told in `facts`
        model.fit(sample)
    return model


def _precisions(sample: Matrix, labels: Labels, shape: str, least: float) -> Matrix:
    """(groups, d) or (groups, d, d) inverse of the spread in each group."""
    found = []
    for group in range(int(labels.max()) + 1):
        own = sample[labels == group]
        own = own - own.mean(axis=0)
        if shape == "diag":
            found.append(1 / (np.square(own).mean(axis=0) + least))
        else:
            scatter = own.T @ own / len(own) + least * np.eye(own.shape[1])
            inverse = np.linalg.inv(scatter)
            found.append((inverse + inverse.T) / 2)
    return np.array(found)
