"""Two segmentations of the same customers, backtested: which foretells more of what came after.

Labels are as they stood at a moment, outcomes are those after it. Each outcome is forecast by the
mean of a customer's segment among a half of the customers that the customer is not in, and judged
by a deviance (`shoal.evaluation.deviance`) against one mean for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shoal.evaluation.bootstrap import Interval, drawn_sums, interval
from shoal.evaluation.deviance import share_explained
from shoal.evaluation.foretelling import Deviance, Labels, Values, by_segment, halves

#: Pairs of halves, and draws of customers for intervals.
SPLITS: Final = 3
DRAWS: Final = 2_000
#: Customers who had to do something for an outcome to be asked about.
FEWEST: Final = 20

BASE: Final = "base"


@dataclass(frozen=True)
class Outcome:
    """What customers did: `values` (n, m), for whom it is `known` (n,), and how it is judged."""

    name: str
    values: Values
    known: NDArray[np.bool_]
    deviance: Deviance

    @property
    def varies(self) -> bool:
        """Whether there is anything to foretell, of customers enough."""
        if self.known.sum() < FEWEST:
            return False
        return bool(np.ptp(self.values[self.known], axis=0).max() > 0)


@dataclass(frozen=True)
class Judged:
    """One outcome: of each segmentation the share of deviance explained with its interval, and
    the difference of the first to the second."""

    name: str
    customers: int
    shares: Mapping[str, Interval]
    difference: Interval

    @property
    def winner(self) -> str:
        """The segmentation that foretells more; empty where the interval holds zero."""
        first, second = self.shares
        if self.difference.low > 0:
            return first
        return second if self.difference.high < 0 else ""

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "outcome": self.name,
            "customers": self.customers,
            "shares": {name: one.as_document() for name, one in self.shares.items()},
            "difference": self.difference.as_document(),
            "winner": self.winner or None,
        }


def backtest(
    outcomes: Sequence[Outcome], labels: Mapping[str, Labels], *, seed: int = 0
) -> list[Judged]:
    """Every outcome that varies, judged with both segmentations on the same halves and draws.

    Args:
        labels: name -> (n,) segments as they stood before the outcomes; two of them.

    Raises:
        ValueError: not two segmentations.
    """
    if len(labels) != 2:
        raise ValueError(f"{len(labels)} segmentations, two are compared")
    return [_judged(one, labels, seed) for one in outcomes if one.varies]


def _judged(outcome: Outcome, labels: Mapping[str, Labels], seed: int) -> Judged:
    rows = np.flatnonzero(outcome.known)
    values = outcome.values[rows]
    nobody = np.zeros(len(rows), dtype=np.int64)
    columns = {BASE: _deviances(values, nobody, outcome.deviance, seed)}
    columns |= {
        name: _deviances(values, np.asarray(one)[rows], outcome.deviance, seed)
        for name, one in labels.items()
    }
    drawn = drawn_sums(columns, DRAWS, seed)
    found = {name: share_explained(columns[name], columns[BASE]) for name in labels}
    base = np.where(drawn[BASE] > 0, drawn[BASE], np.nan)
    told = {name: 1 - drawn[name] / base for name in labels}
    first, second = labels
    return Judged(
        outcome.name,
        len(rows),
        {name: interval(found[name], told[name]) for name in labels},
        interval(found[first] - found[second], told[first] - told[second]),
    )


def _deviances(values: Values, labels: Labels, deviance: Deviance, seed: int) -> Values:
    """(n,) mean deviance of each customer over the splits, always by others' means."""
    found = np.zeros(len(values))
    for learned in halves(len(values), SPLITS, seed):
        asked = ~learned
        forecast = by_segment(values, labels, learned, deviance)
        found[asked] += deviance(values[asked], forecast[asked])
    return found / SPLITS
