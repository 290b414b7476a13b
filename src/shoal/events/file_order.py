"""The order of files in a call: what says more comes after what it may replace.

Of two files that state the same day or order the later one counts, and names tell of some files
which of them that is: GA4's whole day after its intraday one, a browser's `orders (1).csv` after
the `orders.csv` that was downloaded before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

#: GA4's tables of a day, from the first told to the last: through the day, each hour, whole.
_GA4_DAY: Final = re.compile(
    r"(?P<before>.*)events_(?P<told>intraday_|fresh_)?(?P<day>\d{8})(?!\d)"
)
_TOLD: Final = ("intraday_", "fresh_", None)
#: What a browser adds to the name of a file that is there already.
_COPY: Final = re.compile(r"(?P<stem>.+?) ?\((?P<number>\d{1,6})\)(?P<suffix>(\.[A-Za-z0-9]+)*)")

_Rank = tuple[int, int]


def by_name(paths: Iterable[Path]) -> list[Path]:
    """Paths by name, numbers within by their value.

    >>> [path.name for path in by_name([Path("day10.csv"), Path("day9.csv"), Path("all.csv")])]
    ['all.csv', 'day9.csv', 'day10.csv']
    """
    return sorted(paths, key=lambda path: (path.parent, _natural(path.name), path.name))


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Paths as they are, but files of which names tell the order in that order.

    They share the places that they have together: no other file moves.

    >>> given = ["events_20240301.json", "a.csv", "events_intraday_20240301.json"]
    >>> [path.name for path in in_order([Path(name) for name in given])]
    ['events_intraday_20240301.json', 'a.csv', 'events_20240301.json']
    """
    families: dict[tuple[str, ...], list[int]] = {}
    ranks: list[_Rank] = []
    for place, path in enumerate(paths):
        family, rank = _family(path)
        ranks.append(rank)
        families.setdefault(family, []).append(place)
    ordered = list(paths)
    for places in families.values():
        wanted = sorted(places, key=lambda place: (ranks[place], place))
        for place, source in zip(places, wanted, strict=True):
            ordered[place] = paths[source]
    return ordered


def _family(path: Path) -> tuple[tuple[str, ...], _Rank]:
    """(what files have in common that tell the same thing, which of them comes later)."""
    copy = _COPY.fullmatch(path.name)
    number = int(copy["number"]) if copy else 0
    day = _GA4_DAY.match(path.name)
    if day is not None:  # the tables may lie in folders of their own
        return ("ga4", day["before"], day["day"]), (_TOLD.index(day["told"]), number)
    name = copy["stem"] + copy["suffix"] if copy else path.name
    return ("copies", str(path.parent), name), (0, number)


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if odd % 2 else (1, 0, part) for odd, part in enumerate(parts)]
