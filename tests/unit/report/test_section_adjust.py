"""What changed of late: the short text and the section say what the document holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.report.documents import document
from tests.unit.report.movements import adjustment, look, movement

from shoal.report.movement_text import short
from shoal.report.numbers import Numbers
from shoal.report.pages import render
from shoal.report.section_adjust import WeekView, week
from shoal.report.texts import CATALOGUE, Texts
from shoal.report.wording import Wording


def plain(text: str) -> str:
    """Without spaces that do not break."""
    return text.replace("\u00a0", " ")


def seen(found: dict[str, Any] | None, lang: str = "en") -> WeekView | None:
    whole = replace(document(3), movement=found, currency="EUR")
    return week(Wording(whole, Texts(lang), Numbers(lang, "EUR")), found)


QUIET = (
    "Done: nothing, the segments were kept. "
    "Nothing gains more than relabelling customers for it would cost."
)
WEEK = """\
demo: 5 Mar 2024 to 12 Mar 2024 (7 days), segments kmeans-0003
60 of 1,000 customers changed segment (6.0 %). 25 customers came for the first time. \
8 customers became known well enough to be placed.
Down: 35 customers to segments worth less. Expected spend in the next 28 days: \
EUR 2,100 instead of EUR 7,000 (EUR −4,900).
Up: 25 customers to segments worth more. Expected spend in the next 28 days: \
EUR 5,000 instead of EUR 1,500 (+EUR 3,500).
Largest moves: s01 “Segment 1” → s02 “Segment 2”: 35; s02 “Segment 2” → s01 “Segment 1”: 25.
Why: 48 because they behave differently; 9 because the segments were made anew; 3 by both.
kmeans-0003 (10 Mar 2024): later data.
Segments: s01 split into s01 and s04 (120 customers).
Noticed: Days since the last event changed, since 10 Feb 2024, by 0.42 deviations \
(Orders in 28 days); segments or forecasts are worse for it.
Noticed: app view price looks broken, since 8 Mar 2024, by a factor of 0.01; \
the tracking is broken, nothing is learned from it.
Noticed: behaviour changed as the model sees it (the embedding), since 8 Mar 2024, \
by an AUC of 0.61; no harm to segments or forecasts.
And 1 more alarm.
Done (10 Mar 2024): s01 “Segment 1” split (1.3 % of customers moved). \
What it gains is more than what it costs.
Look first at: c1 (s01 → s02, brought EUR 1,234)."""


def test_the_short_text_in_full() -> None:
    assert plain(short(movement())) == WEEK


@pytest.mark.parametrize("lang", CATALOGUE)
def test_ten_to_fifteen_lines_in_every_language(lang: str) -> None:
    lines = short(movement(), lang).split("\n")
    assert 10 <= len(lines) <= 15
    assert all(lines)


def test_a_quiet_week_is_told_as_one() -> None:
    quiet = movement(
        customers={"known": 1000, "moved": 0, "placed": 0, "arrived": 0},
        causes={"changes": {}, "kinds": {}, "by_customer": 0, "by_model": 0, "by_both": 0},
        stake={name: {"customers": 0} for name in ("down", "up", "level")},
        flows=[], versions=[], looks=[look(1)], first=[],
    )  # fmt: skip
    assert plain(short(quiet)).split("\n")[1:] == [
        "Nobody changed segment: 1,000 customers stayed where they were.",
        "Nothing out of the ordinary was noticed (1 look).",
        QUIET,
    ]
    assert "Nobody looked for drift" in short({**quiet, "looks": []})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"waits": True}, "Waiting for your word: `shoal adjust SHOP --approve look-0002`."),
        ({"dropped": ["psi"]}, "Not done (10 Mar 2024): all segments made anew (40.0 % of"),
        ({"approved_by": "anna"}, "Done (10 Mar 2024): all segments made anew (40.0 % of"),
    ],
)
def test_what_was_decided_is_not_always_done(changes: dict[str, Any], line: str) -> None:
    decided = look(2, adjustments=[adjustment("refit", moved=0.4)], **changes)
    told = movement(looks=[decided], waiting="look-0002" if "waits" in changes else None)
    text = plain(short(told))
    assert line in text
    assert ("Done (" in text) == ("approved_by" in changes)


@pytest.mark.parametrize(
    ("changes", "began"),
    [({"waits": True}, "Asked for"), ({}, "Asked for"), ({"declined_by": "ann"}, "Declined"),
     ({"approved_by": "ann"}, "Done")],
)  # fmt: skip
def test_of_one_look_a_part_is_done_and_a_part_asked_for(
    changes: dict[str, Any], began: str
) -> None:
    both = [adjustment("nudge"), adjustment("refit", approval=["over_budget"], moved=0.2)]
    whole = movement(looks=[look(1, adjustments=both, published="kmeans-0002", **changes)])
    lines = plain(short(whole)).splitlines()
    assert any(line.startswith("Done (9 Mar 2024): centres moved a little") for line in lines)
    (asked,) = (line for line in lines if line.startswith(f"{began} (9 Mar 2024): all segments"))
    assert ("The yes came from ann." in asked) == ("approved_by" in changes)
    nudged, anew = seen(whole).looks.rows
    assert nudged[2].startswith("centres moved")
    assert anew[2].startswith("all segments" if began == "Done" else f"{began.lower()}: all")


def test_other_measures_have_other_units() -> None:
    worth = {"measure": "expected_orders", "horizon_days": None, "a_customer": {}}
    assert "Expected orders in the next period: 2,100 instead of 7,000 (−4,900)." in plain(
        short(movement(worth=worth))
    )
    worth = {"measure": "revenue", "horizon_days": None, "a_customer": {}}
    assert "had brought so far: EUR 2,100 instead of EUR 7,000" in plain(
        short(movement(worth=worth))
    )


def test_without_records_there_is_no_section() -> None:
    assert seen(None) is None
    assert 'id="week"' not in render(document(3))


def test_each_alarm_is_drawn_as_what_it_carries() -> None:
    view = seen(movement())
    assert view is not None
    series, broken, embedding, histogram = (one.plot for one in view.alarms)
    assert series is not None and 'class="usual"' in series.drawing.svg
    assert "since 10 Feb 2024" in plain(series.drawing.svg)
    assert "18.5 to 21.5" in plain(series.alt)
    assert len(series.table.rows) == 8
    assert broken is not None and 'class="usual"' not in broken.drawing.svg
    assert "line l1" in broken.drawing.svg
    assert embedding is None
    assert histogram is not None
    assert [plain(str(cell)) for cell in histogram.table.rows[-1]] == ["no value", "0 %", "40.0 %"]


def test_tables_hold_flows_looks_and_customers() -> None:
    view = seen(movement())
    assert view is not None and view.flows and view.looks and view.first
    assert [row[2:] for row in view.flows.rows] == [
        ["Silence: time without an event", "less", "35"], ["Their own events", "more", "25"],
    ]  # fmt: skip
    assert [row[0] for row in view.looks.rows] == ["look-0002", "look-0001"]
    assert plain(str(view.first.rows[0][4])) == "EUR 1,234"


@pytest.mark.parametrize("lang", CATALOGUE)
def test_the_page_shows_the_section(lang: str) -> None:
    page = render(replace(document(3), movement=movement()), lang)
    assert 'id="week"' in page
    assert CATALOGUE[lang]["week.title"] in page
    assert page.count('id="plot-alarm-') == 3
