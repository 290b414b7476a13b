"""Who is compared: the static peers of `bench.peers`, and those that only this bench has.

Peers that differ in what they do over time alone (monthly refits, never switching) are one and the
same at a single cut, and `bench.track` compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.peers.base import RFM, Inputs, Kind, Labels, Matrix, Prepared
from bench.segments.settings import SETTINGS

SHOAL, PLANTED = "shoal", "planted"


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Args:
        make: a fresh peer; None: it is not a peer of `Inputs` (Shoal, the planted segments).
        learns_from: outcomes of the earlier period that it is given, if any.
        ranked: whether it takes part; the planted segments only stand beside.
        environment: of `bench.harness.environment`, if it needs one; it is slow then, and asked
            for the main k alone.
        bootstraps: draws for its stability, at most.
    """

    name: str
    title: str
    make: Callable[[], Any] | None = None
    inputs: Kind = "features"
    learns_from: str = ""
    ranked: bool = True
    environment: str = ""
    bootstraps: int = 5


class RfmCells:
    """Recency x frequency x money cut at quantiles into a grid of k cells.

    2 x 2 x 2 for k = 8, 2 x 2 x 1 for 4, 3 x 2 x 2 for 12; another k takes the largest grid that
    has no more cells. Customers without an order are in the lowest cells.
    """

    inputs: Kind = "rfm"

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        known = X.column(RFM[0])
        self.never_ = float(np.nanmax(known)) if np.isfinite(known).any() else 0.0
        shape = {4: (2, 2, 1), 8: (2, 2, 2), 12: (3, 2, 2)}.get(k, (k, 1, 1))
        self.bounds_ = [
            np.unique(np.quantile(side, np.arange(1, parts) / parts)) if parts > 1 else np.zeros(0)
            for side, parts in zip(self._sides(X), shape, strict=True)
        ]
        return self

    def predict(self, X: Inputs) -> Labels:
        label = np.zeros(len(X), dtype=np.int64)
        for side, bound in zip(self._sides(X), self.bounds_, strict=True):
            label = label * (len(bound) + 1) + np.searchsorted(bound, side)
        return label

    def _sides(self, X: Inputs) -> list[npt.NDArray[np.float64]]:
        recency, orders, spend = (X.column(name) for name in RFM)
        last = np.nan_to_num(recency, nan=self.never_)
        return [-last, np.nan_to_num(orders), np.nan_to_num(spend)]


class ScoreBins:
    """Bins of equal size of a LightGBM score: the expected orders or spend of a period.

    The settings are those of what is attainable (`bench.segments.settings`), which attained more on
    worlds that are not reported than deeper trees did; as many rounds as served there.

    Args:
        objective: `poisson` of counts, `tweedie` of amounts.
    """

    inputs: Kind = "features"

    def __init__(self, objective: str, rounds: int) -> None:
        self._objective, self._rounds = objective, rounds

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        import lightgbm

        if y is None:
            raise ValueError("it needs the outcome of an earlier period")
        told = {**SETTINGS, "objective": self._objective, "seed": seed}
        data = lightgbm.Dataset(X.values, y / max(y.mean(), 1e-12), params={"verbose": -1})
        self.model = lightgbm.train(told, data, num_boost_round=self._rounds)
        self.bounds_ = np.unique(np.quantile(self._score(X), np.arange(1, k) / k))
        return self

    def predict(self, X: Inputs) -> Labels:
        return np.asarray(np.searchsorted(self.bounds_, self._score(X), side="right"), np.int64)

    def _score(self, X: Inputs) -> npt.NDArray[np.float64]:
        return np.asarray(self.model.predict(X.values, num_threads=1), np.float64)


class CartOfAll:
    """Leaves of one regression tree of all outcomes of the earlier period together.

    Each outcome is brought to unit variance, so that each has the same say (Breiman et al., 1984,
    for one; De'ath, "Multivariate regression trees", 2002, for several).
    """

    inputs: Kind = "features"

    def __init__(self) -> None:
        self.prepared = Prepared(balanced=False, components_share=0)

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        from sklearn.tree import DecisionTreeRegressor

        if y is None:
            raise ValueError("it needs the outcomes of an earlier period")
        Z = self.prepared.fit(X).transform(X)
        spread = y.std(axis=0)
        least = max(5, len(Z) // 100)
        self.model = DecisionTreeRegressor(
            max_leaf_nodes=max(2, k), min_samples_leaf=least, random_state=seed
        ).fit(Z, y / np.where(spread > 0, spread, 1.0))
        return self

    def predict(self, X: Inputs) -> Labels:
        return np.asarray(self.model.apply(self.prepared.transform(X)), np.int64)


def _of(name: str, **more: Any) -> Callable[[], Any]:
    def make() -> Any:
        from bench.peers.registry import make

        return make(name, **more)

    return make


def _gmm_rfm() -> Any:
    from bench.peers.clusterers import gaussian_mixture

    return gaussian_mixture("rfm")


def _river(name: str, title: str) -> Method:
    return Method(name, title, _of(name), environment="river", bootstraps=1)


METHODS: dict[str, Method] = {
    one.name: one
    for one in (
        Method(SHOAL, "Shoal"),
        Method("shoal-foretell", "Shoal, --aim foretell"),
        Method("shoal-style", "Shoal, --aim style"),
        Method("shoal-outlook", "Shoal, --aim outlook"),
        Method("shoal-embedding", "Shoal on the embedding"),
        Method("shoal-both", "Shoal on embedding and features"),
        Method("rfm-grid", "RFM grid, bands of the summed score", _of("rfm-grid"), "rfm"),
        Method("rfm-cells", "RFM grid, cells", RfmCells, "rfm"),
        Method("kmeans-rfm", "k-means on RFM", _of("kmeans-rfm"), "rfm"),
        Method("gmm-rfm", "Gaussian mixture on RFM", _gmm_rfm, "rfm"),
        Method("kmeans", "k-means on features", _of("kmeans")),
        Method("kmeans-style", "k-means on style features", _of("kmeans", columns="style")),
        Method("minibatch", "MiniBatchKMeans on features", _of("minibatch")),
        Method("gmm", "Gaussian mixture on features", _of("gmm")),
        Method("birch", "Birch on features", _of("birch")),
        Method("lightgbm-orders", "bins of a LightGBM score of orders",
               lambda: ScoreBins("poisson", 200), learns_from="orders"),
        Method("lightgbm-spend", "bins of a LightGBM score of spend",
               lambda: ScoreBins("tweedie", 50), learns_from="spend"),
        Method("cart-orders", "leaves of a CART of orders", _of("cart-leaves"),
               learns_from="orders"),
        Method("cart-all", "leaves of a CART of all outcomes", CartOfAll, learns_from="all"),
        _river("river-kmeans", "river KMeans"),
        _river("river-streamkmeans", "river STREAMKMeans"),
        _river("river-clustream", "river CluStream"),
        _river("river-denstream", "river DenStream (finds its own k)"),
        _river("river-dbstream", "river DBSTREAM (finds its own k)"),
        Method(PLANTED, "the planted segments", ranked=False, bootstraps=0),
    )
}  # fmt: skip

#: Shoal's own entries.
OWN = (SHOAL, "shoal-foretell", "shoal-style", "shoal-outlook", "shoal-embedding", "shoal-both")
#: What entries without a model are made for; None is the default.
AIMS: dict[str, str | None] = {
    SHOAL: None, "shoal-foretell": "foretell", "shoal-style": "style", "shoal-outlook": "outlook",
}  # fmt: skip
QUICK = (SHOAL, "rfm-cells", "kmeans", "lightgbm-orders")


def outcome_matrix(found: dict[str, Matrix], learns_from: str) -> npt.NDArray[np.float64]:
    """What a supervised peer is given: (n,) of one outcome, or (n, m) of all, tails pulled in."""
    if learns_from != "all":
        return found[learns_from][:, 0]
    columns = []
    for name, values in found.items():
        if name == "spend":
            positive = values[values > 0]
            values = np.log1p(values / (np.median(positive) if len(positive) else 1.0))
        columns.append(np.log1p(values) if name == "orders" else values)
    return np.column_stack(columns)
