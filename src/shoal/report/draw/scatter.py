"""Points on a plane, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.report.draw.canvas import Drawing, drawing, legend, percent, stretched, words

#: The frame holds this share of the points on each axis; the others lie on its edge.
_WITHIN: Final = 0.98
#: Places of `LOOKS` in the order in which they are taken; the grey one is the last.
_ORDER: Final = (0, 2, 3, 4, 5, 6, 1)
#: Pixels between labels that would stand on each other, and the width of a phone's plot.
_LINE: Final = 15
_PHONE: Final = 280


@dataclass(frozen=True)
class Cloud:
    """Points of one kind, (across, up) each; `label` is printed at their middle, if any.

    Those that are not `told` apart are grey.
    """

    name: str
    points: Sequence[tuple[float, float]]
    label: str = ""
    told: bool = True


def scatter(clouds: Sequence[Cloud], alt: str, *, height: int = 400) -> Drawing:
    """Dots over the whole width, a colour a cloud (grey for those not told apart).

    Both axes have their own scale. Dots of one group are one path, a dozen bytes each.

    Args:
        clouds: at most seven that are told apart; the grey ones lie below.

    Raises:
        ValueError: no point at all, or more told apart than there are looks.
    """
    told = [one for one in clouds if one.told]
    if not any(one.points for one in clouds) or len(told) > len(_ORDER):
        raise ValueError("a scatter needs a point, and at most seven clouds told apart")
    looks = {id(one): f"c{look}" for look, one in zip(_ORDER, told, strict=False)}
    grey = [one for one in clouds if not one.told]
    keys = [*told, *grey[:1]]
    parts, top = legend(
        [one.name for one in keys],
        [f"m{look}" for look in _ORDER[: len(told)]] + ["mq"] * min(1, len(grey)),
    )
    across, up = (
        _frame([point[axis] for one in clouds for point in one.points]) for axis in (0, 1)
    )
    paths = []
    for one in [*grey, *told]:
        spots = dict.fromkeys(
            (round(1000 * _at(x, across)), round(height * (1 - _at(y, up)))) for x, y in one.points
        )
        path = "".join(f"M{x} {y}h0" for x, y in spots)
        paths.append(f'<path d="{path}" class="cloud {looks.get(id(one), "cq")}"/>')
    parts.append(stretched(top, height, paths))
    parts += _labels([one for one in told if one.label and one.points], across, up, top, height)
    return drawing(parts, height=top + height + 8, alt=alt, left=8, right=8)


def _frame(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis: the quantiles that hold most points, and a little room."""
    ordered = sorted(values)
    cut = int(len(ordered) * (1 - _WITHIN) / 2)
    low, high = ordered[cut], ordered[-1 - cut]
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def _at(value: float, ends: tuple[float, float]) -> float:
    return min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0])))


def _labels(
    clouds: Sequence[Cloud],
    across: tuple[float, float],
    up: tuple[float, float],
    top: float,
    height: int,
) -> list[str]:
    """Labels at the median point of each cloud, moved down where one would hide another."""
    places = []
    for one in clouds:
        xs, ys = (sorted(point[axis] for point in one.points) for axis in (0, 1))
        middle = len(one.points) // 2
        places.append((height * (1 - _at(ys[middle], up)), _at(xs[middle], across), one.label))
    found: list[tuple[float, float]] = []
    parts = []
    for y, x, label in sorted(places):
        while any(
            abs(y - other) < _LINE and _PHONE * abs(x - beside) < 9 * len(label)
            for other, beside in found
        ):
            y += _LINE
        found.append((y, x))
        parts.append(words(percent(x), top + y + 4, label, "strong mid halo"))
    return parts
