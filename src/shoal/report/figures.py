"""The report's figures: pure functions from data to Plotly figures.

Colours are of the Okabe-Ito palette, which stays apart in all common forms of colour blindness
(Okabe & Ito 2008, "Color Universal Design"). Blue is the thing spoken of, grey what it is compared
with, vermilion what lies below. Every text that comes from data goes through `label`.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from shoal.report.document import Choice, Effect, Grid, Period, Preference, ReportDocument
from shoal.report.numbers import Numbers
from shoal.report.texts import Texts

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREY: Final = "#A3ADB8"
INK: Final = "#1F2933"
MUTED: Final = "#5F6B7A"
RULE: Final = "#E4E7EB"

#: One hue from nearly white to dark, so that it reads in grey print as well.
SCALE: Final = [[0.0, "#F3F7FA"], [0.25, "#C6DEEC"], [0.5, "#7FB7D6"], [0.75, "#2F86B9"], [1.0, "#00527F"]]

FONT: Final = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "PingFang SC", '
    '"Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
)

#: Heights in pixels of a labelled row with one bar and with two.
_ROW_ONE: Final = 44
_ROW_TWO: Final = 62

#: What a name may not hold: it would turn the text around it.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def clean(text: str, limit: int = 60) -> str:
    """A text from data made fit to show: no control or direction marks, at most `limit` characters.

    >>> clean("a\\x00b\\u202ec"), clean("x" * 100, 5)
    ('a b c', 'xxxx…')
    """
    # Cut before looking at characters: a name may be megabytes long.
    head = text[: 4 * limit]
    shown = "".join(
        " " if mark in _TURNING or unicodedata.category(mark) in {"Cc", "Cs"} else mark
        for mark in head
    )
    shown = " ".join(shown.split())
    if len(shown) > limit or len(head) < len(text):
        shown = shown[: limit - 1].rstrip() + "…"
    return shown or "–"


def label(text: str, limit: int = 48) -> str:
    """A text from data for Plotly, which reads a subset of HTML in its labels.

    >>> label("<b>a</b> & b")
    '&lt;b&gt;a&lt;/b&gt; &amp; b'
    """
    return html.escape(clean(text, limit), quote=False)


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
    """One bar a feature, right of zero where the segment is higher than the others, left if lower."""
    places = list(range(len(items)))[::-1]
    figure = go.Figure(
        go.Bar(
            x=[item.size for item in items],
            y=places,
            orientation="h",
            width=0.34,
            marker={"color": [BLUE if item.size >= 0 else VERMILION for item in items]},
            error_x=_whiskers(items),
            customdata=[[label(item.label, 90), numbers.signed(item.size)] for item in items],
            hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
        )
    )
    reach = max([1.0, *(abs(edge) for item in items for edge in (item.size, item.low, item.high) if edge)])
    _labels(figure, [item.label for item in items], places, above=0.17)
    _frame(figure, height=_ROW_ONE * len(items) + 52, legend=False, top=4)
    figure.update_xaxes(
        range=[-1.08 * reach, 1.08 * reach], zeroline=True, zerolinecolor=INK, zerolinewidth=1,
        title={"text": texts("profile.effects_axis"), "standoff": 8}, nticks=7,
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.35, len(items) - 0.35])
    return figure


def hours(inside: Sequence[float], overall: Sequence[float], zone: str, texts: Texts) -> go.Figure:
    """Share of events by hour of the day: the segment's line over all customers' line."""
    figure = go.Figure()
    places = list(range(24))
    for name, values, color, dash, width in (
        (texts("series.shop"), overall, GREY, "dot", 2),
        (texts("series.segment"), inside, BLUE, "solid", 2.5),
    ):
        figure.add_scatter(
            x=places, y=list(values), name=name, mode="lines",
            line={"color": color, "width": width, "dash": dash, "shape": "spline", "smoothing": 0.5},
            hovertemplate="%{x}:00 · %{y:.1%}",
        )  # fmt: skip
    _frame(figure, height=230)
    figure.update_xaxes(
        tickvals=[0, 6, 12, 18, 23], range=[-0.5, 23.5], showgrid=False,
        title={"text": texts("profile.hours_axis", zone=label(zone)), "standoff": 6},
    )  # fmt: skip
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=4)
    return figure


def weekdays(inside: Sequence[float], overall: Sequence[float], texts: Texts) -> go.Figure:
    """Share of events by day of the week: the segment's bars beside all customers' bars."""
    names = [texts(f"weekday.short.{day}") for day in range(7)]
    figure = go.Figure()
    for name, values, color in (
        (texts("series.segment"), inside, BLUE),
        (texts("series.shop"), overall, GREY),
    ):
        figure.add_bar(
            x=names, y=list(values), name=name, marker={"color": color}, hovertemplate="%{y:.1%}"
        )
    _frame(figure, height=230)
    figure.update_layout(bargap=0.3, bargroupgap=0.05)
    figure.update_xaxes(showgrid=False, type="category")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=4)
    return figure


def grid(
    cells: Grid, values: Sequence[float], shown: Sequence[str], vertical: str, texts: Texts
) -> go.Figure:
    """Heat map of one value over recency (across) and frequency (up).

    Args:
        values: of each cell of the grid, in its order; `shown` the same as texts.
        vertical: title of the axis that goes up.
    """
    table: list[list[float | None]] = [[None] * 5 for _ in range(5)]
    words = [[""] * 5 for _ in range(5)]
    names = [[""] * 5 for _ in range(5)]
    for cell, value, text in zip(cells.cells, values, shown, strict=True):
        table[cell.frequency - 1][cell.recency - 1] = value
        words[cell.frequency - 1][cell.recency - 1] = text
        names[cell.frequency - 1][cell.recency - 1] = label(cell.name)
    scores = list(range(1, 6))
    figure = go.Figure(
        go.Heatmap(
            x=scores, y=scores, z=table, text=words, texttemplate="%{text}", customdata=names,
            colorscale=SCALE, zmin=min(0.0, *values) if values else 0.0, showscale=False,
            xgap=3, ygap=3, hoverongaps=False, hovertemplate="%{customdata}<br>%{text}<extra></extra>",
        )
    )  # fmt: skip
    _frame(figure, height=360, legend=False)
    figure.update_xaxes(
        tickvals=scores, showgrid=False, title={"text": texts("grid.recency"), "standoff": 6}
    )
    figure.update_yaxes(tickvals=scores, showgrid=False, title={"text": vertical, "standoff": 6})
    return figure


def activity(
    periods: Sequence[Period], panels: Sequence[tuple[str, Sequence[float]]], numbers: Numbers
) -> go.Figure:
    """Small line charts above each other over one time axis, one a panel of (title, values)."""
    figure = go.Figure()
    days = [period.start.isoformat() for period in periods]
    height, gap = 1 / len(panels), 0.16 / len(panels)
    for place, (title, values) in enumerate(panels):
        axis = "" if place == 0 else str(place + 1)
        top = 1 - place * height - gap
        figure.add_scatter(
            x=days, y=list(values), name=title, mode="lines", yaxis=f"y{axis}", showlegend=False,
            line={"color": BLUE, "width": 2}, hovertemplate="%{x|%Y-%m-%d}: %{y:,.0f}<extra></extra>",
        )  # fmt: skip
        ticks = _ticks(max([*values, 0.0]))
        figure.update_layout(
            {
                f"yaxis{axis}": {
                    "domain": [1 - (place + 1) * height + gap / 2, top],
                    "tickvals": ticks,
                    "ticktext": [numbers.short_count(tick) for tick in ticks],
                    "rangemode": "tozero",
                    "anchor": "x",
                }
            }
        )
        figure.add_annotation(
            text=label(title), x=0, xref="paper", xanchor="left", y=top, yref="paper",
            yanchor="bottom", yshift=4, showarrow=False, font={"color": INK, "size": 13},
        )  # fmt: skip
    _frame(figure, height=150 * len(panels) + 40, legend=False, top=8)
    figure.update_xaxes(
        type="date", showgrid=False, nticks=6, hoverformat="%Y-%m-%d", tickformat=_span_format(periods)
    )
    return figure


def choice(evidence: Choice, measure: str, texts: Texts) -> go.Figure:
    """Score of each number of segments tried, with its standard error; the chosen one is filled."""
    tried = [one for one in evidence.candidates if _score(one, evidence) is not None]
    chosen = [one.k == evidence.chosen for one in tried]
    figure = go.Figure(
        go.Scatter(
            x=[one.k for one in tried], y=[_score(one, evidence) for one in tried],
            mode="lines+markers", line={"color": GREY, "width": 2},
            marker={
                "size": [13 if flag else 9 for flag in chosen],
                "color": [BLUE if flag else "#FFFFFF" for flag in chosen],
                "line": {"color": BLUE, "width": 2},
            },
            error_y={
                "array": [one.spread or 0.0 for one in tried], "color": GREY, "thickness": 1.5,
                "visible": evidence.rule == "next_period",
            },
            hovertemplate="k = %{x}: %{y:.3f}<extra></extra>",
        )
    )  # fmt: skip
    for one, flag in zip(tried, chosen, strict=True):
        if flag:
            figure.add_annotation(
                x=one.k, y=_score(one, evidence), text=texts("choice.chosen", k=one.k), yshift=18,
                showarrow=False, font={"color": BLUE, "size": 13}, bgcolor="rgba(255,255,255,.85)",
            )  # fmt: skip
    _frame(figure, height=300, legend=False, top=24)
    figure.update_xaxes(
        tickvals=[one.k for one in tried], title={"text": texts("choice.axis_k"), "standoff": 6},
        showgrid=False,
    )  # fmt: skip
    figure.update_yaxes(
        nticks=5, title={"text": label(measure, 60), "standoff": 6},
        tickformat=".0%" if evidence.rule == "next_period" else ".2f",
    )  # fmt: skip
    return figure


def _score(one: Any, evidence: Choice) -> float | None:
    score: float | None = one.score if evidence.rule == "next_period" else one.stability
    return score


def _part(value: float | None, whole: float | None) -> float:
    return (value or 0.0) / whole if whole else 0.0


def _rows(
    names: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[float]]],
    numbers: Numbers,
) -> go.Figure:
    """Horizontal bars under their labels: long names need no margin, so it reads on a phone."""
    figure = go.Figure()
    places = list(range(len(names)))[::-1]
    thick = 0.23
    for number, (name, color, values) in enumerate(series):
        figure.add_bar(
            x=list(values), y=[place - number * thick for place in places], name=name,
            orientation="h", width=thick, marker={"color": color},
            text=[numbers.share(value) for value in values], textposition="outside",
            textfont={"size": 11.5, "color": INK if color == BLUE else MUTED}, cliponaxis=False,
            customdata=[label(text) for text in names],
            hovertemplate="%{customdata}: %{text}<extra>" + html.escape(name) + "</extra>",
        )  # fmt: skip
    _labels(figure, names, places, above=thick / 2)
    _frame(figure, height=_ROW_TWO * len(names) + 40, bottom=4)
    everything = [value for _, _, values in series for value in values]
    low, high = min([0.0, *everything]), max([0.01, *everything])
    figure.update_layout(barmode="overlay", legend={"traceorder": "normal"})
    # The values stand at the ends of the bars, so the axis needs neither ticks nor grid.
    figure.update_xaxes(
        range=[1.2 * low, 1.17 * high], showticklabels=False, showgrid=False
    )
    figure.update_yaxes(visible=False, range=[-0.42, len(names) - 0.42])
    return figure


def _labels(
    figure: go.Figure, names: Sequence[str], places: Sequence[int], above: float
) -> None:
    for name, place in zip(names, places, strict=True):
        figure.add_annotation(
            text=label(name), x=0, xref="paper", xanchor="left", xshift=-1, y=place + above,
            yanchor="bottom", showarrow=False, font={"size": 12.5, "color": INK}, align="left",
            bgcolor="#FFFFFF", borderpad=0,
        )  # fmt: skip


def _whiskers(items: Sequence[Effect]) -> dict[str, Any]:
    if not any(item.low is not None for item in items):
        return {"visible": False}
    return {
        "type": "data", "symmetric": False, "color": INK, "thickness": 1,
        "array": [(item.high if item.high is not None else item.size) - item.size for item in items],
        "arrayminus": [item.size - (item.low if item.low is not None else item.size) for item in items],
    }  # fmt: skip


def _ticks(top: float) -> list[float]:
    """Three to five round places from zero to a little under the top.

    >>> _ticks(870), _ticks(3)
    ([0.0, 200.0, 400.0, 600.0, 800.0], [0.0, 1.0, 2.0, 3.0])
    """
    if top <= 0:
        return [0.0]
    size = 10.0 ** (len(str(int(top))) - 1) if top >= 1 else 0.1
    for step in (size / 5, size / 2, size, 2 * size, 5 * size):
        if top / step <= 4.5:
            return [step * place for place in range(int(top / step) + 1)]
    return [0.0, top]


def _span_format(periods: Sequence[Period]) -> str:
    days = (periods[-1].start - periods[0].start).days if periods else 0
    return "%Y-%m" if days > 90 else "%m-%d"


def _frame(
    figure: go.Figure, *, height: int, legend: bool = True, top: int = 12, bottom: int = 44
) -> None:
    figure.update_layout(
        template=go.layout.Template(), height=height, autosize=True,
        margin={"l": 4, "r": 12, "t": 36 if legend else top, "b": bottom, "pad": 2},
        font={"family": FONT, "size": 12, "color": MUTED},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        showlegend=legend, dragmode=False, hovermode="closest",
        legend={
            "orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom",
            "font": {"size": 12, "color": INK}, "itemclick": False, "itemdoubleclick": False,
        },
        hoverlabel={"bgcolor": "#FFFFFF", "bordercolor": GREY, "font": {"color": INK, "family": FONT}},
    )  # fmt: skip
    figure.update_xaxes(
        fixedrange=True, automargin=True, gridcolor=RULE, linecolor=RULE, zeroline=False, showline=False
    )
    figure.update_yaxes(fixedrange=True, automargin=True, gridcolor=RULE, zeroline=False)
