"""Upright bars: a few values over named places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from shoal.report.draw.canvas import (
    Drawing,
    Series,
    box,
    drawing,
    legend,
    percent,
    rule,
    words,
)
from shoal.report.draw.scale import measure, round_ticks

_LOOKS: Final = ("main", "beside")
#: Pixels that the names along the foot may fill together: what a phone leaves.
_FOOT: Final = 270


def columns(
    labels: Sequence[str],
    series: Sequence[Series],
    alt: str,
    *,
    tick: Callable[[float], str],
    height: int = 150,
    axis: str = "",
) -> Drawing:
    """One or two columns a place, over a scale at the left that starts at zero.

    Args:
        labels: names of the places, from the left; where they are many, every second or third is
            printed.
        series: as many values as labels each: first the thing spoken of, then what it is compared
            with.
        tick: how a value of the scale is printed.
        height: of the plot, in pixels.
        axis: title of the whole scale, above the columns.

    Raises:
        ValueError: more than two series, or none.
    """
    if not 1 <= len(series) <= len(_LOOKS):
        raise ValueError(f"columns take one or two series, not {len(series)}")
    looks = _LOOKS[: len(series)]
    every = [value for one in series for value in one.values if value is not None]
    low, high = min([0.0, *every]), max([0.0, *every])
    span = (high - low) or 1.0
    ticks = round_ticks(low, high, 4)
    left = 8 + max(measure(tick(one), 12) for one in ticks)
    parts: list[str] = []
    top = 4.0
    if len(series) > 1:
        parts, top = legend([one.name for one in series], looks, left=left)
        top += 6
    if axis:
        parts.append(words(f"-{round(left)}", top + 8, axis, room=280))
        top += 18

    def at(value: float) -> float:
        return top + height * (1 - (value - low) / span)

    for one in ticks:
        parts.append(rule(at(one), "zero" if one == 0 else "rule"))
        parts.append(words("0", at(one) + 4, tick(one), "end", dx=-6))
    slot = 1 / max(1, len(labels))
    thick = 0.72 * slot / len(series)
    for place, name in enumerate(labels):
        for order, (each, look) in enumerate(zip(series, looks, strict=True)):
            value = each.values[place]
            if value is None:
                continue
            upper, lower = sorted((at(value), at(0)))
            x = (place + 0.14) * slot + order * thick
            said = f"{name}: {each.shown[place]}"
            if len(series) > 1:
                said = f"{name}, {each.name}: {each.shown[place]}"
            parts.append(box(percent(x), upper, percent(thick * 0.94), lower - upper, look, said))
    every_nth = _every(labels)
    foot = top + height
    parts += [
        words(percent((place + 0.5) * slot), foot + 17, name, "mid")
        for place, name in enumerate(labels)
        if place % every_nth == 0
    ]
    return drawing(parts, height=foot + 24, alt=alt, left=left, right=4)


def _every(labels: Sequence[str]) -> int:
    """Which names are printed so that they do not run into each other: each, each second, ..."""
    widest = max([measure(name, 12) for name in labels], default=1) + 8
    return max(1, math.ceil(len(labels) * widest / _FOOT))
