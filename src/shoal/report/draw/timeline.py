"""What happened one after the other, in lanes, each mark as high as it weighs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.report.draw.canvas import (
    Drawing,
    drawing,
    number,
    percent,
    quoted,
    rule,
    upright,
    words,
)
from shoal.report.draw.scale import fit, measure
from shoal.report.names import clean

#: Pixels: of a lane, of the highest mark in it, and of the least that is still seen.
_LANE: Final = 36
_HIGH: Final = 28
_LOW: Final = 2
#: Pixels that the names of lanes may take, and the name of the end.
_NAMES: Final = 96
_END: Final = 56
#: Pixels that a plot has at least, in a narrow window and in a wide one.
_ROOM: Final = {"narrow": 190.0, "wide": 560.0}


@dataclass(frozen=True)
class Happened:
    """One mark: its lane, its weight from 0 on, the name of its day, and what it says."""

    lane: int
    weight: float
    day: str
    said: str = ""


def timeline(lanes: Sequence[str], marks: Sequence[Happened], alt: str, *, end: str) -> Drawing:
    """Marks from left to right in their order, evenly apart, a line where another day begins.

    The highest mark is the weightiest one, the others are in proportion; one without weight is
    still a tick.

    Args:
        lanes: names, from the top.
        marks: in the order in which they happened.
        end: the name of the moment after the last.

    Raises:
        ValueError: no mark, or one in no lane.
    """
    if not marks or any(not 0 <= one.lane < len(lanes) for one in marks):
        raise ValueError("a timeline needs marks, each in one of its lanes")
    room = min(_NAMES, max(measure(clean(name), 12) for name in lanes))
    whole = max(one.weight for one in marks) or 1.0
    slots = len(marks) + 1
    foot = float(_LANE * len(lanes))
    parts = []
    for lane, name in enumerate(lanes):
        base = _LANE * (lane + 1)
        parts.append(rule(base))
        parts.append(words("0", base - 4, fit(clean(name), room, 12), "end ink", dx=-8))
    parts += _days(marks, slots, foot)
    for place, one in enumerate(marks):
        base = _LANE * (one.lane + 1)
        high = max(_LOW, _HIGH * one.weight / whole)
        parts.append(upright(percent((place + 0.5) / slots), base - high, base, "stem"))
    at_end = percent((slots - 0.5) / slots)
    parts.append(upright(at_end, 0, foot + 4, "zero"))
    parts.append(words("100%", foot + 17, end, "end strong"))
    parts += _pointed(marks, slots, foot)
    return drawing(parts, height=foot + 24, alt=alt, left=10 + room, right=6)


def _days(marks: Sequence[Happened], slots: int, foot: float) -> list[str]:
    """A line before the first mark of each day, and the names of days where they have room."""
    begins = [
        (place / slots, one.day)
        for place, one in enumerate(marks)
        if not place or marks[place - 1].day != one.day
    ]
    parts = [upright(percent(at), 0, foot, "rule") for at, _ in begins[1:]]
    for look, room in _ROOM.items():
        free = 0.0
        for at, day in begins:
            wide = measure(day, 12)
            # the first day is named in any case; the end has its name at the right
            if not at or free <= at * room < room - _END - wide:
                parts.append(words(percent(at), foot + 17, day, look))
                free = at * room + wide + 10
    return parts


def _pointed(marks: Sequence[Happened], slots: int, foot: float) -> list[str]:
    """Strips over all lanes that say what happened at their place."""
    strips = [
        f'<rect x="{percent(place / slots)}" width="{percent(1 / slots)}" height="{number(foot)}">'
        f"<title>{quoted(clean(one.said, 200))}</title></rect>"
        for place, one in enumerate(marks)
        if one.said
    ]
    return ['<g class="hits">', *strips, "</g>"] if strips else []
