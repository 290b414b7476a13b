"""Values of many on one line, two of them marked: for a cell of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shoal.report.draw.canvas import Drawing, drawing, percent, upright

#: Pixels: height, least width, and the middle line.
_HEIGHT: Final = 24
_LEAST: Final = 130
_MIDDLE: Final = 12


def places(values: Sequence[float | None]) -> list[float | None]:
    """Where each value lies between the least (0) and the greatest (1); all at 0.5 if equal.

    >>> places([2.0, None, 4.0, 3.0])
    [0.0, None, 1.0, 0.5]
    """
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    span = high - low
    return [None if value is None else (value - low) / span if span else 0.5 for value in values]


def strip(values: Sequence[float | None], first: int, second: int) -> Drawing:
    """A tick for each value, a disc on the first chosen one and a square on the second.

    It has no text alternative, since the numbers stand beside it; assistive technology skips it.
    The marks have the classes `first` and `second`, for a script to move them.
    """
    at = places(values)
    parts = [f'<line x1="0" x2="100%" y1="{_MIDDLE}" y2="{_MIDDLE}" class="rule"/>']
    parts += [
        upright(percent(place), _MIDDLE - 4, _MIDDLE + 4, "tick")
        for place in at
        if place is not None
    ]
    ends = [percent(at[chosen] or 0.0) for chosen in (first, second)]
    hidden = [' style="display:none"' if at[chosen] is None else "" for chosen in (first, second)]
    parts.append(
        f'<rect x="{ends[1]}" y="{_MIDDLE - 5.5}" width="11" height="11" class="second" '
        f'transform="translate(-5.5,0)"{hidden[1]}/>'
        f'<circle cx="{ends[0]}" cy="{_MIDDLE}" r="5" class="first"{hidden[0]}/>'
    )
    return drawing(parts, height=_HEIGHT, alt="", left=7, right=7, width=_LEAST)
