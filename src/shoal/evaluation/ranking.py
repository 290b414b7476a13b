"""How well scores order outcomes, over draws of customers.

`weights` (draws, n) say how often each customer is in a draw (`shoal.evaluation.bootstrap.draws`);
None stands for one draw that has everybody once. Each figure comes back as (draws,), NaN where a
draw has nothing to order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def auroc(values: Values, scores: Values, weights: Values | None = None) -> Values:
    """The chance that a customer with the outcome has the greater score, ties half.

    The Mann-Whitney statistic over the number of pairs (Hanley and McNeil, "The meaning and use of
    the area under a receiver operating characteristic (ROC) curve", 1982).

    Args:
        values: (n,) 0 or 1.
        scores: (n,); only their order counts.

    >>> auroc(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.3])).tolist()
    [0.75]
    """
    drawn = _drawn(values, weights)
    have = drawn * (values > 0)
    with_it = have.sum(axis=1)
    pairs = with_it * (drawn.sum(axis=1) - with_it)
    won = (mid_ranks(scores, drawn) * have).sum(axis=1) - with_it * (with_it + 1) / 2
    found: Values = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
    return found


def spearman(values: Values, scores: Values, weights: Values | None = None) -> Values:
    """Correlation of ranks, tied ones at their mean (Spearman, 1904).

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0])).tolist()
    [0.5]
    """
    drawn = _drawn(values, weights)
    size = drawn.sum(axis=1, keepdims=True)
    sides = [mid_ranks(one, drawn) for one in (values, scores)]
    left, right = (one - (one * drawn).sum(axis=1, keepdims=True) / size for one in sides)
    spread = np.sqrt((left**2 * drawn).sum(axis=1) * (right**2 * drawn).sum(axis=1))
    both = (left * right * drawn).sum(axis=1)
    found: Values = np.divide(both, spread, out=np.full(len(both), np.nan), where=spread > 0)
    return found


def mid_ranks(values: Values, weights: Values) -> Values:
    """(draws, n) rank of each customer among those of a draw, from 1; ties have their mean rank."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan))
    own = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = np.cumsum(own, axis=1) - own + (own + 1) / 2
    found = np.empty_like(weights)
    found[:, order] = np.repeat(ranks, np.diff(starts, append=len(values)), axis=1)
    return found


def _drawn(values: Values, weights: Values | None) -> Values:
    return np.ones((1, len(values))) if weights is None else weights
