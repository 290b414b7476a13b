"""What membership alone foretells: a segment's mean, learned on some customers, asked of others.

Values have the shape (n, m): a count, an amount, or chances that sum to one. A segment's mean
starts with some customers' worth of what is expected without it, so that a small segment is not
certain, an unknown one says nothing and one that tells nothing does no harm. How many customers'
worth is chosen where it is learned: what would have foretold each learned customer best by the
others (leave-one-out; empirical Bayes shrinkage, Efron and Morris, 1973, with the strength
cross-validated).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Deviance = Callable[[Values, Values], Values]

#: Customers' worth of the mean without segments that a segment's mean may start with.
PRIORS: Final = (1.0, 10.0, 100.0, 1000.0)


def halves(customers: int, splits: int, seed: int) -> Iterator[Mask]:
    """Random halves: each mask is true for the customers that are learned from.

    Every split comes twice, the second time the other way round, so that each customer is asked
    about once a split.

    >>> [int(mask.sum()) for mask in halves(5, 1, 0)]
    [2, 3]
    """
    random = np.random.default_rng(seed)
    for _ in range(splits):
        mask = np.zeros(customers, dtype=np.bool_)
        mask[random.permutation(customers)[: customers // 2]] = True
        yield mask
        yield ~mask


def by_segment(
    values: Values,
    labels: Labels,
    learned: Mask,
    deviance: Deviance,
    priors: Sequence[float] = PRIORS,
) -> Values:
    """(n, m) mean of each customer's segment among the learned ones.

    mean_g = (sum of g + w overall mean) / (customers of g + w), w one of `priors`.
    """
    overall = np.repeat(values[learned].mean(axis=0, keepdims=True), len(values), axis=0)
    return _standardised(values, overall, labels, learned, deviance, priors)


def given(
    values: Values,
    alone: Values,
    labels: Labels,
    learned: Mask,
    deviance: Deviance,
    priors: Sequence[float] = PRIORS,
) -> Values:
    """(n, m) forecasts by a forecast that stands without segments, and segments together.

    It is `alone` times what a segment's learned customers had over what `alone` expects of them
    (indirect standardisation: observed over expected; Breslow and Day, "Statistical Methods in
    Cancer Research II", 1987, chapter 2), with some customers' worth of as expected in both.
    Chances (m > 1) are made to sum to one again.
    """
    return _standardised(values, alone, labels, learned, deviance, priors)


def _standardised(
    values: Values,
    alone: Values,
    labels: Labels,
    learned: Mask,
    deviance: Deviance,
    priors: Sequence[float],
) -> Values:
    groups = _numbered(labels)
    # One customer's worth of as expected, the same in what was observed and expected.
    one = alone[learned].mean(axis=0, keepdims=True)
    observed, expected = (_sums(side, groups, learned)[groups] for side in (values, alone))
    own, rest = values[learned], alone[learned]

    def without_themselves(prior: float) -> float:
        ratio = _ratio(observed[learned] - own, expected[learned] - rest, prior * one)
        return float(deviance(own, _whole(rest * ratio)).sum())

    best = min(priors, key=without_themselves) if len(priors) > 1 else priors[0]
    return _whole(alone * _ratio(observed, expected, best * one))


def _ratio(observed: Values, expected: Values, start: Values) -> Values:
    total = expected + start
    found: Values = np.divide(observed + start, total, out=np.ones_like(total), where=total > 1e-12)
    return found


def _whole(forecast: Values) -> Values:
    if forecast.shape[1] == 1:
        return forecast
    return np.asarray(forecast / np.maximum(forecast.sum(axis=1, keepdims=True), 1e-12))


def strata_of(*columns: NDArray[np.int64]) -> Labels:
    """(n,) one number for each combination of values that occurs.

    >>> strata_of(np.array([0, 0, 1]), np.array([5, 6, 5])).tolist()
    [0, 1, 2]
    """
    return np.asarray(
        np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].reshape(-1), np.int64
    )


def mean_ranks(shares: Values) -> Values:
    """(methods,) mean rank over tasks of (methods, tasks), 1 the best.

    Ties count against everybody who is in one (the worst place of those tied), and a method
    without a figure (NaN) takes the last place.
    """
    found = np.where(np.isnan(shares), -np.inf, shares)
    ranks = (found[:, None, :] <= found[None, :, :]).sum(axis=1)
    return np.asarray(ranks.mean(axis=1), np.float64)


def _numbered(labels: Labels) -> Labels:
    return np.asarray(np.unique(labels, return_inverse=True)[1].reshape(-1), np.int64)


def _sums(values: Values, groups: Labels, learned: Mask) -> Values:
    found = np.zeros((int(groups.max()) + 1, values.shape[1]))
    np.add.at(found, groups[learned], values[learned])
    return found
