"""What could be foretold at all: LightGBM on all features, learned and asked like the segments.

How many rounds each outcome needs is found on the period before the cut, so that nothing is chosen
by what is foretold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.segments.outcomes import Outcome
from bench.segments.sets import DAYS_TO_NEXT, MIX, ORDERS
from bench.segments.settings import MIX_ROUNDS, ROUNDS, SETTINGS
from shoal.evaluation.deviance import Values, from_hazards, share_explained
from shoal.evaluation.foretelling import Mask, halves


def attained(
    X: Values,
    now: Sequence[Outcome],
    X_before: Values,
    then: Sequence[Outcome],
    *,
    splits: int,
    seed: int,
) -> dict[str, tuple[int, list[Values]]]:
    """By outcome: the rounds chosen, and (n, m) forecasts for the customers of each half.

    Rows of the half that is learned from are forecast too; nobody scores them.
    """
    earlier = {one.name: one for one in then}
    found = {}
    for outcome in now:
        before = earlier.get(outcome.name)
        rounds = _rounds_of(X_before, before, seed) if before is not None else _tried(outcome)[1]
        forecasts = [
            _fitted(X, outcome, learned, rounds, seed)(rounds)
            for learned in halves(len(X), splits, seed)
        ]
        found[outcome.name] = (rounds, forecasts)
    return found


def _tried(outcome: Outcome) -> tuple[int, ...]:
    return MIX_ROUNDS if outcome.name == MIX else ROUNDS


def _rounds_of(X: Values, outcome: Outcome, seed: int) -> int:
    """The number of rounds that foretells the earlier period best, over its two halves."""
    tried = _tried(outcome)
    shares = np.zeros(len(tried))
    for learned in halves(len(X), 1, seed):
        mean = outcome.values[learned & outcome.known].mean(axis=0, keepdims=True)
        base = outcome.deviance(np.repeat(mean, len(X), axis=0))[~learned]
        model = _fitted(X, outcome, learned, tried[-1], seed)
        for place, rounds in enumerate(tried):
            shares[place] += share_explained(outcome.deviance(model(rounds))[~learned], base)
    return tried[int(np.nanargmax(shares))] if np.isfinite(shares).any() else tried[0]


def _fitted(X: Values, outcome: Outcome, learned: Mask, rounds: int, seed: int) -> Any:
    """rounds -> (n, m) forecasts of everybody by a model of the learned customers."""
    rows = np.flatnonzero(learned & outcome.known)
    if outcome.name == DAYS_TO_NEXT:
        return _hazards(X, outcome.values, rows, rounds, seed)
    if outcome.name == MIX:
        return _shares(X, outcome.values, rows, rounds, seed)
    more = (
        {"objective": "poisson"}
        if outcome.name == ORDERS
        else {"objective": "tweedie", "tweedie_variance_power": 1.5}
    )
    y = outcome.values[rows, 0]
    scale = max(float(y.mean()), 1e-12)  # the objectives' regularisation knows no unit
    model = _train(X[rows], y / scale, rounds, seed, **more)
    return lambda number: scale * _asked(model, X, number)[:, None]


def _hazards(X: Values, values: Values, rows: Any, rounds: int, seed: int) -> Any:
    """A row a customer and period that was begun without an order: did it end in one?"""
    periods = values.shape[1] - 1
    ended = values[rows].argmax(axis=1)
    begun = np.minimum(ended, periods - 1) + 1
    which = np.repeat(rows, begun)
    period = np.concatenate([np.arange(count) for count in begun])
    event = (period == np.repeat(ended, begun)).astype(np.float64)
    model = _train(np.column_stack([X[which], period]), event, rounds, seed, objective="binary")

    def forecast(number: int) -> Values:
        hazards = [
            _asked(model, np.column_stack([X, np.full(len(X), place)]), number)
            for place in range(periods)
        ]
        return from_hazards(np.column_stack(hazards))

    return forecast


def _shares(X: Values, values: Values, rows: Any, rounds: int, seed: int) -> Any:
    """A row a customer and category, weighted by its share; categories nobody has stay rare."""
    there = np.flatnonzero(values[rows].sum(axis=0) > 0)
    row, place = np.nonzero(values[rows][:, there])
    weight = values[rows][:, there][row, place]
    model = _train(
        X[rows][row], place, rounds, seed, weight, objective="multiclass", num_class=len(there)
    )

    def forecast(number: int) -> Values:
        found = np.full((len(X), values.shape[1]), 1e-6)
        found[:, there] = _asked(model, X, number)
        return found / found.sum(axis=1, keepdims=True)

    return forecast


def _train(X: Values, y: Any, rounds: int, seed: int, weight: Any = None, **more: Any) -> Any:
    import lightgbm

    data = lightgbm.Dataset(X, y, weight=weight, params={"verbose": -1})
    return lightgbm.train({**SETTINGS, **more, "seed": seed}, data, num_boost_round=rounds)


def _asked(model: Any, X: Values, rounds: int) -> Values:
    return np.asarray(model.predict(X, num_iteration=rounds, num_threads=1), np.float64)
