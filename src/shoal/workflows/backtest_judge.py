"""How much of what can be foretold of the next period several segmentations foretell.

Every customer's period is forecast by the mean of the own segment among a half of the customers
that the customer is not in, and judged by a deviance (`shoal.evaluation.deviance`). What can be
foretold at all is what a LightGBM on every feature foretells that learned from the same half, drawn
to the mean as far as that half itself shows is better (of few customers it learns noise). All are
added up over periods, customer by customer, and customers are drawn again for intervals.
Dimensions: n customers of a period, m columns of an outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.evaluation.bootstrap import drawn_sums, interval
from shoal.evaluation.deviance import mix_deviance, poisson_deviance, tweedie_deviance
from shoal.evaluation.foretelling import Deviance, by_segment, halves
from shoal.features.catalog import Catalog
from shoal.features.matrix import numeric_columns
from shoal.heads.next_period import ACTIVE, ORDERS, SPEND, NextPeriod, Period
from shoal.segments.base import CUSTOMER
from shoal.segments.protected import left_out

Floats = npt.NDArray[np.float64]

#: Pairs of halves, and draws of customers.
SPLITS: Final = 2
DRAWS: Final = 1_000
#: What is foretold: activity, orders and spend, as documents name it.
OUTCOMES: Final[Mapping[str, str]] = {"active": ACTIVE, "orders": ORDERS, "spend": SPEND}
_DEVIANCES: Final[Mapping[str, Deviance]] = {
    "active": mix_deviance, "orders": poisson_deviance, "spend": tweedie_deviance,
}  # fmt: skip
#: Of more customers of a period so many are drawn.
MOST_CUSTOMERS: Final = 10_000
#: Shares of a model in its forecast, the rest is the mean.
_TRUST: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Of less there is nothing that segments could have a share of.
LEAST_ATTAINABLE: Final = 0.005

BASE: Final = "base"
ATTAINABLE: Final = "attainable"


@dataclass(frozen=True)
class Asked:
    """A period that is asked about.

    Args:
        table: what was known at its beginning, one row a customer (`customer_id`, features).
        came: by name of `NextPeriod`'s outcomes, (n,) what came.
        labels: strategy -> (n,) ids of the segments that customers were in at its beginning.
    """

    table: pa.Table
    came: Mapping[str, Floats]
    labels: Mapping[str, npt.NDArray[Any]]


def foretold(
    periods: Sequence[Asked],
    catalog: Catalog,
    protected: Sequence[str],
    horizon_days: int,
    seed: int,
) -> dict[str, Any]:
    """By outcome: shares of the deviance, of what is attainable, and differences to the first
    strategy, each with its interval; as JSON.

    Raises:
        ValueError: no period.
    """
    if not periods:
        raise ValueError("there is no period to judge")
    names = list(periods[0].labels)
    sums = [_deviances(one, catalog, protected, horizon_days, seed) for one in periods]
    found: dict[str, Any] = {}
    for outcome in OUTCOMES:
        told = [one[outcome] for one in sums if outcome in one]
        if told:
            columns = _by_customer(told)
            found[outcome] = _shares(columns, names, seed)
    return found


def _deviances(
    asked: Asked, catalog: Catalog, protected: Sequence[str], horizon_days: int, seed: int
) -> dict[str, tuple[list[str], dict[str, Floats]]]:
    """By outcome that varies: customers, and (n,) deviances by strategy, base and attainable."""
    asked = _drawn(asked, seed)
    n = asked.table.num_rows
    columns = head_columns(asked.table, catalog, protected)
    values = {name: _values(name, asked.came) for name in OUTCOMES}
    there = [name for name, one in values.items() if np.ptp(one, axis=0).max(initial=0) > 0]
    labels = {
        name: np.unique(np.asarray(one, dtype=str), return_inverse=True)[1].reshape(-1)
        for name, one in asked.labels.items()
    }
    found = {name: {key: np.zeros(n) for key in (BASE, ATTAINABLE, *labels)} for name in there}
    for learned in halves(n, SPLITS, seed):
        out, rows = ~learned, np.flatnonzero(learned)
        head = _Attaining(columns, horizon_days, seed)
        forecast = head.forecast(Period(asked.table, asked.came), rows, np.flatnonzero(out))
        for name in there:
            y, deviance = values[name], _DEVIANCES[name]
            mean = np.repeat(y[learned].mean(axis=0, keepdims=True), int(out.sum()), axis=0)
            told = found[name]
            base = deviance(y[out], mean)
            told[BASE][out] += base
            said = forecast.get(name)
            told[ATTAINABLE][out] += base if said is None else deviance(y[out], said)
            for key, one in labels.items():
                told[key][out] += deviance(y[out], by_segment(y, one, learned, deviance)[out])
    customers = asked.table[CUSTOMER].to_pylist()
    return {name: (customers, told) for name, told in found.items()}


@dataclass(frozen=True)
class _Attaining:
    """What can be foretold of some customers by a model of others."""

    names: Sequence[str]
    horizon_days: int
    seed: int

    def forecast(
        self, period: Period, learned: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]
    ) -> dict[str, Floats]:
        """By outcome that can be learned: (asked, m)."""
        inner = next(iter(halves(len(learned), 1, self.seed)))
        trial = [learned[inner], learned[~inner]]
        trust = {name: np.zeros(len(_TRUST)) for name in OUTCOMES}
        for own, other in (trial, trial[::-1]):
            for name, (mean, said) in self._said(period, own, other).items():
                y = _values(name, {key: one[other] for key, one in period.outcomes.items()})
                trust[name] += [
                    float(_DEVIANCES[name](y, (1 - w) * mean + w * said).sum()) for w in _TRUST
                ]
        best = {name: _TRUST[int(one.argmin())] for name, one in trust.items()}
        return {
            name: (1 - best[name]) * mean + best[name] * said
            for name, (mean, said) in self._said(period, learned, asked).items()
        }

    def _said(
        self, period: Period, learned: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]
    ) -> dict[str, tuple[Floats, Floats]]:
        """The mean of the learned, and what their model says, both (asked, m)."""
        own = period.take(learned)
        head = NextPeriod(self.names, self.horizon_days, self.seed).fit([own])
        said = head.predict(period.features.take(pa.array(asked)))
        found = {}
        for name, key in OUTCOMES.items():
            if key in said:
                mean = _values(name, own.outcomes).mean(axis=0, keepdims=True)
                found[name] = (np.repeat(mean, len(asked), axis=0), _columns(name, said[key]))
        return found


def _drawn(asked: Asked, seed: int) -> Asked:
    """At most `MOST_CUSTOMERS` of a period, the same for the same customers."""
    if asked.table.num_rows <= MOST_CUSTOMERS:
        return asked
    drawn = np.random.default_rng([seed, 11]).permutation(asked.table.num_rows)
    rows = np.sort(drawn[:MOST_CUSTOMERS])
    return Asked(
        asked.table.take(pa.array(rows)), {name: one[rows] for name, one in asked.came.items()},
        {name: one[rows] for name, one in asked.labels.items()},
    )  # fmt: skip


def head_columns(table: pa.Table, catalog: Catalog, protected: Sequence[str]) -> tuple[str, ...]:
    """What the attainable reads: numeric features that tell no protected trait, and tastes."""
    aside = {one.name for one in catalog if one.window == "now" or one.group == "profile"}
    aside |= left_out(catalog, protected).keys()
    names = [one.name for one in numeric_columns(table, catalog) if one.name not in aside]
    known = {one.name for one in catalog}
    tastes = [
        one.name for one in table.schema if one.name not in known and pa.types.is_floating(one.type)
    ]
    return (*names, *tastes)


def _values(name: str, came: Mapping[str, Floats]) -> Floats:
    return _columns(name, came[OUTCOMES[name]])


def _columns(name: str, values: Floats) -> Floats:
    """(n, 2) of a chance or of what came, else (n, 1)."""
    if name == "active":
        return np.column_stack([values, 1 - values])
    return np.asarray(values, np.float64)[:, None]


def _by_customer(told: Sequence[tuple[list[str], dict[str, Floats]]]) -> dict[str, Floats]:
    """Deviances of each customer, added up over periods."""
    everybody = np.concatenate([np.asarray(customers, dtype=str) for customers, _ in told])
    names, places = np.unique(everybody, return_inverse=True)
    keys = list(told[0][1])
    return {
        key: np.asarray(
            np.bincount(
                places.reshape(-1), np.concatenate([one[key] for _, one in told]), len(names)
            ),
            np.float64,
        )
        for key in keys
    }


def _shares(columns: dict[str, Floats], names: Sequence[str], seed: int) -> dict[str, Any]:
    drawn = drawn_sums(columns, DRAWS, seed)
    total = {key: float(one.sum()) for key, one in columns.items()}
    base = np.where(drawn[BASE] > 0, drawn[BASE], np.nan)
    share = {key: 1 - total[key] / total[BASE] for key in (ATTAINABLE, *names)}
    draws = {key: 1 - drawn[key] / base for key in (ATTAINABLE, *names)}
    most = share[ATTAINABLE] if share[ATTAINABLE] >= LEAST_ATTAINABLE else None
    first = names[0]
    return {
        "customers": len(columns[BASE]),
        "attainable": share[ATTAINABLE],
        "strategies": {
            name: {
                "share": interval(share[name], draws[name]).as_document(),
                "of_attainable": None if most is None else share[name] / most,
                "difference": interval(
                    share[name] - share[first], draws[name] - draws[first]
                ).as_document(),
            }
            for name in names
        },
    }
