"""The report's figures: pure functions from data to Plotly figures.

Blue is the thing spoken of, grey what it is compared with, vermilion what lies below. Every text
that comes from data goes through `label`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from shoal.report.document import Choice, Effect, Grid, Period, Preference, ReportDocument
from shoal.report.names import label
from shoal.report.numbers import Numbers
from shoal.report.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    SCALE,
    VERMILION,
    drawn,
    row_labels,
    ticks,
    titled,
)
from shoal.report.texts import Texts

#: Heights in pixels of a labelled row with one bar and with two.
_ROW_ONE: Final = 44
_ROW_TWO: Final = 62

#: An axis of shares that starts at nothing.
_SHARES: Final = {"tickformat": ".0%", "rangemode": "tozero", "nticks": 4}


def shares(document: ReportDocument, value: str, texts: Texts, numbers: Numbers) -> go.Figure:
    """Two bars a segment: share of all customers, share of revenue (or of orders).

    Args:
        value: what the second bar shows, in words.
    """
    segments = (*document.segments, *((document.tier,) if document.tier else ()))
    worth = [
        _part(one.revenue, document.revenue)
        if document.has_money
        else _part(one.orders, document.orders)
        for one in segments
    ]
    crowd = [_part(one.customers, document.customers) for one in segments]
    return _rows(
        [one.name for one in segments],
        [(value, BLUE, worth), (texts("series.customers"), GREY, crowd)],
        numbers,
    )


def preferences(items: Sequence[Preference], texts: Texts, numbers: Numbers) -> go.Figure:
    """Two bars a label: share of the segment's customers who choose it most, and of the others."""
    series = [(texts("series.segment"), BLUE, [item.inside for item in items])]
    if all(item.outside is not None for item in items):
        series.append((texts("col.outside"), GREY, [item.outside or 0.0 for item in items]))
    return _rows([item.label for item in items], series, numbers)


def effects(items: Sequence[Effect], texts: Texts, numbers: Numbers) -> go.Figure:
    """One bar a feature: right of zero where the segment is higher, left where it is lower."""
    places = list(range(len(items)))[::-1]
    bars = {
        "type": "bar",
        "x": [item.size for item in items],
        "y": places,
        "orientation": "h",
        "width": 0.34,
        "marker": {"color": [BLUE if item.size >= 0 else VERMILION for item in items]},
        "error_x": _whiskers(items),
        "customdata": [[label(item.label, 90), numbers.signed(item.size)] for item in items],
        "hovertemplate": "%{customdata[0]}: %{customdata[1]}<extra></extra>",
    }
    edges = [edge for item in items for edge in (item.size, item.low, item.high) if edge]
    reach = 1.08 * max([1.0, *map(abs, edges)])
    across = {
        "range": [-reach, reach], "zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1,
        "title": titled(texts("profile.effects_axis")), "nticks": 7,
    }  # fmt: skip
    return drawn(
        [bars],
        height=_ROW_ONE * len(items) + 52,
        axes={"xaxis": across, "yaxis": {"visible": False, "range": _span(items, 0.35)}},
        notes=row_labels([item.label for item in items], places, above=0.17),
        top=4,
    )


def hours(inside: Sequence[float], overall: Sequence[float], zone: str, texts: Texts) -> go.Figure:
    """Share of events by hour of the day: the segment's line over all customers' line."""
    lines = [
        {
            "type": "scatter", "x": list(range(24)), "y": list(values), "name": name,
            "mode": "lines", "hovertemplate": "%{x}:00 · %{y:.1%}",
            "line": {"color": color, "width": width, "dash": dash},
        }
        for name, values, color, dash, width in (
            (texts("series.shop"), overall, GREY, "dot", 2),
            (texts("series.segment"), inside, BLUE, "solid", 2.5),
        )
    ]  # fmt: skip
    across = {
        "tickvals": [0, 6, 12, 18, 23], "range": [-0.5, 23.5], "showgrid": False,
        "title": titled(texts("profile.hours_axis", zone=label(zone))),
    }  # fmt: skip
    return drawn(lines, height=230, axes={"xaxis": across, "yaxis": _SHARES}, legend=True)


def weekdays(inside: Sequence[float], overall: Sequence[float], texts: Texts) -> go.Figure:
    """Share of events by day of the week: the segment's bars beside all customers' bars."""
    names = [texts(f"weekday.short.{day}") for day in range(7)]
    bars = [
        {
            "type": "bar", "x": names, "y": list(values), "name": name,
            "marker": {"color": color}, "hovertemplate": "%{y:.1%}",
        }
        for name, values, color in (
            (texts("series.segment"), inside, BLUE),
            (texts("series.shop"), overall, GREY),
        )
    ]  # fmt: skip
    axes = {"xaxis": {"showgrid": False, "type": "category"}, "yaxis": _SHARES}
    return drawn(bars, height=230, axes=axes, legend=True, bargap=0.3, bargroupgap=0.05)


def grid(
    cells: Grid, values: Sequence[float], shown: Sequence[str], vertical: str, texts: Texts
) -> go.Figure:
    """Heat map of one value over recency (across) and frequency (up).

    Args:
        values: of each cell of the grid, in its order; `shown` the same as texts.
        vertical: title of the axis that goes up.
    """
    table: list[list[float | None]] = [[None] * 5 for _ in range(5)]
    names = [[""] * 5 for _ in range(5)]
    notes = []
    low, high = min([0.0, *values]), max([1.0, *values])
    for cell, value, text in zip(cells.cells, values, shown, strict=True):
        table[cell.frequency - 1][cell.recency - 1] = value
        names[cell.frequency - 1][cell.recency - 1] = f"{label(cell.name)}: {text}"
        # Black up to here, white beyond: at least 4.5 to 1 on every colour of the scale (WCAG 2).
        dark = (value - low) / (high - low) > 0.79
        notes.append(
            {
                "x": cell.recency, "y": cell.frequency, "text": text, "showarrow": False,
                "font": {"size": 12, "color": "#FFFFFF" if dark else "#000000"},
            }
        )  # fmt: skip
    scores = list(range(1, 6))
    heat = {
        "type": "heatmap", "x": scores, "y": scores, "z": table, "customdata": names,
        "colorscale": SCALE, "zmin": low, "zmax": high, "showscale": False, "xgap": 3, "ygap": 3,
        "hoverongaps": False, "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    axes = {
        "xaxis": {"tickvals": scores, "showgrid": False, "title": titled(texts("grid.recency"))},
        "yaxis": {"tickvals": scores, "showgrid": False, "title": titled(vertical)},
    }
    return drawn([heat], height=360, axes=axes, notes=notes)


def activity(
    periods: Sequence[Period], panels: Sequence[tuple[str, Sequence[float]]], numbers: Numbers
) -> go.Figure:
    """Small line charts above each other over one time axis, one a panel of (title, values)."""
    days = [period.start.isoformat() for period in periods]
    share, gap = 1 / len(panels), 0.16 / len(panels)
    lines, notes = [], []
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {
            "type": "date", "showgrid": False, "nticks": 6, "hoverformat": "%Y-%m-%d",
            "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
            "tickformat": _span_format(periods),
        }
    }  # fmt: skip
    for place, (title, values) in enumerate(panels):
        axis = "" if place == 0 else str(place + 1)
        top = 1 - place * share - gap
        lines.append(
            {
                "type": "scatter", "x": days, "y": list(values), "name": label(title),
                "mode": "lines", "yaxis": f"y{axis}", "line": {"color": BLUE, "width": 2},
                "hovertemplate": "%{x|%Y-%m-%d}: %{y:,.0f}<extra></extra>",
            }
        )  # fmt: skip
        places = ticks(max([*values, 0.0]))
        axes[f"yaxis{axis}"] = {
            "domain": [1 - (place + 1) * share + gap / 2, top], "tickvals": places,
            "ticktext": [numbers.short_count(tick) for tick in places], "rangemode": "tozero",
        }  # fmt: skip
        notes.append(
            {
                "text": label(title), "x": 0, "xref": "paper", "xanchor": "left", "y": top,
                "yref": "paper", "yanchor": "bottom", "yshift": 4, "showarrow": False,
                "font": {"color": INK, "size": 13},
            }
        )  # fmt: skip
    return drawn(lines, height=150 * len(panels) + 40, axes=axes, notes=notes, top=8)


def choice(evidence: Choice, texts: Texts) -> go.Figure:
    """Score of each number of segments tried, with its standard error; the chosen one is filled.

    Those that were left out are crosses.
    """
    foretold = evidence.rule == "next_period"
    tried = [
        (one, score)
        for one in evidence.candidates
        if (score := one.score if foretold else one.stability) is not None
    ]
    chosen = [one.k == evidence.chosen for one, _ in tried]
    usable = [one.eligible or flag for (one, _), flag in zip(tried, chosen, strict=True)]
    line = {
        "type": "scatter", "mode": "lines+markers", "line": {"color": GREY, "width": 2},
        "x": [one.k for one, _ in tried], "y": [score for _, score in tried],
        "marker": {
            "size": [13 if flag else 9 for flag in chosen],
            "symbol": ["circle" if flag else "x-thin" for flag in usable],
            "color": [BLUE if flag else "#FFFFFF" for flag in chosen],
            "line": {"color": [BLUE if flag else MUTED for flag in usable], "width": 2},
        },
        "error_y": {
            "array": [one.spread or 0.0 for one, _ in tried], "color": GREY, "thickness": 1.5,
            "visible": foretold,
        },
        "hovertemplate": "k = %{x}: %{y:.3f}<extra></extra>",
    }  # fmt: skip
    notes = [
        {
            "x": one.k, "y": score, "text": texts("choice.chosen", k=one.k), "yshift": 18,
            "showarrow": False, "font": {"color": BLUE, "size": 13},
            "bgcolor": "rgba(255,255,255,.85)",
        }
        for (one, score), flag in zip(tried, chosen, strict=True)
        if flag
    ]  # fmt: skip
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {
            "tickvals": [one.k for one, _ in tried], "showgrid": False,
            "title": titled(texts("choice.axis_k")),
        },
        "yaxis": {"nticks": 5, "tickformat": ".0%" if foretold else ".2f"},
    }  # fmt: skip
    return drawn([line], height=300, axes=axes, notes=notes, top=24)


def _part(value: float | None, whole: float | None) -> float:
    return (value or 0.0) / whole if whole else 0.0


def _span(rows: Sequence[object], beyond: float) -> list[float]:
    """Range of an axis of rows counted upward from 0."""
    return [-beyond, len(rows) - beyond]


def _rows(
    names: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[float]]],
    numbers: Numbers,
) -> go.Figure:
    """Horizontal bars under their labels: long names need no margin, so it reads on a phone."""
    places = list(range(len(names)))[::-1]
    thick = 0.23
    bars = [
        {
            "type": "bar", "orientation": "h", "name": name, "width": thick,
            "x": list(values), "y": [place - number * thick for place in places],
            "marker": {"color": color}, "cliponaxis": False, "textposition": "outside",
            "text": [numbers.share(value) for value in values],
            "textfont": {"size": 11.5, "color": INK if color == BLUE else MUTED},
            "customdata": [label(text) for text in names],
            "hovertemplate": "%{customdata}: %{text}<extra>" + html.escape(name) + "</extra>",
        }
        for number, (name, color, values) in enumerate(series)
    ]  # fmt: skip
    everything = [value for _, _, values in series for value in values]
    low, high = min([0.0, *everything]), max([0.01, *everything])
    # The values stand at the ends of the bars, so the axis needs neither ticks nor grid.
    across = {"range": [1.2 * low, 1.17 * high], "showticklabels": False, "showgrid": False}
    return drawn(
        bars,
        height=_ROW_TWO * len(names) + 40,
        axes={"xaxis": across, "yaxis": {"visible": False, "range": _span(names, 0.42)}},
        notes=row_labels(names, places, above=thick / 2),
        legend=True,
        bottom=4,
        barmode="overlay",
    )


def _whiskers(items: Sequence[Effect]) -> dict[str, Any]:
    if not any(item.low is not None for item in items):
        return {"visible": False}
    return {
        "type": "data", "symmetric": False, "color": INK, "thickness": 1,
        "array": [0.0 if one.high is None else one.high - one.size for one in items],
        "arrayminus": [0.0 if one.low is None else one.size - one.low for one in items],
    }  # fmt: skip


def _span_format(periods: Sequence[Period]) -> str:
    days = (periods[-1].start - periods[0].start).days if periods else 0
    return "%Y-%m" if days > 90 else "%m-%d"
