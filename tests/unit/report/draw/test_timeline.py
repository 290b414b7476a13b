"""A timeline shows every mark in its lane, as high as it weighs; no text becomes markup."""

from __future__ import annotations

import pytest
from tests.unit.report.svg import Read

from shoal.report.draw import Happened, timeline


def heights(read: Read) -> list[float]:
    return [float(one["y2"]) - float(one["y1"]) for one in read.marks("line", "stem")]


def test_marks_stand_in_their_lanes_in_order_and_in_proportion() -> None:
    marks = [Happened(0, 1.0, "3 May"), Happened(1, 0.5, "3 May"), Happened(0, 0.25, "4 May")]
    read = Read(timeline(["View", "Purchase"], marks, "alt", end="Now"))
    assert heights(read) == pytest.approx([28, 14, 7])
    stems = read.marks("line", "stem")
    assert [one["x1"] for one in stems] == ["12.5%", "37.5%", "62.5%"]
    assert [float(one["y2"]) for one in stems] == [36, 72, 36]
    assert read.texts("end")[:2] == ["View", "Purchase"]
    assert read.texts("strong") == ["Now"]


def test_what_weighs_nothing_is_still_seen() -> None:
    read = Read(timeline(["View"], [Happened(0, 0.0, "a"), Happened(0, 9.0, "a")], "x", end="Now"))
    assert heights(read) == [2, 28]
    assert heights(Read(timeline(["View"], [Happened(0, 0.0, "a")], "x", end="Now"))) == [2]


def test_days_are_parted_by_lines_and_named_where_there_is_room() -> None:
    marks = [Happened(0, 1.0, f"{day} December 2024") for day in range(1, 21) for _ in range(2)]
    read = Read(timeline(["View"], marks, "alt", end="Now"))
    upright = [one for one in read.marks("line", "rule") if one["x1"] == one["x2"]]
    assert len(upright) == 19
    narrow, wide = read.texts("narrow"), read.texts("wide")
    assert narrow[0] == wide[0] == "1 December 2024"
    assert len(narrow) < len(wide) < 20


def test_pointing_says_what_happened_and_hostile_texts_stay_texts() -> None:
    bad = "</title></svg><script>alert(1)</script>\u202e\x00"
    read = Read(timeline([bad], [Happened(0, 1.0, bad, bad), Happened(0, 1.0, bad)], bad, end=bad))
    assert len(read.marks("rect")) == 1
    assert "alert(1)" in read.said()[-1]
    assert not list(read.root.iter("script"))


def test_a_mark_needs_a_lane() -> None:
    with pytest.raises(ValueError, match="lanes"):
        timeline(["View"], [Happened(1, 1.0, "a")], "x", end="Now")
    with pytest.raises(ValueError, match="marks"):
        timeline(["View"], [], "x", end="Now")
