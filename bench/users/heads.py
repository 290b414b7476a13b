"""What stands on top of an embedding or of features, the same for every method.

LightGBM stops early and the linear probe chooses its penalty by a random fifth of the learning
customers, drawn by the log's seed: the same for every method, never of the scored period. Where one
model stops is chance (on world steady, seed 1, columns of noise cost spend 0.06 of its share by
that alone), so LightGBM is the mean of five models, each with another fifth held out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.users.outcomes import ACTIVE, MIX, ORDERS, SPEND, Outcome
from bench.users.settings import FOLDS, LIGHTGBM, MIX_ROUNDS, PATIENCE, ROUNDS
from shoal.evaluation.deviance import Values

Rows = npt.NDArray[np.int64]
#: (X of the learning customers, their outcome, X of those asked, seed) -> (n, m) forecasts.
Head = Callable[[Values, Outcome, Values, int], Values]


def parts(customers: int, seed: int, fold: int = 0) -> tuple[Rows, Rows]:
    """Places of the customers that a model is fitted on, and of the fifth that tells it when to
    stop."""
    drawn = np.array_split(np.random.default_rng([seed, 5]).permutation(customers), FOLDS)
    fitted = np.concatenate([one for place, one in enumerate(drawn) if place != fold])
    return np.sort(fitted), np.sort(drawn[fold])


# --- LightGBM -------------------------------------------------------------------------------------


def boosted(X: Values, outcome: Outcome, asked: Values, seed: int) -> Values:
    """Forecasts of LightGBM: the mean of a model a fold."""
    return np.mean([_boosted(X, outcome, asked, seed, fold) for fold in range(FOLDS)], axis=0)


def _boosted(X: Values, outcome: Outcome, asked: Values, seed: int, fold: int) -> Values:
    import lightgbm

    fitted, held = (rows[outcome.known[rows]] for rows in parts(len(X), seed, fold))
    there = _there(outcome, fitted)
    if not len(held) or not outcome.values[fitted].any() or not len(there):
        return _constant(outcome, fitted, len(asked))
    # the objectives' regularisation knows no unit
    scale = float(outcome.values[fitted].mean()) if outcome.name in (ORDERS, SPEND) else 1.0

    def dataset(rows: Rows, of: Any = None) -> Any:
        x, y, weight = _as_rows(X[rows], outcome.values[rows][:, there] / scale, outcome.name)
        return lightgbm.Dataset(x, y, weight=weight, params={"verbose": -1}, reference=of)

    learn = dataset(fitted)
    model = lightgbm.train(
        {**LIGHTGBM, **_objective(outcome.name, len(there)), "seed": seed}, learn,
        MIX_ROUNDS if outcome.name == MIX else ROUNDS, valid_sets=[dataset(held, learn)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )  # fmt: skip
    raw = model.predict(asked, num_iteration=model.best_iteration, num_threads=1)
    told = scale * np.asarray(raw, np.float64).reshape(len(asked), -1)
    return _spread(told, there, outcome) if outcome.name == MIX else told


def _objective(name: str, categories: int) -> dict[str, Any]:
    return {
        ACTIVE: {"objective": "binary"},
        ORDERS: {"objective": "poisson"},
        SPEND: {"objective": "tweedie", "tweedie_variance_power": 1.5},
        MIX: {"objective": "multiclass", "num_class": categories},
    }[name]


def _there(outcome: Outcome, fitted: Rows) -> Rows:
    """Columns of the outcome to learn: of a mix the categories that somebody had, if several."""
    if outcome.name != MIX:
        return np.arange(1)
    found = np.flatnonzero(outcome.values[fitted].sum(axis=0) > 0)
    return found if len(found) > 1 else found[:0]


def _as_rows(X: Values, y: Values, name: str) -> tuple[Values, Values, Values | None]:
    """A row a customer; of a mix a row a customer and category, weighted by its share."""
    if name != MIX:
        return X, y[:, 0], None
    row, place = np.nonzero(y)
    return X[row], place.astype(np.float64), y[row, place]


def _constant(outcome: Outcome, fitted: Rows, asked: int) -> Values:
    told = outcome.values[fitted]
    mean = told.mean(axis=0) if len(told) else np.full(outcome.values.shape[1], 1e-6)
    return np.repeat(mean[None], asked, axis=0)


def _spread(told: Values, there: Rows, outcome: Outcome) -> Values:
    """Shares of all categories; those that nobody had while learning stay rare."""
    found = np.full((len(told), outcome.values.shape[1]), 1e-6)
    found[:, there] = told
    return found / found.sum(axis=1, keepdims=True)


# --- Linear probe ---------------------------------------------------------------------------------

#: Penalties that are tried, on standardised columns and the mean loss.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def linear(X: Values, outcome: Outcome, asked: Values, seed: int) -> Values:
    """Forecasts of a generalised linear model with a ridge penalty: logistic, Poisson, Tweedie.

    Linear predictors are kept within those of the learning customers: a link of logarithms would
    else make millions of one strange embedding.
    """
    fitted, held = (rows[outcome.known[rows]] for rows in parts(len(X), seed))
    if not len(held) or not outcome.values[fitted].any() or not len(_there(outcome, fitted)):
        return _constant(outcome, fitted, len(asked))
    mean, deviation = X[fitted].mean(axis=0), X[fitted].std(axis=0)
    kept = deviation > 1e-9
    Z, Z_asked = ((side[:, kept] - mean[kept]) / deviation[kept] for side in (X, asked))
    best: tuple[float, Values] | None = None
    for penalty in PENALTIES:
        told = _glm(Z, outcome, fitted, [Z, Z_asked], penalty)
        loss = float(outcome.deviance(told[0])[held].sum())
        if best is None or loss < best[0]:
            best = (loss, told[1])
    assert best is not None
    return best[1]


def _glm(
    Z: Values, outcome: Outcome, fitted: Rows, asked: list[Values], penalty: float
) -> list[Values]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, TweedieRegressor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the validation part judges
        if outcome.name in (ACTIVE, MIX):
            y = outcome.values[fitted]
            there = _there(outcome, fitted)
            x, label, weight = _as_rows(Z[fitted], y[:, there], outcome.name)
            if len(np.unique(label)) < 2:
                return [_constant(outcome, fitted, len(one)) for one in asked]
            one = LogisticRegression(C=1 / (penalty * len(fitted)), max_iter=300)
            one.fit(x, label, sample_weight=weight)
            chances = [one.predict_proba(side) for side in asked]
            if outcome.name == ACTIVE:
                return [side[:, 1:] for side in chances]
            return [_spread(side, there, outcome) for side in chances]
        power = 1.0 if outcome.name == ORDERS else 1.5
        scale = max(float(outcome.values[fitted].mean()), 1e-12)
        model = TweedieRegressor(power=power, link="log", alpha=penalty, max_iter=300)
        model.fit(Z[fitted], outcome.values[fitted, 0] / scale)
        found = [side @ model.coef_ + model.intercept_ for side in asked]
        seen = Z[fitted] @ model.coef_ + model.intercept_
        return [
            scale * np.exp(np.clip(side, seen.min(), seen.max()))[:, None] for side in found
        ]  # fmt: skip
