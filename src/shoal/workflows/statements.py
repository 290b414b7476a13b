"""Statements: files that belong together, and which unit said last what a scope holds.

A file that states a scope (a day, an order) states it as a whole. So the parts into which an export
was cut are one unit, and a file that is in already may be superseded: all that it states was stated
again later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.workflows import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.events.mapping import SourceMapping
    from shoal.events.reading import Source
    from shoal.workflows.units import Unit

#: How exports number their parts: BigQuery with twelve digits where the address has its `*`
#: (cloud.google.com/bigquery/docs/exporting-data), Spark and its like as `part-00000`. BigQuery
#: counts from 0, so what does not begin with zeros is no part but a moment: 202403011200.
_PART: Final = re.compile(r"(?<!\d)0000\d{8}(?!\d)|(?<=part-)\d{5}(?!\d)")


def exports(
    files: Sequence[Path], mapping: SourceMapping | Callable[[Source], SourceMapping]
) -> list[tuple[Path, ...]]:
    """The files, those that are parts of one export together, in the order of the first part.

    Only a mapping with scopes needs them together: else each file is a unit of its own.
    """
    if callable(mapping) or not mapping.scope:
        return [(file,) for file in files]
    found: dict[Path, list[Path]] = {}
    for file in files:
        found.setdefault(label((file,), always=True), []).append(file)
    return [tuple(parts) for parts in found.values()]


def label(parts: Sequence[Path], *, always: bool = False) -> Path:
    """What a person calls the files of a unit: the file, or the parts' common name with a `*`."""
    first = parts[0]
    if len(parts) == 1 and not always:
        return first
    return first.with_name(_PART.sub("*", first.name))


class Statements:
    """Which committed unit stated each scope last, and the order in which units came."""

    def __init__(self, known: Iterable[Unit]) -> None:
        self._units: dict[str, Unit] = {}
        #: Of each content the last unit that stated it.
        self._of_content: dict[str, Unit] = {}
        #: Of each scope the number of the last unit that stated it.
        self._last: dict[int, int] = {}
        #: Of each source the number of its last unit with too many scopes to name them.
        self._unnamed: dict[str, int] = {}
        self._next = 1
        for unit in known:
            self.add(unit)

    @property
    def next(self) -> int:
        """The number of the next unit."""
        return self._next

    def add(self, unit: Unit) -> None:
        """Take a unit in."""
        self._next = max(self._next, unit.number + 1)
        if unit.status == units.DISCARDED:
            return
        self._units[unit.name] = unit
        content = units.content_of(unit.name)
        before = self._of_content.get(content)
        if before is None or before.number <= unit.number:
            self._of_content[content] = unit
        if unit.scopes is None:
            unnamed = self._unnamed.get(unit.source, 0)
            self._unnamed[unit.source] = max(unnamed, unit.number)
        for scope in unit.scopes or ():
            self._last[scope] = max(self._last.get(scope, 0), unit.number)

    def since(self, unit: Unit) -> frozenset[int] | None:
        """Scopes that units after this one stated; None where one stated too many to name them."""
        if self._unnamed.get(unit.source, 0) > unit.number:
            return None
        return frozenset(scope for scope, last in self._last.items() if last > unit.number)

    def superseded(self, unit: Unit) -> bool:
        """Whether everything that a unit states is known to have been stated again later."""
        scopes = unit.scopes or ()
        return bool(scopes) and all(self._last.get(scope, 0) > unit.number for scope in scopes)

    def latest(self, name: str) -> Unit | None:
        """The last unit that stated the content of that name; None if the shop does not have it."""
        return self._of_content.get(units.content_of(name))

    def may_be_stated_again(self, unit: Unit) -> bool:
        """Whether another unit may have stated a part of what a unit states after it."""
        later = self.since(unit)
        if later is None:
            return unit.scopes is None or bool(unit.scopes)
        if unit.scopes is None:
            return bool(later)
        return not later.isdisjoint(unit.scopes)

    def told_by(self, scopes: Iterable[int], among: Sequence[str]) -> str:
        """The file, of the last of some units, that stated one of the scopes before; "" if none."""
        wanted = set(scopes)
        for name in reversed(among):
            unit = self._units[name]
            if unit.scopes is not None and wanted.intersection(unit.scopes):
                return unit.file
        return ""
