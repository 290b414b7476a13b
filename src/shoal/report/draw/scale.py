"""Scales: round ticks, dates along an axis, and how wide a text will be."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import date
from typing import Final

#: Widths of letters as shares of the type's size, of the usual sans-serif faces, on the wide side.
_WIDE: Final = frozenset("MWmw@%…")
_SIGNS: Final = frozenset("<>=+−#&~±")
_SLIM: Final = frozenset("iIjlt.,:;'|!()[] f-r\u00a0")


def measure(text: str, size: float) -> float:
    """About how many pixels a line of text takes in a sans-serif face of that size.

    >>> measure("ii", 10) < measure("aa", 10) < measure("WW", 10) <= measure("分群", 10)
    True
    """
    total = 0.0
    for mark in text:
        if unicodedata.east_asian_width(mark) in "WF":
            total += 1.0
        elif mark in _WIDE:
            total += 0.99
        elif mark in _SIGNS:
            total += 0.84
        elif mark in _SLIM:
            total += 0.38
        elif mark.isupper():
            total += 0.7
        elif unicodedata.combining(mark):
            continue
        else:
            total += 0.61
    return total * size


def fit(text: str, room: float, size: float) -> str:
    """The text cut to the room in pixels, with an ellipsis where it was cut.

    >>> fit("Frequent buyers of Kitchen", 90, 12), fit("short", 90, 12)
    ('Frequent bu…', 'short')
    """
    if measure(text, size) <= room:
        return text
    room -= measure("…", size)
    used, kept = 0.0, 0
    for mark in text:
        used += measure(mark, size)
        if used > room:
            break
        kept += 1
    return text[:kept].rstrip() + "…"


def wrapped(text: str, room: float, size: float, most: int) -> list[str]:
    """The text in at most that many lines of the room; what is left over is cut.

    >>> wrapped("Days since the last order", 96, 12, 2)
    ['Days since the', 'last order']
    """
    lines: list[str] = []
    rest = _units(text)
    while rest and len(lines) < most - 1:
        line = rest.pop(0)
        while rest and measure((line + rest[0]).strip(), size) <= room:
            line += rest.pop(0)
        lines.append(line.strip())
    if rest:
        lines.append("".join(rest).strip())
    return [fit(line, room, size) for line in lines]


def _units(text: str) -> list[str]:
    """Where a line may break: after a space or hyphen, or between Chinese characters."""
    units: list[str] = []
    for mark in text:
        wide = unicodedata.east_asian_width(mark) in "WF"
        closing = unicodedata.category(mark) in {"Po", "Pe", "Pf"}
        if units and (closing or not wide) and not units[-1].endswith((" ", "-")):
            units[-1] += mark
        else:
            units.append(mark)
    return units


def round_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most that many round places from zero, or a round place below `low`, to about `high`.

    Steps are 1, 2 or 5 times a power of ten.

    >>> round_ticks(0, 870), round_ticks(0, 3), round_ticks(-40, 90)
    ([0.0, 200.0, 400.0, 600.0, 800.0], [0.0, 1.0, 2.0, 3.0], [0.0, 50.0])
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 0 or not math.isfinite(high - low):
        return [0.0]
    step = 10.0 ** (math.floor(math.log10(high - low)) - 1)
    for factor in (2, 2.5, 2) * 12:  # 1, 2, 5, 10, 20, 50, ...
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            break
        step *= factor
    return [round(step * place, 12) + 0.0 for place in range(first, last + 1)]


def date_ticks(days: Sequence[date], most: int = 5) -> list[tuple[float, str]]:
    """Places along an axis of dates (by `toordinal`) with their names, at most that many.

    They are firsts of months where the dates span more than 90 days, otherwise some of the dates.

    >>> date_ticks([date(2024, 1, 5), date(2024, 1, 25)], 3)
    [(738890.0, '01-05'), (738910.0, '01-25')]
    >>> [name for _, name in date_ticks([date(2024, 1, 5), date(2024, 7, 12)], 4)]
    ['2024-02', '2024-04', '2024-06']
    """
    if not days:
        return []
    first, last = min(days), max(days)
    if (last - first).days <= 90:
        step = math.ceil(len(days) / most)
        return [(float(day.toordinal()), f"{day:%m-%d}") for day in days[::step]]
    months = [
        date(year, month, 1)
        for year in range(first.year, last.year + 1)
        for month in range(1, 13)
        if first <= date(year, month, 1) <= last
    ]
    steps = (1, 2, 3, 4, 6, 12, 24, 60, 120, 240)
    step = next((one for one in steps if len(months) / one <= most), 600)
    shown = months[::step]
    if step >= 12:
        januaries = [day for day in months if day.month == 1]
        shown = januaries[:: step // 12]
        return [(float(day.toordinal()), f"{day:%Y}") for day in shown]
    return [(float(day.toordinal()), f"{day:%Y-%m}") for day in shown]
