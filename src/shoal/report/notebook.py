"""What a notebook shows of a shop: the figures of the report, one at a time, and tables."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal.domain.errors import UsageError
from shoal.report import figures
from shoal.report.document import Segment
from shoal.report.draw import Drawing, bars
from shoal.report.names import clean
from shoal.report.numbers import Numbers
from shoal.report.texts import Texts

#: Height of a report inside a notebook, in pixels.
_REPORT_HEIGHT = 640


class Segments(dict[str, Any]):
    """The document `shoal.segments/1` that can show itself.

    >>> Segments({"headline": "none", "segments": []}, lambda lang: ())["headline"]
    'none'
    """

    def __init__(
        self, document: Mapping[str, Any], composed: Callable[[str], Sequence[Segment]]
    ) -> None:
        """`composed` gives the segments with their texts in a language."""
        super().__init__(document)
        self._composed = composed

    def plot(self, segment: str | None = None, *, lang: str = "en") -> Drawing:
        """Each segment's share of revenue and of customers; or what sets one segment apart.

        Args:
            segment: id of a segment, for what sets it apart.
            lang: `en` or `zh`.

        Raises:
            UsageError: `unknown_segment`; `usage`, an unknown language.
        """
        texts, numbers = Texts(lang), Numbers(lang, self["currency"] or "")
        everyone = self._composed(lang)
        if segment is None:
            return self._shares(everyone, texts, numbers)
        for one in everyone:
            if one.segment_id == segment:
                ranked = sorted(one.effects, key=lambda effect: -abs(effect.size))[:8]
                return figures.effects(ranked, clean(one.name, 120), texts, numbers)
        raise UsageError(
            "unknown_segment",
            f"there is no segment {segment!r}",
            hint=f"Segments: {', '.join(one.segment_id for one in everyone)}.",
        )

    def _shares(self, everyone: Sequence[Segment], texts: Texts, numbers: Numbers) -> Drawing:
        """Two bars a segment, the most worth first."""
        has_money = any(one.revenue is not None for one in everyone)
        ranked = sorted(everyone, key=lambda one: -_worth(one))
        series = []
        for name, values in (
            (texts("series.revenue" if has_money else "col.orders"), [_worth(s) for s in ranked]),
            (texts("series.customers"), [float(one.customers) for one in ranked]),
        ):
            whole = sum(values) or 1.0
            shares = [value / whole for value in values]
            series.append(figures.share_series(name, shares, numbers))
        return bars([clean(one.name, 80) for one in ranked], series, self["headline"])

    def _repr_html_(self) -> str:
        numbers = Numbers("en", self["currency"] or "")
        rows = [
            [
                one["segment_id"],
                one["name"]["en"],
                numbers.count(one["size"]),
                numbers.share(one["share"]),
                numbers.money(one["revenue"]),
                one["summary"]["en"],
            ]
            for one in self["segments"]
        ]
        columns = ["segment", "name", "customers", "share", "revenue", "what sets it apart"]
        return table(self["headline"], columns, rows)


class ReportFile(type(Path())):  # type: ignore[misc]
    """The path of a written report, which a notebook shows as the page itself."""

    def _repr_html_(self) -> str:
        page = html.escape(self.read_text(encoding="utf-8"), quote=True)
        return (
            f'<iframe title="{html.escape(self.name, quote=True)}" srcdoc="{page}" '
            f'style="width:100%;height:{_REPORT_HEIGHT}px;border:1px solid #ccc"></iframe>'
        )


def facts(caption: str, document: Mapping[str, Any]) -> str:
    """A JSON document as an HTML table of two columns, one level deep; lists by their length."""
    rows: list[list[str]] = []
    for name, value in document.items():
        if name == "schema" or value is None or value == [] or value == {}:
            continue
        if isinstance(value, Mapping):
            rows += [[f"{name} {key}", _said(inner)] for key, inner in value.items()]
        else:
            rows.append([name, _said(value)])
    return table(caption, ["what", "value"], rows)


def _said(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | list | tuple | Mapping):
        return str(value)
    if isinstance(value, list | tuple | Mapping):
        return f"{len(value)} entries"
    return Numbers().count(value) if isinstance(value, int) else Numbers().plain(value)


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A small table of texts as HTML; whatever comes from data is escaped and cut."""
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in columns)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left">{_text(cell)}</td>' for cell in row)
        + "</tr>"
        for row in rows
    )
    return (
        f'<table><caption style="text-align:left">{_text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _text(value: str) -> str:
    return html.escape(clean(value, 400), quote=True)


def _worth(segment: Segment) -> float:
    return float(segment.orders if segment.revenue is None else segment.revenue)
