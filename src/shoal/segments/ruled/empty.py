"""Rules that nobody can fulfil, found by what their comparisons leave of each value.

Only what follows from the comparisons themselves is found: every value is a range, a list or
unknown, and where clauses that must all hold leave nothing of one, nobody is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shoal.segments.ruled.comparison import (
    Among,
    Condition,
    IsKnown,
    Like,
    Range,
    condition,
    is_textual,
    scale_of,
)
from shoal.segments.ruled.document import ONLY
from shoal.segments.ruled.known import Known
from shoal.segments.ruled.language import (
    COUNTS,
    All,
    AnyOf,
    AtLeast,
    Compare,
    Events,
    Feature,
    Member,
    Named,
    Not,
    Rule,
    RuleSet,
    Sets,
    Subject,
    Trait,
    Where,
)
from shoal.segments.ruled.language import Sequence as Chain
from shoal.segments.ruled.measured import condition_of
from shoal.segments.ruled.words import words

#: Alternatives that are looked at with what must hold beside them.
_MOST_BRANCHES: Final = 256
_NOBODY: Final = "nobody can fulfil this"


@dataclass(frozen=True)
class Doubt:
    """A rule of which something is odd: its path in the file, and what."""

    path: str
    message: str

    def as_document(self) -> dict[str, str]:
        return {"path": self.path, "message": self.message}


def doubts(rules: RuleSet, known: Known | None = None) -> tuple[Doubt, ...]:
    """What a person should look at again: what nobody can fulfil, rules and names that repeat."""
    found: list[Doubt] = []
    seen: dict[Rule, str] = {}
    names: dict[str, str] = {}
    for place, one in enumerate(rules.segments):
        other = names.setdefault(one.name.en, one.segment_id)
        if other != one.segment_id:
            told = f"the name {one.name.en!r} is that of {other!r} too"
            found.append(Doubt(f"$.segments[{place}].name", told))
        path = f"$.segments[{place}].rule"
        if len(rules.segments) == 1 and one.segment_id == ONLY:
            path = "$"
        if one.rule in seen:
            found.append(Doubt(path, f"the rule is that of {seen[one.rule]!r} once more"))
        seen[one.rule] = one.segment_id
        found += _Finder(known).look(one.rule, path)
    return tuple(found)


class _Finder:
    def __init__(self, known: Known | None) -> None:
        self.known = known

    def look(self, rule: Rule, path: str) -> Iterator[Doubt]:
        """The outermost clauses that nobody can fulfil, and conditions that no event can."""
        why = self.contradiction(rule)
        if why is not None:
            yield Doubt(path, f"{_NOBODY}: {why}")
            return
        if isinstance(rule, Compare) and isinstance(rule.subject, Events):
            yield from self._events(rule.subject.where, path)
        elif isinstance(rule, Chain):
            for place, step in enumerate(rule.steps):
                yield from self._events(step.where, f"{path}.sequence[{place}]")
        elif isinstance(rule, Not):
            for one in self.look(rule.clause, f"{path}.not"):
                yield Doubt(one.path, one.message.replace(_NOBODY, "this holds for nobody", 1))
        elif not isinstance(rule, Named):
            for place, inner in enumerate(rule.clauses):
                yield from self.look(inner, f"{path}.{_key(rule)}[{place}]")

    def _events(self, where: tuple[Where, ...], path: str) -> Iterator[Doubt]:
        """Conditions of one event that contradict each other."""
        by: dict[str, _Left] = {}
        for one in where:
            left = by.setdefault(one.field, _Left(Range(), True))
            left.take(condition_of(one), True)
        names = [name for name, left in by.items() if left.nothing]
        if names:
            yield Doubt(f"{path}.where", f"no event can fulfil this: {', '.join(names)}")

    def contradiction(self, rule: Rule) -> str | None:
        """Why nobody can fulfil a rule; None where somebody might."""
        left = _MOST_BRANCHES
        why: str | None = None
        for facts in _branches(rule, True):
            left -= 1
            if left < 0:
                return None
            clash = self._clash(facts)
            if clash is None:
                return None
            why = why or clash
        return why or "it asks for nothing that can be"

    def _clash(self, facts: Sequence[tuple[Compare | Chain, bool]]) -> str | None:
        """Two of some facts, or one, that cannot be."""
        by: dict[Any, list[tuple[Compare | Chain, bool]]] = {}
        for leaf, holds in facts:
            by.setdefault(_about(leaf), []).append((leaf, holds))
        for about, told in by.items():
            if isinstance(about, Chain):
                if len({holds for _, holds in told}) == 2:
                    return f"{words(about).en}, and not"
                continue
            subject, _ = about
            left = _Left(*self._bounds(subject))
            for leaf, holds in told:
                assert isinstance(leaf, Compare)
                left.take(condition(leaf.test, self._scale(subject)), holds)
            if left.nothing:
                return " and ".join(dict.fromkeys(_told(leaf, holds) for leaf, holds in told))
        return None

    def _scale(self, subject: Subject) -> int | None:
        """Counts of the catalog are whole numbers."""
        if isinstance(subject, Feature) and self.known is not None:
            return 1 if self.known.features.get(subject.name) == "count" else None
        return scale_of(subject)

    def _bounds(self, subject: Any) -> tuple[Range, bool]:
        """What goes without saying of a value, and whether it may be unknown."""
        if isinstance(subject, Events):
            counted = subject.measure in COUNTS
            if counted or subject.measure.startswith("days_since"):
                return Range(0), not counted
            return Range(), subject.measure != "sum"
        if isinstance(subject, Member):
            weight = subject.measure == "weight"
            return (Range(0, 1) if weight else Range(0)), not weight
        counts = self.known.counted if self.known is not None else frozenset()
        if isinstance(subject, Feature) and subject.name in counts:
            return Range(0), True
        return Range(), True


def _about(leaf: Compare | Chain) -> Any:
    """What facts of one value have in common: a trait is one as a text and one as a number."""
    if isinstance(leaf, Chain):
        return leaf
    numeric = isinstance(leaf.subject, Trait) and leaf.test.value is not None
    return leaf.subject, numeric and not is_textual(leaf.test)


def _told(leaf: Compare | Chain, holds: bool) -> str:
    text = words(leaf).en
    return text if holds else f"not ({text})"


def _key(rule: Rule) -> str:
    match rule:
        case All():
            return "all"
        case AnyOf():
            return "any"
        case AtLeast():
            return "of"
        case Sets(word, _):
            return word
    return ""


def _branches(rule: Rule, wanted: bool) -> Iterator[list[tuple[Compare | Chain, bool]]]:
    """Alternatives, each a list of leaves that hold or do not, one of which the rule needs."""
    match rule:
        case Compare() | Chain():
            yield [(rule, wanted)]
        case Not(clause):
            yield from _branches(clause, not wanted)
        case Named(_, target):
            if target is not None:
                yield from _branches(target, wanted)
            else:
                yield []
        case All(members) | Sets("intersect", members):
            yield from _both(members, wanted) if wanted else _either(members, wanted)
        case AnyOf(members) | Sets("union", members):
            yield from _either(members, wanted) if wanted else _both(members, wanted)
        case Sets("except", members):
            turned = (members[0], *(Not(one) for one in members[1:]))
            yield from _both(turned, True) if wanted else _either(turned, False)
        case AtLeast(count, members) if wanted and count == len(members):
            yield from _both(members, True)
        case _:
            yield []


def _either(members: Sequence[Rule], wanted: bool) -> Iterator[list[tuple[Compare | Chain, bool]]]:
    for one in members:
        yield from _branches(one, wanted)


def _both(members: Sequence[Rule], wanted: bool) -> Iterator[list[tuple[Compare | Chain, bool]]]:
    """Every combination of one alternative of each, at most `_MOST_BRANCHES` and one more."""
    found: list[list[tuple[Compare | Chain, bool]]] = [[]]
    for one in members:
        grown = []
        for more in _branches(one, wanted):
            grown += [[*facts, *more] for facts in found]
            if len(grown) > _MOST_BRANCHES:
                # Too many to tell: what is left out is taken as possible.
                yield from ([],)
                return
        found = grown
    yield from found


class _Left:
    """What comparisons leave of a value: unknown or not, a range of numbers, some texts or all."""

    def __init__(self, bounds: Range, unknown: bool) -> None:
        self.unknown = unknown
        self.known = True
        self.low, self.above = bounds.low, False
        self.high, self.below = bounds.high, False
        self.among: set[float | str] | None = None
        self.never: set[float | str] = set()

    @property
    def nothing(self) -> bool:
        """Whether no value is left, and it cannot be unknown either."""
        return not self.unknown and not self._any_known()

    def _any_known(self) -> bool:
        if not self.known or Range(self.low, self.high, self.above, self.below).empty:
            return False
        if self.among is not None:
            return any(self._fits(one) for one in self.among)
        # A range of one value that is excluded.
        return not (self.low is not None and self.low == self.high and self.low in self.never)

    def _fits(self, value: float | str) -> bool:
        if value in self.never:
            return False
        if isinstance(value, str):
            return True
        low = self.low is None or value > self.low or (value == self.low and not self.above)
        return low and (
            self.high is None or value < self.high or (value == self.high and not self.below)
        )

    def take(self, found: Condition, holds: bool) -> None:
        """Let a comparison hold, or not."""
        if isinstance(found, IsKnown):
            wanted = found.wanted == holds
            self.known, self.unknown = self.known and wanted, self.unknown and not wanted
            return
        if holds:
            self.unknown = False
            self._holds(found)
        else:
            self._fails(found)

    def _holds(self, found: Range | Among | Like) -> None:
        if isinstance(found, Range):
            self._above(found.low, found.above)
            self._below(found.high, found.below)
        elif isinstance(found, Among):
            self._among(set(found.values), found.negate)

    def _fails(self, found: Range | Among | Like) -> None:
        """Known values that do not fulfil it; unknown ones stay."""
        if isinstance(found, Range):
            if found.low is None and found.high is not None:
                self._above(found.high, not found.below)
            elif found.high is None and found.low is not None:
                self._below(found.low, not found.above)
        elif isinstance(found, Among):
            self._among(set(found.values), not found.negate)

    def _among(self, values: set[float | str], negate: bool) -> None:
        if negate:
            self.never |= values
        else:
            self.among = values if self.among is None else self.among & values

    def _above(self, low: float | None, above: bool) -> None:
        if low is not None and (self.low is None or (low, above) > (self.low, self.above)):
            self.low, self.above = low, above

    def _below(self, high: float | None, below: bool) -> None:
        if high is not None and (
            self.high is None or (high, not below) < (self.high, not self.below)
        ):
            self.high, self.below = high, below
