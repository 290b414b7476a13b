"""Heat maps: each number printed on a colour that says the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Final

from shoal.report.draw.canvas import (
    Drawing,
    drawing,
    number,
    percent,
    pinned,
    quoted,
    title,
    words,
)
from shoal.report.draw.scale import fit, measure, wrapped
from shoal.report.names import clean

#: One hue from nearly white to dark, so that it reads in grey print as well.
_ONE_WAY: Final = ("#f3f7fa", "#c6deec", "#7fb7d6", "#2f86b9", "#00527f")
#: Vermilion below, white in the middle, blue above.
_BOTH_WAYS: Final = ("#b34a00", "#f0a878", "#f7f7f7", "#7fb7d6", "#00609a")

#: Width that a small phone has for a figure, in pixels: wider ones scroll beside their row labels.
_PHONE: Final = 284
#: Pixels: height of a cell, least width of one, widest column of row labels, type of the numbers.
_CELL: Final = 32
_NARROW: Final = 32
_ROW_ROOM: Final = 128
_TYPE: Final = 11.5
#: Least width of a column whose label is wrapped into lines, and the most columns that are.
_WRAPPED: Final = 84
_FEW: Final = 10
#: Room of a slanted column label in pixels, and its angle in degrees.
_SLANT_ROOM: Final = 160
_SLANT: Final = 48


def heat(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    shown: Sequence[Sequence[str]],
    alt: str,
    *,
    both_ways: bool = False,
    reach: float | None = None,
    said: Sequence[Sequence[str]] = (),
    unfinished: Collection[tuple[int, int]] = (),
    row_title: str = "",
    column_title: str = "",
) -> Drawing:
    """A table of numbers, each on a colour; rows may be of different lengths (cohorts).

    Args:
        rows, columns: labels, from the top and from the left.
        values: of each row, by column; None leaves the place empty.
        shown: the values as printed, in few characters.
        both_ways: colours run from vermilion (below zero) over white to blue; otherwise from
            nearly white at zero, or the least value, to dark blue.
        reach: value of the darkest colour; default the greatest (absolute) value.
        said: what a cell says when pointed at; default its row, column and printed value.
        unfinished: (row, column) of cells to mark as not yet whole, by a dashed frame.
        row_title, column_title: what the rows and the columns are.
    """
    longest = max([measure(text, _TYPE) for row in shown for text in row], default=0)
    narrow = max(_NARROW, longest + 8)
    lines, head, narrow, slanted = _column_labels(columns, narrow)
    left = 10 + min(_ROW_ROOM, max([measure(clean(name, 300), 12) for name in rows], default=0))
    top = head + (22 if column_title or row_title else 4)
    names = [_title(column_title, row_title, left)] if column_title or row_title else []
    parts = []
    slot = 1 / max(1, len(columns))
    for place, one in enumerate(lines):
        parts.append(_column_label(percent((place + 0.5) * slot), top - 8, one, columns[place],
                                   slanted))  # fmt: skip
    colour = _colours(values, both_ways, reach)
    for row, name in enumerate(rows):
        y = top + row * _CELL
        names += _row_label(name, y, left)
        for column, value in enumerate(values[row]):
            if value is None:
                continue
            text = shown[row][column]
            what = said[row][column] if said else f"{name}, {columns[column]}: {text}"
            parts.append(_cell(column * slot, y, slot, colour(value), text, what))
            if (row, column) in unfinished:
                parts.append(_frame(column * slot, y, slot, _ink(colour(value))))
    right = 6.0
    if slanted:
        beyond = max(measure(one[0], 12) for one in lines) * math.cos(math.radians(_SLANT))
        right = max(right, beyond - narrow / 2)
    width = left + narrow * len(columns) + right
    height = top + _CELL * len(rows) + 4
    if width > _PHONE:
        return pinned(names, parts, height=height, alt=alt, left=left, right=right, width=width)
    return drawing([*names, *parts], height=height, alt=alt, left=left, right=right)


def _title(column_title: str, row_title: str, left: float) -> str:
    said = [f"→ {column_title}" if column_title else "", f"↓ {row_title}" if row_title else ""]
    return words(f"-{round(left)}", 12, " · ".join(filter(None, said)), room=280)


def _column_labels(
    columns: Sequence[str], narrow: float
) -> tuple[list[list[str]], float, float, bool]:
    """Lines of each label, the height they take, the least width of a column, and whether labels
    are slanted for want of room."""
    names = [clean(name, 300) for name in columns]
    if all(measure(name, 12) <= narrow - 2 for name in names):
        return [[name] for name in names], 18, narrow, False
    if len(columns) <= _FEW:
        narrow = max(narrow, _WRAPPED)
        lines = [wrapped(name, narrow - 2, 12, 5) for name in names]
        return lines, 4 + 15 * max(len(one) for one in lines), narrow, False
    cut = [[fit(name, _SLANT_ROOM, 12)] for name in names]
    long = max(measure(one[0], 12) for one in cut)
    return cut, 14 + long * math.sin(math.radians(_SLANT)), narrow, True


def _column_label(x: str, foot: float, lines: Sequence[str], whole: str, slanted: bool) -> str:
    if slanted:
        # A nested element carries the turned text to its percentage.
        return (
            f'<svg x="{x}" y="{number(foot)}" overflow="visible" width="1" height="1">'
            f'<text transform="rotate(-{_SLANT})">{quoted(lines[0])}{title(whole)}</text></svg>'
        )
    said = whole if any("…" in line for line in lines) else ""
    return "".join(
        words(x, foot - 15 * (len(lines) - 1 - place), line, "mid", said=said)
        for place, line in enumerate(lines)
    )


def _row_label(name: str, y: float, left: float) -> list[str]:
    whole = clean(name, 300)
    lines = wrapped(whole, left - 8, 12, 2)
    said = whole if any("…" in line for line in lines) else ""
    top = y + _CELL / 2 + 4 if len(lines) == 1 else y + 13
    return [
        words("0", top + 14 * place, line, "ink end", dx=-8, said=said)
        for place, line in enumerate(lines)
    ]


def _cell(x: float, y: float, wide: float, colour: str, text: str, said: str) -> str:
    ink = _ink(colour)
    return (
        f'<g>{title(said)}<rect x="{percent(x)}" y="{number(y)}" width="{percent(wide)}" '
        f'height="{_CELL}" fill="{colour}" class="cell"/>'
        f'<text x="{percent(x + wide / 2)}" y="{number(y + _CELL / 2 + 4)}" class="mid" '
        f'style="fill:{ink};font-size:{_TYPE}px">{quoted(clean(text, 40))}</text></g>'
    )


def _frame(x: float, y: float, wide: float, ink: str) -> str:
    return (
        f'<rect x="{percent(x + 0.06 * wide)}" y="{number(y + 3)}" width="{percent(0.88 * wide)}" '
        f'height="{_CELL - 6}" class="open" stroke="{ink}"/>'
    )


def _ink(colour: str) -> str:
    """Black or white, whichever has the better contrast with the colour."""
    return "#000" if _luminance(colour) > 0.179 else "#fff"


def _colours(
    values: Sequence[Sequence[float | None]], both_ways: bool, reach: float | None
) -> Callable[[float], str]:
    every = [value for row in values for value in row if value is not None]
    if both_ways:
        far = reach or max([abs(value) for value in every], default=1.0) or 1.0
        return lambda value: _between(_BOTH_WAYS, (value / far + 1) / 2)
    low = min([0.0, *every])
    high = reach if reach is not None else max(every, default=1.0)
    span = (high - low) or 1.0
    return lambda value: _between(_ONE_WAY, (value - low) / span)


def _between(stops: Sequence[str], part: float) -> str:
    """The colour at a part of the way through the stops.

    >>> _between(("#000000", "#ffffff"), 0.5), _between(("#000000", "#ffffff"), 7.0)
    ('#808080', '#ffffff')
    """
    way = min(1.0, max(0.0, part)) * (len(stops) - 1)
    place = min(int(way), len(stops) - 2)
    pairs = zip(_channels(stops[place]), _channels(stops[place + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (way - place)):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2): black on more than 0.179, white on less, is above 4.5 to 1."""
    parts = [one / 255 for one in _channels(colour)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
