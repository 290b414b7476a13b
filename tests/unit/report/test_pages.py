"""The page: complete, self-contained, safe, and sensible for awkward shops."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from tests.unit.report.documents import document, hostile

from shoal.report.draw import Drawing
from shoal.report.pages import render
from shoal.report.views import Plot, Table

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """What a browser sees: elements with attributes, texts, scripts, and whether tags balance."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self.open and self.open[-1] != "style":
            self.text += data

    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.elements if "id" in attrs]

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.elements if name == tag)


@cache
def rendered(name: str, lang: str = "en") -> str:
    """The page of one of `SHOPS`."""
    return render(SHOPS[name], lang)


@cache
def read(name: str, lang: str = "en") -> Reader:
    return Reader(rendered(name, lang))


SHOPS = {
    "whole": document(),
    "one segment": document(1),
    "sixty segments": document(60),
    "no money": document(5, money=False, value_event="review"),
    "custom value event": document(4, money=False, value_event="favourite"),
    "no categories": document(5, categories=False, hours=False),
    "nobody placed": document(0),
    "no tier": document(4, tier=0),
    "no currency": document(4, currency=""),
    "hostile": hostile(),
}


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", SHOPS)
def test_every_shop_gives_a_sound_page(name: str, lang: str) -> None:
    page = read(name, lang)
    assert page.open == []
    assert len(page.ids()) == len(set(page.ids()))
    assert page.count("h1") == 1
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in page.elements}
    targets = {attrs["href"] for tag, attrs in page.elements if tag == "a"}
    assert {str(target)[1:] for target in targets} <= set(page.ids())
    assert "nan" not in re.findall(r"\b\w+\b", page.text.lower())
    assert not any(line.strip() == "None" for line in page.text.splitlines())


@pytest.mark.parametrize("name", SHOPS)
def test_every_figure_has_a_text_alternative_and_a_table(name: str) -> None:
    drawings = 0
    for figure in re.findall(r"<figure.*?</figure>", rendered(name), re.DOTALL):
        inside = Reader(figure)
        # The table may hold lines of its own.
        drawing = next(attrs for _, attrs in inside.elements if attrs.get("role") == "img")
        assert len(str(drawing["aria-label"])) > 30
        assert inside.count("table") == 1
        drawings += 1
    assert drawings == read(name).count("figure")
    assert drawings > 0


@pytest.mark.parametrize("name", SHOPS)
def test_nothing_is_requested_from_outside(name: str) -> None:
    text = rendered(name)
    for tag, attrs in read(name).elements:
        for attribute in ("src", "href", "srcset", "action", "poster", "data", "formaction"):
            value = attrs.get(attribute)
            assert value is None or value.startswith(("#", "data:,")), (tag, attribute, value)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1] and "@import" not in style[1]
    if name != "hostile":
        assert not re.search(r"https?://", text)


def test_the_content_policy_allows_the_pages_own_scripts_and_no_request() -> None:
    text = render(document(2))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    allowed = policy[1].replace("&#39;", "'")
    assert "default-src 'none'" in allowed
    assert "connect-src" not in allowed and "http" not in allowed
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in allowed


def test_sixty_segments_stay_a_file_to_send_by_mail() -> None:
    assert len(rendered("sixty segments").encode()) < 3_000_000


def test_sixty_segments_are_all_in_the_table_and_the_foremost_in_the_figure() -> None:
    figure = re.search(
        r'<figure[^>]*id="plot-shares".*?</figure>', rendered("sixty segments"), re.S
    )
    assert figure is not None
    assert Reader(figure[0]).count("tr") == 1 + 60 + 1
    assert figure[0].count('class="main"') == 1 + 20  # a key and the bars
    assert "The 20 that bring most are drawn" in figure[0]


def test_what_is_too_large_for_a_printed_page_is_made_smaller() -> None:
    plain = Table(["a"], [])
    for height, width, part in ((500, 0, 1.0), (1000, 0, 0.84), (3000, 0, 1.0), (500, 1320, 0.5)):
        assert Plot("k", "", Drawing("", height, "", width), plain).shrink == part


@pytest.mark.parametrize("name", SHOPS)
def test_headings_go_down_one_level_at_a_time(name: str) -> None:
    levels = [int(tag[1]) for tag, _ in read(name).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", SHOPS)
def test_tables_have_captions_and_cells_with_scope(name: str) -> None:
    page = read(name)
    assert page.count("caption") == page.count("table") > 0
    heads = [attrs for tag, attrs in page.elements if tag == "th"]
    assert all(attrs.get("scope") in ("col", "row") for attrs in heads)


def test_what_was_cut_is_said_by_pointing_and_never_within_an_attribute() -> None:
    titles = [attrs["title"] for tag, attrs in read("hostile").elements if "title" in attrs]
    assert any(str(title).startswith("</script><script>alert(1)") for title in titles)
    assert max(len(str(title)) for title in titles) <= 500
    values = [value for _, attrs in read("hostile").elements for value in attrs.values()]
    assert not any("<span" in str(value) for value in values)


def test_hostile_texts_stay_texts() -> None:
    text, page = rendered("hostile"), read("hostile")
    assert page.count("img") == 0
    # The page's own script and what it compares.
    assert [attrs for attrs, _ in page.scripts if attrs.get("type") != "application/json"] == [{}]
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert "</script><script>alert(1)</script>" in page.text
    assert "{{7*7}}" in page.text and "49" not in page.text.split("{{7*7}}")[0][-5:]
    assert "\x00" not in text and "\u202e" not in text
    assert "W" * 1000 not in text
    assert all("http://x.example" not in (attrs.get("href") or "") for _, attrs in page.elements)


def test_the_page_says_what_was_found_with_units() -> None:
    said = read("whole").text.replace("\u00a0", " ")
    assert "6,642 of 10,842 customers (61.3 %) fall into 7 segments by what they do." in said
    assert "The segment that brings the most is “Big baskets, few orders”" in said
    assert "GBP 540,309" in said
    assert "Days since the last order" in said and "8.4 days against 61.2 days" in said
    assert "4,200 customers (38.7 %) have fewer than 3 events and are not placed." in said
    assert "the time cannot be read" in said
    assert "No explanation is on file for this code" in said
    for fact in ("kmeans-0001", "rfm-0001", "9f2c4e5ab01d", "Europe/London", "variance_share"):
        assert fact in said


def test_the_same_page_in_chinese() -> None:
    page = read("whole", "zh")
    said = page.text.replace("\u00a0", " ")
    assert page.elements[0] == ("html", {"lang": "zh-Hans"})
    assert "10,842 位客户中有 6,642 位（61.3 %）按其行为归入 7 个分群。" in said
    assert "时间无法读取" in said
    for english in ("Show the numbers", "What was found", "Contents", "Customers"):
        assert english not in said


def test_a_shop_without_money_speaks_of_its_value_event() -> None:
    said = read("no money").text
    assert "The events carry no prices" in said
    assert "Share of customers and of review occasions, by segment" in said
    assert "Revenue per customer" not in said and "Net revenue" not in said
    assert "GBP" not in said


def test_prices_without_a_currency_are_said_to_have_no_unit() -> None:
    said = read("no currency").text
    assert "not stated; amounts are shown without a unit" in said


def test_a_shop_with_nobody_placed_says_so() -> None:
    said = read("nobody placed").text.replace("\u00a0", " ")
    assert "None of the 4,200 customers has done enough to be placed in a segment." in said
    assert "Each segment" not in said


def test_the_same_document_gives_the_same_bytes() -> None:
    assert render(document(3)) == render(document(3))
