"""Figures hold the numbers of their data and no markup from it."""

from __future__ import annotations

import json

import pytest
from tests.unit.report.documents import document, effects

from shoal.report import figures
from shoal.report.document import Choice, Effect, Preference
from shoal.report.numbers import Numbers
from shoal.report.texts import Texts

TEXTS, NUMBERS = Texts("en"), Numbers("en", "GBP")


def test_shares_hold_revenue_and_customers_of_every_segment_and_the_tier() -> None:
    shop = document(3)
    revenue, customers = figures.shares(shop, "Revenue", TEXTS, NUMBERS).data
    assert sum(revenue.x) == pytest.approx(1)
    assert sum(customers.x) == pytest.approx(1)
    assert revenue.x[0] == pytest.approx(shop.segments[0].revenue / shop.revenue)
    assert len(customers.x) == 4


def test_shares_without_money_are_of_orders() -> None:
    shop = document(3, money=False)
    worth, _ = figures.shares(shop, "Orders", TEXTS, NUMBERS).data
    assert worth.x[0] == pytest.approx(shop.segments[0].orders / shop.orders)


def test_effects_go_right_when_higher_and_left_when_lower() -> None:
    (bars,) = figures.effects(effects(0), TEXTS, NUMBERS).data
    assert list(bars.x) == [one.size for one in effects(0)]
    assert bars.marker.color[:2] == (figures.BLUE, figures.VERMILION)
    assert bars.error_x.visible is False


def test_effects_show_intervals_where_there_are_some() -> None:
    (bars,) = figures.effects(
        [Effect("a", "A", "", 1.0, 1, 0, low=0.8, high=1.5)], TEXTS, NUMBERS
    ).data
    assert bars.error_x.array[0] == pytest.approx(0.5)
    assert bars.error_x.arrayminus[0] == pytest.approx(0.2)


def test_grid_places_recency_across_and_frequency_up() -> None:
    grid = document(3).grid
    assert grid is not None
    values = [float(cell.customers) for cell in grid.cells]
    drawn = figures.grid(grid, values, [str(int(one)) for one in values], "Frequency", TEXTS)
    cell = next(one for one in grid.cells if (one.recency, one.frequency) == (5, 2))
    assert drawn.data[0].z[1][4] == cell.customers
    assert len(drawn.layout.annotations) == 25


def test_choice_marks_the_chosen_number_only() -> None:
    evidence = document(7).choice
    assert evidence is not None
    drawn = figures.choice(evidence, TEXTS)
    assert [note.text for note in drawn.layout.annotations] == ["chosen: 7"]


def test_choice_by_stability_leaves_out_what_was_not_measured() -> None:
    evidence = document(7).choice
    assert evidence is not None
    drawn = figures.choice(Choice("stability_only", 5, evidence.candidates), TEXTS)
    assert drawn.data[0].y[0] == evidence.candidates[0].stability


def test_no_text_of_the_data_is_markup_in_a_figure() -> None:
    bad = '<a href="https://evil.example">x</a>'
    drawn = figures.preferences([Preference(bad, 0.3, 0.1)], TEXTS, NUMBERS)
    assert "<a" not in drawn.to_json()
    assert "&lt;a href" in drawn.to_json()


def test_figures_carry_no_template_and_stay_small() -> None:
    shop = document(7)
    for drawn in (
        figures.shares(shop, "Revenue", TEXTS, NUMBERS),
        figures.effects(effects(0), TEXTS, NUMBERS),
        figures.weekdays([1 / 7] * 7, [1 / 7] * 7, TEXTS),
        figures.hours([1 / 24] * 24, [1 / 24] * 24, "UTC", TEXTS),
    ):
        assert len(drawn.to_json()) < 12_000
        assert len(json.dumps(json.loads(drawn.to_json())["layout"]["template"])) < 100
