"""The report in a real browser without a network: every figure is drawn, nothing complains."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.report.documents import document, hostile

from shoal.report.document import ReportDocument
from shoal.report.pages import render

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Seen(HTMLParser):
    """The page as the browser left it, and what it logged to the console."""

    def __init__(self, dom: str, log: str) -> None:
        super().__init__()
        self.console = [line for line in log.splitlines() if "CONSOLE" in line]
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no headless browser: none of {', '.join(NAMES)} is installed")
    return found


def look(browser: str, shop: ReportDocument, lang: str, folder: Path) -> Seen:
    """Open the report in a window tall enough to draw everything, with every host unreachable."""
    page = folder / "report.html"
    page.write_text(render(shop, lang), encoding="utf-8", newline="\n")
    run = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,30000",
            "--virtual-time-budget=30000", "--enable-logging=stderr", "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    return Seen(run.stdout, run.stderr)


@pytest.mark.parametrize(
    ("lang", "shop"),
    [
        ("en", document(4)),
        ("zh", document(3, money=False, categories=False, hours=False, value_event="review")),
        ("en", hostile()),
    ],
    ids=["whole", "no money, Chinese", "hostile"],
)
def test_every_figure_is_drawn_and_the_console_stays_empty(
    browser: str, lang: str, shop: ReportDocument, tmp_path: Path
) -> None:
    seen = look(browser, shop, lang, tmp_path)
    assert seen.console == []
    canvases = [attrs for _, attrs in seen.elements if "data-figure" in attrs]
    assert len(canvases) >= 10
    assert all(attrs.get("data-drawn") == "yes" for attrs in canvases)
    assert all("js-plotly-plot" in (attrs["class"] or "") for attrs in canvases)
    drawings = [tag for tag, attrs in seen.elements if attrs.get("class") == "main-svg"]
    assert drawings.count("svg") >= len(canvases)
    assert "img" not in {tag for tag, _ in seen.elements}


def test_the_console_is_really_watched(browser: str, tmp_path: Path) -> None:
    """The check above would see a script that the content policy refuses."""
    page = tmp_path / "bad.html"
    text = render(document(1)).replace("</body>", "<script>alert(1)</script></body>")
    page.write_text(text, encoding="utf-8", newline="\n")
    run = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    assert any("Content Security Policy" in line for line in run.stderr.splitlines())
