"""The section on how many segments: evidence by number, the outlook, and no groups at all."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.report.documents import document
from tests.unit.report.reasons import choice as made_choice
from tests.unit.report.svg import Read

from shoal.report.document_reasons import Choice
from shoal.report.numbers import Numbers
from shoal.report.pages import render
from shoal.report.section_choice import ChoiceView, choice
from shoal.report.texts import Texts
from shoal.report.wording import Wording

SHOP = document(7)


def view(found: Choice | None, lang: str = "en") -> ChoiceView | None:
    return choice(Wording(SHOP, Texts(lang), Numbers(lang, "GBP")), found)


def plain(text: object) -> str:
    return str(text).replace("\u00a0", " ")


def told(found: Choice) -> str:
    seen = view(found)
    assert seen is not None
    return plain(" ".join(seen.sentences))


def test_the_table_holds_every_number_with_all_its_evidence() -> None:
    found = made_choice(7)
    seen = view(found)
    assert seen is not None
    score, trust, outlook = seen.plots
    assert [row[0] for row in score.table.rows] == [str(one.k) for one in found.candidates]
    row = score.table.rows[3]
    assert row[:5] == ["7", "0.976", "0.060", "0.910", "0.750"]
    assert (row[6], score.table.rows[-1][6]) == ("chosen", "Not stable enough over resamples")
    assert "1 is the best number tried" in score.title
    assert "At 7: stability 0.910, prediction strength 0.750" in trust.alt
    assert len(Read(trust.drawing).marks("path", "line")) == 2 + 2  # two curves and their keys
    assert [row[0] for row in outlook.table.rows] == ["1", "2", "3", "4"]
    assert [row[3] for row in outlook.table.rows] == ["", "", "chosen", ""]
    assert Read(outlook.drawing).texts("strong") == ["taken: 3"]


def test_scores_of_older_segmentations_are_shares_of_what_varies() -> None:
    seen = view(replace(made_choice(7), relative=False, aim="", tried=(), head=()))
    assert seen is not None
    assert seen.plots[0].title == "Share of the next 28\xa0days foretold"
    assert len(seen.plots) == 2 and seen.head is None
    assert len(seen.sentences) == 1


def test_what_segments_are_made_on_is_said_as_it_was() -> None:
    base = made_choice(7)
    assert "how they shop first (3 styles)" in told(base)
    assert "largest number of styles within one standard error" in told(base)
    assert "number of styles that foretells best" in told(replace(base, aim="foretell"))
    assert "(1 style)" in told(replace(base, styles=1))
    assert "foretells no better beyond one standard error" in told(replace(base, styles=7))
    assert "Nothing could be learned" in told(replace(base, styles=None, tried=()))
    assert "as was asked for" in told(replace(base, aim="style", styles=None))
    assert "on nothing else" in told(replace(base, aim="outlook", styles=None, alone=True))


def test_the_head_stands_against_what_came() -> None:
    seen = view(made_choice(7))
    assert seen is not None and seen.head is not None
    assert [list(row) for row in seen.head.rows] == [
        ["Active at all", "41.0\xa0%", "40.0\xa0%", "area 0.83"],
        ["Spend a customer", "GBP\xa012.50", "GBP\xa011.25", "rank correlation 0.40"],
    ]


def test_no_number_that_is_trusted_is_not_called_chosen_by_the_rule() -> None:
    base = made_choice(7)
    assert "Chosen is the smallest trusted one" in told(base)
    nobody = tuple(replace(one, eligible=False) for one in base.candidates)
    assert "Chosen is" not in told(replace(base, candidates=nobody))


def test_no_groups_are_said_first_and_everywhere() -> None:
    none = Choice("no_groups", 1, (), "Because.", strengths={3: 0.41, 2: 0.55}, aim="balance")
    seen = view(none)
    assert seen is not None
    assert (seen.none, seen.reason, seen.plots, seen.sentences) == (True, "Because.", [], [])
    tried = view(replace(none, tried=made_choice(7).tried, styles=3))
    assert tried is not None
    assert Read(tried.plots[0].drawing).texts("strong") == []
    assert "<strong>Because.</strong>" in render(replace(SHOP, choice=none))
    assert seen.strengths is not None
    assert [list(row) for row in seen.strengths.rows] == [["2", "0.550"], ["3", "0.410"]]
    one = replace(document(1), choice=none)
    assert "customers differ one by one, not by groups" in render(one)
    assert "customers differ one by one, not by groups" not in render(document(1))


def test_a_told_number_has_its_words_and_rules_have_no_section() -> None:
    seen = view(Choice("told", 5))
    assert seen is not None
    assert "was told" in seen.reason and not seen.plots
    assert view(None) is None
    assert 'id="choice"' not in render(replace(SHOP, choice=None))
