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
from shoal.report.draw.canvas import STYLE
from shoal.report.numbers import Numbers
from shoal.report.sections import page
from shoal.report.texts import Texts
from shoal.report.wording import Wording


def render(document: ReportDocument, lang: str = "en") -> str:
    """The report as HTML text.

    Raises:
        UsageError: `usage`, a language without texts.
    """
    texts = Texts(lang)
    wording = Wording(document, texts, Numbers(lang, document.currency))
    script = _asset("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page(wording),
            t=texts,
            script=Markup(script),
            style=Markup(_asset("report.css") + STYLE),
            policy=_policy(script),
        )
    )


def coded(text: str) -> Markup:
    """A text of the catalogue with its `commands` set as code.

    >>> str(coded("run `shoal segment` & see"))
    'run <code>shoal segment</code> &amp; see'
    """
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _policy(script: str) -> str:
    """The content policy: only the page's own script runs and no request leaves the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
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
    filters: dict[str, Any] = {"coded": coded}
    environment.filters.update(filters)
    return environment
