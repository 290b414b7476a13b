"""What a notebook shows: figures of the report, tables, the page; everything from data escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from shoal.domain.errors import UsageError
from shoal.report.document import Effect, Segment
from shoal.report.notebook import ReportFile, Segments, facts

SCRIPT = "<script>alert(1)</script>"


def segments(**changes: object) -> Segments:
    document = {
        "headline": f"two segments {SCRIPT}",
        "currency": "EUR",
        "segments": [
            {"segment_id": "s01", "name": {"en": f"Loud {SCRIPT}"}, "size": 60, "share": 0.6,
             "revenue": 1234.5, "summary": {"en": "Many."}},
            {"segment_id": "s02", "name": {"en": "Quiet"}, "size": 40, "share": 0.4,
             "revenue": 10.0, "summary": {"en": "Few."}},
        ],
    }  # fmt: skip
    composed = (
        Segment("s02", "Quiet", 40, 4, 10.0),
        Segment("s01", f"Loud {SCRIPT}", 60, 9, 1234.5,
                effects=(Effect("a", "Visits at night", "share", 1.5, 0.6, 0.1),
                         Effect("b", "Orders", "orders", -2.0, 1, 5))),
    )  # fmt: skip
    return Segments({**document, **changes}, lambda lang: composed)


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += " ".join(data.split())


def test_it_is_still_the_document() -> None:
    assert segments()["segments"][0]["segment_id"] == "s01"


def test_the_table_names_every_segment_and_runs_nothing() -> None:
    shown = Elements(segments()._repr_html_())
    assert "script" not in shown.tags
    assert shown.tags.count("tr") == 3
    for text in ("s01", "Quiet", "EUR 1,234", "60.0 %"):
        assert text in shown.words


def test_the_plot_shows_shares_of_worth_and_of_customers_most_worth_first() -> None:
    shown = Elements(segments().plot()._repr_html_())
    assert "script" not in shown.tags
    assert shown.words.index("Loud") < shown.words.index("Quiet")
    for text in ("99.2 %", "60.0 %", "0.8 %", "40.0 %"):
        assert text in shown.words


def test_a_segment_is_drawn_by_what_sets_it_apart() -> None:
    words = Elements(segments().plot("s01").svg).words
    assert words.index("Orders") < words.index("Visits at night")  # the larger effect first


def test_an_unknown_segment_or_language_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no segment 's09'") as caught:
        segments().plot("s09")
    assert caught.value.hint == "Segments: s02, s01."
    with pytest.raises(UsageError, match="language 'xx'"):
        segments().plot(lang="xx")


def test_segments_without_money_are_shown_by_orders() -> None:
    two = (Segment("s01", "One", 1, 3, None), Segment("s02", "Two", 1, 1, None))
    drawn = Segments(segments(), lambda lang: two)
    words = Elements(drawn.plot().svg).words
    assert "75.0 %" in words and "Orders" in words


def test_a_report_is_a_path_that_shows_itself(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(f'<p title="x">hello</p>{SCRIPT}', encoding="utf-8")
    written = ReportFile(tmp_path / "report.html")
    assert written == tmp_path / "report.html"
    assert written.stat().st_size > 0
    shown = Elements(written._repr_html_())
    assert shown.tags == ["iframe"]


def test_facts_go_one_level_deep() -> None:
    shown = Elements(
        facts("Shop", {"schema": "x/1", "rows": {"read": 1234}, "none": None, "of": [1]})
    )
    assert "rows read" in shown.words and "1,234" in shown.words
    assert "schema" not in shown.words and "none" not in shown.words
    assert "1 entries" in shown.words
