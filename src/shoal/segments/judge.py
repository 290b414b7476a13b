"""How well a division of customers foretells a period: the judge of choices among segments.

Each customer's next period is forecast by the mean of its segment, over customers left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.segments.kmeans import KMeans
from shoal.segments.staging import Space

Matrix = npt.NDArray[np.float64]

#: An outcome of which nobody foretells more than this share does not count.
LEAST_FORETOLD: Final = 0.005

#: By outcome: a share foretold, and (n,) each customer's part in its error.
Judged = tuple[dict[str, float], dict[str, Matrix]]


@dataclass(frozen=True)
class Limits:
    """What a candidate must reach to be trusted, and how the evidence is gathered."""

    stability: float = 0.9
    smallest_share: float = 0.01
    bootstraps: int = 10
    folds: int = 5
    sample_customers: int = 4_000
    starts: int = 3


@dataclass(frozen=True)
class Score:
    """How well a division of customers foretells, beside others.

    Args:
        score: mean over outcomes of the share foretold, in shares of the best division's.
        shares: foretold, by outcome.
        parts: (n,) each customer's part in the error of the score.
    """

    score: float
    shares: dict[str, float]
    parts: Matrix

    @property
    def error(self) -> float:
        """The standard error of the score."""
        return float(np.sqrt(np.sum(self.parts**2)))

    def error_of_difference(self, other: Score) -> float:
        """The standard error of the difference of two divisions of the same customers."""
        return float(np.sqrt(np.sum((self.parts - other.parts) ** 2)))


@dataclass(frozen=True)
class Future:
    """What was known a horizon before the end, and what came.

    `X` (n, d) prepared features then, `outlook` (n, m) what was expected then, of variance one in
    all (None: nothing); `active` (n,)
    0/1, `orders` (n,) counts, `spend` (n,) net revenue (currency units) and `categories` (n, c)
    events by category within the horizon; rows are the same customers. An outcome without variation
    (no purchases, no prices) does not count.
    """

    X: Matrix
    horizon_days: int
    active: Matrix
    orders: Matrix
    spend: Matrix
    categories: Matrix | None = None
    outlook: Matrix | None = None

    @property
    def expected(self) -> Future:
        """With segments made of the outlook alone."""
        return self if self.outlook is None else replace(self, X=self.outlook)

    def space(self, rows: npt.NDArray[np.int64]) -> Space:
        """Style and outlook of some of the customers, to be divided."""
        return Space(self.X, self.outlook).take(rows)


class Judge:
    """Cross-validated deviances of the outcomes of a period under the means of segments.

    Args:
        future: the period; `rows` of its customers are judged by, in `folds` folds.

    Folds are drawn over customers in canonical order; `outcomes` maps a name to its values and the
    deviance of each customer under a forecast.
    """

    def __init__(self, future: Future, rows: npt.NDArray[np.int64], folds: int) -> None:
        self.X = future.X[rows]
        self.fold = np.arange(len(rows)) % folds
        everybody = np.ones(len(rows))
        told = {
            "activity": (future.active[rows, None], everybody, _bernoulli),
            "orders": (future.orders[rows, None], everybody, _poisson),
            "spend": (_log_money(future.spend[rows])[:, None], everybody, _squared),
        }
        if future.categories is not None and future.categories.shape[1] > 1:
            events = future.categories[rows]
            totals = events.sum(axis=1, keepdims=True)
            mix = np.divide(events, totals, out=np.zeros_like(events), where=totals > 0)
            told["categories"] = (mix, (totals[:, 0] > 0).astype(np.float64), _divergence)
        self.outcomes = {
            name: outcome
            for name, outcome in told.items()
            if outcome[1].any() and np.ptp(outcome[0][outcome[1] > 0], axis=0).max() > 0
        }

    def segment(self, k: int, seed: int, starts: int) -> npt.NDArray[np.int64] | None:
        if k > len(self.X):
            return None
        return KMeans(k, n_starts=2 * starts, random_state=seed).fit(self.X).labels_

    def scored(self, labels: Sequence[npt.NDArray[np.int64] | None]) -> list[Score | None]:
        """Of each division of the customers: score, its standard error, and share by outcome.

        The share is 1 - D / D0, D0 the deviance under one common mean; its error by linearisation
        of the ratio. The score is the mean over outcomes of shares of the best division's.
        """
        return self.of([None if one is None else self.judged(one) for one in labels])

    def of(self, judged: Sequence[Judged | None]) -> list[Score | None]:
        """Scores beside each other of what `judged` gave."""
        best = {
            name: max((one[0][name] for one in judged if one is not None), default=0.0)
            for name in self.outcomes
        }
        # Where nobody foretells anything the plain shares are left, which are about nothing.
        unit = {name: share for name, share in best.items() if share >= LEAST_FORETOLD}
        unit = unit or dict.fromkeys(self.outcomes, 1.0)
        found: list[Score | None] = []
        for one in judged:
            if one is None:
                found.append(None)
                continue
            shares, parts = one
            score = float(np.mean([shares[name] / size for name, size in unit.items()]))
            error = np.mean([parts[name] / size for name, size in unit.items()], axis=0)
            found.append(Score(score, shares, error))
        return found

    def judged(
        self, labels: npt.NDArray[np.int64], counted: npt.NDArray[np.bool_] | None = None
    ) -> tuple[dict[str, float], dict[str, Matrix]]:
        """By outcome: the share that a division foretells, and each customer's part in its
        error.

        Args:
            counted: (n,) of whom it is asked; the others only tell the means. None: of all.
        """
        shares, parts = {}, {}
        told = np.ones(len(labels)) if counted is None else counted.astype(np.float64)
        for name, (values, weight, deviance) in self.outcomes.items():
            forecast, common = self._forecast(values, weight, labels)
            own = told * weight * deviance(values, forecast)
            base = told * weight * deviance(values, common)
            if not base.any():  # nothing to be foretold of those who count
                continue
            ratio = own.sum() / base.sum()
            shares[name] = float(1 - ratio)
            parts[name] = -(own - ratio * base) / base.sum()
        return shares, parts

    def _forecast(
        self, values: Matrix, weight: Matrix, labels: npt.NDArray[np.int64]
    ) -> tuple[Matrix, Matrix]:
        """(n, m) mean of the own segment and mean of all, of the other folds."""
        forecast, common = np.empty_like(values), np.empty_like(values)
        member = np.eye(int(labels.max()) + 1)[labels] * weight[:, None]
        for fold in range(int(self.fold.max()) + 1):
            out = self.fold == fold
            mean = np.average(values[~out], axis=0, weights=weight[~out])
            # One customer's weight of the common mean keeps small segments from certainty.
            sums = member[~out].T @ values[~out] + mean
            means = sums / (member[~out].sum(axis=0) + 1)[:, None]
            forecast[out], common[out] = means[labels[out]], mean
        return forecast, common


def _bernoulli(values: Matrix, forecast: Matrix) -> Matrix:
    p = np.clip(forecast, 1e-6, 1 - 1e-6)
    return np.asarray(-2 * (values * np.log(p) + (1 - values) * np.log1p(-p)))[:, 0]


def _poisson(values: Matrix, forecast: Matrix) -> Matrix:
    rate = np.maximum(forecast, 1e-9)
    logs = np.where(values > 0, values * np.log(np.maximum(values, 1e-9) / rate), 0.0)
    return np.asarray(2 * (logs - (values - rate)))[:, 0]


def _squared(values: Matrix, forecast: Matrix) -> Matrix:
    return np.asarray((values - forecast) ** 2)[:, 0]


def _divergence(values: Matrix, forecast: Matrix) -> Matrix:
    """Kullback-Leibler divergence of each customer's mix from the forecast."""
    q = np.maximum(forecast, 1e-6)
    return np.asarray(np.where(values > 0, values * np.log(np.maximum(values, 1e-9) / q), 0).sum(1))


def _log_money(spend: Matrix) -> Matrix:
    """log(1 + spend / typical spend): a few huge orders must not decide."""
    positive = spend[spend > 0]
    typical = float(np.median(positive)) if len(positive) else 1.0
    return np.asarray(np.log1p(np.maximum(spend, 0) / typical))
