"""What a finding of the quality checks says, in words: one sentence, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from shoal.domain.quality import Finding
from shoal.report.names import clean
from shoal.report.numbers import NBSP, Numbers
from shoal.report.texts import Texts


@dataclass(frozen=True)
class Told:
    """A finding in words: the check's name, its source, what was found, when, and what to do."""

    name: str
    source: str
    found: str
    when: str
    todo: str


def plainly(one: Finding) -> Told:
    """A finding in English with ordinary spaces, for terminals and programs."""
    said = told(one, "en")
    return Told(*(getattr(said, field.name).replace(NBSP, " ") for field in fields(Told)))


def told(one: Finding, lang: str) -> Told:
    """A finding in a language (`en` or `zh`)."""
    texts, numbers = Texts(lang), Numbers(lang)
    source = clean(one.source, 60) or texts("quality.unnamed")
    if not one.source and one.check in ("shared", "noise"):
        source = texts("quality.whole_shop")
    values = {
        "source": source,
        "subject": clean(one.subject, 80),
        "count": numbers.count(one.count),
        "of": numbers.count(one.of),
        "share": numbers.share(one.share),
        **_parts(one, texts),
        **_shown(one, texts, numbers),
    }
    found = texts(_key(texts, "found", one), **values)
    if "usual" in one.figures and one.check in ("missing", "unknown", "midnight", "noise"):
        found += texts("quality.usual", usual=numbers.share(one.figures["usual"]))
    todo = texts(_key(texts, "todo", one), **values)
    return Told(texts(f"quality.name.{one.check}"), source, found, _when(one, texts, numbers), todo)


def _key(texts: Texts, what: str, one: Finding) -> str:
    """The text of the finding's own case, or of its check."""
    own = f"quality.{what}.{one.check}.{one.variant}"
    return own if one.variant and texts.known(own) else f"quality.{what}.{one.check}"


def _parts(one: Finding, texts: Texts) -> dict[str, str]:
    """Kind and field of a subject `kind.field`."""
    kind, _, field = one.subject.partition(".")
    events = texts("quality.kind_events", kind=clean(kind, 40)) if kind else None
    return {
        "kind": clean(kind, 40),
        "events": events or texts("quality.all_kinds"),
        "field": clean(field or kind, 40),
    }


def _shown(one: Finding, texts: Texts, numbers: Numbers) -> dict[str, str]:
    """The figures of a finding as texts."""
    figures = one.figures
    shown: dict[str, str] = {}
    if "hours" in figures:
        shown["length"] = duration(figures["hours"], texts, numbers)
    if "days" in figures:
        shown["days"] = texts.counted("day", figures["days"], numbers.count(figures["days"]))
    if "factor" in figures:
        factor = figures["factor"]
        shown["factor"] = numbers.plain(factor) if factor > 1 else numbers.share(factor)
    if "visitors" in figures:
        shown["visitors"] = texts.counted(
            "visitor", figures["visitors"], numbers.count(figures["visitors"])
        )
    if "fields" in figures:
        shown["fields"] = texts.listed(list(figures["fields"]))
    if "values" in figures:
        pairs = (f"{name} = {clean(str(v), 40)}" for name, v in figures["values"].items())
        shown["values"] = texts("list.comma").join(pairs)
    if "amounts" in figures:
        amounts = (Numbers(texts.lang, c).money(v) for c, v in figures["amounts"].items())
        shown["amounts"] = texts("list.comma").join(amounts)
    shown |= _plain(figures, numbers)
    for name in ("p50", "p95", "p99", "longest"):
        if f"{name}_hours" in figures:
            shown[name] = duration(figures[f"{name}_hours"], texts, numbers)
    if one.check == "quarantined":
        key = f"reason.{one.subject}"
        shown["reason"] = texts(key) if texts.known(key) else texts("reason.other")
    if one.check == "noise":
        rules = [texts(f"quality.rule.{code}") for code in one.subject.split(", ")]
        shown["rule"] = texts("list.comma").join(rules)
    return shown


def _plain(figures: Mapping[str, Any], numbers: Numbers) -> dict[str, str]:
    shown = {}
    for name in ("expected", "limit"):
        if name in figures:
            shown[name] = numbers.count(figures[name])
    for name in ("worst", "usual", "z", "money"):
        if name in figures:
            shown[name] = numbers.plain(figures[name])
    if "money_share" in figures:
        shown["money_share"] = numbers.share(figures["money_share"])
    if "starts" in figures:
        shown["starts"] = numbers.day(date.fromisoformat(figures["starts"]))
    return shown


def duration(hours: float, texts: Texts, numbers: Numbers) -> str:
    """A length of time in the unit that reads best.

    >>> duration(0.01, Texts("en"), Numbers()), duration(100, Texts("en"), Numbers())
    ('36\\xa0seconds', '4.2\\xa0days')
    """
    unit, size = "day", 1 / 24
    for smaller, times, upto in (("second", 3600, 1 / 30), ("minute", 60, 2), ("hour", 1, 48)):
        if hours < upto:
            unit, size = smaller, times
            break
    value = round(hours * size, 1 if unit == "day" else 0)
    shown = numbers.plain(value) if value != int(value) else numbers.count(value)
    return texts.counted(unit, 1 if value == 1 else 2, shown)


def _when(one: Finding, texts: Texts, numbers: Numbers) -> str:
    """Since when, or from when to when."""
    if one.since is None:
        return ""
    since = _moment(one.since, numbers)
    if one.until is None:
        return texts("quality.since", since=since)
    until = _moment(one.until, numbers)
    return since if since == until else texts("quality.between", since=since, until=until)


def _moment(value: date | datetime, numbers: Numbers) -> str:
    if isinstance(value, datetime):
        return f"{numbers.moment(value)} UTC"
    return numbers.day(value)
