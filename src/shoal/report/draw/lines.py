"""Lines over one x axis, in one or more panels above each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from shoal.report.draw.canvas import (
    LOOKS,
    Drawing,
    Series,
    box,
    drawing,
    legend,
    number,
    percent,
    quoted,
    rule,
    stretched,
    title,
    words,
)
from shoal.report.draw.scale import measure, round_ticks
from shoal.report.names import clean

#: More points than this carry no text to point at: the table has them.
_POINTED: Final = 120

#: What a scale that does not begin at zero leaves free at both ends, as a share of itself.
_MARGIN: Final = 0.08

#: Width of a plot on a phone, in pixels, for which names of ticks are thinned.
_PHONE: Final = 270


@dataclass(frozen=True)
class Band:
    """A stretch of the x axis to mark, from and to, and what it says when pointed at."""

    start: float
    end: float
    said: str = ""


@dataclass(frozen=True)
class Panel:
    """One plot with its own scale: a heading, lines, stretches to mark.

    `tick` prints a value of the scale. `xs` and `names` are the panel's own places and their names,
    where they are not those of the whole drawing. `usual` is the least and the most that was to be
    expected at each place, drawn as an area. `from_zero` False lets the scale begin near the least.
    """

    heading: str
    series: Sequence[Series]
    tick: Callable[[float], str]
    bands: Sequence[Band] = ()
    xs: Sequence[float] = ()
    names: Sequence[str] = ()
    usual: tuple[Sequence[float | None], Sequence[float | None]] | None = None
    from_zero: bool = True


def lines(
    xs: Sequence[float],
    panels: Sequence[Panel],
    alt: str,
    *,
    ticks: Sequence[tuple[float, str]],
    names: Sequence[str] = (),
    axis: str = "",
    height: int = 96,
    keys: bool | None = None,
) -> Drawing:
    """Lines over one axis; each panel has its own scale, as a rule from zero.

    Lines differ in colour and in dashes: the first is solid blue, the second dotted grey (what it
    is compared with), up to seven. None in a series breaks its line.

    Args:
        xs: places along the axis, rising; dates by `toordinal` (see `date_ticks`).
        ticks: places of the axis with their names.
        names: of the xs, said with the values when pointing at them.
        axis: title of the x axis.
        height: of each panel's plot, in pixels.
        keys: whether to show the legend of the first panel's lines; default where there are two.

    Raises:
        ValueError: no place, or a line with another number of values than there are places.
    """
    if not xs or any(
        len(one.values) != len(panel.xs or xs) for panel in panels for one in panel.series
    ):
        raise ValueError("lines need a value or None for each of at least one place")
    scales = [_scale(panel) for panel in panels]
    left = 8 + max(measure(panel.tick(tick), 12) for panel, (_, _, marks) in
                   zip(panels, scales, strict=True) for tick in marks)  # fmt: skip
    every = [*xs, *(x for panel in panels for x in panel.xs)]
    first, last = min(every), max(every)
    parts: list[str] = []
    y = 2.0
    if keys if keys is not None else len(panels[0].series) > 1:
        looks = [f"l{place % LOOKS}" for place in range(len(panels[0].series))]
        parts, y = legend([one.name for one in panels[0].series], looks, left=left, lines=True)

    def at(x: float) -> float:
        return (x - first) / (last - first) if last > first else 0.5

    for panel, scale in zip(panels, scales, strict=True):
        if panel.heading:
            # Bold type is wider than its size.
            parts.append(
                words(f"-{round(left)}", y + 13, panel.heading, "strong", room=280, size=13.5)
            )
            y += 24
        else:
            y += 6
        parts += _panel(panel, scale, panel.xs or xs, panel.names or names, at, y, height)
        y += height + 12
    foot = y - 12
    parts += _foot([(at(tick), name) for tick, name in ticks if first <= tick <= last], foot + 17)
    if axis:
        parts.append(words("50%", foot + 35, axis, "mid", room=280))
    return drawing(parts, height=foot + (42 if axis else 24), alt=alt, left=left, right=10)


def _foot(ticks: Sequence[tuple[float, str]], y: float) -> list[str]:
    """Names along the axis, less those that would run into the one before on a phone."""
    parts, taken = [], -1e9
    for part, name in ticks:
        wide = measure(name, 12)
        look = "" if part < 0.03 else "end" if part > 0.97 else "mid"
        start = part * _PHONE - {"": 0.0, "mid": wide / 2, "end": wide}[look]
        if start >= taken:
            parts.append(words(percent(part), y, name, look))
            taken = start + wide + 8
    return parts


def _scale(panel: Panel) -> tuple[float, float, list[float]]:
    every = [value for one in panel.series for value in one.values if value is not None]
    every += [value for edge in panel.usual or () for value in edge if value is not None]
    ground = [0.0] if panel.from_zero or not every else []
    low, high = min([*ground, *every]), max([*ground, *every])
    if high == low:
        high = low + 1.0
    if panel.from_zero:
        return low, high, round_ticks(low, high, 4)
    low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
    step = round_ticks(0, high - low, 4)[1]
    first, last = math.ceil(low / step), math.floor(high / step)
    return low, high, [round(step * place, 12) + 0.0 for place in range(first, last + 1)]


def _panel(
    panel: Panel,
    scale: tuple[float, float, list[float]],
    xs: Sequence[float],
    names: Sequence[str],
    at: Callable[[float], float],
    top: float,
    height: int,
) -> list[str]:
    low, high, marks = scale
    places = [at(x) for x in xs]

    def up(value: float) -> float:
        return height * (1 - (value - low) / (high - low))

    parts = []
    for mark in marks:
        parts.append(rule(top + up(mark), "zero" if mark == 0 else "rule"))
        parts.append(words("0", top + up(mark) + 4, panel.tick(mark), "end", dx=-6))
    for band in panel.bands:
        start, end = sorted((min(1.0, max(0.0, at(band.start))), min(1.0, max(0.0, at(band.end)))))
        parts.append(
            box(percent(start), top, percent(max(end - start, 0.004)), height, "band", band.said)
        )
    curves = [
        f'<path d="{_path(places, one.values, up)}" class="line l{order % LOOKS}"/>'
        for order, one in enumerate(panel.series)
    ]
    if panel.usual is not None:
        area = _area(places, *panel.usual, up)
        curves.insert(0, f'<path d="{area}" class="usual"/>')
    parts.append(stretched(top, height, curves))
    for order, one in enumerate(panel.series):
        parts += _alone(places, one.values, up, top, order)
    if len(places) <= _POINTED:
        parts += _pointed(panel, places, names, top, height)
    return parts


def _path(
    places: Sequence[float], values: Sequence[float | None], up: Callable[[float], float]
) -> str:
    path, pen = [], "M"
    for place, value in zip(places, values, strict=True):
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{number(1000 * place)} {number(up(value))}")
        pen = "L"
    return "".join(path)


def _area(
    places: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    up: Callable[[float], float],
) -> str:
    """The outline of what lies between two lines; places where one of them is not known are left
    out."""
    known = [
        (place, below, above)
        for place, below, above in zip(places, low, high, strict=True)
        if below is not None and above is not None
    ]
    there = [f"{number(1000 * place)} {number(up(above))}" for place, _, above in known]
    back = [f"{number(1000 * place)} {number(up(below))}" for place, below, _ in reversed(known)]
    return f"M{'L'.join([*there, *back])}Z" if known else ""


def _alone(
    places: Sequence[float],
    values: Sequence[float | None],
    up: Callable[[float], float],
    top: float,
    order: int,
) -> list[str]:
    """A dot for each value without a neighbour, of which no line would be seen."""
    padded = [None, *values, None]
    return [
        f'<circle cx="{percent(place)}" cy="{number(top + up(value))}" r="3" '
        f'class="m{order % LOOKS}"/>'
        for before, value, after, place in zip(padded, values, padded[2:], places, strict=False)
        if value is not None and before is None and after is None
    ]


def _pointed(
    panel: Panel, places: Sequence[float], names: Sequence[str], top: float, height: int
) -> list[str]:
    """Strips that say the values at their place."""
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(places)), 1.0]
    strips = []
    for order in range(len(places)):
        shown = [
            (f"{one.name}: " if len(panel.series) > 1 else "") + one.shown[order]
            for one in panel.series
            if one.values[order] is not None
        ]
        said = quoted("\n".join(clean(text, 120) for text in [*names[order : order + 1], *shown]))
        width = edges[order + 1] - edges[order]
        strips.append(
            f'<rect x="{100 * edges[order]:.1f}%" width="{100 * width:.1f}%" height="{height}">'
            f"<title>{said}</title></rect>"
        )
    return [f'<g class="hits" transform="translate(0,{number(top)})">', *strips, "</g>"]


def sparkline(values: Sequence[float | None], alt: str, *, width: int = 96) -> Drawing:
    """A line without axes, its last value marked, for a cell of a table; 26 pixels high.

    The scale runs from zero (or the least value, if it is below) to the greatest value.
    """
    known = [value for value in values if value is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    high = high if high > low else low + 1.0
    places = [place / max(1, len(values) - 1) for place in range(len(values))]

    def up(value: float) -> float:
        return 3 + 20 * (1 - (value - low) / (high - low))

    path = _path([place * (width - 8) / 1000 for place in places], values, up)
    dot = ""
    if known and values[-1] is not None:
        dot = f'<circle cx="{width - 8}" cy="{number(up(values[-1]))}" r="2.5" class="m0"/>'
    svg = (
        f'<svg class="draw spark" role="img" aria-label="{quoted(clean(alt, 300))}" width="{width}"'
        f' height="26" style="width:{width}px">{title(alt)}'
        f'<path d="{path}" class="line l0" style="stroke-width:1.5"/>{dot}</svg>'
    )
    return Drawing(svg, 26, alt, width)
