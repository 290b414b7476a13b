"""What is foretold of customers in a window, and how well a forecast told it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.harness.source import CUSTOMER
from bench.segments import outcomes as counted
from bench.users.sets import ACTIVE, DAYS_TO_NEXT, MIX, ORDERS, SPEND, Opened
from shoal.evaluation.deviance import Values

TITLES: Mapping[str, str] = {
    ACTIVE: "active", ORDERS: "orders", SPEND: "spend", MIX: "category mix",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """`values` (n, m) of customers; `known` (n,) of whom something is asked."""

    name: str
    values: Values
    known: npt.NDArray[np.bool_]

    def rows(self, which: npt.NDArray[np.int64]) -> Outcome:
        """Some of the customers."""
        return Outcome(self.name, self.values[which], self.known[which])

    def deviance(self, forecast: Values) -> Values:
        """(n,) deviance, the log loss of `active` among them; 0 where nothing is asked."""
        if self.name == ACTIVE:
            both = np.column_stack([self.values, 1 - self.values])
            p = np.clip(forecast, 1e-6, 1 - 1e-6)
            found = counted.mix_deviance(both, np.column_stack([p, 1 - p]))
        else:
            found = counted.DEVIANCES[self.name](self.values, forecast)
        return np.where(self.known, found, 0.0)


def outcomes(
    opened: Opened, customers: Sequence[str], since: datetime, until: datetime
) -> dict[str, Outcome]:
    """The outcomes of [since, until) that the set can carry, of customers in their order.

    `active` is an event of any kind; orders, spend and category mix are those of `bench.segments`.
    """
    names = np.asarray(customers, dtype=object)
    log = opened.source.events
    times = log["event_time"]
    low, high = (pa.scalar(moment, times.type) for moment in (since, until))
    inside = log.filter(pc.and_(pc.greater_equal(times, low), pc.less(times, high)))
    there = pc.is_in(pa.array(list(customers), pa.string()), pc.unique(inside[CUSTOMER]))
    active = np.asarray(there.to_numpy(zero_copy_only=False), np.float64)[:, None]
    found = {ACTIVE: Outcome(ACTIVE, active, np.ones(len(names), dtype=np.bool_))}
    for one in counted.outcomes(opened, names, since, until):  # type: ignore[arg-type]
        if one.name != DAYS_TO_NEXT:
            found[one.name] = Outcome(one.name, one.values, one.known)
    return found


def auroc(values: Values, scores: Values, weights: Values | None = None) -> Values:
    """(draws,) chance that one who was active has the greater score, ties half.

    Args:
        values: (n,) 0 or 1.
        scores: (n,) forecasts; only their order counts.
        weights: (draws, n) how often each customer is in a draw; None: once.

    NaN where a draw has customers of one kind alone. The Mann-Whitney statistic over the number of
    pairs (Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982).

    >>> auroc(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.3])).tolist()
    [0.75]
    """
    weights = np.ones((1, len(values))) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.inf))  # last place of each tie
    starts = np.concatenate([[0], ends[:-1] + 1])
    sorted_weights, positive = weights[:, order], values[order] > 0
    mine = np.add.reduceat(sorted_weights * positive, starts, axis=1)
    other = np.add.reduceat(sorted_weights * ~positive, starts, axis=1)
    below = np.cumsum(other, axis=1) - other
    won = (mine * (below + other / 2)).sum(axis=1)
    pairs = mine.sum(axis=1) * other.sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)


__all__ = ["ACTIVE", "MIX", "ORDERS", "SPEND", "TITLES", "Outcome", "auroc", "outcomes"]
