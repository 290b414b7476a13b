"""Rules as JSON: read with every mistake told by its path, and written.

A file is one clause, or named rules:

    {"schema": "shoal.rules/1", "overlap": false, "rest": "Everybody else",
     "segments": [{"id": "vip", "name": {"en": "VIP", "zh": "贵宾"}, "rule": CLAUSE}, ...]}

docs/concepts/rules.md describes the clauses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.segments.ruled.clauses import Clauses, Problem
from shoal.segments.ruled.known import Known, suggestion
from shoal.segments.ruled.language import (
    EVERYBODY_ELSE,
    MAX_DEPTH,
    Rule,
    RuleSegment,
    RuleSet,
)
from shoal.segments.ruled.written import SCHEMA, as_document

#: Id of the segment of those for whom no rule holds, and ids that rules may not have.
REST: Final = "rest"
TAKEN: Final = (REST, "new")
MAX_SEGMENTS: Final = 100
#: Id of the rule of a file that is one clause.
ONLY: Final = "rule"

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
#: Brackets within each other that a file may have: more than its deepest rule has.
_MAX_BRACKETS: Final = 6 * MAX_DEPTH
_MAX_BYTES: Final = 4_000_000
_KEYS: Final = ("schema", "overlap", "rest", "segments", "note")
_TOLD: Final = 10


def read(path: Path, known: Known | None = None) -> RuleSet:
    """The rules of a file, checked against what a shop knows (None: structure alone).

    Raises:
        InputError: `input_missing`, `input_unreadable`.
        UsageError: `bad_rule`; `where` is the file and the path in its JSON.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _unreadable(path, f"is larger than {_MAX_BYTES // 1_000_000} MB")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(
            "input_missing", f"{path} does not exist", where=str(path),
            hint="Give a JSON file of rules; docs/how-to/rule-segments.md has examples.",
        ) from error  # fmt: skip
    except UnicodeDecodeError as error:
        raise _unreadable(path, "is no UTF-8 text") from error
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from error
    return parse(text, known, where=str(path))


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        "input_unreadable", f"{path.name} {why}", where=str(path), hint="Rules are a JSON file."
    )


def parse(text: str, known: Known | None = None, *, where: str = "") -> RuleSet:
    """The rules of a JSON text.

    Raises:
        InputError: `input_unreadable`, the text is no JSON.
        UsageError: `bad_rule`.
    """
    if _deepest(text) > _MAX_BRACKETS:
        hint = f"At most {MAX_DEPTH} clauses within each other."
        raise refusal([Problem("$", "the rules are nested too deep", hint)], where)
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except _TwiceError as error:
        raise refusal([Problem("$", str(error), "Write each key once.")], where) from error
    except ValueError as error:
        raise InputError(
            "input_unreadable", f"the rules are no JSON: {error}", where=where,
            hint="docs/how-to/rule-segments.md has examples.",
        ) from error  # fmt: skip
    return of_document(document, known, where=where)


class _TwiceError(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"an object has the key {twice!r} twice")
    return found


def _deepest(text: str) -> int:
    """Brackets within each other in a JSON text."""
    depth = deepest = 0
    quoted = escaped = False
    for mark in text:
        if quoted:
            escaped, quoted = (not escaped and mark == "\\"), (escaped or mark != '"')
        elif mark == '"':
            quoted = True
        elif mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def checked(rules: RuleSet | Rule, known: Known | None = None) -> RuleSet:
    """Rules made in Python, held to all that a file is held to.

    Raises:
        UsageError: `bad_rule`.
    """
    return of_document(as_document(rules), known)


def of_document(document: Any, known: Known | None = None, *, where: str = "") -> RuleSet:
    """The rules of a JSON document: a file's, or one clause.

    Raises:
        UsageError: `bad_rule`, all mistakes, the first one with its path as `where`.
    """
    reader = _Reader(known)
    found = reader.read(document)
    if reader.problems or found is None:
        raise refusal(reader.problems, where)
    return found


def refusal(problems: Sequence[Problem], where: str = "") -> UsageError:
    """One error that tells every problem."""
    first = problems[0]
    more = "\n".join(f"{one.path}: {one.message}. {one.hint}" for one in problems[1:_TOLD])
    rest = len(problems) - _TOLD
    hint = first.hint + (f"\n{more}" if more else "") + (f"\nand {rest} more." if rest > 0 else "")
    place = f"{where}: {first.path}" if where else first.path
    return UsageError("bad_rule", first.message, where=place, hint=hint)


@dataclass
class _Pending:
    """A named rule that is being read, for rules that name each other."""

    document: Any
    path: str
    rule: Rule | None = None
    state: str = ""  # then `reading`, then `read`


class _Reader:
    """Reads one document; what is wrong is gathered in `problems`."""

    def __init__(self, known: Known | None) -> None:
        self.problems: list[Problem] = []
        self.known = known
        self._pending: dict[str, _Pending] = {}
        self._clauses = Clauses(known, self.problems, self._named)

    def read(self, document: Any) -> RuleSet | None:
        if not isinstance(document, Mapping) or "segments" not in document:
            rule = self._clauses.clause(document, "$", 1)
            return None if rule is None else RuleSet((RuleSegment(ONLY, _named_so(ONLY), rule),))
        self._head(document)
        places = list(self._places(document["segments"]))
        for segment_id, _, path, body in places:
            self._pending[segment_id] = _Pending(body, path)
        segments = [
            RuleSegment(segment_id, name, rule)
            for segment_id, name, path, _ in places
            if (rule := self._named(segment_id, path, 1)) is not None
        ]
        overlap = document.get("overlap", False)
        rest = self._text(document.get("rest"), "$.rest") or EVERYBODY_ELSE
        if len(segments) < len(places) or self.problems:
            return None
        return RuleSet(tuple(segments), overlap, rest)

    def _head(self, document: Mapping[str, Any]) -> None:
        for key in document:
            if key not in _KEYS:
                self._wrong(f"$.{key}", f"a file of rules has no {key!r}", suggestion(key, _KEYS))
        if document.get("schema", SCHEMA) != SCHEMA:
            self._wrong(
                "$.schema", f"the schema {document['schema']!r} is not known",
                f"This version reads {SCHEMA}.",
            )  # fmt: skip
        if not isinstance(document.get("overlap", False), bool):
            self._wrong("$.overlap", f"received {document['overlap']!r}", "Allowed: true, false.")

    def _places(self, segments: Any) -> Iterator[tuple[str, Text, str, Any]]:
        """(id, name, path of the rule, rule) of each segment that is well-formed so far."""
        if not isinstance(segments, list) or not 1 <= len(segments) <= MAX_SEGMENTS:
            self._wrong(
                "$.segments", "no segments" if segments == [] else "not a list of segments",
                f"Give 1 to {MAX_SEGMENTS} objects with id, name and rule.",
            )  # fmt: skip
            return
        seen: set[str] = set()
        for place, one in enumerate(segments):
            path = f"$.segments[{place}]"
            if not isinstance(one, Mapping):
                self._wrong(path, f"received {one!r}"[:120], "Give an object: id, name, rule.")
                continue
            for key in one:
                if key not in ("id", "name", "rule", "note"):
                    self._wrong(f"{path}.{key}", f"a segment has no {key!r}",
                                suggestion(key, ("id", "name", "rule", "note")))  # fmt: skip
            segment_id = one.get("id")
            if not isinstance(segment_id, str) or not _ID.fullmatch(segment_id):
                self._wrong(f"{path}.id", f"received {segment_id!r}"[:120],
                            "Allowed: a-z, 0-9, - and _, at most 40 characters.")  # fmt: skip
            elif segment_id in seen or segment_id in TAKEN:
                what = "twice" if segment_id in seen else "taken"
                self._wrong(f"{path}.id", f"the id {segment_id!r} is {what}",
                            f"Ids are unique; {' and '.join(TAKEN)} are Shoal's own.")  # fmt: skip
            elif "rule" not in one:
                self._wrong(path, "the segment has no rule", "Give it a clause as `rule`.")
            else:
                seen.add(segment_id)
                name = self._text(one.get("name"), f"{path}.name") or _named_so(segment_id)
                yield segment_id, name, f"{path}.rule", one["rule"]

    def _named(self, rule_id: str, path: str, depth: int) -> Rule | None:
        """The rule of an id, read when it is first asked for."""
        pending = self._pending.get(rule_id)
        if pending is None:
            self._wrong(path, f"no rule of this file has the id {rule_id!r}",
                        suggestion(rule_id, tuple(self._pending)))  # fmt: skip
            return None
        if pending.state == "reading":
            self._wrong(path, f"the rule {rule_id!r} leads back to itself",
                        "Rules may name one another, but not in a circle.")  # fmt: skip
            return None
        if not pending.state:
            pending.state = "reading"
            pending.rule = self._clauses.clause(pending.document, pending.path, depth)
            pending.state = "read"
        return pending.rule

    def _text(self, value: Any, path: str) -> Text | None:
        if value is None:
            return None
        if isinstance(value, str):
            value = {"en": value}
        good = isinstance(value, Mapping) and set(value) <= {"en", "zh"} and "en" in value
        if not good or not all(isinstance(one, str) and _shown(one) for one in value.values()):
            self._wrong(path, f"received {value!r}"[:120],
                        'Give a text, or {"en": "...", "zh": "..."}, on one line.')  # fmt: skip
            return None
        return Text(value["en"], value.get("zh", value["en"]))

    def _wrong(self, path: str, message: str, hint: str) -> None:
        self.problems.append(Problem(path, message, hint))


def _shown(text: str) -> bool:
    return bool(text.strip()) and len(text) <= 80 and text.isprintable()


def _named_so(segment_id: str) -> Text:
    return Text(segment_id, segment_id)
