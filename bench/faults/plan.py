"""Which kills are made: every point as often as any other, moments drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bench.faults.serving import POINTS

STARTING, RANDOM, POINT, SYNC = "while it starts", "at random", "at a point", "at a sync"
#: Of ten kills in a row.
_TEN = (*(STARTING,) * 2, *(RANDOM,) * 2, *(POINT,) * 3, *(SYNC,) * 3)
_POINTS_OF_TEN = _TEN.count(POINT)


@dataclass(frozen=True)
class Kill:
    """One kill of a service.

    Args:
        point: of a kill at a point.
        afresh: it is a process of its own from its first instruction on; others are forked from
            one that has loaded everything.
    """

    how: str
    point: str = ""
    afresh: bool = False


def planned(kills: int, seed: int) -> list[Kill]:
    """The kills of one service, in turn; one of ten is of a process that is started afresh.

    Services of ten kills with seeds one after the other go through all points before any of them
    comes again.
    """
    drawn = random.Random(seed)
    afresh = STARTING if seed % 2 else RANDOM
    points = _points(seed * _POINTS_OF_TEN)
    found: list[Kill] = []
    while len(found) < kills:
        ten = drawn.sample(_TEN, len(_TEN))
        first = ten.index(afresh)
        found += [
            Kill(how, next(points) if how == POINT else "", place == first)
            for place, how in enumerate(ten)
        ]
    return found[:kills]


def _points(place: int) -> Iterator[str]:
    """Points from a place of an endless row on: one shuffle of all after the other."""
    while True:
        turn, at = divmod(place, len(POINTS))
        yield random.Random(turn).sample(list(POINTS), len(POINTS))[at]
        place += 1
