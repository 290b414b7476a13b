"""What is asked of all commit units at every moment, kept up with as units come.

A shop that is served gets a unit with every flush. All are read once; after that what a question
costs is the units that came since, and those that were not committed then.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from shoal.ports import StateStore
from shoal.workflows import units
from shoal.workflows.units import Unit


@dataclass(frozen=True)
class Summary:
    """All units at a moment.

    Args:
        units, events: committed ones, and by how many events these let the table grow.
        last: number of the latest.
        telling: those that the quarantine is told by: of which rows lie there, or that state scopes
            anew; oldest first.
    """

    units: int
    events: int
    last: int
    telling: Sequence[Unit]

    @property
    def with_quarantine(self) -> int:
        """Committed units of which rows are in quarantine."""
        return sum(held(one) for one in self.telling)


def held(unit: Unit) -> bool:
    """Whether rows of a unit are in quarantine and may count."""
    return unit.status == units.COMMITTED and unit.quarantine is not None


def summary(every: Sequence[Unit]) -> Summary:
    """Of all units there are."""
    known = [one for one in every if one.status == units.COMMITTED]
    last = max((one.number for one in every), default=0)
    telling = [one for one in every if _tells(one)]
    return Summary(len(known), sum(one.events for one in known), last, telling)


class UnitsFollowed:
    """The units of a shop; safe to ask from several threads."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._erasures: Hashable = None
        self._forget()

    def read(self, erasures: Hashable) -> Summary:
        """All units as they are now.

        Args:
            erasures: changes when one begins and when one ends: these take rows out of what is in
                the quarantine of older units.
        """
        with self._guard:
            if erasures != self._erasures or not self._follow():
                self._forget()
                self._follow(anew=True)
                self._erasures = erasures
            telling = sorted(self._telling.items())
            return Summary(self._units, self._events, self._last, [one for _, one in telling])

    def _forget(self) -> None:
        self._position = self._units = self._events = self._last = 0
        #: By position: those that the quarantine is told by, and those that may become others yet.
        self._telling: dict[int, Unit] = {}
        self._open: dict[int, str] = {}

    def _follow(self, *, anew: bool = False) -> bool:
        """Take in what came; False: an older unit was changed by it."""
        came = self._store.units_after(self._position)
        for position, name in list(self._open.items()):
            document = self._store.get_unit(name)
            if document is not None:
                came.append((position, {**document, "unit": name}))
        for position, document in came:
            unit = Unit.from_document(document["unit"], document)
            self._open.pop(position, None)
            self._telling.pop(position, None)
            if _tells(unit):
                self._telling[position] = unit
            if unit.status != units.COMMITTED:
                self._open[position] = unit.name
            else:
                self._units += 1
                self._events += unit.events
                if unit.replaces and not anew:
                    return False
            self._position = max(self._position, position)
            self._last = max(self._last, unit.number)
        return True


def _tells(unit: Unit) -> bool:
    stating = unit.scopes is None or bool(unit.scopes)
    return held(unit) or (stating and unit.status != units.DISCARDED)
