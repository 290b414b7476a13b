"""Protected traits and the map: gaps as they are, nothing hidden that was left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.report import reasons
from tests.unit.report.documents import document
from tests.unit.report.svg import Read

from shoal.report.document import ReportDocument
from shoal.report.document_reasons import CustomerMap, Protected
from shoal.report.draw import Cloud, scatter
from shoal.report.numbers import Numbers
from shoal.report.pages import render
from shoal.report.section_map import MapView, customer_map
from shoal.report.section_traits import TraitsView, traits
from shoal.report.story_wording import Teller
from shoal.report.texts import Texts
from shoal.report.wording import Wording

SHOP = document(3)


def teller(shop: ReportDocument) -> Teller:
    return Teller(Wording(shop, Texts("en"), Numbers("en", shop.currency)))


def plain(text: object) -> str:
    return str(text).replace("\u00a0", " ")


# --- Traits ---------------------------------------------------------------------------------------


def view(found: Protected | None) -> TraitsView:
    seen = traits(teller(SHOP), found)
    assert seen is not None
    return seen


def test_the_largest_gap_and_what_learning_left_out_are_said() -> None:
    seen = view(SHOP.protected)
    assert "(Country, Age)" in seen.lead and "Country, as last seen" in seen.lead
    country = seen.traits[0]
    assert country.title == "Country"
    said = [plain(one) for one in country.sentences]
    assert said[0] == (
        "Largest gap: “DE” is 80.0 % of “Frequent buyers of Kitchen”, against 55.0 % of all "
        "customers (+25.0 points)."
    )
    assert "by 0.12" in said[1]
    assert "unknown of 5" in said[2]


def test_every_segment_and_value_is_drawn_and_in_the_table() -> None:
    plot = view(SHOP.protected).traits[0].plot
    drawn = Read(plot.drawing)
    assert len(drawn.marks("rect", "cell")) == (3 + 1) * 3
    rows = [[plain(cell) for cell in row] for row in plot.table.rows]
    assert rows[0] == ["Frequent buyers of Kitchen", "2,455", "80.0 %", "10.0 %", "10.0 %"]
    assert rows[-1] == ["All customers", "900", "55.0 %", "35.0 %", "10.0 %"]
    assert list(plot.table.columns[2:]) == ["DE", "FR", "Other"]


def test_of_many_segments_those_that_bring_most_are_drawn_and_all_are_in_the_table() -> None:
    shop = document(50)
    seen = traits(teller(shop), shop.protected)
    assert seen is not None
    plot = seen.traits[0].plot
    assert len(Read(plot.drawing).marks("rect", "cell")) == (20 + 1) * 3
    assert len(plot.table.rows) == 51
    assert "The 20 that bring most are drawn" in plot.note


def test_small_numbers_give_no_gap_and_nothing_known_gives_no_figure() -> None:
    seen = view(SHOP.protected)
    assert "hold the 20 known customers that a gap needs" in seen.traits[1].sentences[0]
    nobody = view(replace(reasons.protected(SHOP.segments), traits=()))
    assert "known of any customer" in nobody.nobody and not nobody.traits


def test_rules_may_ask_for_traits_and_that_is_said() -> None:
    assert "made by rules" in view(replace(reasons.protected(SHOP.segments), ruled=True)).lead
    used = view(replace(reasons.protected(SHOP.segments), used=("Lines in another currency",)))
    assert "were learned with features that tell" in used.lead
    assert "Lines in another currency" in used.lead and "without the traits" not in used.lead
    assert traits(teller(SHOP), None) is None
    assert 'id="traits"' not in render(replace(SHOP, protected=None))


# --- The map --------------------------------------------------------------------------------------


def map_of(shop: ReportDocument) -> MapView:
    seen = customer_map(teller(shop), shop.map)
    assert seen is not None
    return seen


def points(svg: str) -> int:
    return svg.count("h0")


def test_customers_are_drawn_by_segment_and_the_sample_is_told() -> None:
    seen = map_of(SHOP)
    assert points(seen.plot.drawing.svg) == 60
    assert (
        "60 customers of the 4,580 who were placed were drawn" in plain(seen.lead)
        and "at least 20" in seen.lead
    )
    assert [row[2] for row in seen.plot.table.rows] == ["20", "20", "20"]
    assert Read(seen.plot.drawing).texts("strong") != []
    everybody = replace(SHOP, map=CustomerMap(reasons.customer_map(SHOP.segments).points))  # type: ignore[union-attr]
    assert "All 60 customers" in map_of(everybody).lead
    assert "no dot" in map_of(replace(SHOP, map=CustomerMap(everybody.map.points, True))).lead  # type: ignore[union-attr]


def test_one_segment_has_a_map_and_rules_have_none() -> None:
    assert "There is one segment" in map_of(document(1)).lead
    assert customer_map(teller(SHOP), None) is None
    line = CustomerMap(((1.0, 0.0, "s01"), (2.0, 0.0, "s01")))
    assert customer_map(teller(SHOP), line) is None
    assert 'id="map"' not in render(replace(SHOP, map=None))


def test_of_many_segments_the_first_have_colours_and_all_are_drawn() -> None:
    shop = document(50)
    plot = map_of(shop).plot
    drawn = Read(plot.drawing)
    assert len(drawn.texts("strong")) == 6
    assert len(drawn.marks("path", "cq")) == 44
    assert drawn.texts("ink")[-1] == "Other segments"
    assert points(plot.drawing.svg) == 1_000
    assert len(plot.table.rows) == 50
    seven = Read(map_of(document(7)).plot.drawing)
    assert len(seven.texts("strong")) == 7 and not seven.marks("path", "cq")


def test_outsiders_stand_on_the_edge_and_points_in_one_place_are_one() -> None:
    cloud = [(float(x % 10), float(x // 10)) for x in range(100)]
    drawn = scatter([Cloud("a", [*cloud, *cloud, (1e6, 1e6)], "a")], "alt", height=100)
    assert points(drawn.svg) == 101
    assert "M1000 0h0" in drawn.svg
    with pytest.raises(ValueError, match="a point"):
        scatter([Cloud("a", [])], "alt")


def test_three_thousand_customers_are_a_small_part_of_the_page() -> None:
    spots = [(x * 0.731 % 1, x * 0.317 % 1) for x in range(3_000)]
    assert len(scatter([Cloud("a", spots, "a")], "alt").svg) < 45_000
