"""The area of what is usual, and scales that do not begin at zero."""

from __future__ import annotations

import re

import pytest

from shoal.report.draw import Panel, Series, lines


def drawn(**changes: object) -> str:
    values = [20.0, 21.0, 26.0]
    panel = Panel("", [Series("value", values, ["20", "21", "26"])], str, **changes)  # type: ignore[arg-type]
    return lines([0.0, 1.0, 2.0], [panel], "three values", ticks=[]).svg


def scale(svg: str) -> list[float]:
    """Values that stand at the scale."""
    return [float(one) for one in re.findall(r'class="end">([\d.]+)</text>', svg)]


def test_the_scale_begins_at_zero_unless_told() -> None:
    assert scale(drawn())[0] == 0
    told = scale(drawn(from_zero=False))
    assert len(told) > 1
    assert all(19 <= one <= 27 for one in told)


def test_the_area_lies_between_its_edges() -> None:
    svg = drawn(usual=([18.0, 18.0, 18.0], [22.0, 22.0, 22.0]))
    found = re.search(r'd="M([^Z]+)Z" class="usual"', svg)
    assert found
    points = [[float(one) for one in point.split()] for point in found[1].split("L")]
    assert [x for x, _ in points] == [0, 500, 1000, 1000, 500, 0]
    high, low = points[0][1], points[-1][1]
    assert 0 < high < low  # coordinates grow downward


@pytest.mark.parametrize("edge", [[None, None, None], [None, 18.0, None]])
def test_an_area_that_is_not_known_everywhere_is_no_mistake(edge: list[float | None]) -> None:
    svg = drawn(usual=(edge, [22.0, 22.0, 22.0]))
    assert svg.count('class="usual"') == 1
    assert "None" not in svg
