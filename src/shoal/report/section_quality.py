"""The section on the quality of the data: the graver findings in words, all in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shoal.domain.quality import CHECKS, ERROR, NOTE, OK, SEVERITIES, WARNING, Finding, Quality
from shoal.report import figures_quality
from shoal.report.names import clean
from shoal.report.quality_texts import told
from shoal.report.views import Plot, Table
from shoal.report.wording import Wording

#: Sources drawn, the largest; findings told in words, the gravest.
_DRAWN: Final = 6
_TOLD: Final = 8


@dataclass(frozen=True)
class Item:
    """A finding in words; `severity` is its code, `mark` its name."""

    severity: str
    mark: str
    name: str
    found: str
    when: str
    todo: str
    example: str


@dataclass(frozen=True)
class QualityView:
    """What the template shows of the quality of the data."""

    lead: str
    summary: str
    items: Sequence[Item]
    table: Table | None
    fine: str
    plot: Plot | None


def quality(wording: Wording, found: Quality) -> QualityView:
    """The section of a document that holds quality checks."""
    texts, numbers = wording.texts, wording.numbers
    events = texts.counted("event", found.events, numbers.count(found.events))
    lead = texts("quality.lead", events=events)
    if found.since is not None:
        lead += " " + texts("quality.lead_since", since=numbers.day(found.since.date()))
    return QualityView(
        lead=lead,
        summary=_summary(wording, found),
        items=[_item(wording, one) for one in _graver(found)],
        table=_table(wording, found.findings) if found.findings else None,
        fine=_fine(wording, found),
        plot=_plot(wording, found) if found.sources else None,
    )


def _graver(found: Quality) -> list[Finding]:
    return [one for one in found.findings if one.severity in (WARNING, ERROR)][:_TOLD]


def _summary(wording: Wording, found: Quality) -> str:
    texts, numbers = wording.texts, wording.numbers
    if not found.findings:
        return texts("quality.clean")
    counts = {}
    for severity in SEVERITIES[1:]:
        n = sum(one.severity == severity for one in found.findings)
        counts[f"{severity}s"] = texts.counted(severity, n, numbers.count(n))
    return texts("quality.summary", **counts)


def _item(wording: Wording, one: Finding) -> Item:
    texts = wording.texts
    said = told(one, texts.lang)
    example = texts("quality.example", example=clean(one.example, 160)) if one.example else ""
    return Item(
        one.severity,
        texts(f"quality.severity.{one.severity}"),
        said.name,
        said.found,
        said.when,
        said.todo,
        example,
    )


def _table(wording: Wording, findings: Sequence[Finding]) -> Table:
    texts = wording.texts
    rows = []
    for one in findings:
        said = told(one, texts.lang)
        rows.append([texts(f"quality.severity.{one.severity}"), said.name, said.found, said.when])
    names = ("severity", "check", "found", "since")
    columns = [texts(f"quality.col.{name}") for name in names]
    return Table(columns, rows, text_columns=frozenset(range(len(columns))))


def _fine(wording: Wording, found: Quality) -> str:
    texts = wording.texts
    silent = [code for code in CHECKS if found.severity(code) == OK and code not in found.off]
    said = []
    if silent and found.findings:
        said.append(texts("quality.fine", checks=_names(wording, silent)))
    if found.off:
        said.append(texts("quality.off", checks=_names(wording, found.off)))
    return " ".join(said)


def _names(wording: Wording, codes: Sequence[str]) -> str:
    texts = wording.texts
    return texts("list.comma").join(_lowered(texts(f"quality.name.{code}")) for code in codes)


def _lowered(name: str) -> str:
    return name[:1].lower() + name[1:]


def _plot(wording: Wording, found: Quality) -> Plot:
    texts, numbers = wording.texts, wording.numbers
    largest = sorted(found.sources, key=lambda one: (-one.events, one.source))[:_DRAWN]
    end: datetime = max(one.last for one in found.sources)
    gaps = [one for one in found.findings if one.check == "gap" and one.severity != NOTE]
    panels = [
        figures_quality.panel(
            facts,
            clean(facts.source, 60) if facts.source else texts("quality.unnamed"),
            [one for one in gaps if one.source == facts.source],
            end,
        )
        for facts in largest
    ]
    rows = [
        [panel.name, numbers.day(day), numbers.count(count)]
        for panel in panels
        for day, count in zip(panel.days, panel.counts, strict=True)
    ]
    columns = [
        texts("quality.col.source"), texts("quality.col.day"), texts("key.events"),
    ]  # fmt: skip
    alt = texts(
        "quality.figure_alt",
        sources=texts.counted("source", len(panels), numbers.count(len(panels))),
        gaps=texts.counted("gap", len(gaps), numbers.count(len(gaps))),
    )
    return Plot(
        key="quality",
        title=texts("quality.figure"),
        drawing=figures_quality.sources(panels, alt, numbers),
        table=Table(columns, rows, text_columns=frozenset({0, 1})),
        note=texts("quality.figure_note") if gaps else "",
    )
