"""What customers did in a period, from the log of events, and its deviances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.segments.sets import CANNOT, DAYS_TO_NEXT, MIX, ORDERS, SPEND, Opened
from shoal.evaluation.deviance import (
    Values,
    first_period,
    mix_deviance,
    poisson_deviance,
    tweedie_deviance,
)
from shoal.evaluation.foretelling import Labels, strata_of

#: Equal periods of the horizon in which the next order may fall.
PERIODS = 4
#: The most orders of the period before, and quantiles of days since the last event, of a stratum.
MOST_ORDERS, RECENCIES = 3, (0.25, 0.5, 0.75)

DEVIANCES: Mapping[str, Callable[[Values, Values], Values]] = {
    ORDERS: poisson_deviance,
    SPEND: tweedie_deviance,
    DAYS_TO_NEXT: mix_deviance,
    MIX: mix_deviance,
}


@dataclass(frozen=True)
class Outcome:
    """`values` (n, m) of the customers for whom `known` (n,); of the others nothing is asked."""

    name: str
    values: Values
    known: npt.NDArray[np.bool_]

    def deviance(self, forecast: Values) -> Values:
        """(n,) deviance; 0 where nothing is asked."""
        return np.where(self.known, DEVIANCES[self.name](self.values, forecast), 0.0)


def outcomes(
    opened: Opened, customers: npt.NDArray[Any], since: datetime, until: datetime
) -> list[Outcome]:
    """The outcomes of [since, until) that the set can carry, of customers in their order.

    An order is an `order_id`, or else a time, of value events; spend is price x quantity - discount
    of these, before refunds; days run to the first of them; the mix is the shares of top categories
    among events of any kind, of customers with such an event.
    """
    refused = CANNOT.get(opened.log.set, {})
    bought = _values_in(opened, customers, since, until)
    n = len(customers)
    everybody = np.ones(n, dtype=np.bool_)
    found = [Outcome(ORDERS, _orders(bought, n)[:, None], everybody)]
    if SPEND not in refused:
        money = np.bincount(bought["row"], bought["money"], minlength=n)
        found.append(Outcome(SPEND, np.maximum(money, 0.0)[:, None], everybody))
    days = np.full(n, np.nan)
    first = _first_days(bought, since)
    days[list(first)] = list(first.values())
    edges = np.linspace(0, (until - since) / timedelta(days=1), PERIODS + 1)
    found.append(Outcome(DAYS_TO_NEXT, first_period(days, edges.tolist()), everybody))
    if MIX not in refused and "category" in opened.source.facts["names"]:
        shares, known = _mix(opened, customers, since, until)
        if known.sum() > 1 and shares.shape[1] > 1:
            found.append(Outcome(MIX, shares, known))
    return found


def recent_strata(opened: Opened, customers: npt.NDArray[Any]) -> Labels:
    """(n,) strata of recent activity: orders in the horizon before the cut (0, 1, 2, 3 or more)
    and quarters of the days since the last event."""
    bought = _values_in(opened, customers, opened.before, opened.moment)
    orders = np.minimum(_orders(bought, len(customers)), MOST_ORDERS).astype(np.int64)
    features = opened.source.features(opened.moment)
    rows = pc.index_in(pa.array(list(customers), pa.string()), features["customer_id"])
    recency = np.asarray(features["recency_days"].take(rows).to_numpy(), np.float64)
    quarter = np.searchsorted(np.quantile(recency, RECENCIES), recency)
    return strata_of(orders, quarter)


def _orders(bought: Mapping[str, npt.NDArray[Any]], n: int) -> Values:
    pairs = set(zip(bought["row"].tolist(), bought["order"].tolist(), strict=True))
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    return np.bincount(rows, minlength=n).astype(np.float64)


def _first_days(bought: Mapping[str, npt.NDArray[Any]], since: datetime) -> dict[int, float]:
    first: dict[int, float] = {}
    start = _us(since)
    for row, us in zip(bought["row"].tolist(), bought["us"].tolist(), strict=True):
        days = (us - start) / 86_400_000_000
        first[row] = min(first.get(row, days), days)
    return first


def _values_in(
    opened: Opened, customers: npt.NDArray[Any], since: datetime, until: datetime
) -> dict[str, npt.NDArray[Any]]:
    """Value events of the customers in a period: `row` of the customer, `us`, `order`, `money`."""
    log = _value_events(str(opened.source.shop_dir), _value_event(opened))
    us = log["us"].to_numpy()
    rows = pc.fill_null(
        pc.index_in(log["customer_id"], pa.array(list(customers), pa.string())), -1
    ).to_numpy()
    inside = (us >= _us(since)) & (us < _us(until)) & (rows >= 0)
    kept = log.filter(pa.array(inside))
    return {
        "row": rows[inside].astype(np.int64), "us": us[inside],
        "order": np.asarray(kept["order"].to_pylist(), dtype=object),
        "money": np.nan_to_num(kept["money"].to_numpy().astype(np.float64)),
    }  # fmt: skip


def _value_event(opened: Opened) -> str:
    from bench.harness.data import PUBLIC

    spec = PUBLIC.get(opened.log.set)
    return spec.value_event if spec is not None and spec.value_event else "purchase"


@lru_cache(maxsize=4)
def _value_events(shop_dir: str, kind: str) -> pa.Table:
    """customer_id, us, order, money (micro-units) of all value events of customers."""
    from deltalake import DeltaTable

    names = ["customer_id", "kind", "event_time", "order_id", "price", "quantity", "discount"]
    table = DeltaTable(f"{shop_dir}/events").to_pyarrow_table(columns=names)
    wanted = pc.and_(pc.equal(table["kind"], kind), pc.is_valid(table["customer_id"]))
    table = table.filter(wanted)
    us = table["event_time"].cast(pa.int64())
    price, quantity, discount = (
        pc.fill_null(table[name].cast(pa.float64()), other)
        for name, other in (("price", 0.0), ("quantity", 1.0), ("discount", 0.0))
    )
    money = pc.subtract(pc.multiply(price, quantity), discount)
    order = pc.coalesce(table["order_id"].cast(pa.string()), us.cast(pa.string()))
    return pa.table(
        {"customer_id": table["customer_id"].cast(pa.string()), "us": us, "order": order,
         "money": money}
    )  # fmt: skip


def _mix(
    opened: Opened, customers: npt.NDArray[Any], since: datetime, until: datetime
) -> tuple[Values, npt.NDArray[np.bool_]]:
    names = opened.source.facts["names"]["category"]
    log = opened.source.events
    us = log["event_time"].cast(pa.int64()).to_numpy()
    low, high = np.searchsorted(us, [_us(since), _us(until)])
    log = log.slice(low, high - low)
    rows = pc.index_in(log["customer_id"], pa.array(list(customers), pa.string()))
    places = pc.index_in(log["category"], pa.array(names, pa.string()))
    rows, places = (pc.fill_null(side, -1).to_numpy() for side in (rows, places))
    hit = (rows >= 0) & (places >= 0)
    counts = np.zeros((len(customers), len(names)))
    np.add.at(counts, (rows[hit], places[hit]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0), totals[:, 0] > 0


def _us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
