"""Measured points with whiskers, one of them chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shoal.report.draw.canvas import (
    Drawing,
    drawing,
    number,
    percent,
    rule,
    stretched,
    title,
    upright,
    words,
)
from shoal.report.draw.scale import measure, round_ticks


@dataclass(frozen=True)
class Dot:
    """One point: the name of its place, its value and half the length of its whisker.

    `mark` is a text printed above it, which makes it the chosen one; one that is not `usable` is a
    cross.
    """

    name: str
    value: float
    spread: float = 0.0
    usable: bool = True
    mark: str = ""
    said: str = ""


def dots(
    points: Sequence[Dot],
    alt: str,
    *,
    tick: Callable[[float], str],
    axis: str = "",
    height: int = 200,
) -> Drawing:
    """Points from the left, joined by a thin line, over a scale that frames them (not from zero).

    Args:
        tick: how a value of the scale is printed.
        axis: title of the x axis.
        height: of the plot, in pixels.

    Raises:
        ValueError: no point.
    """
    if not points:
        raise ValueError("dots need at least one point")
    low = min(one.value - one.spread for one in points)
    high = max(one.value + one.spread for one in points)
    room = (high - low or 1.0) * 0.1
    low, high = low - room, high + 2 * room
    # Round places within the frame: those of the frame moved to zero would not be round.
    step = _step(high - low)
    marks = [
        step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)
    ]  # fmt: skip
    left = 8 + max([measure(tick(mark), 12) for mark in marks], default=0)
    top = 6.0

    def at(place: int) -> float:
        return (place + 0.5) / len(points)

    def up(value: float) -> float:
        return top + height * (1 - (value - low) / (high - low))

    parts = []
    for mark in marks:
        parts.append(rule(up(mark)))
        parts.append(words("0", up(mark) + 4, tick(mark), "end", dx=-6))
    path = "L".join(
        f"{number(1000 * at(place))} {number(up(one.value))}" for place, one in enumerate(points)
    )
    parts.append(stretched(0, top + height, [f'<path d="M{path}" class="line l1"/>']))
    for place, one in enumerate(points):
        x, y = percent(at(place)), up(one.value)
        if one.spread:
            parts.append(upright(x, up(one.value + one.spread), up(one.value - one.spread),
                                 "whisker"))  # fmt: skip
        said = title(one.said or f"{one.name}: {tick(one.value)}")
        if one.usable or one.mark:
            size, look = (7, "dot chosen") if one.mark else (5, "dot")
            parts.append(
                f'<circle cx="{x}" cy="{number(y)}" r="{size}" class="{look}">{said}</circle>'
            )
        else:
            parts.append(_cross(x, y, said))
        if one.mark:
            # At an edge the text begins, or ends, at its point.
            side = (
                {0: "", len(points) - 1: " end"}.get(place, " mid") if len(points) > 1 else " mid"
            )
            parts.append(
                words(x, up(one.value + one.spread) - 12, one.mark, f"strong{side} halo",
                      dx=0 if side == " mid" else 6 if side else -6)
            )  # fmt: skip
        parts.append(words(x, top + height + 17, one.name, "mid"))
    foot = top + height
    if axis:
        parts.append(words("50%", foot + 36, axis, "mid", room=280))
    return drawing(parts, height=foot + (42 if axis else 24), alt=alt, left=left, right=6)


def _step(span: float) -> float:
    ticks = round_ticks(0, span, 5)
    return ticks[1] if len(ticks) > 1 else span


def _cross(x: str, y: float, said: str) -> str:
    """A cross of 10 pixels; a nested element carries it to a percentage."""
    return (
        f'<svg x="{x}" y="{number(y)}" overflow="visible" width="1" height="1">'
        f'<path d="M-5-5L5 5M-5 5L5-5" class="cross">{said}</path></svg>'
    )
