"""The segments as rules: how far they can be trusted, and what each segment's part adds."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.report.documents import document

from shoal.report.document import ReportDocument
from shoal.report.document_reasons import Explanation, TreeTold
from shoal.report.numbers import Numbers
from shoal.report.pages import render
from shoal.report.section_rules import RulesView, Told, rules, told
from shoal.report.section_segments import profile
from shoal.report.story_wording import Teller
from shoal.report.texts import Texts
from shoal.report.wording import Wording

SHOP = document(3)


def teller(shop: ReportDocument) -> Teller:
    return Teller(Wording(shop, Texts("en"), Numbers("en", shop.currency)))


def explained() -> Explanation:
    assert SHOP.explanation is not None
    return SHOP.explanation


def tree(**changes: object) -> Explanation:
    found = explained().tree
    assert isinstance(found, TreeTold)
    return replace(explained(), tree=replace(found, **changes))


def view(found: Explanation | None) -> RulesView:
    seen = rules(teller(SHOP), found)
    assert seen is not None
    return seen


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_fidelity_below_the_goal_is_said_plainly() -> None:
    low = plain(view(tree(balanced=0.871)).verdict)
    assert "not true enough" in low and "only 87.1 %" in low and "90.0 %" in low
    high = plain(view(tree(balanced=0.9)).verdict)
    assert "are true to the segments" in high and "90.0 % of a segment’s" in high


def test_what_rules_cost_leave_out_and_keep_is_told_only_where_it_is_something() -> None:
    said = plain(" ".join(view(tree()).sentences))
    assert "largest segment would find 25.0 %" in said
    assert "lies 4.0 % further apart" in said
    assert "3 features that no query over events can tell" in said and "3.0 %" in said
    assert "Of 7 questions that the tree asks, that of kmeans-0002 asked 5 as well" in said
    bare = " ".join(view(tree(cost=1.0, lost=0.0, previous="")).sentences)
    assert "further apart" not in bare and "no query" not in bare and "questions" not in bare


def test_every_segment_has_its_share_and_its_ways_in() -> None:
    table = view(explained()).table
    assert table is not None
    assert [[plain(str(cell)) for cell in row[1:]] for row in table.rows] == [
        ["95.0 %", "2"], ["85.0 %", "2"], ["95.0 %", "2"],
    ]  # fmt: skip
    assert list(table.links) == ["segment-1", "segment-2", "segment-3"]


def test_one_segment_needs_no_rules_and_old_segmentations_have_no_section() -> None:
    assert "nothing to tell apart" in view(replace(explained(), tree=None)).lead
    assert rules(teller(SHOP), None) is None
    old = render(replace(SHOP, explanation=None))
    assert 'id="rules"' not in old and "Borderline customers" not in old
    assert 'id="rules"' in render(SHOP)


def own(shop: ReportDocument, place: int = 0) -> Told:
    return told(teller(shop), shop.segments[place])


def test_a_segment_has_its_persona_value_rules_and_border() -> None:
    one = own(SHOP, 1)
    assert one.persona == "Weekend browsers: many customers, who buy often."
    assert plain(one.expected) == (
        "In the next 28 days are expected: 41.0 % of its customers active, 123 orders and "
        "GBP 4,568 spent."
    )
    assert [plain(each) for each in one.rules] == [
        "[Orders placed] more than 2 – 21.0 % of placed customers, 70.0 % of them rightly",
        "[Views] at most 3 – nobody",
    ]
    assert "find only 85.0 %" in plain(one.rule_notes[0])
    assert "find 95.0 %" in plain(own(SHOP, 0).rule_notes[0])
    assert one.borderline is not None
    assert [plain(str(cell)) for cell in one.borderline.rows[0]] == [
        "b1", "Big baskets, few orders", "51.0 %", "46.0 %",
    ]  # fmt: skip


def test_what_is_not_expected_is_not_told() -> None:
    bare = document(3, money=False)
    assert "spent" not in own(bare).expected and "123 orders" in own(bare).expected
    one = explained().segments["s01"]
    without = replace(explained(), segments={"s01": replace(one, expected=None)})
    assert own(replace(SHOP, explanation=without)).expected == ""


def test_a_segment_of_rules_says_its_own_rule() -> None:
    ruled = replace(SHOP.segments[0], rule="Recency 5 and frequency 5")
    shop = replace(SHOP, explanation=None, segments=(ruled, *SHOP.segments[1:]))
    assert own(shop).rules == ["Recency 5 and frequency 5"]
    assert "Recency 5 and frequency 5" in render(shop)
    assert own(shop, 1) == Told()


def test_intervals_stand_in_the_table_of_differences() -> None:
    effects = tuple(
        replace(one, low=one.size - 0.1, high=one.size + 0.1) for one in SHOP.segments[0].effects
    )
    first = replace(SHOP.segments[0], effects=effects)
    shop = replace(SHOP, segments=(first, *SHOP.segments[1:]))
    table = profile(teller(shop).wording, first).plots[0].table
    assert table.columns[-1] == "95 % interval"
    assert table.rows[0][-1] == "+1.80 … +2.00"
