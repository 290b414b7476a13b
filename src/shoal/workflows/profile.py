"""A customer's profile as a service tells it, from the state store and memory alone.

Where a customer is stands in the membership log, and one read of it takes about a millisecond;
features are those that the last step finished (`shoal.workflows.finished`). What a segmentation
would say now, and why, is told by `shoal.workflows.customer` and `explain_customer`, which take
seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import DAY_US, iso, to_us
from shoal.ports import Registry, StateStore
from shoal.segments import artefact
from shoal.workflows.admission import Admission
from shoal.workflows.advance import recorded_of
from shoal.workflows.finished import Finished
from shoal.workflows.forget_lists import cleanings
from shoal.workflows.forgotten import hidden
from shoal.workflows.segment_identity import document_of

SCHEMA: Final = "shoal.profile/1"
#: Lines of segmentations and their pointers, the main one first.
LINES: Final[Mapping[str, str]] = {
    "main": artefact.MAIN, "rfm": artefact.RFM, "rules": artefact.RULES,
}  # fmt: skip
#: What is current is read again after so many seconds.
FRESH_S: Final = 0.5
#: Of a customer: what the tier says.
UNPLACED: Final = "unplaced"
PLACED: Final = "placed"
TOO_LITTLE: Final = "too_little_known"
_LONGEST_TOLD: Final = 80
#: Beginning of the names of features that are declared traits.
_TRAIT: Final = "trait_"

Names = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Current:
    """What is in force.

    Args:
        lines: line -> the segmentation in force.
        until: up to when memberships of each segmentation are recorded.
        hidden: whose erasure is under way.
        cleanings: how many erasures there were.
    """

    lines: Mapping[str, str]
    until: Mapping[str, datetime]
    hidden: frozenset[str]
    cleanings: int


class Profiles:
    """Profiles of a shop's customers.

    Args:
        finished: their features.
    """

    def __init__(
        self, store: StateStore, registry: Registry, admission: Admission, finished: Finished
    ) -> None:
        self._store, self._registry, self._admission = store, registry, admission
        self.finished = finished
        self._guard = threading.Lock()
        self._current: Current | None = None
        self._fresh_until = 0.0
        self._names: dict[str, Names] = {}

    def current(self) -> Current:
        """What is in force, at most `FRESH_S` seconds old."""
        with self._guard:
            if self._current is None or time.monotonic() >= self._fresh_until:
                before, self._current = self._current, self._read()
                if before is not None and before.cleanings != self._current.cleanings:
                    self.finished.clear()  # persons of whom nothing is to be left
                self._fresh_until = time.monotonic() + FRESH_S
            return self._current

    def owner(self, customer_id: str) -> str:
        """The customer whom an id stands for: itself, or whom it was joined to.

        Raises:
            UsageError: `unknown_customer`.
        """
        if customer_id and customer_id not in self.current().hidden:
            if self._store.standings.of(customer_id, ()).known:
                return customer_id
            owner = self._admission.customer_of(customer_id)
            if owner != customer_id and self._store.standings.of(owner, ()).known:
                return owner
        raise unknown(customer_id)

    def of(self, customer_id: str, *, features: bool = True) -> dict[str, Any]:
        """The JSON document `shoal.profile/1`.

        Args:
            customer_id: also one that was joined to a customer.
            features: also traits and features.

        Raises:
            UsageError: `unknown_customer`.
        """
        current = self.current()
        lines = list(current.lines.values())
        name = customer_id
        if not name or name in current.hidden:
            raise unknown(customer_id)
        found = self._store.standings.of(name, lines)
        if not found.known:
            name = self.owner(customer_id)
            found = self._store.standings.of(name, lines)
        placed = {
            line: self._membership(current, one, found.memberships[one])
            for line, one in current.lines.items()
            if one in found.memberships
        }
        main = placed.get("main")
        return {
            "schema": SCHEMA,
            "customer_id": name,
            "as_of": None if main is None else main["as_of"],
            "tier": _tier(main),
            "segment": main,
            "segments": [{"line": line, **one} for line, one in placed.items()],
            **(self._features(name) if features else {}),
        }

    def names(self, segmentation_id: str) -> Names:
        """Segment -> its names by language, of a published segmentation."""
        if segmentation_id not in self._names:
            document = document_of(self._registry, segmentation_id)
            told = () if document is None else document["segments"]
            self._names[segmentation_id] = {one["segment_id"]: one["name"] for one in told}
        return self._names[segmentation_id]

    def name(self, segmentation_id: str, segment_id: str) -> Mapping[str, str]:
        """The names of a segment; its id where it has none."""
        return self.names(segmentation_id).get(segment_id, {"en": segment_id, "zh": segment_id})

    def _read(self) -> Current:
        found = {line: self._store.get_pointer(pointer) for line, pointer in LINES.items()}
        lines = {line: target for line, target in found.items() if target is not None}
        until = {}
        for one in lines.values():
            recorded = recorded_of(self._store, one)
            if recorded is not None:
                until[one] = recorded.until
        erasures = self._store.erasures
        return Current(lines, until, frozenset(hidden(self._store)), cleanings(erasures))

    def _membership(
        self, current: Current, segmentation_id: str, row: Mapping[str, Any]
    ) -> dict[str, Any]:
        until = max(current.until.get(segmentation_id, row["since"]), row["since"])
        return {
            "segmentation_id": segmentation_id,
            "segment_id": row["segment_id"],
            "name": self.name(segmentation_id, row["segment_id"]),
            "weight": row["weight"],
            "margin": row["margin"],
            "since": iso(row["since"]),
            "days": (to_us(until) - to_us(row["since"])) / DAY_US,
            "cause": row["cause"],
            "as_of": iso(until),
        }

    def _features(self, name: str) -> dict[str, Any]:
        row = self.finished.of(name)
        if row is None:
            return {"traits": {}, "features": {}, "features_as_of": None}
        values = row.values()
        own = {one: value for one, value in values.items() if one.startswith(_TRAIT)}
        return {
            "traits": {one.removeprefix(_TRAIT): value for one, value in own.items()},
            "features": {one: value for one, value in values.items() if one not in own},
            "features_as_of": iso(row.as_of),
        }


def unknown(customer_id: str) -> UsageError:
    """What is told of an id that nobody has."""
    told = customer_id if len(customer_id) <= _LONGEST_TOLD else f"{customer_id[:_LONGEST_TOLD]}..."
    return UsageError(
        "unknown_customer",
        f"the shop knows no customer {told!r}",
        where=told,
        hint="Ids are case-sensitive texts.",
    )


def _tier(main: Mapping[str, Any] | None) -> str:
    if main is None:
        return UNPLACED
    return TOO_LITTLE if main["segment_id"] == TIER_NEW else PLACED
