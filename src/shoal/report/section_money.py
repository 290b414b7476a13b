"""The section on the shop's money: each month's orders, sales, refunds and customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.domain.money import MICROS
from shoal.report.document import ShopMoney
from shoal.report.names import label
from shoal.report.style import BLUE, VERMILION, drawn, ticks
from shoal.report.views import Plot, Table
from shoal.report.wording import Wording


@dataclass(frozen=True)
class MoneyView:
    """What the template shows of the shop's money."""

    lead: str
    plot: Plot | None
    table: Table
    notes: Sequence[str]


def money(wording: Wording, found: ShopMoney) -> MoneyView:
    """The section of a document that holds the months' money."""
    texts, numbers = wording.texts, wording.numbers
    unit = f" ({found.currency})" if found.currency else ""
    heads = [
        texts("money.month"), texts("money.orders"), texts("money.units"),
        texts("money.gross") + unit, texts("money.discounts"), texts("money.refunds"),
        texts("money.net") + unit, texts("money.customers"), texts("money.new_customers"),
    ]  # fmt: skip
    rows = [
        [
            one.month or texts("money.all"), numbers.count(one.orders), numbers.count(one.units),
            *(numbers.count(round(v / MICROS)) for v in
              (one.gross, one.discounts, one.refunds, one.net)),
            numbers.count(one.customers), numbers.count(one.new_customers),
        ]
        for one in (*found.months, found.total)
    ]  # fmt: skip
    notes = [
        texts("money.left_out", why=_why(wording, why), orders=numbers.count(orders),
              amount=numbers.count(round(amount / MICROS)))
        for why, orders, amount in found.beside
    ]  # fmt: skip
    return MoneyView(
        lead=texts("money.lead"),
        plot=_plot(wording, found, heads) if len(found.months) > 1 else None,
        table=Table(heads, rows),
        notes=notes,
    )


def _why(wording: Wording, code: str) -> str:
    key = f"money.beside.{code}"
    return wording.texts(key) if wording.texts.known(key) else code.replace("_", " ")


def _plot(wording: Wording, found: ShopMoney, heads: list[str]) -> Plot:
    numbers, texts = wording.numbers, wording.texts
    months = [one.month for one in found.months]
    series = [
        (heads[6], BLUE, [one.net / MICROS for one in found.months]),
        (heads[5], VERMILION, [one.refunds / MICROS for one in found.months]),
    ]
    bars = [
        {
            "type": "bar", "x": months, "y": values, "name": label(name),
            "marker": {"color": colour}, "hovertemplate": "%{x}: %{y:,.0f}<extra></extra>",
        }
        for name, colour, values in series
    ]  # fmt: skip
    places = ticks(max([0.0, *series[0][2], *series[1][2]]))
    axes = {
        "xaxis": {"type": "category", "showgrid": False, "nticks": 12},
        "yaxis": {
            "tickvals": places, "ticktext": [numbers.short_count(tick) for tick in places],
            "rangemode": "tozero",
        },
    }  # fmt: skip
    best = max(found.months, key=lambda one: one.net)
    return Plot(
        key="money",
        title="",
        figure=drawn(bars, height=280, axes=axes, legend=True),
        alt=texts("money.alt", month=best.month, net=numbers.count(round(best.net / MICROS))),
        table=Table(
            [heads[0], heads[6], heads[5]],
            [
                [one.month, numbers.count(round(one.net / MICROS)),
                 numbers.count(round(one.refunds / MICROS))]
                for one in found.months
            ],
        ),
    )  # fmt: skip
