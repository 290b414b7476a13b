"""Horizontal bars under their labels: long names need no margin, so they read on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shoal.report.draw.canvas import (
    Drawing,
    Series,
    box,
    drawing,
    legend,
    number,
    percent,
    upright,
    words,
)
from shoal.report.draw.scale import measure, round_ticks, wrapped
from shoal.report.names import clean

#: Pixels that a label may fill: what a phone of 320 pixels leaves.
_LABEL_ROOM: Final = 284
#: Heights in pixels: of a label, of the first and of the other bars, between rows.
_LABEL: Final = 17
_BARS: Final = (14, 11)
_GAP: Final = 13
_LOOKS: Final = ("main", "beside")


def bars(labels: Sequence[str], series: Sequence[Series], alt: str) -> Drawing:
    """One or two bars a row, the value printed at the end of each.

    The first series is the thing spoken of, the second what it is compared with. Bars share one
    scale from zero; values below zero go left of it.

    Args:
        labels: a text a row, from the top.
        series: as many values as labels each; the legend appears where there are two.
        alt: the text alternative: what is shown and the main thing it says.

    Raises:
        ValueError: more than two series, or none.
    """
    return _bars(labels, series, alt, ())


def funnel(
    steps: Sequence[str], series: Sequence[Series], alt: str, *, between: Sequence[str] = ()
) -> Drawing:
    """Bars of steps that lose some at each.

    Args:
        steps: names, from the first.
        series: one, or two to compare, as in `bars`; shares of those who came to the first step,
            say.
        between: what goes on from each step to the next, printed between them: one less than steps.
    """
    return _bars(steps, series, alt, between)


def _bars(
    labels: Sequence[str], series: Sequence[Series], alt: str, between: Sequence[str]
) -> Drawing:
    if not 1 <= len(series) <= len(_LOOKS):
        raise ValueError(f"bars take one or two series, not {len(series)}")
    looks = _LOOKS[: len(series)]
    every = [value for one in series for value in one.values if value is not None]
    low, high = min([0.0, *every]), max([0.0, *every])
    span = (high - low) or 1.0
    zero = -low / span
    parts, y = legend([one.name for one in series], looks) if len(series) > 1 else ([], 0.0)
    for place, label in enumerate(labels):
        # Labels cross the zero line where there is one.
        lines, tall = _label(label, y, "name halo" if low < 0 else "name")
        parts += lines
        y += tall
        for one, look, thick in zip(series, looks, _BARS, strict=False):
            value = one.values[place]
            if value is not None:
                said = f"{label}: {one.shown[place]}"
                if len(series) > 1:
                    said = f"{label}, {one.name}: {one.shown[place]}"
                start, end = sorted((zero, (value - low) / span))
                parts.append(box(percent(start), y, percent(end - start), thick, look, said))
                strong = "ink" if look == "main" else ""
                at = percent(max(end, zero))
                parts.append(words(at, y + thick - 1.5, one.shown[place], strong, dx=6))
            y += thick + 3
        if place < len(between):
            parts.append(words("0", y + 16, between[place]))
            y += 16
        y += _GAP
    if low < 0:
        parts.insert(0, upright(percent(zero), 0, y - _GAP, "zero"))
    texts = [text for one in series for text in one.shown]
    right = 10 + max([measure(text, 12) for text in texts], default=0)
    return drawing(parts, height=max(y - _GAP + 4, 20), alt=alt, right=right)


def diverging(
    labels: Sequence[str],
    values: Sequence[float],
    shown: Sequence[str],
    alt: str,
    *,
    whiskers: Sequence[tuple[float, float] | None] = (),
    axis: str = "",
    least: float = 1.0,
) -> Drawing:
    """One bar a row around zero: blue to the right, vermilion to the left, the value at its end.

    Args:
        labels: a text a row, from the top.
        shown: the values as printed, with their sign.
        whiskers: (low, high) of each, or None.
        axis: what the axis measures, with its unit.
        least: the axis reaches at least that far both ways.
    """
    whiskers = whiskers or [None] * len(labels)
    reach = max([least, *(abs(value) for value in values)])
    reach = max([reach, *(max(abs(low), abs(high)) for low, high in filter(None, whiskers))])
    ticks = _both_ways(reach)
    # The values stand at the ends of the longest bars as well.
    margin = 10 + max([measure(text, 12) for text in shown], default=0)
    y = 0.0
    rows = []

    def at(value: float) -> str:
        return percent((value / reach + 1) / 2)

    for place, (label, value, text) in enumerate(zip(labels, values, shown, strict=True)):
        lines, tall = _label(label, y, "name halo", -margin)
        rows += lines
        y += tall
        left, right = sorted((0.0, value))
        width = percent((right - left) / reach / 2)
        bar = box(at(left), y, width, 13, "main" if value >= 0 else "below",
                  f"{label}: {text}")  # fmt: skip
        rows.append(bar)
        edge = left if value < 0 else right
        span = whiskers[place]
        if span is not None:
            rows += _whisker(at(span[0]), at(span[1]), y + 6.5)
            edge = min(edge, span[0]) if value < 0 else max(edge, span[1])
        side = "ink halo end" if value < 0 else "ink halo"
        rows.append(words(at(edge), y + 11, text, side, dx=-6 if value < 0 else 6))
        y += 13 + _GAP
    foot = y - 4
    parts = [upright(at(tick), 0, foot + 4, "zero" if tick == 0 else "rule") for tick in ticks]
    parts += rows
    for tick in ticks:
        sign = "+" if tick > 0 else "−" if tick < 0 else ""
        parts.append(words(at(tick), foot + 18, f"{sign}{number(abs(tick))}", "mid"))
    if axis:
        parts.append(words("50%", foot + 36, axis, "mid", room=_LABEL_ROOM))
    height = foot + (42 if axis else 24)
    return drawing(parts, height=height, alt=alt, left=margin, right=margin)


def _label(text: str, y: float, look: str, x: float = 0) -> tuple[list[str], float]:
    """A label in one line or two, and the height they take."""
    whole = clean(text, 300)
    lines = wrapped(whole, _LABEL_ROOM, 13, 2)
    cut = lines[-1].endswith("…") and not whole.endswith("…")
    parts = [
        words(number(x), y + 12 + 15 * place, line, look, said=whole if cut else "")
        for place, line in enumerate(lines)
    ]
    return parts, _LABEL + 15 * (len(lines) - 1)


def _both_ways(reach: float) -> list[float]:
    up = round_ticks(0, reach, 4)
    return [-tick for tick in up[:0:-1]] + up


def _whisker(low: str, high: str, y: float) -> list[str]:
    line = (
        f'<line x1="{low}" x2="{high}" y1="{number(y)}" y2="{number(y)}" class="whisker"/>'
    )  # fmt: skip
    return [line, upright(low, y - 3, y + 3, "whisker"), upright(high, y - 3, y + 3, "whisker")]
