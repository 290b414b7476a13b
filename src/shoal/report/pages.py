"""One self-contained HTML file from a document: nothing is loaded, nothing is sent."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from shoal.report.document import ReportDocument
from shoal.report.numbers import Numbers
from shoal.report.sections import page
from shoal.report.texts import Texts
from shoal.report.views import Plot
from shoal.report.wording import Wording


def render(document: ReportDocument, lang: str = "en") -> str:
    """The report as HTML text.

    Raises:
        UsageError: `usage`, a language without texts.
    """
    texts = Texts(lang)
    wording = Wording(document, texts, Numbers(lang, document.currency))
    library, script = plotly_library(), _asset("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page(wording),
            t=texts,
            library=Markup(library),
            script=Markup(script),
            style=Markup(_asset("report.css")),
            policy=_policy(library, script),
        )
    )


@cache
def plotly_library() -> str:
    """The plotly.js bundle of the installed plotly package, fit to stand inside a script element.

    Raises:
        ValueError: the bundle holds the text that would end the element.
    """
    from plotly.offline import get_plotlyjs

    # A parser turns CR LF into LF, which would break the hash in the content policy.
    library: str = get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in library.lower() or "<!--" in library:
        library = re.sub(r"</(script)", r"<\\/\1", library, flags=re.IGNORECASE)
        library = library.replace("<!--", "<\\!--")
    return library


def figure_json(plot: Plot) -> Markup:
    """A figure's JSON, safe inside a script element whatever its texts hold.

    `<`, `>` and `&` become JSON escapes, so no text can end the element or open a comment; so do
    the two line separators that older JavaScript refuses.
    """
    text: str = plot.figure.to_json()
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def coded(text: str) -> Markup:
    """A text of the catalogue with its `commands` set as code.

    >>> str(coded("run `shoal segment` & see"))
    'run <code>shoal segment</code> &amp; see'
    """
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _policy(*scripts: str) -> str:
    """The content policy: only the page's own scripts run and no request leaves the page."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return resources.files("shoal.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("shoal.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"figure_json": figure_json, "coded": coded}
    environment.filters.update(filters)
    return environment
