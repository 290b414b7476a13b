"""The figure of the quality section: events over time by source, gaps marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import plotly.graph_objects as go

from shoal.domain.quality import Finding, SourceFacts
from shoal.report.names import label
from shoal.report.numbers import Numbers
from shoal.report.style import BLUE, INK, VERMILION, drawn, ticks

#: Longer histories are drawn by weeks.
_BY_DAY: Final = 800
#: Height of a source's panel in pixels, and of the axis below all.
_PANEL: Final = 128
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class Panel:
    """One source: its name, points (first day of each, events) and gaps (from, to)."""

    name: str
    days: Sequence[date]
    counts: Sequence[int]
    gaps: Sequence[tuple[datetime, datetime]]


def panel(facts: SourceFacts, name: str, gaps: Sequence[Finding], end: datetime) -> Panel:
    """A source's panel; what has no end yet ends with the shop."""
    width = 1 if len(facts.daily) <= _BY_DAY else 7
    counts = list(facts.daily)
    if width > 1:  # the last week may be short: it would look like a fall
        whole = len(counts) // width * width
        counts = [sum(counts[at : at + width]) for at in range(0, whole, width)]
    days = [
        _EPOCH + timedelta(days=facts.first_day + place * width) for place in range(len(counts))
    ]
    spans = [
        (one.since, one.until if isinstance(one.until, datetime) else end)
        for one in gaps
        if isinstance(one.since, datetime)
    ]
    return Panel(name, days, counts, spans)


def sources(panels: Sequence[Panel], numbers: Numbers) -> go.Figure:
    """Line charts above each other over one time axis, a panel each; gaps are bands."""
    share, lead = 1 / len(panels), 0.24 / len(panels)
    lines: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    bands: list[dict[str, Any]] = []
    last = f"y{len(panels)}" if len(panels) > 1 else "y"
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"type": "date", "showgrid": False, "nticks": 6, "anchor": last,
                  "hoverformat": "%Y-%m-%d"}
    }  # fmt: skip
    for place, one in enumerate(panels):
        axis = "" if place == 0 else str(place + 1)
        top, foot = 1 - place * share - lead, 1 - (place + 1) * share + lead / 3
        lines.append(
            {
                "type": "scatter", "x": [day.isoformat() for day in one.days],
                "y": list(one.counts), "name": label(one.name), "mode": "lines",
                "yaxis": f"y{axis}", "line": {"color": BLUE, "width": 1.5},
                "hovertemplate": "%{x|%Y-%m-%d}: %{y:,.0f}<extra></extra>",
            }
        )  # fmt: skip
        places = ticks(max([*one.counts, 1]))
        if len(places) > 3:  # the panels are low
            places = [places[0], places[len(places) // 2], places[-1]]
        axes[f"yaxis{axis}"] = {
            "domain": [foot, top], "tickvals": places, "rangemode": "tozero",
            "ticktext": [numbers.short_count(tick) for tick in places],
        }  # fmt: skip
        notes.append(
            {
                "text": label(one.name), "x": 0, "xref": "paper", "xanchor": "left", "y": top,
                "yref": "paper", "yanchor": "bottom", "yshift": 3, "showarrow": False,
                "font": {"color": INK, "size": 13},
            }
        )  # fmt: skip
        bands += [_band(start, end, foot, top) for start, end in one.gaps]
    return drawn(
        lines, height=_PANEL * len(panels) + 56, axes=axes, notes=notes, top=10, shapes=bands
    )


def _band(start: datetime, end: datetime, foot: float, top: float) -> dict[str, Any]:
    return {
        "type": "rect", "xref": "x", "yref": "paper", "x0": start.isoformat(),
        "x1": end.isoformat(), "y0": foot, "y1": top, "fillcolor": VERMILION, "opacity": 0.35,
        "layer": "below", "line": {"color": VERMILION, "width": 1.5},
    }  # fmt: skip
