"""Intervals by drawing customers again, paired: all methods are judged on the same draws.

Percentile intervals of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter
13, of ratios of sums of customers' deviances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_AT_ONCE: Final = 100


@dataclass(frozen=True)
class Interval:
    """A figure and the ends of its interval."""

    figure: float
    low: float
    high: float

    def as_document(self) -> dict[str, float]:
        return {"figure": self.figure, "low": self.low, "high": self.high}


def draws(customers: int, number: int, seed: int) -> Iterator[Values]:
    """How often each customer is in a draw, some draws at a time: (draws, customers)."""
    random = np.random.default_rng(seed)
    for start in range(0, number, _AT_ONCE):
        size = min(_AT_ONCE, number - start)
        rows = random.integers(customers, size=(size, customers))
        found = np.zeros((size, customers))
        np.add.at(found, (np.arange(size)[:, None], rows), 1)
        yield found


def drawn_sums(columns: Mapping[str, Values], number: int, seed: int) -> dict[str, Values]:
    """(draws,) sums of each (n,) column over the customers of each draw, the same for all."""
    names = list(columns)
    table = np.column_stack([columns[name] for name in names])
    found = np.vstack([weights @ table for weights in draws(len(table), number, seed)])
    return {name: found[:, place] for place, name in enumerate(names)}


def interval(figure: float, drawn: Values, level: float = 0.95) -> Interval:
    """The interval between the quantiles of a figure's draws."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Interval(figure, float(low), float(high))
