"""The story's sections: what they say, in which order, and what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.report.documents import document
from tests.unit.report.stories import cohorts as made_cohorts
from tests.unit.report.stories import moves as made_moves

from shoal.report import (
    section_cohorts,
    section_funnel,
    section_heat,
    section_look,
    section_moves,
    section_stake,
    section_trend,
)
from shoal.report.document import ReportDocument
from shoal.report.document_story import Funnel, Moves, Step, Story
from shoal.report.numbers import Numbers
from shoal.report.story_wording import Teller
from shoal.report.texts import Texts
from shoal.report.wording import Wording


def teller(found: ReportDocument, lang: str = "en") -> Teller:
    return Teller(Wording(found, Texts(lang), Numbers(lang, found.currency)))


WHOLE = document()


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def told(found: ReportDocument, **changes: object) -> Teller:
    return teller(replace(found, story=replace(found.story, **changes)))  # type: ignore[arg-type]


# --- Movement -------------------------------------------------------------------------------------


def test_the_table_of_standings_adds_up_to_all() -> None:
    found = WHOLE.story.moves
    assert found is not None
    view = section_moves.moves(teller(WHOLE), found)
    assert view is not None and view.standings is not None
    rows = [[int(str(cell).replace(",", "")) for cell in row[1:8]] for row in view.standings.rows]
    assert [sum(column) for column in zip(*rows[:-1], strict=True)] == rows[-1]
    assert rows[-1][-1] == WHOLE.customers
    assert len(view.standings.columns) == len(view.standings.rows[0]) == 11


def test_the_lead_says_what_the_segments_knew() -> None:
    found = WHOLE.story.moves
    assert found is not None
    view = section_moves.moves(teller(WHOLE), found)
    assert view is not None
    assert "applied to what was known on 21 Jun 2024" in plain(view.lead)
    assert "they knew what was still to come" in view.lead
    early = section_moves.moves(teller(WHOLE), replace(found, foreknown=False))
    assert early is not None and "still to come" not in early.lead


def test_worth_is_left_out_where_the_span_before_is_not_whole() -> None:
    found = made_moves(WHOLE.segments, whole=False)
    view = section_moves.moves(teller(WHOLE), found)
    assert view is not None and view.standings is not None
    assert len(view.standings.columns) == 8
    assert "does not compare" in view.notes[0]


def test_every_flow_stands_in_the_diagrams_table() -> None:
    found = WHOLE.story.moves
    assert found is not None
    view = section_moves.moves(teller(WHOLE), found)
    assert view is not None and view.plot is not None
    counted = [int(str(row[2]).replace(",", "")) for row in view.plot.table.rows]
    assert sum(counted) == sum(one.customers for one in found.flows)
    assert counted == sorted(counted, reverse=True)


def test_sixty_segments_share_a_place_in_the_diagram_and_all_stand_in_the_tables() -> None:
    many = document(60)
    found = many.story.moves
    assert found is not None
    view = section_moves.moves(teller(many), found)
    assert view is not None and view.plot is not None and view.standings is not None
    assert "Other segments" in view.plot.drawing.svg
    assert len(view.standings.rows) == 62
    assert len(view.plot.table.rows) <= 151
    counted = [int(str(row[2]).replace(",", "")) for row in view.plot.table.rows]
    assert sum(counted) == sum(one.customers for one in found.flows)


@pytest.mark.parametrize("why", ["short", "older", "nobody"])
def test_why_there_is_no_movement_is_said_once(why: str) -> None:
    view = section_moves.moves(told(WHOLE, moves=None, absent={"moves": why}), None)
    assert view is not None and view.plot is None
    assert view.lead == Texts("en")(f"absent.moves.{why}")


def test_a_segment_says_whence_its_customers_came() -> None:
    found = WHOLE.story.moves
    assert found is not None
    said = section_moves.moved(teller(WHOLE), found, WHOLE.story.moves_before, "s02")
    one = found.standing("s02")
    assert one is not None
    assert said[0].startswith(f"{one.then:,} customers then, {one.now:,} now: {one.joined:,} came")
    first, third = WHOLE.segments[0].name, WHOLE.segments[2].name
    assert said[1] == f"Most came from “{first}”: {one.joined}."
    assert said[2] == f"Most went to “{third}”: {one.left}."
    assert said[3].startswith("Another 28\u00a0days earlier it held")
    change = 100 * (one.worth_now / one.worth_then - 1)
    assert f"({change:.1f} %)".replace("-", "−") in plain(said[4])
    assert section_moves.moved(teller(WHOLE), found, None, "unheard of") == []


# --- What to look at ------------------------------------------------------------------------------


def test_errors_of_the_data_come_first_and_every_look_has_its_section() -> None:
    view = section_look.look(teller(WHOLE))
    assert view is not None
    anchors = [one.anchor for one in view.looks]
    assert anchors[0] == "quality"
    assert {"stake", "cohorts", "funnel", "moves"} <= set(anchors)
    assert len(anchors) <= 7
    assert "2 errors" in view.looks[0].sentence


def test_what_moved_is_said_with_the_span_before() -> None:
    view = section_look.look(teller(WHOLE))
    assert view is not None
    said = plain(" ".join(view.moved))
    assert view.since == "Since 21 Jun 2024"
    assert "1,100 were active in these 28 days, against 900 in the 28 days before (+22.2 %)" in said
    found = WHOLE.story.moves
    assert found is not None
    assert f"{found.changed:,} ({100 * found.changed / found.kept:.1f} %)" in said


def test_without_a_whole_span_before_nothing_is_compared() -> None:
    view = section_look.look(told(WHOLE, moves=made_moves(WHOLE.segments, whole=False)))
    assert view is not None
    assert "against" not in " ".join(view.moved)
    assert not any(one.anchor.startswith("segment-") for one in view.looks)


def test_a_shop_in_which_nothing_stands_out_says_so() -> None:
    quiet = replace(
        WHOLE,
        quality=None,
        story=Story(),
        rows=replace(WHOLE.rows, quarantined=0),
    )
    view = section_look.look(teller(quiet))
    assert view is not None
    assert (view.since, list(view.moved), list(view.looks)) == ("", [], [])
    assert section_look.look(teller(document(0))) is None


def test_a_cohort_is_told_of_only_beyond_chance_and_without_the_oldest() -> None:
    def sentences(change: Callable[[tuple[int, ...], int], tuple[int, ...]]) -> list[str]:
        made = made_cohorts()
        parts = tuple(
            replace(one, active=change(one.active, place)) for place, one in enumerate(made.cohorts)
        )
        view = section_look.look(told(WHOLE, cohorts=replace(made, cohorts=parts)))
        assert view is not None
        return [one.sentence for one in view.looks if one.anchor == "cohorts"]

    (found,) = sentences(lambda active, place: active)
    assert "Of 310 customers who came first in 2024-05, 11.9" in plain(found)
    assert "of those of the 3 before it was 40.0" in plain(found)
    # As many as before: nothing to tell. All of the oldest came back: still nothing.
    same = lambda active, place: (active[0], round(0.4 * active[0]), *active[2:])[: len(active)]  # noqa: E731
    assert sentences(same) == []
    assert sentences(lambda a, p: same(a, p) if p else (a[0], a[0], *a[2:])) == []


def test_a_change_of_worth_is_told_from_a_tenth_of_the_segment_on() -> None:
    def anchors(factor: float) -> list[str]:
        found = WHOLE.story.moves
        assert found is not None
        parts = tuple(
            replace(one, worth_then=100.0, worth_now=100.0 * (factor if not place else 1.0))
            for place, one in enumerate(found.standings)
        )
        moves: Moves = replace(found, standings=parts)
        view = section_look.look(told(WHOLE, moves=moves))
        assert view is not None
        return [one.anchor for one in view.looks if one.anchor.startswith("segment-")]

    assert anchors(0.95) == []
    assert anchors(0.8) == ["segment-1"]


# --- The other sections ---------------------------------------------------------------------------


def test_the_rule_of_silence_is_said_with_its_numbers() -> None:
    view = section_stake.stake(teller(WHOLE), WHOLE.story.stake)
    assert view is not None and view.foremost is not None
    assert "on at least 3 different days" in view.lead
    assert "more than 3 times" in view.lead and "about once in 20 times" in view.lead
    assert "90 of the 800 customers" in view.summary and "10.0\u00a0%" in view.summary
    assert [row[0] for row in view.foremost.rows] == ["c0", "c1", "c2", "c3", "c4"]


def test_nobody_quiet_and_no_habit_are_said() -> None:
    stake = WHOLE.story.stake
    assert stake is not None
    nobody = replace(stake, customers=0, by_segment=(), foremost=(), worth=0.0)
    view = section_stake.stake(teller(WHOLE), nobody)
    assert view is not None and view.plot is None
    assert view.summary.startswith("None of the 800 customers")
    none = section_stake.stake(told(WHOLE, stake=None, absent={"stake": "no_habit"}), None)
    assert none is not None and "three different days" in none.lead
    assert section_stake.stake(told(WHOLE, stake=None, absent={"stake": "no_orders"}), None) is None


def test_cohorts_leave_what_is_not_over_out_of_the_whole() -> None:
    found = made_cohorts()
    came, of = section_cohorts.whole(found, 1)
    # Of June's customers July is not over; July has no month after it.
    assert of == 400 + 300 + 280 + 300 + 310
    assert came == 160 + 120 + 112 + 120 + 37
    view = section_cohorts.cohorts(teller(WHOLE), found)
    assert view is not None and view.plot is not None
    assert len(view.plot.table.rows) == 8
    assert plain(str(view.plot.table.rows[-1][2])) == f"{100 * came / of:.1f} %"
    # A dashed frame for the last month of the six cohorts that have one behind them.
    assert view.plot.drawing.svg.count('class="open"') == 6


def test_the_funnel_compares_a_segment_with_everyone() -> None:
    view = section_funnel.funnel(teller(WHOLE), WHOLE.story.funnels)
    assert view is not None
    assert [row[0] for row in view.by_segment.rows][-1] == "All customers"
    assert view.by_segment.columns[-1] == "Bought on days with a view"
    days = [int(str(row[1]).replace(",", "")) for row in view.by_segment.rows]
    assert sum(days[:-1]) == days[-1]
    assert section_funnel.funnel(teller(WHOLE), {}) is None


def test_a_funnel_without_views_has_no_conversion() -> None:
    one = Funnel("", 3, 10, (Step("cart_add", 5, 3), Step("value", 2, 2)), 0)
    assert section_funnel.conversion(one) is None
    view = section_funnel.funnel(teller(WHOLE), {"": one})
    assert view is not None and len(view.by_segment.columns) == 4


@pytest.mark.parametrize(
    ("kind", "name"),
    [("purchase", "Bought"), ("review", "Reviewed"), ("favourite", "“favourite”")],
)
def test_the_last_step_is_the_shops_value_event(kind: str, name: str) -> None:
    assert section_funnel.step_name(teller(replace(WHOLE, value_event=kind)), "value") == name


def test_the_heat_map_shows_differences_and_its_table_values() -> None:
    view = section_heat.features(teller(WHOLE), WHOLE.story.features)
    assert view is not None and view.plot is not None
    assert len(view.plot.table.rows) == len(WHOLE.story.features)
    assert len(view.plot.table.columns) == 1 + len(WHOLE.segments)
    one = WHOLE.story.features[2]
    assert (one.feature, view.plot.table.rows[2][1]) == ("net_revenue", "GBP\u00a0812.40")
    assert section_heat.features(told(WHOLE, features=(), absent={"features": "one"}), ()) is None
    older = section_heat.features(told(WHOLE, features=(), absent={"features": "older"}), ())
    assert older is not None and "older version" in older.lead


def test_a_trend_needs_two_periods_and_shows_orders_without_money() -> None:
    periods = WHOLE.story.trends["s01"]
    assert section_trend.trend(teller(WHOLE), WHOLE.segments[0], periods[:1], "t") is None
    drawn = section_trend.trend(teller(WHOLE), WHOLE.segments[0], periods, "t")
    assert drawn is not None and drawn.table.columns[-1] == "Net revenue (GBP)"
    bare = document(3, money=False)
    orders = section_trend.trend(teller(bare), bare.segments[0], bare.story.trends["s01"], "t")
    assert orders is not None and orders.table.columns[-1] == "Orders"
    assert next(row[2] for row in orders.table.rows) == f"{bare.segments[0].customers // 3:,}"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("money", [True, False])
def test_every_sentence_can_be_said_in_every_language(lang: str, money: bool) -> None:
    found = document(5, money=money, value_event="purchase" if money else "review")
    view = section_look.look(teller(found, lang))
    assert view is not None
    said = [*view.moved, *(one.sentence for one in view.looks)]
    assert len(said) > 8
    assert not any("{" in sentence for sentence in said)
