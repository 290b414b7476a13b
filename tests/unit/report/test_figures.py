"""Figures hold the numbers of their data and no markup from it."""

from __future__ import annotations

import pytest
from tests.unit.report.documents import document, effects
from tests.unit.report.svg import Read

from shoal.report import figures
from shoal.report.document import Effect, Preference, ReportDocument, Segment
from shoal.report.document_reasons import Choice
from shoal.report.numbers import Numbers
from shoal.report.texts import Texts

TEXTS, NUMBERS = Texts("en"), Numbers("en", "GBP")


def everyone(shop: ReportDocument) -> list[Segment]:
    assert shop.tier is not None
    return [*shop.segments, shop.tier]


def test_shares_hold_revenue_and_customers_of_every_segment_and_the_tier() -> None:
    shop = document(3)
    drawn = Read(figures.shares(shop, everyone(shop), "Revenue", "alt", TEXTS, NUMBERS))
    revenue, customers = drawn.across("rect", "main"), drawn.across("rect", "beside")
    # The first of each is the key of the legend, in pixels.
    shares = [*(one.revenue / shop.revenue for one in shop.segments)]
    assert revenue[2] / revenue[1] == pytest.approx(shares[1] / shares[0], rel=1e-3)
    assert len(revenue) == len(customers) == 1 + 4
    assert NUMBERS.share(shares[0]).replace("\u00a0", " ") in drawn.texts("ink")


def test_shares_without_money_are_of_orders() -> None:
    shop = document(3, money=False)
    drawn = Read(figures.shares(shop, everyone(shop), "Orders", "alt", TEXTS, NUMBERS))
    assert NUMBERS.share(shop.segments[0].orders / shop.orders).replace(
        "\u00a0", " "
    ) in drawn.texts("ink")


def test_effects_go_right_when_higher_and_left_when_lower() -> None:
    drawn = Read(figures.effects(effects(0), "alt", TEXTS, NUMBERS))
    higher, lower = drawn.across("rect", "main", "x"), drawn.across("rect", "below", "x")
    assert len(higher) == sum(one.size > 0 for one in effects(0))
    assert set(higher) == {0.5}
    assert all(start < 0.5 for start in lower)
    assert not drawn.marks("line", "whisker")


def test_effects_show_intervals_where_there_are_some() -> None:
    effect = Effect("a", "A", "", 1.0, 1, 0, low=0.8, high=1.5)
    line = Read(figures.effects([effect], "alt", TEXTS, NUMBERS)).marks("line", "whisker")[0]
    # The axis reaches to the end of the whisker both ways.
    assert float(line["x2"].removesuffix("%")) == pytest.approx(100)
    assert float(line["x1"].removesuffix("%")) == pytest.approx(50 + 50 * 0.8 / 1.5, abs=0.01)


def test_grid_places_recency_across_and_frequency_up() -> None:
    grid = document(3).grid
    assert grid is not None
    values = [float(cell.customers) for cell in grid.cells]
    shown = [str(int(one)) for one in values]
    drawn = Read(figures.grid(grid, values, shown, "Frequency", "alt", TEXTS))
    cell = next(one for one in grid.cells if (one.recency, one.frequency) == (5, 2))
    cells = drawn.marks("rect", "cell")
    assert len(cells) == 25
    # Rows from the top: 5, 4, 3, 2; in the fourth, the last column.
    assert drawn.said()[4 * 5 - 1] == f"{cell.name}: {cell.customers}"
    assert cells[4 * 5 - 1]["x"] == "80%"


def test_choice_marks_the_chosen_number_only() -> None:
    evidence = document(7).choice
    assert evidence is not None
    drawn = Read(figures.choice(evidence, "alt", TEXTS, NUMBERS))
    assert drawn.texts("strong") == ["chosen: 7"]
    assert len(drawn.marks("circle", "chosen")) == 1
    left_out = [one for one in evidence.candidates if not one.eligible]
    assert len(drawn.marks("path", "cross")) == len(left_out) > 0


def test_choice_by_stability_leaves_out_what_was_not_measured() -> None:
    evidence = document(7).choice
    assert evidence is not None
    by_stability = Choice("stability_only", 5, evidence.candidates)
    drawn = Read(figures.choice(by_stability, "alt", TEXTS, NUMBERS))
    assert f"k = 4: {evidence.candidates[0].stability:.3f}" in drawn.said()
    assert not drawn.marks("line", "whisker")


def test_no_text_of_the_data_is_markup_in_a_figure() -> None:
    bad = '<a href="https://evil.example">x</a>'
    drawn = figures.preferences([Preference(bad, 0.3, 0.1)], bad, TEXTS, NUMBERS)
    assert "<a" not in drawn.svg
    assert not Read(drawn).marks("a")
    assert bad in Read(drawn).texts()


def test_figures_stay_small() -> None:
    shop = document(7)
    for drawn in (
        figures.shares(shop, everyone(shop), "Revenue", "alt", TEXTS, NUMBERS),
        figures.effects(effects(0), "alt", TEXTS, NUMBERS),
        figures.weekdays([1 / 7] * 7, [1 / 7] * 7, "alt", TEXTS, NUMBERS),
        figures.hours([1 / 24] * 24, [1 / 24] * 24, "UTC", "alt", TEXTS, NUMBERS),
    ):
        assert len(drawn.svg) < 8_000
