"""Segments of a supervised model of an earlier period: bins of its score, leaves of its tree."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.peers.base import Inputs, Kind, Labels, Matrix, Prepared

#: LightGBM as used wherever the benches train one: small data, one thread, the same bits each run.
LIGHTGBM: dict[str, Any] = {
    "n_estimators": 100, "learning_rate": 0.08, "num_leaves": 15, "min_child_samples": 20,
    "colsample_bytree": 0.5, "subsample": 0.8, "subsample_freq": 1, "n_jobs": 1, "verbose": -1,
    "deterministic": True, "force_row_wise": True,
}  # fmt: skip


class LightGbmBins:
    """Quantile bins of a LightGBM score for the outcome (Poisson where it is a count)."""

    name = "lightgbm-bins"

    def __init__(self, inputs: Kind = "features") -> None:
        self.inputs = inputs

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        import lightgbm

        if y is None:
            raise ValueError(f"{self.name} needs the outcome of an earlier period")
        outcome = np.asarray(y, np.float64)
        objective = "poisson" if (outcome >= 0).all() and outcome.any() else "regression"
        self.model = lightgbm.LGBMRegressor(objective=objective, random_state=seed, **LIGHTGBM)
        self.model.fit(X.values, outcome)
        score = self.model.predict(X.values)
        self.bounds_ = np.unique(np.quantile(score, np.arange(1, k) / k))
        return self

    def update(self, X: Inputs) -> None:
        """Frozen."""

    def predict(self, X: Inputs) -> Labels:
        found = np.searchsorted(self.bounds_, self.model.predict(X.values), side="right")
        return np.asarray(found, np.int64)

    def weights(self, X: Inputs) -> Matrix | None:
        return None


class CartLeaves:
    """Leaves of a regression tree of the outcome with at most k leaves (Breiman et al., 1984)."""

    name = "cart-leaves"

    def __init__(self, inputs: Kind = "features") -> None:
        self.inputs = inputs
        self.prepared = Prepared(balanced=False, components_share=0)

    def fit(self, X: Inputs, k: int, seed: int, y: npt.NDArray[Any] | None = None) -> Self:
        from sklearn.tree import DecisionTreeRegressor

        if y is None:
            raise ValueError(f"{self.name} needs the outcome of an earlier period")
        Z = self.prepared.fit(X).transform(X)
        least = max(5, len(Z) // 100)
        self.model = DecisionTreeRegressor(
            max_leaf_nodes=max(2, k), min_samples_leaf=least, random_state=seed
        ).fit(Z, np.log1p(np.maximum(np.asarray(y, np.float64), 0)))
        self.leaves_ = np.flatnonzero(self.model.tree_.children_left == -1)
        return self

    def update(self, X: Inputs) -> None:
        """Frozen."""

    def predict(self, X: Inputs) -> Labels:
        leaf = self.model.apply(self.prepared.transform(X))
        return np.asarray(np.searchsorted(self.leaves_, leaf), np.int64)

    def weights(self, X: Inputs) -> Matrix | None:
        return None
