"""Peers without a model: the RFM grid, and whoever never switches."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.peers.base import RFM, Columns, Inputs, Kind, Labels, Matrix


class RfmGrid:
    """Quintile scores of recency, frequency and money, cut into at most k cells.

    Scores are fifths among customers with an order, learned at `fit`. The classical grid has 125
    cells; with k segments asked for, cells are the k bands of the summed score (Hughes, "Strategic
    Database Marketing", uses the sum to rank), which a marketer would act on in order; customers
    without an order are label 0.
    """

    name = "rfm-grid"
    inputs: Kind = "rfm"

    def __init__(self, inputs: Kind = "rfm") -> None:
        self.inputs = inputs

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        recency, orders, spend = (X.column(name) for name in RFM)
        buyers = orders > 0
        fifths = [0.2, 0.4, 0.6, 0.8]
        self.bounds_ = [
            np.quantile(np.nan_to_num(side[buyers]), fifths) if buyers.any() else np.zeros(4)
            for side in (-recency, orders, spend)
        ]
        total = self._total(X)[buyers]
        bands = max(1, k - 1)
        self.bands_ = np.quantile(total, np.arange(1, bands) / bands) if len(total) else np.zeros(0)
        return self

    def _total(self, X: Inputs) -> npt.NDArray[np.int64]:
        recency, orders, spend = (np.nan_to_num(X.column(name)) for name in RFM)
        sides = (-recency, orders, spend)
        scores = [
            np.searchsorted(bound, side) for side, bound in zip(sides, self.bounds_, strict=True)
        ]
        return np.asarray(np.sum(scores, axis=0), np.int64)

    def update(self, X: Inputs) -> None:
        """The rules stay."""

    def predict(self, X: Inputs) -> Labels:
        band = 1 + np.searchsorted(self.bands_, self._total(X), side="right")
        return np.where(X.column("orders") > 0, band, 0).astype(np.int64)

    def weights(self, X: Inputs) -> Matrix | None:
        return None


class NeverSwitches:
    """K-means whose label for a customer is the first one it gave, for ever."""

    name = "never"

    def __init__(self, inputs: Kind = "features", columns: Columns = "all") -> None:
        from bench.peers.clusterers import kmeans

        self.inputs = inputs
        self._inner = kmeans(inputs, columns)
        self._first: dict[str, int] = {}

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        self._inner.fit(X, k, seed)
        self._first = {}
        return self

    def update(self, X: Inputs) -> None:
        """Nothing."""

    def predict(self, X: Inputs) -> Labels:
        labels = self._inner.predict(X)
        return np.array(
            [
                self._first.setdefault(customer, int(label))
                for customer, label in zip(X.customers, labels, strict=True)
            ],
            dtype=np.int64,
        )

    def weights(self, X: Inputs) -> Matrix | None:
        return None
