"""Sankey diagrams: how many went from where to where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.report.draw.canvas import (
    Drawing,
    box,
    drawing,
    number,
    percent,
    stretched,
    title,
    words,
)
from shoal.report.draw.scale import fit, measure
from shoal.report.names import clean

#: Pixels: width of a node, least height of its place (its label's), between places, all nodes.
_NODE: Final = 9
_PLACE: Final = 17
_BETWEEN: Final = 7
_TALL: Final = 300
#: Room of a label between two columns in pixels: on a phone, and where there is more.
_LABEL_ROOM: Final = 138
_WIDE_ROOM: Final = 300


@dataclass(frozen=True)
class Node:
    """A place that flows leave or reach: its label and its count as printed."""

    label: str
    shown: str = ""


@dataclass(frozen=True)
class Flow:
    """How many went from a node of one column to a node of the next.

    `quiet` flows (those who stayed) are grey, the others blue.
    """

    column: int
    source: int
    target: int
    value: float
    said: str = ""
    quiet: bool = False


def flows(
    columns: Sequence[Sequence[Node]],
    links: Sequence[Flow],
    alt: str,
    *,
    heads: Sequence[str] = (),
    height: int = _TALL,
    width: int = 0,
) -> Drawing:
    """Nodes in two or more columns and bands between them as thick as their values.

    A node is as tall as the greater of what reaches and what leaves it. More than about 15 nodes a
    column are hard to read: callers lump the small ones.

    Args:
        columns: nodes of each column, from the top.
        links: `column` is that of the source, from 0; `source` and `target` are places in their
            columns. Those of value 0 are left out.
        heads: a heading a column (dates, say).
        height: of the nodes of the fullest column together, in pixels, before gaps.
        width: the least that the drawing can do with, in pixels; 0: a phone's.

    Raises:
        ValueError: fewer than two columns.
    """
    if len(columns) < 2:
        raise ValueError("flows need at least two columns")
    links = [one for one in links if one.value > 0]
    sizes = _sizes(columns, links)
    scale = height / (max(sum(column) for column in sizes) or 1.0)
    top = 26.0 if heads else 6.0
    tops, foot = _places(sizes, scale, top)
    parts = [stretched(0, foot, _bands(links, tops, scale, len(columns)))]
    for place, column in enumerate(columns):
        x = place / (len(columns) - 1)
        last = place == len(columns) - 1
        if heads:
            anchor = "end" if last else "" if place == 0 else "mid"
            parts.append(words(percent(x), 13, heads[place], f"strong {anchor}".strip(), room=150))
        shift = 0 if place == 0 else -_NODE if last else -_NODE / 2
        for order, node in enumerate(column):
            tall = max(1.0, sizes[place][order] * scale)
            y = tops[place][order]
            said = f"{node.label}: {node.shown}" if node.shown else node.label
            parts.append(box(percent(x), y, str(_NODE), tall, "node", said, shift=shift))
            wide = max(_WIDE_ROOM / (len(columns) - 1), _LABEL_ROOM if width else 0)
            parts.append(_label(node, percent(x), y + tall / 2 + 4, last, wide))
    return drawing(parts, height=foot + 4, alt=alt, width=width)


def _sizes(columns: Sequence[Sequence[Node]], links: Sequence[Flow]) -> list[list[float]]:
    leaving = [[0.0] * len(column) for column in columns]
    reaching = [[0.0] * len(column) for column in columns]
    for one in links:
        leaving[one.column][one.source] += one.value
        reaching[one.column + 1][one.target] += one.value
    return [
        [max(pair) for pair in zip(*both, strict=True)]
        for both in zip(leaving, reaching, strict=True)
    ]


def _places(
    sizes: Sequence[Sequence[float]], scale: float, top: float
) -> tuple[list[list[float]], float]:
    """The top of each node, and the foot of all."""
    tops, feet = [], []
    for column in sizes:
        y, found = top, []
        for size in column:
            tall = max(1.0, size * scale)
            place = max(tall, _PLACE)
            found.append(y + (place - tall) / 2)
            y += place + _BETWEEN
        tops.append(found)
        feet.append(y - _BETWEEN)
    return tops, max(feet)


def _bands(
    links: Sequence[Flow], tops: Sequence[Sequence[float]], scale: float, columns: int
) -> list[str]:
    out = [list(column) for column in tops]
    into = [list(column) for column in tops]
    wide = 1000 / (columns - 1)
    shapes = []
    # From the top of each node, so that bands cross as little as the order of nodes allows.
    for one in sorted(links, key=lambda one: (one.column, one.source, one.target)):
        tall = one.value * scale
        shapes.append((one, out[one.column][one.source], tall))
        out[one.column][one.source] += tall
    ends = {}
    for one in sorted(links, key=lambda one: (one.column, one.target, one.source)):
        ends[one] = into[one.column + 1][one.target]
        into[one.column + 1][one.target] += one.value * scale
    return [
        _band(one, one.column * wide, (one.column + 1) * wide, start, ends[one], tall)
        for one, start, tall in sorted(shapes, key=lambda shape: not shape[0].quiet)
    ]


def _band(one: Flow, x0: float, x1: float, start: float, end: float, tall: float) -> str:
    tall = max(tall, 0.6)
    mid = number((x0 + x1) / 2)
    a, b = number(x0), number(x1)
    path = (
        f"M{a} {number(start)}C{mid} {number(start)} {mid} {number(end)} {b} {number(end)}"
        f"V{number(end + tall)}C{mid} {number(end + tall)} {mid} {number(start + tall)} "
        f"{a} {number(start + tall)}Z"
    )
    look = "flow quiet" if one.quiet else "flow"
    return f'<path d="{path}" class="{look}">{title(one.said)}</path>'


def _label(node: Node, x: str, y: float, last: bool, wide: float) -> str:
    """The label at a node, cut for a phone and again for more room; the style shows one of them."""
    look = "ink halo end" if last else "ink halo"
    shift = -_NODE - 5 if last else _NODE + 5
    taken = measure(node.shown, 12) + 5 if node.shown else 0
    whole = clean(node.label, 300)
    short, long = (fit(whole, room - taken, 12) for room in (_LABEL_ROOM, wide))
    if short == long:
        return words(x, y, f"{short} {node.shown}".strip(), look, dx=shift)
    return "".join(
        words(x, y, f"{name} {node.shown}".strip(), f"{look} {when}", dx=shift)
        for name, when in ((short, "narrow"), (long, "wide"))
    )
