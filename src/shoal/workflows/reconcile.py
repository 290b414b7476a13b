"""Reconcile: the shop's money by month, as its events tell it, to be held against the books."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from shoal.domain import kinds
from shoal.domain.errors import InputError, UsageError
from shoal.domain.money import MICROS
from shoal.domain.time import Zone, to_us
from shoal.features.months import AMOUNTS, MEASURES, Beside, Ledger, MonthMoney, whole
from shoal.features.revenue import Counted, month_name, month_number
from shoal.ports import Registry, StateStore, Warehouse
from shoal.workflows import rates
from shoal.workflows.admission import RATE_AGE_DAYS, Admission
from shoal.workflows.currencies import refuse_mixed
from shoal.workflows.progress import NoProgress, Progress

if TYPE_CHECKING:
    from shoal.workflows.books_compare import Comparison

SCHEMA: Final = "shoal.reconcile/1"

#: What each measure is, in the document and on the page of the manual.
DEFINITIONS: Final = MappingProxyType(
    {
        "month": "a calendar month in the shop's time zone",
        "orders": "distinct order ids of purchases, else distinct customer and moment; in the "
        "month of their first line",
        "units": "units of purchases (1 where a priced line tells no quantity)",
        "gross": "price x quantity of purchases, before discounts, without tax and shipping added "
        "on top",
        "discounts": "what purchases tell was taken off them",
        "refunds": "price x quantity of refunds less their discounts, in the month of the refund",
        "net": "gross - discounts - refunds",
        "tax": "tax of purchases less that of refunds",
        "shipping": "shipping of purchases less that of refunds",
        "total": "net + tax + shipping",
        "customers": "distinct customers who bought, as identity joins them; guests are none",
        "new_customers": "customers whose first order ever lies in the month",
        "guest_orders": "orders without a customer; their money is in all amounts",
    }
)


@dataclass(frozen=True)
class Doubled:
    """Orders that two sources tell, and the net amount of them beyond the larger telling."""

    sources: tuple[str, str]
    orders: int
    amount: int


@dataclass(frozen=True)
class Again:
    """Orders that one source tells again at another time, and the net of the later tellings."""

    source: str
    orders: int
    amount: int


@dataclass(frozen=True)
class Telling:
    """A source that tells of orders: how many, and their net in micro-units."""

    source: str
    orders: int
    net: int


@dataclass(frozen=True)
class Reconciliation:
    """The money of a shop by month; amounts are micro-units of `currency` ("" if none is told).

    `beside` is what no measure holds: left-out orders by reason, fees, gift cards. `doubled` are
    orders that several sources tell, all of which count while the shop does not say whose do;
    `again` are orders that one source tells again, which count each time; `sources` are all that
    tell of orders. `ends` are the months that are not whole because the
    shop's money begins or ends in them: month, `begins` or `ends`, day.
    """

    currency: str
    zone: str
    months: tuple[MonthMoney, ...]
    total: MonthMoney
    beside: tuple[Beside, ...] = ()
    doubled: tuple[Doubled, ...] = ()
    again: tuple[Again, ...] = ()
    sources: tuple[Telling, ...] = ()
    ends: tuple[tuple[str, str, date], ...] = ()
    comparison: Comparison | None = None

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.reconcile/1`; amounts in units of the currency."""
        return {
            "schema": SCHEMA,
            "currency": self.currency or None,
            "time_zone": self.zone,
            "from": self.months[0].month if self.months else None,
            "to": self.months[-1].month if self.months else None,
            "months": [{"month": one.month} | told(one) for one in self.months],
            "total": told(self.total),
            "left_out": [
                {"why": one.why, "orders": one.orders, "lines": one.lines,
                 "amount": one.amount / MICROS}
                for one in self.beside
            ],
            "told_by_several": [
                {"sources": list(one.sources), "orders": one.orders, "amount": one.amount / MICROS}
                for one in self.doubled
            ],
            "told_again": [
                {"source": one.source or None, "orders": one.orders,
                 "amount": one.amount / MICROS}
                for one in self.again
            ],
            "sources": [
                {"source": one.source, "orders": one.orders, "net": one.net / MICROS}
                for one in self.sources
            ],
            "not_whole": [
                {"month": month, what: day.isoformat()} for month, what, day in self.ends
            ],
            "definitions": dict(DEFINITIONS),
            "against": None if self.comparison is None else self.comparison.as_document(),
        }  # fmt: skip


def told(one: MonthMoney) -> dict[str, Any]:
    """The measures of a month, amounts in units of the currency."""
    return {
        name: getattr(one, name) / MICROS if name in AMOUNTS else getattr(one, name)
        for name in MEASURES
    }


def reconcile(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    admission: Admission,
    zone: Zone,
    quarantine_dir: Path,
    noise: Sequence[str] = (),
    order_sources: tuple[str, ...] = (),
    against: Path | None = None,
    first: str | None = None,
    last: str | None = None,
    tolerance: float = 0.01,
    progress: Progress | None = None,
) -> Reconciliation:
    """The shop's money by local month, and how it differs from the books.

    Args:
        noise: codes of noise that are left out of the money; stretches of visitors that a pace
            rule caught are too, by the rules that `admission` has switched on.
        order_sources: sources whose orders count; none: every source's.
        against: a table of months and amounts.
        first, last: months (`2024-03`); None: from the first, to the last with money.
        tolerance: amounts that differ by no more agree, in units of the currency.

    Raises:
        UsageError: `bad_time`, a month cannot be read; `bad_setting`, a negative tolerance.
        InputError: `mixed_currencies`, `rates_missing`; `too_little_data`, no purchase or refund;
            `bad_books` and what reading a file raises.
    """
    span = _month("from", first), _month("to", last)
    if tolerance < 0:
        raise UsageError("bad_setting", f"--tolerance {tolerance} is negative", hint="Give 0.01.")
    books = None
    if against is not None:
        from shoal.workflows.books import read_books

        books = read_books(against)
    bar = progress or NoProgress()
    bar.start("reconcile", None)
    try:
        ledger = ledger_of(warehouse, store, registry, admission, noise, order_sources)
        found = summary(ledger, zone, *span)
        if books is not None:
            from shoal.workflows.books_compare import compare

            comparison = compare(
                ledger, found, books, zone=zone, quarantine_dir=quarantine_dir, store=store,
                tolerance=tolerance, asked=span,
            )  # fmt: skip
            found = replace(found, comparison=comparison)
    finally:
        bar.done()
    return found


def ledger_of(
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    admission: Admission,
    noise: Sequence[str],
    order_sources: tuple[str, ...],
    before: datetime | None = None,
) -> Ledger:
    """The lines of money of a shop, before a moment (None: all), added up by moment.

    Raises:
        InputError: `mixed_currencies` or `rates_missing`.
    """
    currency = admission.currency
    known = rates.daily_rates(store, registry, RATE_AGE_DAYS, currency)
    engine, events = warehouse.engine, warehouse.events()
    refuse_mixed(
        engine, events, currency=currency, rates=known, value_event=kinds.PURCHASE, noise=noise,
        order_sources=order_sources, before=before,
    )  # fmt: skip
    decisions = admission.decisions(before)
    counted = Counted(
        currency=currency,
        rates=known,
        people=decisions.people,
        noise=tuple(noise),
        order_sources=order_sources,
        before_us=None if before is None else to_us(before),
        flags=decisions.flags,
    )
    directory = admission.workspace()
    try:
        ledger = Ledger(engine, events, counted, directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    weakref.finalize(ledger, shutil.rmtree, directory, ignore_errors=True)
    return ledger


def summary(
    ledger: Ledger, zone: Zone, first: int | None = None, last: int | None = None
) -> Reconciliation:
    """The months of a ledger from one to another (counted since year 0), and what stands beside.

    Raises:
        InputError: `too_little_data`, there is no purchase or refund in them.
    """
    every = ledger.months()
    months = [
        one
        for one in every
        if (first is None or month_number(one.month) >= first)
        and (last is None or month_number(one.month) <= last)
    ]
    if not months:
        span = f"; the shop's money is from {every[0].month} to {every[-1].month}" if every else ""
        raise InputError(
            "too_little_data",
            f"there is no purchase or refund to reconcile{span}",
            hint="Choose other months, or ingest orders first.",
        )
    lowest, highest = month_number(months[0].month), month_number(months[-1].month)
    buyers = ledger.buyers(lowest, highest)
    return Reconciliation(
        currency=ledger.counted.currency,
        zone=zone.name,
        months=tuple(months),
        total=whole(months, buyers),
        beside=tuple(ledger.beside(lowest, highest)),
        doubled=_doubled(ledger, lowest, highest),
        again=_again(ledger, lowest, highest),
        sources=tuple(Telling(**row) for row in ledger.sources),
        ends=tuple(
            (month_name(month), what, day)
            for month, what, day in ledger.ends()
            if lowest <= month <= highest
        ),
    )


def _doubled(ledger: Ledger, first: int, last: int) -> tuple[Doubled, ...]:
    found: dict[tuple[str, str], list[int]] = {}
    for row in ledger.doubled:
        if first <= row["month"] <= last:
            sums = found.setdefault((row["least"], row["most"]), [0, 0])
            sums[0] += row["orders"]
            sums[1] += row["gross"] - row["discounts"]
    return tuple(Doubled(pair, *sums) for pair, sums in sorted(found.items()))


def _again(ledger: Ledger, first: int, last: int) -> tuple[Again, ...]:
    found: dict[str, list[int]] = {}
    for row in ledger.told_again:
        if first <= row["month"] <= last:
            sums = found.setdefault(row["source"], [0, 0])
            sums[0] += row["orders"]
            sums[1] += row["gross"] - row["discounts"]
    return tuple(Again(source, *sums) for source, sums in sorted(found.items()))


def _month(which: str, text: str | None) -> int | None:
    """The number of a month of the command line."""
    if text is None:
        return None
    try:
        number = month_number(text)
    except ValueError:
        number = -1
    if number < 0 or month_name(number) != text:
        raise UsageError(
            "bad_time", f"cannot read --{which} {text!r} as a month", hint="Write it as 2024-03."
        )
    return number
