"""A customer's profile as a service tells it, from the state store and memory alone.

Where a customer is stands in the membership log, and one read of it takes about a millisecond;
features are those that the last step finished (`shoal.workflows.finished`). What a segmentation
would say now, and why, is told by `shoal.workflows.customer` and `explain_customer`, which take
seconds.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import DAY_US, iso, to_us
from shoal.ports import Registry, Standing, StateStore
from shoal.segments import artefact
from shoal.segments.artefact import document_of
from shoal.workflows.admission import Admission
from shoal.workflows.advance import recorded_in
from shoal.workflows.canary import running_in
from shoal.workflows.finished import Finished, Row
from shoal.workflows.forget_lists import cleanings
from shoal.workflows.forgotten import hidden
from shoal.workflows.reference import POINTER as REFERENCE

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

#: As the service writes its answers.
_JSON: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

Names = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Current:
    """What is in force.

    Args:
        lines: line -> the segmentation in force.
        trial: what is in force for a share of customers beside the main one; None: nothing is.
        until: up to when memberships of each segmentation are recorded.
        hidden: whose erasure is under way.
        cleanings: how many erasures there were.
        reference: the frozen reference of items that features are made by.
    """

    lines: Mapping[str, str]
    until: Mapping[str, datetime]
    hidden: frozenset[str]
    cleanings: int
    reference: str | None = None
    trial: str | None = None

    @property
    def asked(self) -> list[str]:
        """Segmentations that a customer may be in."""
        tried = () if self.trial is None else (self.trial,)
        return [*self.lines.values(), *tried]

    @property
    def kept_for(self) -> tuple[int, str | None]:
        """Features are kept as long as this stays: of the erased nothing is to be left, and after
        a refit items are measured by another reference."""
        return self.cleanings, self.reference


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
            return self._fresh()

    def _current_at_hand(self) -> Current | None:
        """The same; None: somebody is reading it just now."""
        if not self._guard.acquire(blocking=False):
            return None
        try:
            return self._fresh()
        finally:
            self._guard.release()

    def _fresh(self) -> Current:
        if self._current is None or time.monotonic() >= self._fresh_until:
            before, self._current = self._current, self._read()
            if before is not None and before.kept_for != self._current.kept_for:
                self.finished.clear()
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
        lines = current.asked
        name = customer_id
        if not name or name in current.hidden:
            raise unknown(customer_id)
        found = self._store.standings.of(name, lines)
        if not found.known:
            name = self.owner(customer_id)
            found = self._store.standings.of(name, lines)
        told = self._placed(current, name, found)
        return {**told, **self._features(name)} if features else told

    def at_hand(self, customer_id: str, *, features: bool = True) -> str | None:
        """What `of` tells, as JSON, if it takes no more than a read of the state store, so that
        whoever answers others too may wait for it; None: it takes more, or is an error.
        """
        current = self._current_at_hand()
        if current is None or not customer_id or customer_id in current.hidden:
            return None
        if any(one not in self._names for one in current.asked):
            return None
        row = self.finished.kept(customer_id) if features else None
        if features and row is None:
            return None
        found = self._store.standings.of(customer_id, current.asked)
        if not found.known:
            return None
        told = _JSON.encode(self._placed(current, customer_id, found))
        return told if row is None else f"{told[:-1]},{_features_json(row)}}}"

    def _placed(self, current: Current, name: str, found: Standing) -> dict[str, Any]:
        """A profile without features."""
        lines = dict(current.lines)
        if current.trial in found.memberships and "main" in lines:
            assert current.trial is not None
            lines["main"] = current.trial  # it is tried on this customer
        placed = {
            line: self._membership(current, one, found.memberships[one])
            for line, one in lines.items()
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
        names, current = self.names(segmentation_id), self._current
        if segment_id not in names and current is not None and current.trial is not None:
            live = segmentation_id == current.lines.get("main")
            names = self.names(current.trial) if live else names  # a segment of what is tried
        return names.get(segment_id, {"en": segment_id, "zh": segment_id})

    def _read(self) -> Current:
        pointers, settings = self._store.pointers(), self._store.get_settings()
        found = {line: pointers.get(pointer) for line, pointer in LINES.items()}
        lines = {line: target for line, target in found.items() if target is not None}
        tried = running_in(settings)
        trial = None
        if tried is not None and tried.base_id == lines.get("main"):
            trial = tried.segmentation_id
        asked = [*lines.values(), *(() if trial is None else (trial,))]
        recorded = {one: recorded_in(settings, one) for one in asked}
        until = {one: told.until for one, told in recorded.items() if told is not None}
        return Current(
            lines, until, frozenset(hidden(self._store)), cleanings(self._store.erasures),
            pointers.get(REFERENCE), trial,
        )  # fmt: skip

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


def _features_json(row: Row) -> str:
    """The members that `Profiles._features` gives, as JSON: most are numbers, which are written in
    half the time without a dictionary."""
    told = row.written()
    traits, features = (
        ",".join([head + told[place] for place, head in heads]) for heads in _heads(row.names)
    )
    moment = _JSON.encode(iso(row.as_of))
    return f'"traits":{{{traits}}},"features":{{{features}}},"features_as_of":{moment}'


@lru_cache(maxsize=8)
def _heads(names: tuple[str, ...]) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Place and beginning of each member: of traits, and of other features."""
    traits: list[tuple[int, str]] = []
    features: list[tuple[int, str]] = []
    for place, name in enumerate(names):
        head = f"{_JSON.encode(name.removeprefix(_TRAIT))}:"
        (traits if name.startswith(_TRAIT) else features).append((place, head))
    return traits, features


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
