"""What the templates show: finished texts, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

if TYPE_CHECKING:
    from shoal.report.section_money import MoneyView
    from shoal.report.section_quality import QualityView


@dataclass(frozen=True)
class Table:
    """A table of finished texts; `text_columns` are set flush left, the others are numbers.

    `links` holds an anchor for each row (or None), put on its first cell.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: frozenset[int] = frozenset({0})
    links: Sequence[str | None] = ()


@dataclass(frozen=True)
class Plot:
    """A figure with its title, its text alternative and its numbers."""

    key: str
    title: str
    figure: go.Figure
    alt: str
    table: Table
    note: str = ""

    @property
    def height(self) -> int:
        return int(self.figure.layout.height)


@dataclass(frozen=True)
class Profile:
    """One segment's section."""

    anchor: str
    segment_id: str
    name: str
    line: str
    apart: Sequence[tuple[str, str, str]]
    plots: Sequence[Plot]
    exemplars: Table | None


@dataclass(frozen=True)
class Tier:
    text: str
    value: str


@dataclass(frozen=True)
class Page:
    """Everything the page template needs; every string is plain text, escaped by the template."""

    title: str
    period: str
    made: str
    key_figures: Sequence[tuple[str, str]]
    findings: Sequence[str]
    segments_lead: str
    segments_plot: Plot | None
    segments_table: Table | None
    profiles: Sequence[Profile]
    tier: Tier | None
    grid_lead: str
    grid_plots: Sequence[Plot]
    grid_table: Table | None
    grid_bounds: Sequence[str]
    activity_lead: str
    activity: Plot | None
    rows: Table
    files: str
    reasons: Table | None
    guests: str
    made_facts: Sequence[tuple[str, str]]
    parameters: Sequence[tuple[str, str]]
    choice: Plot | None
    choice_reason: str
    caveats: Sequence[str]
    money: MoneyView | None = None
    quality: QualityView | None = None
