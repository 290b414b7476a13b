"""What proposals are measured on: customers in the segmenter's space, and how segments usually are.

Dimensions: n customers, d columns, k segments, m customers of the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from shoal.adjust.settings import AdjustSettings
from shoal.features.row_order import canonical_order, sample_rows
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.judge import Future, Judge
from shoal.segments.kmeans import squared_distances

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Customers of a segment that are looked at; a sample of more.
SAMPLE_CUSTOMERS: Final = 4_000
#: Segments of fewer are not made: by number, and as a share of all.
FEWEST: Final = 25
LEAST_SHARE: Final = 0.01
#: Days over which relabelling that a boundary causes is counted.
DAYS: Final = 30.0
#: Customers of the past by whom changes are judged; of fewer nothing is said.
_FEWEST_JUDGED: Final = 100
_FOLDS: Final = 5
_ERRORS: Final = 1.645
#: Share of the spread within a normal density that a cut through its middle takes away.
CUT: Final = 2 / np.pi


@dataclass(frozen=True)
class Ground:
    """Customers that are placed, and the spread within segments.

    Args:
        Z: (n, d), of customers with a place.
        places: (n,) 0 to k - 1.
        ids: (k,) permanent ids.
        centers: (k, d) means of the members; the segmenter's centre where there is none.
        scatter: (k, d, d) sums of outer products about the mean.
        sizes: (k,) members.
        loss: mean squared distance to the own mean.
        settled: (n,) who has been in the segment for a while.
    """

    Z: Floats
    places: Places
    ids: tuple[str, ...]
    centers: Floats
    scatter: Floats
    sizes: Places
    loss: float
    settings: AdjustSettings
    seed: int
    settled: Mask

    @classmethod
    def of(
        cls, segmenter: ClusterSegmenter, Z: Floats, recorded: Places,
        settings: AdjustSettings, seed: int, settled: Mask | None = None,
    ) -> Self:  # fmt: skip
        """Of the customers whom `recorded` gives a place of the segmenter.

        Raises:
            ValueError: shapes do not fit.
        """
        Z, places = np.asarray(Z, dtype=np.float64), np.asarray(recorded, dtype=np.int64)
        k = len(segmenter.centers)
        if Z.ndim != 2 or places.shape != Z.shape[:1] or Z.shape[1] != segmenter.centers.shape[1]:
            raise ValueError(
                f"rows {Z.shape}, recorded places {places.shape} and centres "
                f"{segmenter.centers.shape} do not fit"
            )
        there = (places >= 0) & (places < k) & np.isfinite(Z).all(axis=1)
        stayed = np.ones(len(Z), dtype=bool) if settled is None else np.asarray(settled, dtype=bool)
        Z, places, stayed = Z[there], places[there], stayed[there]
        centers, scatter = np.array(segmenter.centers), np.zeros((k, Z.shape[1], Z.shape[1]))
        for place in range(k):
            own = Z[places == place]
            if len(own):
                centers[place] = own.mean(axis=0)
                scatter[place] = (own - centers[place]).T @ (own - centers[place])
        total = float(np.trace(scatter, axis1=1, axis2=2).sum())
        sizes = np.bincount(places, minlength=k)
        loss = total / max(len(Z), 1)
        return cls(
            Z, places, segmenter.ids, centers, scatter, sizes, loss, settings, seed, stayed
        )  # fmt: skip

    @property
    def share_least(self) -> float:
        """Share of customers that a new segment has at least."""
        return max(LEAST_SHARE, FEWEST / max(len(self.Z), 1))

    def sample(self, places: Sequence[int]) -> Places:
        """Rows of some segments' members; the same whatever order they came in."""
        rows = np.flatnonzero(np.isin(self.places, places))
        if len(rows) <= SAMPLE_CUSTOMERS:
            return rows
        return np.sort(rows[sample_rows(self.Z[rows], SAMPLE_CUSTOMERS, self.seed)])

    def within(self, without: Sequence[int] = ()) -> Floats:
        """(d, d) covariance within segments, of those not named; of all where they are too few."""
        rest = np.setdiff1d(np.arange(len(self.ids)), without)
        if self.sizes[rest].sum() < 5 * self.Z.shape[1]:
            rest = np.arange(len(self.ids))
        freedom = max(int((self.sizes[rest] - 1).clip(0).sum()), 1)
        return np.asarray(self.scatter[rest].sum(axis=0) / freedom)

    def relabelled(self, overlap: float, share: float) -> float:
        """What a boundary costs: those near it change sides at each look.

        Args:
            overlap: share of those concerned who would be put on the wrong side.
            share: of all customers that are concerned.
        """
        looks = DAYS / max(self.settings.cadence_days, 1.0)
        return self.settings.relabel_price * overlap * share * looks

    @cached_property
    def spread_share(self) -> float:
        """Factor from a fall a row to a share of the loss of all."""
        return 1 / max(self.loss * len(self.Z), 1e-12)


def roots_of(within: Floats, rows: int) -> Floats:
    """(d, d) roots: rows times them have spread one in every direction within a usual segment."""
    d = len(within)
    shrunk = min(d / max(rows, 1), 1.0)
    mean = max(float(np.trace(within)) / d, 1e-12)
    values, vectors = np.linalg.eigh((1 - shrunk) * within + shrunk * mean * np.eye(d))
    return np.asarray((vectors / np.sqrt(np.maximum(values, 1e-6 * mean))) @ vectors.T)


def overlap(X: Floats, centers: Floats) -> float:
    """Share of rows that two normal densities of spread one would put on the wrong side."""
    logits = np.diff(squared_distances(X, centers), axis=1)[:, 0] / 2
    return float((1 / (1 + np.exp(np.minimum(np.abs(logits), 500)))).mean())


@dataclass(frozen=True)
class Foretold:
    """By how much a change of segments foretells the next period better.

    Args:
        gain: difference of the judge's scores (1: as much as the better of both foretells).
        error: its standard error.
    """

    gain: float
    error: float

    @property
    def worse(self) -> bool:
        """Whether less is foretold, beyond chance (one-sided 5 %)."""
        return self.gain < -_ERRORS * self.error


class Past:
    """The judge of changes: a period with what was known before it.

    Args:
        future: its `X` (m, d) is in the segmenter's own space.

    Raises:
        ValueError: it is of another space.
    """

    def __init__(self, segmenter: ClusterSegmenter, future: Future) -> None:
        if future.X.shape[1] != segmenter.centers.shape[1]:
            raise ValueError(
                f"the past has {future.X.shape[1]} columns, the segments {segmenter.centers.shape}"
            )
        rows = canonical_order(future.X)
        self.X = future.X[rows]
        self.k = len(segmenter.centers)
        self.labels = segmenter.weights(self.X).argmax(axis=1)
        self.judge = Judge(future, rows, _FOLDS)

    @classmethod
    def of(cls, segmenter: ClusterSegmenter, future: Future | None) -> Self | None:
        """None where nobody was known."""
        return None if future is None or not len(future.X) else cls(segmenter, future)

    def foretold(self, labels: Places) -> Foretold | None:
        """Of the same customers divided otherwise; None where too little came to tell."""
        if len(self.X) < _FEWEST_JUDGED or not self.judge.outcomes:
            return None
        now, then = self.judge.scored([self.labels, labels])
        assert now is not None and then is not None
        return Foretold(then.score - now.score, then.error_of_difference(now))

    def split(self, place: int, centers: Floats) -> Foretold | None:
        """With a segment in two."""
        labels = self.labels.copy()
        own = labels == place
        nearer = squared_distances(self.X[own], centers).argmin(axis=1) == 1
        labels[own] = np.where(nearer, self.k, place)
        return self.foretold(labels)

    def members(self, place: int) -> Floats:
        """(rows, d) of those who were in a segment then."""
        return np.asarray(self.X[self.labels == place])

    def merged(self, places: Sequence[int]) -> Foretold | None:
        """With segments in one."""
        return self.foretold(np.where(np.isin(self.labels, places), places[0], self.labels))

    def born(self, center: Floats, radius2: float, roots: Floats) -> Foretold | None:
        """With a segment of those near a place."""
        near = squared_distances(self.X @ roots, (center @ roots)[None])[:, 0] < radius2
        return self.foretold(np.where(near, self.k, self.labels))
