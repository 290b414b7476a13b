"""Months of a shop's money, made of what `shoal.features.revenue` counts by moment.

The sums by moment are small (a quarter of an hour on the first and last day of a month, else a
day), so the same sums answer what the months would be with test orders, without guests, or cut in
another time zone, and the event table is read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.features import revenue, revenue_doubts
from shoal.features.revenue import Counted, month_name
from shoal.ports import Engine, Relation

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
#: A value a month (counted since year 0).
ByMonth = dict[int, int]

_EPOCH: Final = date(1970, 1, 1)
#: Days without money at the beginning or end of a month that still is a whole one.
_QUIET_DAYS: Final = 3

#: Amounts in micro-units of the shop's currency; the other measures are counts.
AMOUNTS: Final = ("gross", "discounts", "refunds", "net", "tax", "shipping", "total")
#: What the sums by moment tell; `net` and `total` are made of the others.
ADDED: Final = ("units", "gross", "discounts", "refunds", "tax", "shipping")


@dataclass(frozen=True)
class MonthMoney:
    """The money of a month (`2024-03`), or of all of them (`month` empty).

    Amounts are micro-units. `customers` bought in the month; `new_customers` bought for the first
    time ever; `guest_orders` are the orders without a customer.
    """

    month: str
    orders: int = 0
    units: int = 0
    gross: int = 0
    discounts: int = 0
    refunds: int = 0
    tax: int = 0
    shipping: int = 0
    customers: int = 0
    new_customers: int = 0
    guest_orders: int = 0

    @property
    def net(self) -> int:
        return self.gross - self.discounts - self.refunds

    @property
    def total(self) -> int:
        return self.net + self.tax + self.shipping


#: In the order in which they are told.
MEASURES: Final = (
    "orders", "units", "gross", "discounts", "refunds", "net", "tax", "shipping", "total",
    "customers", "new_customers", "guest_orders",
)  # fmt: skip


@dataclass(frozen=True)
class Beside:
    """Money that is in no measure: lines and orders left out, fees, gift cards; and why."""

    why: str
    orders: int
    lines: int
    amount: int


class Ledger:
    """The lines of money of a shop, added up by moment.

    Args:
        events: the event table's, as stored.
        directory: an empty one, for the lines; it must last as long as the ledger.
    """

    def __init__(self, engine: Engine, events: Relation, counted: Counted, directory: Path) -> None:
        self.counted = counted
        self._engine = engine
        self._lines = revenue.spool(engine, events, counted, directory)
        self._sums = self.run(revenue.sums())
        self._orders = self.run(revenue.orders())
        self._customers = self.run(revenue.customers()).to_pylist()

    def run(self, table: ir.Table) -> pa.Table:
        """Rows of a query over the lines."""
        return self._engine.run(self._engine.compile(table), {"lines": self._lines})

    @cached_property
    def sources(self) -> list[dict[str, Any]]:
        """Rows of `revenue_doubts.by_source`."""
        return self.run(revenue_doubts.by_source()).to_pylist()

    @cached_property
    def doubled(self) -> list[dict[str, Any]]:
        """Rows of `revenue_doubts.doubled`."""
        if len(self.sources) < 2:
            return []
        return self.run(revenue_doubts.doubled()).to_pylist()

    @cached_property
    def told_again(self) -> list[dict[str, Any]]:
        """Rows of `revenue_doubts.told_again`."""
        return self.run(revenue_doubts.told_again()).to_pylist()

    # -- columns ----------------------------------------------------------------------------------

    def sums(self, name: str) -> Ints:
        """A column of sums."""
        return np.asarray(self._sums[name].to_numpy(), dtype=np.int64)

    def flag(self, name: str) -> Mask:
        """A dimension that is true or false."""
        return np.asarray(self._sums[name].to_numpy(), dtype=bool)

    @cached_property
    def what(self) -> NDArray[Any]:
        return np.asarray(self._sums["what"].to_pylist(), dtype=object)

    @cached_property
    def left_out(self) -> NDArray[Any]:
        """Why a line is left out, "" where it counts."""
        return _texts(self._sums["left_out"])

    @property
    def counts(self) -> Mask:
        return np.asarray(self.left_out == "", dtype=bool)

    @cached_property
    def measures(self) -> Mapping[str, Ints]:
        """What each row of the sums adds to each of `ADDED`."""
        bought, back = self.what == revenue.PURCHASE, self.what == revenue.REFUND
        sign = bought.astype(np.int64) - back
        amount, reduction = self.sums("amount"), self.sums("reduction")
        shipped_back = np.where(self.what == revenue.SHIPPING_REFUND, amount, 0)
        return {
            "units": np.where(bought, self.sums("units"), 0),
            "gross": np.where(bought, amount, 0),
            "discounts": np.where(bought, reduction, 0),
            "refunds": np.where(back, np.abs(amount) - reduction, 0),
            "tax": sign * self.sums("tax"),
            "shipping": sign * self.sums("shipping") - shipped_back,
        }

    # -- months -----------------------------------------------------------------------------------

    def by_month(
        self, values: Ints, where: Mask | None = None, *, shift_quarters: int = 0, utc: bool = False
    ) -> ByMonth:
        """Values of the sums' rows added up by month.

        Args:
            where: rows that count.
            shift_quarters: quarters of an hour added to local time before it is cut into months,
                at most a day.
            utc: months of UTC.
        """
        months = _months(self._sums, shift_quarters, utc)
        return _added(months, values, where)

    def orders_by_month(
        self, where: Mask | None = None, *, shift_quarters: int = 0, utc: bool = False
    ) -> ByMonth:
        """Orders by month, as `by_month`; `where` is over groups of orders."""
        months = _months(self._orders, shift_quarters, utc)
        return _added(months, np.asarray(self._orders["n"].to_numpy(), dtype=np.int64), where)

    @cached_property
    def orders_left_out(self) -> NDArray[Any]:
        """Why a group of orders is left out, "" where it counts."""
        return _texts(self._orders["left_out"])

    def order_flag(self, name: str) -> Mask:
        """Of the groups of orders that count: `guest`, `cancelled` or `free`."""
        flag = np.asarray(self._orders[name].to_numpy(), dtype=bool)
        return np.asarray(flag & (self.orders_left_out == ""), dtype=bool)

    def customers_by_month(self) -> tuple[ByMonth, ByMonth]:
        """Customers who bought, and those who did for the first time."""
        bought: ByMonth = {}
        new: ByMonth = {}
        for row in self._customers:
            bought[row["month"]] = bought.get(row["month"], 0) + row["n"]
            if row["month"] == row["first"]:
                new[row["month"]] = row["n"]
        return bought, new

    def months(self) -> list[MonthMoney]:
        """Every month from the first to the last with money, quiet ones included."""
        columns: dict[str, ByMonth] = {
            name: self.by_month(self.measures[name], self.counts) for name in ADDED
        }
        columns["orders"] = self.orders_by_month(self.orders_left_out == "")
        columns["guest_orders"] = self.orders_by_month(self.order_flag("guest"))
        columns["customers"], columns["new_customers"] = self.customers_by_month()
        known = sorted(month for name in ("orders", *ADDED) for month in columns[name])
        return [
            MonthMoney(
                month_name(m), **{name: column.get(m, 0) for name, column in columns.items()}
            )
            for m in (range(known[0], known[-1] + 1) if known else ())
        ]

    def ends(self) -> list[tuple[int, str, date]]:
        """The months in which the shop's money begins and ends, where they are not whole: month,
        `begins` or `ends`, day. A few days without money at an end are no sign of it."""
        days = np.asarray(self._sums["quarter"].to_numpy(), np.int64)[self.counts] // 96
        if not len(days):
            return []
        first, last = (_EPOCH + timedelta(days=int(day)) for day in (days.min(), days.max()))
        found = []
        if first.day > _QUIET_DAYS:
            found.append((first.year * 12 + first.month - 1, "begins", first))
        if (last + timedelta(days=_QUIET_DAYS)).month == last.month:
            found.append((last.year * 12 + last.month - 1, "ends", last))
        return found

    def buyers(self, first: int, last: int) -> int:
        """How many customers bought from one month to another."""
        bought, new = self.customers_by_month()
        if first <= min(bought, default=first):  # everybody was new once
            return sum(n for month, n in new.items() if month <= last)
        return int(self.run(revenue.buyers(first, last))["n"][0].as_py() or 0)

    def beside(self, first: int, last: int) -> list[Beside]:
        """What is in no measure, from one month to another: left-out lines by reason, then fees."""
        months = _months(self._sums, 0, False)
        within = (months >= first) & (months <= last)
        of_orders = _months(self._orders, 0, False)
        n = np.asarray(self._orders["n"].to_numpy(), dtype=np.int64)
        net = self.measures["gross"] - self.measures["discounts"] - self.measures["refunds"]
        found = []
        for why in sorted(set(self.left_out) - {""}):
            mask = within & (self.left_out == why)
            own = (self.orders_left_out == why) & (of_orders >= first) & (of_orders <= last)
            found.append(Beside(why, int(n[own].sum()), *self._told(mask, net)))
        for what in (revenue.FEE, revenue.GIFT_CARD):
            mask = within & self.counts & (self.what == what)
            found.append(Beside(what, 0, *self._told(mask, self.sums("amount"))))
        return [one for one in found if one.lines]

    def _told(self, mask: Mask, values: Ints) -> tuple[int, int]:
        return int(self.sums("lines")[mask].sum()), _sum(values[mask])


def whole(months: list[MonthMoney], customers: int) -> MonthMoney:
    """All months together; `customers` are distinct over them."""
    names = [field.name for field in fields(MonthMoney) if field.name not in ("month", "customers")]
    added = {name: sum(getattr(one, name) for one in months) for name in names}
    return MonthMoney("", customers=customers, **added)


def _texts(column: pa.ChunkedArray) -> NDArray[Any]:
    return np.asarray(["" if text is None else text for text in column.to_pylist()], dtype=object)


def _months(table: pa.Table, shift_quarters: int, utc: bool) -> Ints:
    """The month of each row, local time shifted, or UTC."""
    quarters = np.asarray(table["quarter"].to_numpy(), dtype=np.int64) + shift_quarters
    if utc:
        offsets = np.asarray(table["offset_s"].to_numpy(), dtype=np.int64)
        quarters = quarters - offsets // 900
    calendar = revenue.calendar()
    first = calendar["day"][0].as_py()
    months = np.asarray(calendar["month"].to_numpy(), dtype=np.int64)
    return months[quarters // revenue.QUARTERS_A_DAY - first]


def _added(months: Ints, values: Ints, where: Mask | None) -> ByMonth:
    if where is not None:
        months, values = months[where], values[where]
    names, places = np.unique(months, return_inverse=True)
    if np.abs(values.astype(np.float64)).sum() > 2.0**62:  # beyond what int64 adds up
        exact = values.astype(object)
        return {int(m): sum(exact[places == i]) for i, m in enumerate(names)}
    found = np.zeros(len(names), np.int64)
    np.add.at(found, places, values)
    return {int(month): int(value) for month, value in zip(names, found, strict=True)}


def _sum(values: Ints) -> int:
    return int(sum(values.tolist()))
