"""The report in a real browser without a network, as a phone, a tablet and a desktop show it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journeys.browser import NAMES, Browser, found
from tests.unit.report.documents import document, hostile

from shoal.report.pages import render

ROOT = Path(__file__).parents[2]
WIDTHS = {"small phone": 320, "phone": 360, "tablet": 820, "desktop": 1280}
SHOPS = {
    "whole": document(4),
    "no money": document(3, money=False, categories=False, hours=False, value_event="review"),
    "hostile": hostile(),
    "nobody placed": document(0),
}

#: What reaches beyond the window, with what it is; empty if nothing does.
BEYOND = """
[...document.querySelectorAll("body *")].filter(e => {
  const box = e.getBoundingClientRect();
  return box.right > innerWidth + 1 && box.width > 0
    && !e.closest(".scroll, .sideways, .skip, caption");
}).slice(0, 3).map(e => e.outerHTML.slice(0, 120))
"""

#: Figures without a name, a table, or anything drawn with a size.
LACKING = """
[...document.querySelectorAll("figure")].filter(figure => {
  const drawing = figure.querySelector("[role=img]");
  return !drawing || !drawing.getAttribute("aria-label") || !figure.querySelector("table")
    || drawing.getBoundingClientRect().width < 200 || !drawing.querySelector("text");
}).map(figure => figure.id)
"""

#: Printed texts of drawings that are cut off by the edge of the window or of what scrolls.
CUT = """
[...document.querySelectorAll(".draw text")].filter(text => {
  const box = text.getBoundingClientRect();
  const edge = text.closest(".sideways, .scroll");
  const left = edge ? edge.getBoundingClientRect().left - edge.scrollLeft : 0;
  return box.width > 0 && (box.left < left - 1 || (!edge && box.right > innerWidth + 1));
}).map(text => text.textContent)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = found()
    if program is None:
        pytest.skip(f"no headless browser: none of {', '.join(NAMES)} is installed")
    with Browser(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


def page(shop: str, lang: str, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(render(SHOPS[shop], lang), encoding="utf-8", newline="\n")
    return path


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("shop", SHOPS)
def test_it_fits_every_window_and_complains_of_nothing(
    browser: Browser, shop: str, lang: str, tmp_path: Path
) -> None:
    report = page(shop, lang, tmp_path)
    for name, width in WIDTHS.items():
        browser.open(report, width)
        assert browser.complaints() == [], name
        assert browser.requests() == [report.as_uri()]
        assert browser.value("document.documentElement.scrollWidth") <= width, name
        assert browser.value(BEYOND) == [], name
        assert browser.value(LACKING) == [], name
        assert browser.value(CUT) == [], name
    assert browser.value("document.querySelectorAll('img, iframe, object').length") == 0


def test_the_checks_see_what_they_look_for(browser: Browser, tmp_path: Path) -> None:
    """A refused script, something too wide, a figure without a table, a text cut off."""
    report = page("whole", "en", tmp_path)
    text = report.read_text(encoding="utf-8")
    bad = (
        "<script>alert(1)</script><div id='wide' style='width:2000px'>x</div>"
        "<figure id='bare'><svg role='img'></svg></figure>"
        "<svg class='draw'><text x='-90' y='9'>cut off</text></svg></body>"
    )
    report.write_text(text.replace("</body>", bad), "utf-8")
    browser.open(report, 800)
    assert any("Content Security Policy" in one for one in browser.complaints())
    assert browser.value("document.documentElement.scrollWidth") > 800
    assert "wide" in browser.value(BEYOND)[0]
    assert browser.value(LACKING) == ["bare"]
    assert browser.value(CUT) == ["cut off"]


def test_two_segments_are_picked_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    browser.open(page("whole", "en", tmp_path), 1280)
    picker = "document.getElementById('pair-second')"
    names = browser.value(f"[...{picker}.options].map(one => one.text)")
    chosen = browser.value(f"{picker}.selectedIndex")
    browser.value("document.getElementById('pair-first').focus()")
    browser.press("Tab")
    assert browser.value("document.activeElement.id") == "pair-second"
    browser.press("ArrowDown")
    heads = browser.value(
        "[...document.querySelectorAll('#pair-table thead th')].map(one => one.textContent)"
    )
    assert heads[2] == names[chosen + 1]
    said = browser.value("document.getElementById('pair-widest').textContent")
    assert names[chosen + 1] in said
    customers = browser.value("document.querySelector('#pair-table tbody').rows[0].innerText")
    size = SHOPS["whole"].segments[chosen + 1].customers
    assert customers.replace(",", "").split()[-1] == str(size)


def test_it_reads_without_scripts(browser: Browser, tmp_path: Path) -> None:
    report = page("whole", "en", tmp_path)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report, 360)
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.value("document.querySelector('.pickers').checkVisibility()") is False
    assert browser.value("document.querySelector('nav ol').checkVisibility()") is True
    assert browser.value(LACKING) == []


def test_the_tab_key_begins_at_the_skip_link(browser: Browser, tmp_path: Path) -> None:
    browser.open(page("whole", "en", tmp_path), 360)
    browser.press("Tab")
    assert browser.value("document.activeElement.className") == "skip"
    browser.press("Enter")
    assert browser.value("document.activeElement.id") == "content"


@pytest.mark.parametrize(("shop", "lang"), [("whole", "en"), ("no money", "zh"), ("hostile", "en")])
def test_axe_finds_nothing(browser: Browser, shop: str, lang: str, tmp_path: Path) -> None:
    """Rules of WCAG 2.2 A and AA and good practice, at the narrowest and the widest window."""
    library = Path(os.environ.get("SHOAL_AXE", ROOT / "node_modules/axe-core/axe.min.js"))
    if not library.is_file():
        pytest.skip("axe-core is not here: npm install axe-core, or name axe.min.js in SHOAL_AXE")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    report = page(shop, lang, tmp_path)
    browser.call("Page.setBypassCSP", enabled=True)
    try:
        for width in (WIDTHS["phone"], WIDTHS["desktop"]):
            browser.open(report, width)
            browser.value(library.read_text(encoding="utf-8") + ";0")
            text = browser.value(
                f"axe.run(document, {{runOnly: {json.dumps(tags)}}}).then(found => JSON.stringify("
                "found.violations.map(one => [one.id, one.nodes[0].html])))"
            )
            assert json.loads(text) == [], width
    finally:
        browser.call("Page.setBypassCSP", enabled=False)
