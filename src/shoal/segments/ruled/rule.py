"""Rules in Python: what a rule file says in JSON.

>>> from shoal.segments.ruled import rule
>>> vip = (rule.feature("orders") >= 3) & ~(rule.trait("plan") == "trial")
>>> idle = rule.events("purchase").last_days(90) == 0
>>> both = vip & idle & (rule.events("view").where(rule.field("category").under("home")) >= 2)
>>> left = rule.events("view").last_days(30).not_then(rule.events("purchase"), within_days=3)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Generic, TypeVar

from shoal.segments.ruled.language import (
    EVERY,
    MAIN,
    AtLeast,
    Compare,
    Events,
    Feature,
    Member,
    Named,
    Rule,
    Sequence,
    Sets,
    Step,
    Test,
    Trait,
    Where,
    Window,
)

T = TypeVar("T", Compare, Where)


class Comparable(Generic[T]):
    """Something that can be compared; each comparison gives a clause."""

    __hash__ = None  # type: ignore[assignment]

    def _test(self, op: str, value: Any = None) -> T:
        raise NotImplementedError

    def __eq__(self, value: object) -> T:  # type: ignore[override]
        return self._test("=", value)

    def __ne__(self, value: object) -> T:  # type: ignore[override]
        return self._test("!=", value)

    def __lt__(self, value: float) -> T:
        return self._test("<", value)

    def __le__(self, value: float) -> T:
        return self._test("<=", value)

    def __gt__(self, value: float) -> T:
        return self._test(">", value)

    def __ge__(self, value: float) -> T:
        return self._test(">=", value)

    def between(self, low: float, high: float) -> T:
        """Both bounds included."""
        return self._test("between", (low, high))

    def isin(self, values: Iterable[Any]) -> T:
        return self._test("in", tuple(values))

    def notin(self, values: Iterable[Any]) -> T:
        """Known, and none of the values."""
        return self._test("not_in", tuple(values))

    def contains(self, text: str) -> T:
        return self._test("contains", text)

    def startswith(self, text: str) -> T:
        return self._test("starts_with", text)

    def under(self, path: str) -> T:
        """The category of that path, or one below it."""
        return self._test("under", path)

    def known(self) -> T:
        return self._test("known")

    def unknown(self) -> T:
        return self._test("unknown")


@dataclass(frozen=True, eq=False)
class _Subject(Comparable[Compare]):
    subject: Feature | Trait | Member

    def _test(self, op: str, value: Any = None) -> Compare:
        return Compare(self.subject, Test(op, value))


@dataclass(frozen=True, eq=False)
class _Field(Comparable[Where]):
    name: str

    def _test(self, op: str, value: Any = None) -> Where:
        return Where(self.name, Test(op, value))


@dataclass(frozen=True, eq=False)
class EventsOf(Comparable[Compare]):
    """A customer's events: narrowed step by step, measured, and compared."""

    events: Events

    def _test(self, op: str, value: Any = None) -> Compare:
        return Compare(self.events, Test(op, value))

    def _with(self, **changes: Any) -> EventsOf:
        return EventsOf(replace(self.events, **changes))

    def where(self, *conditions: Where) -> EventsOf:
        """Only events for which all conditions hold as well."""
        return self._with(where=(*self.events.where, *conditions))

    def last_days(self, days: int, *, skip: int = 0) -> EventsOf:
        """Only those of the last local days, without the latest `skip` of them."""
        return self._with(window=Window(last_days=days, skip_days=skip))

    def between_dates(self, first: str | date, last: str | date) -> EventsOf:
        """Only those of the local days from `first` to `last`, both included."""
        return self._with(window=Window(first=str(first), last=str(last)))

    def count(self) -> EventsOf:
        """How many events."""
        return self._with(measure="count", of="")

    def days(self) -> EventsOf:
        """On how many local days."""
        return self._with(measure="days", of="")

    def orders(self) -> EventsOf:
        """In how many orders."""
        return self._with(measure="orders", of="")

    def items(self) -> EventsOf:
        """Of how many items."""
        return self._with(measure="items", of="")

    def sum(self, of: str) -> EventsOf:
        return self._with(measure="sum", of=of)

    def min(self, of: str) -> EventsOf:
        return self._with(measure="min", of=of)

    def max(self, of: str) -> EventsOf:
        return self._with(measure="max", of=of)

    def latest(self, of: str) -> EventsOf:
        """The field of the latest event that has one."""
        return self._with(measure="latest", of=of)

    def days_since_first(self) -> EventsOf:
        return self._with(measure="days_since_first", of="")

    def days_since_last(self) -> EventsOf:
        return self._with(measure="days_since_last", of="")

    def then(
        self, other: EventsOf, *, within_days: float | None = None, same: str = ""
    ) -> Sequence:
        """Followed by one of the other events, at most some days later.

        `same` names a field that must be the same in all, such as `item_id`.
        """
        return self._first(same).then(other, within_days=within_days)

    def not_then(
        self, other: EventsOf, *, within_days: float | None = None, same: str = ""
    ) -> Sequence:
        """Not followed by any of the other events in these days, which are over."""
        return self._first(same).not_then(other, within_days=within_days)

    def _first(self, same: str) -> Sequence:
        step = Step(self.events.kinds, self.events.where)
        return Sequence((step,), self.events.window, same)


def feature(name: str) -> _Subject:
    """A feature of the catalog, or a column of a table given beside it."""
    return _Subject(Feature(name))


def trait(name: str) -> _Subject:
    """A declared trait, as last told."""
    return _Subject(Trait(name))


def events(*kinds: str) -> EventsOf:
    """Events of some kinds; of every kind if none is given."""
    return EventsOf(Events(kinds or (EVERY,)))


def field(name: str) -> _Field:
    """A field of an event, for `EventsOf.where`."""
    return _Field(name)


def segment(segment_id: str, of: str = MAIN) -> Compare:
    """Belonging to a segment of another segmentation."""
    return Compare(Member(segment_id, of), Test("known"))


def days_in(segment_id: str, of: str = MAIN) -> _Subject:
    """Days that the customer has belonged to a segment."""
    return _Subject(Member(segment_id, of, "days"))


def weight_of(segment_id: str, of: str = MAIN) -> _Subject:
    """The customer's soft weight in a segment, 0 to 1."""
    return _Subject(Member(segment_id, of, "weight"))


def at_least(count: int, *clauses: Rule) -> AtLeast:
    """True where that many of the clauses are."""
    return AtLeast(count, clauses)


def named(rule_id: str) -> Named:
    """The customers of another rule of the same file."""
    return Named(rule_id)


def union(*sets: Rule) -> Sets:
    """Customers of any of the sets."""
    return Sets("union", sets)


def intersect(*sets: Rule) -> Sets:
    """Customers of every set."""
    return Sets("intersect", sets)


def without(first: Rule, *others: Rule) -> Sets:
    """Customers of the first set and of none of the others."""
    return Sets("except", (first, *others))
