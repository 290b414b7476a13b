"""How figures look: palette, type, frame.

Colours are of the Okabe-Ito palette, which stays apart in all common forms of colour blindness
(Okabe & Ito 2008, "Color Universal Design").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from shoal.report.names import label

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREY: Final = "#A3ADB8"
INK: Final = "#1F2933"
MUTED: Final = "#5F6B7A"
RULE: Final = "#E4E7EB"

#: One hue from nearly white to dark, so that it reads in grey print as well.
SCALE: Final = [
    [0.0, "#F3F7FA"],
    [0.25, "#C6DEEC"],
    [0.5, "#7FB7D6"],
    [0.75, "#2F86B9"],
    [1.0, "#00527F"],
]

FONT: Final = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "PingFang SC", '
    '"Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
)


_AXIS: Final = {"fixedrange": True, "automargin": True, "gridcolor": RULE, "zeroline": False}

_LAYOUT: Final = {
    "autosize": True,
    "font": {"family": FONT, "size": 12, "color": MUTED},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "dragmode": False,
    "hovermode": "closest",
    "hoverlabel": {
        "bgcolor": "#FFFFFF", "bordercolor": GREY, "font": {"color": INK, "family": FONT},
    },
    "legend": {
        "orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom",
        "font": {"size": 12, "color": INK}, "itemclick": False, "itemdoubleclick": False,
        "traceorder": "normal",
    },
}  # fmt: skip


def drawn(
    traces: Sequence[Mapping[str, Any]],
    *,
    height: int,
    axes: Mapping[str, Mapping[str, Any]],
    notes: Sequence[Mapping[str, Any]] = (),
    legend: bool = False,
    top: int = 12,
    bottom: int = 44,
    **layout: Any,
) -> go.Figure:
    """A figure of traces in the house's look; nothing in it zooms or drags.

    It is built in one go: Plotly checks each change of a figure, which is slow in small steps.

    Args:
        axes: what `xaxis`, `yaxis`, `yaxis2`, ... add to quiet axes.
        notes: annotations.
        top, bottom: margins in pixels; a legend has its own at the top.
    """
    return go.Figure(
        {
            "data": list(traces),
            "layout": {
                **_LAYOUT,
                "template": go.layout.Template(),
                "height": height,
                "margin": {"l": 4, "r": 12, "t": 36 if legend else top, "b": bottom, "pad": 2},
                "showlegend": legend,
                "annotations": list(notes),
                **{name: {**_AXIS, **own} for name, own in axes.items()},
                **layout,
            },
        }
    )


def titled(text: str) -> dict[str, Any]:
    """The title of an axis."""
    return {"text": text, "standoff": 7}


def row_labels(names: Sequence[str], places: Sequence[int], above: float) -> list[dict[str, Any]]:
    """Annotations that write each name at the left, above the bar at its place."""
    return [
        {
            "text": label(name), "x": 0, "xref": "paper", "xanchor": "left", "xshift": -1,
            "y": place + above, "yanchor": "bottom", "showarrow": False, "align": "left",
            "font": {"size": 12.5, "color": INK}, "bgcolor": "#FFFFFF", "borderpad": 0,
        }
        for name, place in zip(names, places, strict=True)
    ]  # fmt: skip


def ticks(top: float) -> list[float]:
    """Three to five round places from zero to a little under the top.

    >>> ticks(870), ticks(3)
    ([0.0, 200.0, 400.0, 600.0, 800.0], [0.0, 1.0, 2.0, 3.0])
    """
    if top <= 0:
        return [0.0]
    size = 10.0 ** (len(str(int(top))) - 1) if top >= 1 else 0.1
    for step in (size / 5, size / 2, size, 2 * size, 5 * size):
        if top / step <= 4.5:
            return [step * place for place in range(int(top / step) + 1)]
    return [0.0, top]
