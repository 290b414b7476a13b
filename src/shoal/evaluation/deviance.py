"""How far outcomes lie from forecasts, customer by customer, and the share that forecasts explain.

Each deviance is twice a log-likelihood ratio (McCullagh and Nelder, "Generalized Linear Models",
2nd ed., 1989, section 2.3) or a Bregman divergence, so the expected one is least where the forecast
is the true mean, whatever the distribution (Gneiting, "Making and evaluating point forecasts",
2011, theorem 7): a method cannot win by forecasting something else than the mean. Outcomes and
forecasts have the shape (n, m); deviances come back as (n,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

#: The least mean and the least probability that a forecast is taken to say.
LEAST: Final = 1e-9


def poisson_deviance(values: Values, forecast: Values) -> Values:
    """2 (y log(y / mu) - y + mu) of counts, summed over the columns.

    >>> poisson_deviance(np.array([[0.0], [2.0]]), np.array([[1.0], [2.0]])).tolist()
    [2.0, 0.0]
    """
    mean = np.maximum(forecast, LEAST)
    logs = _xlogy(values, values / mean)
    return np.asarray(2 * (logs - values + mean).sum(axis=1))


def tweedie_deviance(values: Values, forecast: Values, power: float = 1.5) -> Values:
    """Unit deviance of Tweedie's family with variance mu ** power, 1 < power < 2.

    A compound of a Poisson number of gamma amounts: many zeros and a long tail, as spend has
    (Jørgensen, "The Theory of Dispersion Models", 1997, chapter 4). Shares explained do not depend
    on the currency's unit.

    Raises:
        ValueError: power outside (1, 2), or a negative value.
    """
    if not 1 < power < 2:
        raise ValueError(f"power is {power}; allowed: between 1 and 2")
    if (values < 0).any():
        raise ValueError("Tweedie deviance of a negative value")
    mean = np.maximum(forecast, LEAST)
    parts = (
        values ** (2 - power) / ((1 - power) * (2 - power))
        - values * mean ** (1 - power) / (1 - power)
        + mean ** (2 - power) / (2 - power)
    )
    return np.asarray(2 * parts.sum(axis=1))


def mix_deviance(shares: Values, forecast: Values) -> Values:
    """2 sum(s log(s / p)): multinomial deviance of a customer's shares, of weight one a customer.

    With shares of 0 and 1 it is twice the log loss.

    >>> mix_deviance(np.array([[0.5, 0.5], [1.0, 0.0]]), np.full((2, 2), 0.5)).round(3).tolist()
    [0.0, 1.386]
    """
    p = np.maximum(forecast, LEAST)
    return np.asarray(2 * _xlogy(shares, shares / p).sum(axis=1))


def _xlogy(x: Values, ratio: Values) -> Values:
    return np.where(x > 0, x * np.log(np.where(x > 0, ratio, 1.0)), 0.0)


def first_period(days: Values, edges: Sequence[float]) -> Values:
    """(n, periods + 1) which period holds the first event: 0 or 1, the last column for none.

    Period j holds `edges[j] <= days < edges[j + 1]`; NaN and later is none. Everybody is watched
    to the last edge, so a model of the columns is a discrete-time hazard model with censoring
    there: the chance of column j is h_j prod(1 - h_i, i < j) (Singer and Willett, "It's about time:
    using discrete-time survival analysis", 1993), and its deviance is `mix_deviance`.

    >>> first_period(np.array([0.5, 8.0, np.nan]), [0, 7, 14]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    periods = len(edges) - 1
    place = np.searchsorted(edges, np.where(np.isnan(days), np.inf, days), side="right") - 1
    return np.eye(periods + 1)[np.clip(place, 0, periods)]


def from_hazards(hazards: Values) -> Values:
    """(n, periods + 1) chances of the first event in each period, and of none, by (n, periods).

    >>> from_hazards(np.array([[0.5, 0.5]])).tolist()
    [[0.5, 0.25, 0.25]]
    """
    alive = np.cumprod(1 - hazards, axis=1)
    before = np.column_stack([np.ones(len(hazards)), alive[:, :-1]])
    return np.column_stack([hazards * before, alive[:, -1]])


def share_explained(own: Values, base: Values) -> float:
    """1 - D / D0: the share of the base forecast's deviance that a forecast explains.

    NaN where the base has none: there was nothing to explain.
    """
    total = float(base.sum())
    return 1 - float(own.sum()) / total if total > 0 else float("nan")
