"""What the templates show: finished texts, tables, figures, and the page as a list of sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.report.draw import Drawing

#: Height and width of a figure that fits a printed page with its heading, in pixels, and the least
#: that a higher one is shrunk to.
_PAGE: Final = 840
_PAPER: Final = 660
_LEAST: Final = 0.5


@dataclass(frozen=True)
class Table:
    """A table of finished texts; `text_columns` are set flush left, the others are numbers.

    A cell may be a drawing (a sparkline). `links` holds an anchor for each row (or None), put on
    its first cell.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Drawing]]
    text_columns: frozenset[int] = frozenset({0})
    links: Sequence[str | None] = ()


@dataclass(frozen=True)
class Plot:
    """A figure with its title and its numbers; the drawing holds the text alternative.

    `key` is unique on the page. A `wide` one takes the whole width where figures stand in columns.
    """

    key: str
    title: str
    drawing: Drawing
    table: Table
    note: str = ""
    wide: bool = False

    @property
    def alt(self) -> str:
        return self.drawing.alt

    @property
    def shrink(self) -> float:
        """How much smaller it must be printed to fit a page; 1 if it fits, or is read better cut.

        One that is too high may go over several pages, one that is too wide may not.
        """
        high = _PAGE / max(_PAGE, self.drawing.height)
        wide = _PAPER / max(_PAPER, self.drawing.width)
        return round(min(high, wide) if high > _LEAST else wide, 2)


@dataclass(frozen=True)
class Section:
    """One section of the page: its heading and the partial template that shows its view.

    The partial is `templates/section_<template>.html.j2`; it finds the view as `view`, the texts as
    `t` and the macros of `parts.html.j2` by importing them. `entries` are anchors within the
    section with their names, for the list of contents.
    """

    anchor: str
    title: str
    template: str
    view: object
    entries: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Page:
    """Everything the page template needs; every string is plain text, escaped by the template."""

    title: str
    period: str
    made: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class Found:
    """The overview: key figures by name, and what was found in sentences."""

    key_figures: Sequence[tuple[str, str]]
    findings: Sequence[str]


@dataclass(frozen=True)
class Glance:
    """All segments at a glance; no plot where there are none."""

    lead: str
    plot: Plot | None


@dataclass(frozen=True)
class Profile:
    """One segment's part; `moved` says what became of it, under the heading `since`.

    `rules` are ways into it under the heading `rule_title`, with `rule_notes` on how far they go.
    """

    anchor: str
    segment_id: str
    name: str
    line: str
    apart: Sequence[tuple[str, str, str]]
    plots: Sequence[Plot]
    exemplars: Table | None
    since: str = ""
    moved: Sequence[str] = ()
    persona: str = ""
    expected: str = ""
    rule_title: str = ""
    rules: Sequence[str] = ()
    rule_notes: Sequence[str] = ()
    borderline: Table | None = None


@dataclass(frozen=True)
class Tier:
    """The customers too little known: sentences, empty ones left out."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class GridView:
    """The RFM grid; without plots and table there is none yet."""

    lead: str
    plots: Sequence[Plot] = ()
    table: Table | None = None
    bounds: Sequence[str] = ()


@dataclass(frozen=True)
class Activity:
    """What happened over time."""

    lead: str
    plot: Plot


@dataclass(frozen=True)
class RowsView:
    """What became of the rows that were read."""

    files: str
    rows: Table
    reasons: Table | None
    guests: str


@dataclass(frozen=True)
class Made:
    """How the report was made."""

    facts: Sequence[tuple[str, str]]
    parameters: Sequence[tuple[str, str]]
