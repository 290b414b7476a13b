"""Marks lie where their values say, whatever the width; nothing of the data becomes markup."""

from __future__ import annotations

import pytest
from tests.unit.report.svg import Read

from shoal.report.draw import (
    Dot,
    Drawing,
    Flow,
    Node,
    Panel,
    Series,
    bars,
    columns,
    diverging,
    dots,
    flows,
    funnel,
    heat,
    lines,
    sparkline,
    strip,
)

BAD = "</title></svg><script>alert(1)</script>\u202e\x00"


def plain(value: float) -> str:
    return f"{value:g}"


def series(*values: float | None, name: str = "a") -> Series:
    return Series(name, values, ["" if one is None else plain(one) for one in values])


def test_bars_share_one_scale_from_zero() -> None:
    drawn = Read(bars(["x", "y"], [series(2, 4), series(1, None, name="b")], "alt"))
    assert drawn.across("rect", "main")[1:] == [0.5, 1.0]
    assert drawn.across("rect", "beside")[1:] == [0.25]
    assert {"x, a: 2", "y, a: 4", "x, b: 1"} <= set(drawn.said())


def test_bars_below_zero_go_left_of_it() -> None:
    drawn = Read(bars(["x", "y"], [series(3, -1)], "alt"))
    assert drawn.across("rect", "main", "x") == [0.25, 0.0]
    assert drawn.across("rect", "main") == [0.75, 0.25]
    assert [one["x1"] for one in drawn.marks("line", "zero")] == ["25%"]


def test_a_long_label_takes_two_lines_and_says_what_was_cut() -> None:
    name = "customers who " * 20
    drawn = Read(bars([name], [series(1)], "alt"))
    first, second = drawn.texts("name")
    assert name.startswith(first)
    assert second.endswith("…")
    assert any(said.startswith(name.strip()[:200]) for said in drawn.said())


def test_a_funnel_says_what_goes_on_between_its_steps() -> None:
    drawn = Read(funnel(["look", "buy"], [series(10, 4)], "alt", between=["40 % go on"]))
    assert drawn.texts() == ["look", "10", "40 % go on", "buy", "4"]


def test_diverging_bars_with_whiskers() -> None:
    drawn = Read(
        diverging(["x", "y"], [2.0, -1.0], ["+2", "−1"], "alt", whiskers=[(1.0, 4.0), None])
    )
    assert drawn.across("rect", "main", "x") == [0.5]
    assert drawn.across("rect", "main") == [0.25]  # half of the plot reaches to 4
    assert drawn.across("rect", "below", "x") == [0.375]
    assert drawn.marks("line", "whisker")[0]["x2"] == "100%"
    assert "−2" in drawn.texts("mid")


def test_columns_stand_on_zero() -> None:
    drawn = Read(columns(["a", "b"], [series(10, -5)], "alt", tick=plain, height=150))
    up, down = drawn.marks("rect", "main")
    zero = float(drawn.marks("line", "zero")[0]["y1"])
    assert float(up["y"]) + float(up["height"]) == zero == float(down["y"])
    assert float(up["height"]) == 100
    assert float(down["height"]) == 50


def test_names_of_many_columns_are_thinned() -> None:
    months = [f"2024-{place:02d}" for place in range(1, 13)] * 3
    drawn = Read(columns(months, [series(*range(36))], "alt", tick=plain))
    assert 2 <= len(drawn.texts("mid")) <= 6
    assert len(drawn.marks("rect", "main")) == 36


def test_a_line_breaks_where_nothing_is_known_and_lone_points_are_seen() -> None:
    drawn = Read(
        lines(
            [0, 1, 2, 3, 4],
            [Panel("", [series(0, 4, None, 2, None)], plain)],
            "alt",
            ticks=[(0, "0"), (4, "4")],
            height=100,
        )
    )
    (path,) = drawn.marks("path", "line")
    assert path["d"] == "M0 100L250 0M750 50"
    (dot,) = drawn.marks("circle")
    assert dot["cx"] == "75%"


def test_panels_have_their_own_scales_and_places() -> None:
    panels = [
        Panel("few", [series(1, 2)], plain),
        Panel("many", [series(100, 50, 0)], plain, xs=[0, 5, 10]),
    ]
    drawn = Read(lines([0, 10], panels, "alt", ticks=[], height=100))
    few, many = [one["d"] for one in drawn.marks("path", "line")]
    assert few == "M0 50L1000 0"
    assert many == "M0 0L500 50L1000 100"
    assert drawn.texts("strong") == ["few", "many"]


def test_lines_without_a_value_for_each_place_are_refused() -> None:
    with pytest.raises(ValueError, match="a value or None for each"):
        lines([0, 1], [Panel("", [series(1)], plain)], "alt", ticks=[])


def test_seven_lines_differ_without_colour() -> None:
    many = [series(place, name=str(place)) for place in range(7)]
    drawn = lines([0], [Panel("", many, plain)], "alt", ticks=[])
    from shoal.report.draw.canvas import STYLE

    looks = {one["class"] for one in Read(drawn).marks("path", "line")}
    assert len(looks) == 7
    dashes = [
        rule.partition("stroke-dasharray:")[2].partition(";")[0]
        for rule in STYLE.splitlines()
        if rule.startswith(".draw .l") and not rule.startswith(".draw .line")
    ]
    assert len(set(dashes)) == 7


def test_the_chosen_dot_is_filled_and_the_unusable_crossed() -> None:
    points = [Dot("4", 0.3, 0.1), Dot("5", 0.4, 0.1, mark="chosen"), Dot("6", 0.5, usable=False)]
    drawn = Read(dots(points, "alt", tick=plain))
    assert len(drawn.marks("circle", "chosen")) == 1
    assert len(drawn.marks("path", "cross")) == 1
    assert drawn.texts("strong") == ["chosen"]


def test_cohorts_are_ragged_and_unfinished_cells_framed() -> None:
    drawn = Read(
        heat(
            ["jan", "feb"],
            ["0", "1"],
            [[1.0, 0.5], [1.0]],
            [["100 %", "50 %"], ["100 %"]],
            "alt",
            unfinished={(0, 1)},
        )
    )
    assert len(drawn.marks("rect", "cell")) == 3
    assert len(drawn.marks("rect", "open")) == 1
    assert "jan, 1: 50 %" in drawn.said()


def test_a_heat_map_of_many_columns_has_a_least_width() -> None:
    wide = heat(["a"], [f"segment {n}" for n in range(60)], [[0.0] * 60], [["0"] * 60], "alt")
    small = heat(["a"], ["x", "y"], [[0.0, 1.0]], [["0", "1"]], "alt")
    assert wide.width > 60 * 30
    assert f"min-width:{wide.width}px" in wide.svg
    labels, cells = Read(wide).root
    assert [one.text for one in labels.iter("text")] == ["a"]  # they stay while the rest scrolls
    assert len(list(cells.iter("rect"))) == 60
    assert small.width == 0


@pytest.mark.parametrize("both_ways", [False, True])
def test_numbers_on_colours_have_contrast_enough(both_ways: bool) -> None:
    values = [place / 50 * (2 if both_ways else 1) - both_ways for place in range(51)]
    drawn = Read(
        heat(
            ["r"],
            [str(one) for one in values],
            [values],
            [["x"] * 51],
            "alt",
            both_ways=both_ways,
            reach=1.0,
        )
    )
    inks = [one["style"].partition("fill:")[2][:4] for one in drawn.marks("text") if "style" in one]
    fills = [one["fill"] for one in drawn.marks("rect", "cell")]
    for ink, fill in zip(inks, fills, strict=True):
        assert contrast("#000000" if ink == "#000" else "#ffffff", fill) >= 4.5


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        r, g, b = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_flows_are_as_thick_as_their_values_and_add_up_at_nodes() -> None:
    nodes = [Node("a", "30"), Node("b", "10")]
    links = [Flow(0, 0, 0, 20, quiet=True), Flow(0, 0, 1, 10, "a to b"), Flow(0, 1, 1, 10),
             Flow(0, 1, 0, 0)]  # fmt: skip
    drawn = Read(flows([nodes, nodes], links, "alt", heads=["then", "now"], height=400))
    assert len(drawn.marks("path", "flow")) == 3
    assert len(drawn.marks("path", "quiet")) == 1
    heights = [float(one["height"]) for one in drawn.marks("rect", "node")]
    assert heights == [300, 100, 200, 200]
    assert "a to b" in drawn.said()
    assert drawn.texts("strong") == ["then", "now"]


def test_flows_need_two_columns() -> None:
    with pytest.raises(ValueError, match="two columns"):
        flows([[Node("a")]], [], "alt")


def test_a_strip_marks_two_of_many_and_is_no_image_of_its_own() -> None:
    drawing = strip([0.0, 5.0, 10.0, None], 1, 3)
    drawn = Read(drawing)
    assert 'aria-hidden="true"' in drawing.svg
    assert len(drawn.marks("line", "tick")) == 3
    assert drawn.marks("circle", "first")[0]["cx"] == "50%"
    assert "display:none" in drawn.marks("rect", "second")[0]["style"]


def every() -> list[Drawing]:
    """One of each kind, with hostile texts wherever a text goes."""
    one, two = Series(BAD, [1.0, 2.0], [BAD, BAD]), Series(BAD, [2.0, 1.0], [BAD, BAD])
    panel = Panel(BAD, [one, two], lambda value: BAD)
    return [
        bars([BAD, BAD], [one, two], BAD),
        funnel([BAD, BAD], [one], BAD, between=[BAD]),
        diverging([BAD], [1.0], [BAD], BAD, axis=BAD),
        columns([BAD, BAD], [one, two], BAD, tick=lambda value: BAD, axis=BAD),
        lines([0, 1], [panel], BAD, ticks=[(0, BAD)], names=[BAD, BAD], axis=BAD),
        dots([Dot(BAD, 1.0, mark=BAD)], BAD, tick=lambda value: BAD, axis=BAD),
        heat([BAD], [BAD], [[1.0]], [[BAD]], BAD, row_title=BAD, column_title=BAD),
        heat([BAD], [BAD] * 20, [[1.0] * 20], [[BAD] * 20], BAD),
        flows([[Node(BAD, BAD)], [Node(BAD)]], [Flow(0, 0, 0, 1, BAD)], BAD, heads=[BAD, BAD]),
        sparkline([1.0, None, 2.0], BAD),
    ]


@pytest.mark.parametrize("drawing", every())
def test_hostile_texts_stay_texts(drawing: Drawing) -> None:
    read = Read(drawing)  # well-formed
    assert not read.marks("script")
    assert "\u202e" not in drawing.svg
    assert "\x00" not in drawing.svg
    assert read.root.get("role") == "img"
    assert read.root.get("aria-label", "").startswith("</title>")


@pytest.mark.parametrize("drawing", every())
def test_a_drawing_brings_its_style_to_a_notebook(drawing: Drawing) -> None:
    shown = drawing._repr_html_()
    assert drawing.svg in shown
    assert shown.count("<style>") == 1


def test_nothing_at_all_is_still_a_drawing() -> None:
    empty = Series("a", [], [])
    for drawing in (
        bars([], [empty], "alt"),
        columns([], [empty], "alt", tick=plain),
        heat([], [], [], [], "alt"),
        flows([[], []], [], "alt"),
        sparkline([], "alt"),
        diverging([], [], [], "alt"),
    ):
        assert Read(drawing).root.tag == "svg"
        assert "nan" not in drawing.svg
