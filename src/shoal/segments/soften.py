"""Weights that mean what they say: the chance that a customer is found there when looked at again.

Posteriors of a mixture in many dimensions are near 0 or 1 although customers near a border change
sides from one look to the next: what is certain is the model, not the customer. One number, the
temperature, mends this without changing whose weight is largest (temperature scaling; Guo, Pleiss,
Sun and Weinberger, 2017): weights to the power of 1 / temperature, brought back to a sum of one. It
is fitted on customers who were looked at twice: the weights then against the place now.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.segments.base import Weights

#: Temperatures that are tried; below 1 weights would be sharper than the model says.
LEAST: Final = 1.0
MOST: Final = 32.0
#: Fewer customers seen twice tell no temperature.
FEWEST: Final = 50
#: The chance that everybody has of being anywhere at all: no surprise is endless.
_SURPRISE: Final = 1e-4
_STEPS: Final = 40
_GOLDEN: Final = (np.sqrt(5) - 1) / 2


def softened(weights: Weights, temperature: float) -> Weights:
    """(n, k) weights to the power of 1 / temperature; each row sums to one.

    >>> softened(np.array([[0.9, 0.1]]), 2.0)
    array([[0.75, 0.25]])
    """
    if temperature == 1 or not weights.size:
        return weights
    powers = np.power(weights, 1 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def surprise(weights: Weights, places: npt.NDArray[np.int64], temperature: float) -> float:
    """Mean log-loss of the places found under softened weights of before."""
    told = softened(weights, temperature)[np.arange(len(places)), places]
    k = weights.shape[1]
    return float(-np.log((1 - _SURPRISE) * told + _SURPRISE / k).mean())


def fitted_temperature(weights: Weights, places: npt.NDArray[Any]) -> float | None:
    """The temperature under which weights foretell places best; None where too few are seen twice.

    Args:
        weights: (n, k) as the method gave them at an earlier look.
        places: (n,) where the same customers are now by the largest weight.

    The log-loss over the logarithm of the temperature, between `LEAST` and `MOST`, by golden
    section.
    """
    found = np.asarray(places, dtype=np.int64)
    if len(found) < FEWEST or weights.shape[1] < 2:
        return None
    low, high = np.log(LEAST), np.log(MOST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    losses = [surprise(weights, found, float(np.exp(one))) for one in (left, right)]
    for _ in range(_STEPS):
        if losses[0] <= losses[1]:
            high, right, losses[1] = right, left, losses[0]
            left = high - _GOLDEN * (high - low)
            losses[0] = surprise(weights, found, float(np.exp(left)))
        else:
            low, left, losses[0] = left, right, losses[1]
            right = low + _GOLDEN * (high - low)
            losses[1] = surprise(weights, found, float(np.exp(right)))
    best = float(np.exp((low + high) / 2))
    edge = surprise(weights, found, LEAST)
    return LEAST if edge <= surprise(weights, found, best) else best
