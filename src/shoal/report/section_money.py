"""The section on the shop's money: each month's orders, sales, refunds and customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.domain.money import MICROS
from shoal.report.document import MoneyMonth, ShopMoney
from shoal.report.draw import Series, columns
from shoal.report.names import clean
from shoal.report.views import Plot, Table
from shoal.report.wording import Wording

#: Columns of the table, in order. Those that may be absent are left out where all are 0.
_COLUMNS: Final = (
    "orders", "units", "gross", "discounts", "refunds", "net", "tax", "shipping", "total",
    "customers", "new_customers",
)  # fmt: skip
_MAY_BE_ABSENT: Final = frozenset({"discounts", "refunds", "tax", "shipping"})
_COUNTS: Final = frozenset({"orders", "units", "customers", "new_customers"})


@dataclass(frozen=True)
class MoneyView:
    """What the template shows of the shop's money; the plot, where there is one, has the table."""

    lead: str
    plot: Plot | None
    table: Table
    notes: Sequence[str]


def money(wording: Wording, found: ShopMoney) -> MoneyView:
    """The section of a document that holds the months' money."""
    texts = wording.texts
    table = _table(wording, found)
    unit = "unit" if found.currency else "no_unit"
    lead = texts("money.lead") + texts("money.lead_" + unit, currency=clean(found.currency))
    return MoneyView(
        lead=lead + texts("money.lead_books"),
        plot=_plot(wording, found, table) if len(found.months) > 1 else None,
        table=table,
        notes=_notes(wording, found),
    )


def _table(wording: Wording, found: ShopMoney) -> Table:
    texts, numbers = wording.texts, wording.numbers
    names = [name for name in _COLUMNS if name not in _empty(found)]
    rows = [
        [
            one.month or texts("money.all"),
            *(
                numbers.count(getattr(one, name) if name in _COUNTS else _units(one, name))
                for name in names
            ),
        ]
        for one in (*found.months, found.total)
    ]
    return Table([texts("money.month"), *(texts(f"money.{name}") for name in names)], rows)


def _empty(found: ShopMoney) -> set[str]:
    """Columns that say nothing: all 0, and the total where it equals the net."""
    empty = {n for n in _MAY_BE_ABSENT if not any(getattr(one, n) for one in found.months)}
    return empty | ({"total"} if {"tax", "shipping"} <= empty else set())


def _units(one: MoneyMonth, name: str) -> int:
    amount: int = getattr(one, name)
    return round(amount / MICROS)


def _notes(wording: Wording, found: ShopMoney) -> list[str]:
    texts, numbers = wording.texts, wording.numbers
    notes = [
        texts(f"money.{what}", day=numbers.day(day))
        for what, day in (("begins", found.begins), ("ends", found.ends))
        if day is not None
    ]
    if found.beside:
        parts = [
            texts(
                "money.beside_orders" if orders else "money.beside",
                why=_why(wording, why),
                orders=texts.counted("order", orders, numbers.count(orders)),
                amount=numbers.money(amount / MICROS),
            )
            for why, orders, amount in found.beside
        ]
        notes.append(texts("money.left_out", parts=texts("list.semicolon").join(parts)))
    return notes


def _why(wording: Wording, code: str) -> str:
    key = f"money.beside.{code}"
    known = wording.texts.known(key)
    return wording.texts(key) if known else clean(code.replace("_", " "))


def _plot(wording: Wording, found: ShopMoney, table: Table) -> Plot:
    """Columns a month: net, and refunds beside it; net may lie below zero."""
    numbers, texts = wording.numbers, wording.texts
    names = [name for name in ("net", "refunds") if name not in _empty(found)]
    best = max(found.months, key=lambda one: one.net)
    series = []
    for name in names:
        values = [getattr(one, name) / MICROS for one in found.months]
        series.append(Series(texts(f"money.{name}"), values, [numbers.count(v) for v in values]))
    alt = texts("money.alt", month=best.month, net=numbers.money(best.net / MICROS))
    drawing = columns(
        [one.month for one in found.months], series, alt, tick=numbers.short_count, height=190
    )
    return Plot(key="money", title="", drawing=drawing, table=table)
