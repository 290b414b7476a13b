"""The quality section: graver findings in words, all in the table, gaps in the figure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from tests.unit.report.documents import document, quality
from tests.unit.report.svg import Read

from shoal.domain.quality import CHECKS, Finding, Quality, SourceFacts
from shoal.report.figures_quality import panel
from shoal.report.numbers import Numbers
from shoal.report.quality_texts import told
from shoal.report.section_quality import QualityView
from shoal.report.section_quality import quality as section
from shoal.report.texts import CATALOGUE, Texts
from shoal.report.wording import Wording


def view(found: Quality, lang: str = "en") -> QualityView:
    return section(Wording(document(3), Texts(lang), Numbers(lang)), found)


def test_graver_findings_are_told_in_words_and_all_in_the_table() -> None:
    shown = view(quality())
    assert shown.summary == "2 errors, 2 warnings, 1 note"
    assert [one.severity for one in shown.items] == ["error", "error", "warning", "warning"]
    assert shown.items[1].found.startswith("120 of 130 purchase events of web have no price")
    assert shown.items[1].found.replace("\u00a0", " ").endswith("At other times it is 1.0 %.")
    assert shown.items[1].when == "since 10 Jul 2024"
    assert shown.items[3].when == "1 May 2024 to 3 May 2024"
    assert shown.table is not None
    assert len(shown.table.rows) == 5
    assert "delays" in shown.fine.partition("Switched off")[2]


def test_gaps_are_bands_in_their_sources_panel() -> None:
    plot = view(quality()).plot
    assert plot is not None
    drawn = Read(plot.drawing)
    bands = drawn.marks("rect", "band")
    assert len(bands) == 2
    # Silent: to the end of the shop.
    assert "15 Jul 2024, 03:00 – 19 Jul 2024, 00:00" in drawn.said()
    assert float(bands[0]["y"]) < float(bands[1]["y"])  # web above app
    first = 60 / 199  # of the app's, in the 200 days drawn
    assert drawn.across("rect", "band", "x")[1] == pytest.approx(first, abs=1e-3)
    assert "3 sources" in plot.alt
    assert "2 gaps" in plot.alt


def test_nothing_found_is_said() -> None:
    fine = replace(quality(), findings=(), off=())
    shown = view(fine)
    assert shown.summary == "No check found anything to tell of."
    assert (shown.items, shown.table, shown.fine) == ([], None, "")


def test_a_long_history_is_drawn_by_whole_weeks() -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    facts = SourceFacts("a", 7_000, moment, moment, "day", 10, tuple([7] * 1_003))
    drawn = panel(facts, "a", [], moment)
    assert set(drawn.counts) == {49}
    assert len(drawn.days) == 1_003 // 7
    assert drawn.days[1] == date(1970, 1, 18)


@pytest.mark.parametrize("lang", CATALOGUE)
@pytest.mark.parametrize("check", CHECKS)
def test_every_check_has_its_texts(check: str, lang: str) -> None:
    texts = Texts(lang)
    assert texts(f"quality.name.{check}")
    keys = [key for key in CATALOGUE[lang] if key.startswith(f"quality.found.{check}")]
    assert keys
    for key in keys:
        variant = key.removeprefix(f"quality.found.{check}").lstrip(".")
        own = texts.known(f"quality.todo.{check}.{variant}") if variant else False
        assert own or texts.known(f"quality.todo.{check}"), key


def test_a_finding_reads_the_same_in_both_languages_figures() -> None:
    one = Finding("repeated", "warning", "web", variant="orders", count=12, of=48)
    assert "12" in told(one, "en").found
    assert "12" in told(one, "zh").found
    assert told(one, "en").found.replace("\u00a0", " ").endswith("(25.0 %).")
