"""What a customer will do in the next period: be active, order, how often, and for how much.

Four LightGBM models (Ke et al., 2017) on what is known at a moment: two chances (Bernoulli), the
number of orders (Poisson) and the spend (Tweedie of power 1.5: zeros and a long tail). They learn
point in time: from what was known a horizon before the end, and what came within the horizon.
Where the log reaches back two horizons, a model of the earlier one is asked about the later one
first: its errors there are the figures that are told, and give the calibration. Chances are
calibrated by a logistic curve on their logit (Platt, 1999), amounts by one factor.
Shallow trees of few features each: on small shops they foretell more than deep ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.features.matrix import matrix
from shoal.features.row_order import canonical_order

Matrix = npt.NDArray[np.float64]

ACTIVE: Final = "next_active"
ORDERED: Final = "next_ordered"
ORDERS: Final = "next_orders"
SPEND: Final = "next_spend"
#: What is foretold: a chance to have any event, a chance to order, orders, and spend.
COLUMNS: Final = (ACTIVE, ORDERED, ORDERS, SPEND)

_OBJECTIVES: Final[Mapping[str, Mapping[str, Any]]] = {
    ACTIVE: {"objective": "binary"},
    ORDERED: {"objective": "binary"},
    ORDERS: {"objective": "poisson"},
    SPEND: {"objective": "tweedie", "tweedie_variance_power": 1.5},
}
_ROUNDS: Final = 200
_SETTINGS: Final[Mapping[str, Any]] = {
    "learning_rate": 0.04, "num_leaves": 4, "min_data_in_leaf": 20, "feature_fraction": 0.2,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0, "num_threads": 1, "verbose": -1,
    "deterministic": True, "force_row_wise": True,
}  # fmt: skip
#: Fewer customers with the outcome, or without it, and there is nothing to learn a chance from.
FEWEST: Final = 20


@dataclass(frozen=True)
class Period:
    """Customers at a moment, and what they did within the horizon that followed.

    Args:
        features: one row a customer, as known at the moment.
        outcomes: by name (some of `COLUMNS`), (n,) 0/1, counts, or amounts in currency units.
    """

    features: pa.Table
    outcomes: Mapping[str, Matrix]

    def take(self, rows: npt.NDArray[np.int64]) -> Period:
        """Some of the customers."""
        told = {name: values[rows] for name, values in self.outcomes.items()}
        return Period(self.features.take(pa.array(rows)), told)


def outcomes_between(
    before: Mapping[str, Matrix], after: Mapping[str, Matrix]
) -> dict[str, Matrix]:
    """What came between two moments, from totals of the same customers at both.

    Args:
        before, after: `events`, `orders` and `spend` of all time, (n,) each; NaN counts as 0.

    Returns:
        (n,) of each of `COLUMNS`; more refunded than spent counts as nothing spent.
    """
    events, orders, spend = (
        np.nan_to_num(after[name]) - np.nan_to_num(before[name])
        for name in ("events", "orders", "spend")
    )
    return {
        ACTIVE: (events > 0).astype(np.float64),
        ORDERED: (orders > 0).astype(np.float64),
        ORDERS: np.maximum(orders, 0.0),
        SPEND: np.maximum(spend, 0.0),
    }


@dataclass
class NextPeriod:
    """Foretells the next period of any customers from their features.

    Args:
        names: features that are read; others of a table are ignored.
        horizon_days: length of the period.
        seed: of the draws of rows and features.

    Attributes:
        foretold: which of `COLUMNS` could be learned; of others a shop shows too little.
        figures: how well an earlier period was foretold, by outcome; empty where the log is short.
    """

    names: Sequence[str]
    horizon_days: int
    seed: int = 0
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    curves: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def foretold(self) -> tuple[str, ...]:
        """Which outcomes could be learned, in the order of `COLUMNS`."""
        return tuple(name for name in COLUMNS if name in self.models)

    def fit(self, periods: Sequence[Period], earlier: NextPeriod | None = None) -> Self:
        """Learn from some periods, the latest first.

        Args:
            earlier: a head that does not know the latest period: what it foretells of it is
                measured, and calibrates this one.
        """
        self.figures, self.curves = {}, {}
        if earlier is not None:
            self._calibrate(earlier, periods[0])
        self._learn(periods)
        return self

    def predict(self, features: pa.Table) -> dict[str, Matrix]:
        """(n,) of each outcome that is foretold: chances, expected orders, expected spend."""
        X = matrix(features, self.names)
        return {name: self._calibrated(name, self._raw(name, X)) for name in self.foretold}

    def table(self, features: pa.Table) -> pa.Table:
        """`customer_id` and one column an outcome."""
        told = {name: pa.array(values) for name, values in self.predict(features).items()}
        return pa.table({"customer_id": features["customer_id"], **told})

    # -- learning ----------------------------------------------------------------------------------

    def _learn(self, periods: Sequence[Period]) -> None:
        X = np.vstack([matrix(one.features, self.names) for one in periods])
        Y = np.column_stack([_joined(periods, name) for name in COLUMNS])
        # Rows are drawn by their number: the order that customers come in must change nothing.
        order = canonical_order(np.nan_to_num(np.column_stack([X, Y]), nan=-1.0))
        X, Y = X[order], Y[order]
        self.models, self.scales = {}, {}
        for name, y in zip(COLUMNS, Y.T, strict=True):
            if min((y > 0).sum(), (y == 0).sum() if name in (ACTIVE, ORDERED) else len(y)) < FEWEST:
                continue
            # The penalties of amounts know no unit.
            self.scales[name] = 1.0 if name in (ACTIVE, ORDERED) else float(y.mean())
            self.models[name] = _trained(X, y / self.scales[name], name, self.seed)
        self._loaded: dict[str, Any] = {}

    def _calibrate(self, earlier: NextPeriod, latest: Period) -> None:
        X = matrix(latest.features, self.names)
        for name in earlier.foretold:
            y, raw = latest.outcomes[name], earlier._raw(name, X)
            if name in (ACTIVE, ORDERED):
                self.curves[name] = _logistic_curve(raw, y)
            else:
                self.curves[name] = (float(y.sum() / max(raw.sum(), 1e-12)) or 1.0, 0.0)
            self.figures[name] = _figures(name, y, raw)

    # -- asking ------------------------------------------------------------------------------------

    def _raw(self, name: str, X: Matrix) -> Matrix:
        import lightgbm

        loaded: dict[str, Any] = self.__dict__.setdefault("_loaded", {})
        if name not in loaded:
            loaded[name] = lightgbm.Booster(model_str=self.models[name])
        if not len(X):
            return np.empty(0)
        found: Matrix = np.asarray(loaded[name].predict(X, num_threads=1), np.float64)
        return found * self.scales[name]

    def _calibrated(self, name: str, raw: Matrix) -> Matrix:
        if name not in self.curves:
            return raw
        slope, shift = self.curves[name]
        if name in (ACTIVE, ORDERED):
            return _chance(slope * _logit(raw) + shift)
        return raw * slope

    # -- keeping -----------------------------------------------------------------------------------

    def to_document(self) -> dict[str, Any]:
        """As JSON; trees as LightGBM's own text."""
        return {
            "names": list(self.names), "horizon_days": self.horizon_days, "seed": self.seed,
            "models": dict(self.models), "scales": dict(self.scales),
            "curves": {name: list(curve) for name, curve in self.curves.items()},
            "figures": self.figures,
        }  # fmt: skip

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` wrote."""
        return cls(
            tuple(document["names"]), document["horizon_days"], document["seed"],
            {name: dict(told) for name, told in document["figures"].items()},
            dict(document["models"]), dict(document["scales"]),
            {name: (curve[0], curve[1]) for name, curve in document["curves"].items()},
        )  # fmt: skip


def _joined(periods: Sequence[Period], name: str) -> Matrix:
    return np.concatenate([one.outcomes[name] for one in periods])


def _trained(X: Matrix, y: Matrix, name: str, seed: int) -> str:
    import lightgbm

    data = lightgbm.Dataset(X, y, params={"verbose": -1})
    told = {**_SETTINGS, **_OBJECTIVES[name], "seed": seed}
    return str(lightgbm.train(told, data, num_boost_round=_ROUNDS).model_to_string())


def _logit(chance: Matrix) -> Matrix:
    p = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p) - np.log1p(-p))


def _chance(logit: Matrix) -> Matrix:
    return np.asarray(1 / (1 + np.exp(-logit)))


def _logistic_curve(raw: Matrix, y: Matrix) -> tuple[float, float]:
    """Slope (at least 0.1: the order of customers stays) and shift that make chances come true."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(y)) < 2:
        return 1.0, 0.0
    fitted = LogisticRegression(C=1e3).fit(_logit(raw)[:, None], y)
    return max(float(fitted.coef_[0, 0]), 0.1), float(fitted.intercept_[0])


def _figures(name: str, y: Matrix, raw: Matrix) -> dict[str, float]:
    """Of chances the area under the ROC curve, of amounts Spearman's correlation; and the mean."""
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    told = {"mean": float(y.mean()), "foretold_mean": float(raw.mean())}
    if name in (ACTIVE, ORDERED):
        if len(np.unique(y)) > 1:
            told["auroc"] = float(roc_auc_score(y, raw))
    elif np.ptp(y) > 0 and np.ptp(raw) > 0:
        told["rank_correlation"] = float(spearmanr(y, raw).statistic)
    return told
