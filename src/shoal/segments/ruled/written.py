"""Rules written as the JSON document that `shoal.segments.ruled.document` reads."""

from __future__ import annotations

from typing import Any, Final

from shoal.segments.ruled.language import (
    MAIN,
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
    Sequence,
    Sets,
    Step,
    Test,
    Trait,
    Where,
    Window,
)

SCHEMA: Final = "shoal.rules/1"


def as_document(rules: RuleSet | Rule) -> dict[str, Any]:
    """The JSON document of a set of rules, or of one clause."""
    if isinstance(rules, Rule):
        return _clause(rules)
    return {
        "schema": SCHEMA,
        "overlap": rules.overlap,
        "rest": rules.rest.as_document(),
        "segments": [
            {"id": one.segment_id, "name": one.name.as_document(), "rule": _clause(one.rule)}
            for one in rules.segments
        ],
    }


def _clause(rule: Rule) -> dict[str, Any]:
    match rule:
        case All(members):
            return {"all": [_clause(one) for one in members]}
        case AnyOf(members):
            return {"any": [_clause(one) for one in members]}
        case Not(clause):
            return {"not": _clause(clause)}
        case AtLeast(count, members):
            return {"at_least": count, "of": [_clause(one) for one in members]}
        case Sets(word, members):
            return {word: [_clause(one) for one in members]}
        case Named(rule_id):
            return {"rule": rule_id}
        case Sequence(steps, window, same):
            found: dict[str, Any] = {"sequence": [_step(one) for one in steps]}
            return found | ({"same": same} if same else {}) | _window(window)
        case Compare(subject, test):
            return _subject(subject) | _test(test)
    raise TypeError(f"{rule!r} is no clause")


def _subject(subject: Any) -> dict[str, Any]:
    match subject:
        case Feature(name):
            return {"feature": name}
        case Trait(name):
            return {"trait": name}
        case Member(segment_id, segmentation, measure):
            of = {} if segmentation == MAIN else {"of": segmentation}
            return {"segment": segment_id, **of, "measure": measure}
        case Events(kinds, where, window, measure, of):
            found: dict[str, Any] = {"events": _kinds(kinds), **_where(where), **_window(window)}
            found |= {} if measure == "count" else {"measure": measure}
            return found | ({"of": of} if of else {})
    raise TypeError(f"{subject!r} is nothing that a rule asks about")


def _step(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"events": _kinds(step.kinds), **_where(step.where)}
    found |= {} if step.within_days is None else {"within_days": step.within_days}
    return found | ({"absent": True} if step.absent else {})


def _kinds(kinds: tuple[str, ...]) -> Any:
    return kinds[0] if len(kinds) == 1 else list(kinds)


def _where(where: tuple[Where, ...]) -> dict[str, Any]:
    if not where:
        return {}
    return {"where": [{"field": one.field, **_test(one.test)} for one in where]}


def _window(window: Window) -> dict[str, Any]:
    told = {
        "last_days": window.last_days,
        "skip_days": window.skip_days or None,
        "from": window.first,
        "to": window.last,
    }
    told = {key: value for key, value in told.items() if value is not None}
    return {"in": told} if told else {}


def _test(test: Test) -> dict[str, Any]:
    if test.op in ("known", "unknown"):
        return {"op": test.op}
    value = list(test.value) if isinstance(test.value, tuple) else test.value
    return {"op": test.op, "value": value}
