"""The money section: what is 0 in every month is no column, what is not whole is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.report.documents import document, shop_money
from tests.unit.report.svg import Read

from shoal.report.document import ShopMoney
from shoal.report.numbers import Numbers
from shoal.report.section_money import MoneyView
from shoal.report.section_money import money as section
from shoal.report.texts import CATALOGUE, Texts
from shoal.report.wording import Wording


def view(found: ShopMoney, lang: str = "en") -> MoneyView:
    return section(Wording(document(3), Texts(lang), Numbers(lang, found.currency)), found)


def test_a_row_a_month_and_one_for_all() -> None:
    shown = view(shop_money())
    assert shown.table.columns == [
        "Month", "Orders", "Units", "Gross", "Refunds", "Net", "Customers", "New customers",
    ]  # fmt: skip
    assert shown.table.rows[0] == [
        "2024-01", "900", "2,000", "40,000", "3,000", "37,000", "700", "90",
    ]  # fmt: skip
    assert shown.table.rows[-1][0] == "All"
    assert len(shown.table.rows) == 8
    assert "Amounts are in GBP" in shown.lead


def test_tax_and_shipping_are_columns_where_there_are_any() -> None:
    plain = shop_money()
    taxed = replace(plain, months=tuple(replace(one, tax=5, discounts=1) for one in plain.months))
    columns = view(taxed).table.columns
    assert [name for name in columns if name in ("Discounts", "Tax", "Shipping", "Total")] == [
        "Discounts", "Tax", "Total",
    ]  # fmt: skip


def test_what_is_not_whole_and_what_is_left_out_is_said() -> None:
    notes = [note.replace("\u00a0", " ") for note in view(shop_money()).notes]
    assert notes == [
        "The last month is not whole: its orders end on 18 Jul 2024.",
        "Not in these figures: test orders (12 orders, GBP 345.60); fees and postage (GBP −7.00).",
    ]


def test_the_figure_has_net_and_refunds_below_zero_too() -> None:
    plot = view(shop_money()).plot
    assert plot is not None
    drawn = Read(plot.drawing)
    net, refunds = drawn.marks("rect", "main")[1:], drawn.marks("rect", "beside")[1:]
    assert len(net) == len(refunds) == 7
    assert "2024-07, Net: −2,000" in drawn.said()
    assert "2024-07, Refunds: 42,000" in drawn.said()
    zero = float(drawn.marks("line", "zero")[0]["y1"])
    assert float(net[0]["y"]) < zero == float(net[6]["y"])
    assert "2024-01" in plot.alt


def test_one_month_has_no_figure_and_no_currency_no_unit() -> None:
    one = replace(shop_money(""), months=shop_money().months[:1])
    shown = view(one)
    assert shown.plot is None
    assert "unit of the source" in shown.lead


@pytest.mark.parametrize("lang", CATALOGUE)
def test_every_language_tells_the_same_figures(lang: str) -> None:
    rows = view(shop_money(), lang).table.rows
    assert [row[1:] for row in rows] == [row[1:] for row in view(shop_money()).table.rows]
