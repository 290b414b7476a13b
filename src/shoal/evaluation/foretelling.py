"""What membership alone foretells: a segment's mean, learned on some customers, asked of others.

Values have the shape (n, m): a count, an amount, or chances that sum to one. The mean of a segment
starts with one customer's worth of what is expected without it, so that a small segment is not
certain and an unknown one says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


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


def by_segment(values: Values, labels: Labels, learned: Mask) -> Values:
    """(n, m) mean of each customer's segment among the learned ones.

    mean_g = (sum of g + overall mean) / (customers of g + 1).
    """
    overall = values[learned].mean(axis=0, keepdims=True)
    groups = _numbered(labels)
    sums, counts = _sums(values, groups, learned), _sums(np.ones((len(values), 1)), groups, learned)
    return ((sums + overall) / (counts + 1))[groups]


def given(values: Values, strata: Labels, labels: Labels, learned: Mask) -> tuple[Values, Values]:
    """(n, m) forecasts by stratum alone, and by stratum and segment together.

    The second is the first times what the segment's learned customers had over what their strata
    expect of them (indirect standardisation: observed over expected; Breslow and Day, "Statistical
    Methods in Cancer Research II", 1987, chapter 2), with one customer's worth of as expected in
    both. Chances (m > 1) are made to sum to one again.
    """
    alone = by_segment(values, strata, learned)
    groups = _numbered(labels)
    overall = values[learned].mean(axis=0, keepdims=True)
    observed, expected = (_sums(one, groups, learned) + overall for one in (values, alone))
    ratio = np.divide(observed, expected, out=np.ones_like(observed), where=expected > 0)
    together = alone * ratio[groups]
    if values.shape[1] > 1:
        together = together / np.maximum(together.sum(axis=1, keepdims=True), 1e-12)
    return alone, together


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
