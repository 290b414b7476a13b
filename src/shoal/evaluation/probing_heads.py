"""Probes: a generalised linear model with a ridge penalty, and boosted trees.

Both keep a random fifth of the learned customers apart: the linear one chooses its penalty by it,
the trees stop growing by it. Of the asked customers neither sees an outcome.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shoal.evaluation.deviance import Values
from shoal.evaluation.probing import Head, Task

Rows = NDArray[np.int64]

_HELD: Final = 0.2
_PENALTIES: Final = (1e-3, 1e-2, 1e-1, 1.0)
#: Small trees, many of them: as in the benches, where these were found on simulated worlds.
_RATE: Final = 0.04
_LEAVES: Final = 4
_RIDGE: Final = 5.0
_ROUNDS: Final = 1_000
_PATIENCE: Final = 50
#: A round grows a tree for every class.
_CLASS_ROUNDS: Final = 240
_RARE: Final = 1e-6

LINEAR: Final = "linear"
LIGHTGBM: Final = "trees (LightGBM)"
HISTOGRAM: Final = "trees (scikit-learn)"


def heads() -> list[Head]:
    """The linear probe, and trees: LightGBM's where it is installed, else scikit-learn's."""
    if find_spec("lightgbm") is not None:
        return [Head(LINEAR, False, linear), Head(LIGHTGBM, True, boosted)]
    return [Head(LINEAR, False, linear), Head(HISTOGRAM, True, histogram)]


def parts(task: Task, rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Places among learned rows that a probe is fitted on, and those kept apart."""
    drawn = np.random.default_rng([seed, 5]).permutation(len(rows))
    cut = max(1, round(_HELD * len(rows)))
    return np.sort(drawn[cut:]), np.sort(drawn[:cut])


# --- Linear ---------------------------------------------------------------------------------------


def linear(X: Values, task: Task, rows: Rows, asked: Values, seed: int) -> Values:
    """(asked, m) forecasts: logistic for chances and classes, Poisson for counts, Tweedie for
    amounts (McCullagh and Nelder, "Generalized Linear Models", 1989)."""
    fitted, held = parts(task, rows, seed)
    mean, deviation = X[fitted].mean(axis=0), X[fitted].std(axis=0)
    kept = deviation > 1e-9 * (1 + np.abs(mean))
    if not kept.any() or not _varies(task, rows[fitted]):
        return _constant(task, rows[fitted], len(asked))
    Z, Z_asked = ((side[:, kept] - mean[kept]) / deviation[kept] for side in (X, asked))
    best, told = np.inf, None
    for penalty in _PENALTIES:
        own, others = _glm(Z[fitted], task, rows[fitted], (Z[held], Z_asked), penalty)
        loss = float(task.deviance(rows[held], own).sum())
        if told is None or loss < best:
            best, told = loss, others
    assert told is not None
    return told


def _glm(
    Z: Values, task: Task, rows: Rows, asked: tuple[Values, Values], penalty: float
) -> list[Values]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, TweedieRegressor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the part kept apart judges
        values = task.values[rows]
        if task.kind in ("chance", "class"):
            chosen = LogisticRegression(C=1 / (penalty * len(rows)), max_iter=300)
            chosen.fit(Z, values.astype(np.int64))
            return [_spread(task, chosen.classes_, chosen.predict_proba(one)) for one in asked]
        # Penalties know no unit; forecasts have one.
        scale = float(values.mean())
        power = 1.0 if task.kind == "count" else 1.5
        model = TweedieRegressor(power=power, link="log", alpha=penalty, max_iter=300)
        model.fit(Z, values / scale)
    seen = Z @ model.coef_ + model.intercept_
    # The exponential of one odd customer's sum would otherwise be millions.
    sums = [np.clip(one @ model.coef_ + model.intercept_, seen.min(), seen.max()) for one in asked]
    return [scale * np.exp(one)[:, None] for one in sums]


# --- Trees ----------------------------------------------------------------------------------------


def boosted(X: Values, task: Task, rows: Rows, asked: Values, seed: int) -> Values:
    """(asked, m) forecasts of LightGBM, stopped early."""
    import lightgbm

    fitted, held = parts(task, rows, seed)
    if not _varies(task, rows[fitted]):
        return _constant(task, rows[fitted], len(asked))
    values, classes, scale = _labels(task, rows, fitted)
    held = held[np.isin(task.values[rows[held]], classes)] if task.kind == "class" else held
    settings = {
        "learning_rate": _RATE, "num_leaves": _LEAVES, "lambda_l2": _RIDGE,
        "min_data_in_leaf": 20, "feature_fraction": 0.2, "bagging_fraction": 0.8,
        "bagging_freq": 1, "verbose": -1, "seed": seed, "num_threads": 1, "deterministic": True,
        "force_row_wise": True, **_objective(task, len(classes)),
    }  # fmt: skip
    learn = lightgbm.Dataset(X[fitted], values[fitted], params={"verbose": -1})
    apart = [lightgbm.Dataset(X[held], values[held], reference=learn)] if len(held) else []
    model = lightgbm.train(
        settings, learn, _CLASS_ROUNDS if task.kind == "class" else _ROUNDS, valid_sets=apart,
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)] if apart else [],
    )  # fmt: skip
    raw = np.asarray(model.predict(asked, num_threads=1), np.float64).reshape(len(asked), -1)
    return _spread(task, classes, raw) if task.kind == "class" else scale * raw


def _objective(task: Task, classes: int) -> dict[str, Any]:
    if task.kind == "class":
        return {"objective": "multiclass", "num_class": classes}
    told: dict[str, dict[str, Any]] = {
        "chance": {"objective": "binary"},
        "count": {"objective": "poisson"},
        "amount": {"objective": "tweedie", "tweedie_variance_power": 1.5},
    }
    return told[task.kind]


def histogram(X: Values, task: Task, rows: Rows, asked: Values, seed: int) -> Values:
    """(asked, m) forecasts of scikit-learn's boosted trees; amounts by a quasi-Poisson loss."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    places = np.arange(len(rows))
    if not _varies(task, rows):
        return _constant(task, rows, len(asked))
    values, classes, scale = _labels(task, rows, places)
    settings = {
        "max_iter": _CLASS_ROUNDS if task.kind == "class" else _ROUNDS, "learning_rate": _RATE,
        "max_leaf_nodes": _LEAVES, "l2_regularization": _RIDGE, "early_stopping": True,
        "validation_fraction": _HELD, "n_iter_no_change": _PATIENCE, "random_state": seed,
    }  # fmt: skip
    if task.kind in ("chance", "class"):
        _, counts = np.unique(values, return_counts=True)
        settings["early_stopping"] = bool(counts.min() > 1)  # it is stratified by class
        model: Any = HistGradientBoostingClassifier(**settings).fit(X, values)
        return _spread(task, classes, model.predict_proba(asked))
    model = HistGradientBoostingRegressor(loss="poisson", **settings).fit(X, values)
    return scale * np.asarray(model.predict(asked), np.float64)[:, None]


# --- What both share ------------------------------------------------------------------------------


def _labels(task: Task, rows: Rows, fitted: Rows) -> tuple[Values, NDArray[Any], float]:
    """What to learn of all rows, the classes it stands for, and the unit of a forecast."""
    values = task.values[rows]
    classes = np.unique(values[fitted]).astype(np.int64)
    if task.kind in ("chance", "class"):
        return np.searchsorted(classes, values).astype(np.float64), classes, 1.0
    scale = float(values[fitted].mean())
    return values / scale, classes, scale


def _varies(task: Task, rows: Rows) -> bool:
    values = task.values[rows]
    return len(rows) > 1 and bool(values.max() > values.min())


def _constant(task: Task, rows: Rows, asked: int) -> Values:
    return np.repeat(task.told(rows).mean(axis=0, keepdims=True), asked, axis=0)


def _spread(task: Task, classes: NDArray[Any], chances: Values) -> Values:
    """Chances of all classes; those that nobody had while learning stay rare."""
    if task.kind == "chance":
        return np.asarray(chances[:, -1:], np.float64)
    found = np.full((len(chances), len(task.classes)), _RARE)
    found[:, classes.astype(np.int64)] = np.maximum(chances, _RARE)
    return np.asarray(found / found.sum(axis=1, keepdims=True))
