"""One clause of JSON at a time: which one it is, and whether everything in it is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.kinds import ITEM, KINDS
from shoal.segments.ruled import values
from shoal.segments.ruled.known import Known, suggestion
from shoal.segments.ruled.language import (
    AMOUNTS,
    EVERY,
    LATEST,
    MAIN,
    MAX_DEPTH,
    MEASURES,
    NUMBER_FIELDS,
    PROPERTIES,
    TEXT_FIELDS,
    VALUE,
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
    Sequence,
    Sets,
    Step,
    Test,
    Trait,
    Where,
    Window,
)
from shoal.segments.ruled.values import shown

#: The key that says which clause an object is, and the keys that may stand beside it.
CLAUSES: Final[Mapping[str, tuple[str, ...]]] = {
    "all": (),
    "any": (),
    "not": (),
    "at_least": ("of",),
    "union": (),
    "intersect": (),
    "except": (),
    "rule": (),
    "feature": ("op", "value"),
    "trait": ("op", "value"),
    "events": ("where", "in", "measure", "of", "op", "value"),
    "sequence": ("in", "same"),
    "segment": ("of", "measure", "op", "value"),
}
_EVENT_KINDS: Final = (*(kind for kind in KINDS if kind != ITEM), EVERY, VALUE)
_FIELDS: Final = (*TEXT_FIELDS, *NUMBER_FIELDS, f"{PROPERTIES}NAME")
_MAX_STEPS: Final = 10
#: What can be asked of a value that cannot be read.
_UNREAD: Final = ("known", "unknown")


@dataclass(frozen=True)
class Problem:
    """What is wrong at a path of a document, and what is allowed there."""

    path: str
    message: str
    hint: str


class Clauses:
    """Reads clauses; what is wrong goes into `problems`, and the clause is None then.

    Args:
        known: names that may be used; None takes any.
        named: the rule of an id that is named at a path and depth.
    """

    def __init__(
        self,
        known: Known | None,
        problems: list[Problem],
        named: Callable[[str, str, int], Rule | None],
    ) -> None:
        self.known = known
        self.problems = problems
        self.named = named

    def clause(self, node: Any, path: str, depth: int) -> Rule | None:
        """The clause that a JSON value is."""
        if depth > MAX_DEPTH:
            self.wrong(path, f"the rule goes more than {MAX_DEPTH} clauses deep",
                       "Put alternatives side by side, many values into one `in`.")  # fmt: skip
            return None
        if not isinstance(node, Mapping):
            self.wrong(path, f"received {shown(node)}", "A clause is an object, such as "
                       '{"feature": "orders", "op": ">=", "value": 3}.')  # fmt: skip
            return None
        which = [key for key in CLAUSES if key in node]
        if len(which) != 1:
            self._no_clause(node, which, path)
            return None
        name = which[0]
        before = len(self.problems)
        self.keys(node, path, (name, *CLAUSES[name], "note"))
        try:
            found = getattr(self, f"_{name}")(node, path, depth)
        except UsageError as error:  # too large with the rules that it names
            self.wrong(path, error.message, error.hint)
            return None
        return found if len(self.problems) == before else None

    def _no_clause(self, node: Mapping[str, Any], which: list[str], path: str) -> None:
        if which:
            self.wrong(path, f"the clause is both {' and '.join(map(repr, which))}",
                       "Join two clauses with `all` or `any`.")  # fmt: skip
        elif not node:
            self.wrong(path, "the rule is empty",
                       f"A clause has one of: {', '.join(CLAUSES)}.")  # fmt: skip
        else:
            first = next(iter(node))
            self.wrong(f"{path}.{first}", f"no clause is called {first!r}",
                       suggestion(str(first), tuple(CLAUSES)))  # fmt: skip

    # -- putting together --------------------------------------------------------------------------

    def _members(self, node: Any, path: str, depth: int) -> tuple[Rule, ...]:
        if not isinstance(node, list) or not node:
            what = "the list of clauses is empty" if node == [] else f"received {shown(node)}"
            self.wrong(path, what, "Give a list of clauses, at least one.")
            return ()
        found = [self.clause(one, f"{path}[{n}]", depth + 1) for n, one in enumerate(node)]
        return tuple(one for one in found if one is not None)

    def _all(self, node: Mapping[str, Any], path: str, depth: int) -> Rule:
        return All(self._members(node["all"], f"{path}.all", depth))

    def _any(self, node: Mapping[str, Any], path: str, depth: int) -> Rule:
        return AnyOf(self._members(node["any"], f"{path}.any", depth))

    def _not(self, node: Mapping[str, Any], path: str, depth: int) -> Rule | None:
        inner = self.clause(node["not"], f"{path}.not", depth + 1)
        return None if inner is None else Not(inner)

    def _at_least(self, node: Mapping[str, Any], path: str, depth: int) -> Rule:
        members = self._members(node.get("of"), f"{path}.of", depth)
        count = node["at_least"]
        most = len(node["of"]) if isinstance(node.get("of"), list) else 1
        if not values.is_whole(count, 1, most):
            self.wrong(f"{path}.at_least", f"received {shown(count)}",
                       f"Allowed: a whole number from 1 to {most}.")  # fmt: skip
            count = 1
        return AtLeast(count, members)

    def _sets(self, word: str, node: Mapping[str, Any], path: str, depth: int) -> Rule:
        """Sets are clauses, or ids of rules of the same file."""
        sets = node[word]
        if isinstance(sets, list):
            sets = [{"rule": one} if isinstance(one, str) else one for one in sets]
            if word == "except" and len(sets) < 2:
                self.wrong(f"{path}.except", "nothing is left out", "Give at least two sets.")
        return Sets(word, self._members(sets, f"{path}.{word}", depth))  # type: ignore[arg-type]

    def _union(self, node: Mapping[str, Any], path: str, depth: int) -> Rule:
        return self._sets("union", node, path, depth)

    def _intersect(self, node: Mapping[str, Any], path: str, depth: int) -> Rule:
        return self._sets("intersect", node, path, depth)

    def _except(self, node: Mapping[str, Any], path: str, depth: int) -> Rule:
        return self._sets("except", node, path, depth)

    def _rule(self, node: Mapping[str, Any], path: str, depth: int) -> Rule | None:
        rule_id = node["rule"]
        if not isinstance(rule_id, str):
            self.wrong(f"{path}.rule", f"received {shown(rule_id)}", "Give the id of a rule.")
            return None
        found = self.named(rule_id, f"{path}.rule", depth + 1)
        return None if found is None else Named(rule_id, found)

    # -- comparisons -------------------------------------------------------------------------------

    def _feature(self, node: Mapping[str, Any], path: str, depth: int) -> Rule | None:
        name = node["feature"]
        if self.known is None and isinstance(name, str):
            kind = None
        elif self.known is not None and isinstance(name, str) and name in self.known.features:
            kind = values.TEXT if self.known.features[name] == "text" else values.NUMBER
        else:
            names = () if self.known is None else tuple(self.known.features)
            self.wrong(f"{path}.feature", f"no feature is called {shown(name)}",
                       f"{suggestion(str(name), names)} docs/concepts/catalog.md.")  # fmt: skip
            return None
        return self._compare(Feature(name), node, path, kind)

    def _trait(self, node: Mapping[str, Any], path: str, depth: int) -> Rule | None:
        name = node["trait"]
        traits = () if self.known is None else self.known.traits
        if not isinstance(name, str) or (self.known is not None and name not in traits):
            self.wrong(f"{path}.trait", f"the shop declares no trait {shown(name)}",
                       f"{suggestion(str(name), traits)} Declare it in shop.toml: "
                       "[features] traits.")  # fmt: skip
            return None
        return self._compare(Trait(name), node, path, None)

    def _segment(self, node: Mapping[str, Any], path: str, depth: int) -> Rule | None:
        segment_id, of = node["segment"], node.get("of", MAIN)
        if self.known is not None:
            ids = self.known.segments.get(of) if isinstance(of, str) else None
            if ids is None:
                self.wrong(f"{path}.of", f"the shop has no segmentation {shown(of)}",
                           suggestion(str(of), tuple(self.known.segments)))  # fmt: skip
                return None
            if segment_id not in ids:
                self.wrong(f"{path}.segment", f"{of} has no segment {shown(segment_id)}",
                           suggestion(str(segment_id), ids))  # fmt: skip
                return None
        if not isinstance(segment_id, str) or not isinstance(of, str):
            self.wrong(f"{path}.segment", f"received {shown(segment_id)} of {shown(of)}",
                       "Give ids as texts.")  # fmt: skip
            return None
        measure = node.get("measure", "days")
        if measure not in ("days", "weight"):
            self.wrong(f"{path}.measure", f"received {shown(measure)}",
                       suggestion(str(measure), ("days", "weight")))  # fmt: skip
            return None
        subject = Member(segment_id, of, measure)
        if "op" not in node and "value" not in node and "measure" not in node:
            return Compare(subject, Test("known"))
        return self._compare(subject, node, path, values.NUMBER)

    def _events(self, node: Mapping[str, Any], path: str, depth: int) -> Rule | None:
        measure, of = node.get("measure", "count"), node.get("of", "")
        if measure not in MEASURES:
            self.wrong(f"{path}.measure", f"no measure is called {shown(measure)}",
                       suggestion(str(measure), MEASURES))  # fmt: skip
            return None
        if (measure in AMOUNTS or measure == LATEST) != bool(of):
            needs = "needs" if not of else "takes no"
            self.wrong(f"{path}.of", f"{measure} {needs} field",
                       f"These look at a field: {', '.join((*AMOUNTS, LATEST))}.")  # fmt: skip
            return None
        kind = values.NUMBER
        if of:
            allowed = _FIELDS if measure == LATEST else NUMBER_FIELDS
            found = self.field(of, f"{path}.of", allowed)
            if found is None or self._is_sealed(of, node, path):
                return None
            kind = found
        subject = Events(
            self.kinds(node["events"], f"{path}.events"),
            self.where(node.get("where", []), f"{path}.where"),
            self.window(node.get("in", {}), f"{path}.in"),
            measure,
            of,
        )
        if measure == "count" and "op" not in node and "value" not in node:
            return Compare(subject, Test(">=", 1))
        return self._compare(subject, node, path, kind)

    def _compare(
        self, subject: Any, node: Mapping[str, Any], path: str, kind: str | None
    ) -> Rule | None:
        test = self.test(node, path, kind)
        return None if test is None else Compare(subject, test)

    def _sequence(self, node: Mapping[str, Any], path: str, depth: int) -> Rule | None:
        steps, same = node["sequence"], node.get("same", "")
        if not isinstance(steps, list) or not 2 <= len(steps) <= _MAX_STEPS:
            self.wrong(f"{path}.sequence", f"received {shown(steps)}",
                       f"Give a list of 2 to {_MAX_STEPS} steps, each with `events`.")  # fmt: skip
            return None
        if same and same not in TEXT_FIELDS:
            self.wrong(f"{path}.same", f"no text field is called {shown(same)}",
                       suggestion(str(same), TEXT_FIELDS))  # fmt: skip
        found = [
            self._step(one, f"{path}.sequence[{n}]", first=n == 0, last=n == len(steps) - 1)
            for n, one in enumerate(steps)
        ]
        window = self.window(node.get("in", {}), f"{path}.in")
        return Sequence(tuple(one for one in found if one is not None), window, same)

    def _step(self, node: Any, path: str, *, first: bool, last: bool) -> Step | None:
        if not isinstance(node, Mapping) or "events" not in node:
            self.wrong(path, f"received {shown(node)}", 'A step is {"events": "view", ...}.')
            return None
        more = () if first else ("within_days", "absent") if last else ("within_days",)
        self.keys(node, path, ("events", "where", "note", *more))
        within, absent = node.get("within_days"), node.get("absent", False)
        if within is not None and not values.is_number(within, 0.0, values.MOST_DAYS, above=True):
            self.wrong(f"{path}.within_days", f"received {shown(within)}",
                       f"Allowed: a number above 0, at most {values.MOST_DAYS}.")  # fmt: skip
            return None
        if not isinstance(absent, bool):
            self.wrong(f"{path}.absent", f"received {shown(absent)}", "Allowed: true, false.")
            return None
        return Step(
            self.kinds(node["events"], f"{path}.events"),
            self.where(node.get("where", []), f"{path}.where"),
            within,
            absent,
        )

    # -- parts of a clause -------------------------------------------------------------------------

    def kinds(self, node: Any, path: str) -> tuple[str, ...]:
        """Kinds of events, one or a list of them."""
        given = node if isinstance(node, list) else [node]
        if not given:
            self.wrong(path, "no kind of event is given", f'"{EVERY}" means every kind.')
        for one in given:
            if one not in _EVENT_KINDS:
                self.wrong(path, f"no kind of event is called {shown(one)}",
                           suggestion(str(one), _EVENT_KINDS))  # fmt: skip
        return tuple(given)

    def where(self, node: Any, path: str) -> tuple[Where, ...]:
        """Conditions on fields of an event."""
        if not isinstance(node, list):
            self.wrong(path, f"received {shown(node)}", "Give a list of conditions on fields.")
            return ()
        found = []
        for n, one in enumerate(node):
            place = f"{path}[{n}]"
            if not isinstance(one, Mapping) or "field" not in one:
                self.wrong(place, f"received {shown(one)}", "A condition is "
                           '{"field": "price", "op": ">=", "value": 20}.')  # fmt: skip
                continue
            self.keys(one, place, ("field", "op", "value", "note"))
            kind = self.field(one["field"], f"{place}.field", _FIELDS)
            if kind is None or self._is_sealed(one["field"], one, place):
                continue
            test = self.test(one, place, kind)
            if test is not None:
                found.append(Where(one["field"], test))
        return tuple(found)

    def field(self, name: Any, path: str, allowed: tuple[str, ...]) -> str | None:
        """What a field of events holds."""
        if name in NUMBER_FIELDS and name in allowed:
            return values.NUMBER
        texts = name in TEXT_FIELDS or values.is_property(name)
        if texts and TEXT_FIELDS[0] in allowed:
            return values.TEXT
        self.wrong(path, f"no field here is called {shown(name)}", suggestion(str(name), allowed))
        return None

    def _is_sealed(self, name: str, node: Mapping[str, Any], path: str) -> bool:
        """Refuse to compare what is encrypted."""
        sealed = None if self.known is None else self.known.sealed
        if sealed is None or not name.startswith(PROPERTIES):
            return False
        if not sealed.covers_either(name.removeprefix(PROPERTIES)) or node.get("op") in _UNREAD:
            return False
        self.wrong(path, f"{name} is personal and encrypted, so that nothing can be compared with "
                   "it", f"Ask whether there is one: \"op\": {' or '.join(_UNREAD)}.")  # fmt: skip
        return True

    def window(self, node: Any, path: str) -> Window:
        """Days that count."""
        if not isinstance(node, Mapping):
            self.wrong(path, f"received {shown(node)}",
                       'Give {"last_days": 30} or {"from": DATE, "to": DATE}.')  # fmt: skip
            return Window()
        self.keys(node, path, ("last_days", "skip_days", "from", "to", "note"))
        days, skip = node.get("last_days"), node.get("skip_days", 0)
        first, last = node.get("from"), node.get("to")
        if days is not None and not values.is_whole(days, 1, values.MOST_DAYS):
            self.wrong(f"{path}.last_days", f"received {shown(days)}",
                       f"Allowed: a whole number from 1 to {values.MOST_DAYS}.")  # fmt: skip
        elif skip and not values.is_whole(skip, 0, (days or 1) - 1):
            self.wrong(f"{path}.skip_days", f"received {shown(skip)}",
                       "Allowed: a whole number below last_days.")  # fmt: skip
        if days is not None and (first is not None or last is not None):
            self.wrong(path, "both last_days and dates are given", "Give one of them.")
        for key in ("from", "to"):
            if node.get(key) is not None and not values.is_date(node[key]):
                self.wrong(f"{path}.{key}", f"received {shown(node[key])}",
                           "Give a date, for example 2024-03-01.")  # fmt: skip
                return Window()
        if first and last and first > last:
            self.wrong(path, f"from {first} is later than to {last}", "Turn them round.")
        return Window(days, skip, first, last)

    def test(self, node: Mapping[str, Any], path: str, kind: str | None) -> Test | None:
        """The comparison that `op` and `value` are."""
        found = values.test(node, kind)
        if isinstance(found, Test):
            return found
        place, message, hint = found
        self.wrong(f"{path}.{place}" if place else path, message, hint)
        return None

    def keys(self, node: Mapping[str, Any], path: str, allowed: tuple[str, ...]) -> None:
        """Refuse keys that mean nothing here."""
        for key in node:
            if key not in allowed:
                self.wrong(f"{path}.{key}", f"{key!r} has no meaning here",
                           suggestion(str(key), allowed))  # fmt: skip

    def wrong(self, path: str, message: str, hint: str) -> None:
        """Gather a problem."""
        self.problems.append(Problem(path, message, hint))
