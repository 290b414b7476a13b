"""What an action made: the difference between those exposed and a random control group."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from shoal.evaluation.bootstrap import Interval

Values = NDArray[np.float64]


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """A share with the score interval of Wilson (1927), JASA 22.

    >>> found = wilson(81, 263)
    >>> round(found.low, 4), round(found.high, 4)
    (0.2553, 0.3662)
    """
    z, share = _quantile(level), successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    spread = z / (1 + z * z / trials)
    half = spread * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def share_difference(
    successes: int, trials: int, others: int, other_trials: int, level: float = 0.95
) -> Interval:
    """The difference of two shares with an interval made of both score intervals.

    Newcombe, "Interval estimation for the difference between independent proportions" (1998),
    Statistics in Medicine 17, method 10: it keeps its level at small and extreme shares.

    >>> found = share_difference(56, 70, 48, 80)
    >>> round(found.figure, 4), round(found.low, 4), round(found.high, 4)
    (0.2, 0.0524, 0.3339)
    """
    one, two = wilson(successes, trials, level), wilson(others, other_trials, level)
    figure = one.figure - two.figure
    down = sqrt((one.figure - one.low) ** 2 + (two.high - two.figure) ** 2)
    up = sqrt((one.high - one.figure) ** 2 + (two.figure - two.low) ** 2)
    return Interval(figure, figure - down, figure + up)


def mean_difference(values: Values, others: Values, level: float = 0.95) -> Interval | None:
    """The difference of two means with Welch's interval, by the normal distribution.

    Welch, "The generalization of Student's problem" (1947), Biometrika 34. None where a group has
    fewer than two customers. Of few customers with long tails it is too narrow.

    >>> mean_difference(np.array([1.0, 3.0]), np.array([1.0, 1.0])).figure
    1.0
    """
    if min(len(values), len(others)) < 2:
        return None
    figure = float(values.mean() - others.mean())
    error = sqrt(values.var(ddof=1) / len(values) + others.var(ddof=1) / len(others))
    half = _quantile(level) * error
    return Interval(figure, figure - half, figure + half)
