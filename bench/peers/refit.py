"""Monthly refits of k-means, with and without matching of old and new segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.peers.base import Columns, Inputs, Kind, Labels, Matrix
from bench.peers.clusterers import Clusterer, kmeans

#: Cuts between refits: weekly cuts, so a month.
MONTH_CUTS = 4


class Refit:
    """A clusterer fitted anew on every fourth cut.

    Args:
        match: carry labels over by the optimal one-to-one overlap of the same customers under the
            old and the new model (Kuhn, 1955); else label i is whatever cluster i now is.
    """

    def __init__(self, make: Callable[[], Clusterer], *, match: bool) -> None:
        self._make, self._match = make, match
        self.inner = make()
        self.inputs: Kind = self.inner.inputs
        self.name = ""

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        self._k, self._seed, self._cuts = k, seed, 0
        self.inner = self._make().fit(X, k, seed)
        self.label_ = np.arange(k)
        return self

    def update(self, X: Inputs) -> None:
        self._cuts += 1
        if self._cuts % MONTH_CUTS:
            return
        before = self.predict(X)
        self.inner = self._make().fit(X, self._k, self._seed)
        if self._match:
            self.label_ = matched(before, self.inner.predict(X), self._k)

    def predict(self, X: Inputs) -> Labels:
        return self.label_[self.inner.predict(X)]

    def weights(self, X: Inputs) -> Matrix | None:
        found = self.inner.weights(X)
        if found is None:
            return None
        moved = np.zeros((len(found), self._k))
        moved[:, self.label_[: found.shape[1]]] = found
        return moved


def matched(before: Labels, after: Labels, k: int) -> npt.NDArray[np.int64]:
    """(k,) the old label that each new cluster takes over: most common customers in all."""
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((k, k))
    np.add.at(table, (before, after), 1)
    rows, columns = linear_sum_assignment(-table)
    label = np.empty(k, dtype=np.int64)
    label[columns] = rows
    return label


def kmeans_refit(inputs: Kind = "features", columns: Columns = "all") -> Refit:
    """K-means, fitted anew each month, labels as they fall."""
    return Refit(lambda: kmeans(inputs, columns), match=False)


def kmeans_matched(inputs: Kind = "features", columns: Columns = "all") -> Refit:
    """K-means, fitted anew each month, labels matched by common customers."""
    return Refit(lambda: kmeans(inputs, columns), match=True)
