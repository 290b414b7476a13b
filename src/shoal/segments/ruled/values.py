"""Values that rules compare with: which are allowed, for numbers and for texts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from shoal.segments.ruled.known import suggestion
from shoal.segments.ruled.language import EITHER, ORDERINGS, PROPERTIES, TEXTUAL, Test

NUMBER: Final = "number"
TEXT: Final = "text"
MOST_DAYS: Final = 36_500
#: Larger numbers, and more digits than these, are compared differently from engine to engine.
_LARGEST: Final = 10**12
_DIGITS: Final = 15
_LONGEST: Final = 500
_MOST_VALUES: Final = 1_000
_PROPERTY: Final = re.compile(r"[\w.\- ]{1,60}")

#: Where it is wrong (op, value, or the clause itself), what was received, what is allowed.
Wrong = tuple[str, str, str]


def test(node: Mapping[str, Any], kind: str | None) -> Test | Wrong:
    """The comparison that `op` and `value` of a clause are.

    Args:
        kind: what is compared, `NUMBER` or `TEXT`; None for either.
    """
    allowed = {NUMBER: (*EITHER, *ORDERINGS), TEXT: (*EITHER, *TEXTUAL)}.get(
        kind or "", (*EITHER, *ORDERINGS, *TEXTUAL)
    )
    if "op" not in node:
        return "", "the clause compares nothing", f"Give it an op: {', '.join(allowed)}."
    op = node["op"]
    if op not in allowed:
        of = f" of a {kind}" if kind and op in (*ORDERINGS, *TEXTUAL) else ""
        return "op", f"no comparison{of} is called {shown(op)}", suggestion(str(op), allowed)
    if op in ("known", "unknown"):
        if "value" in node:
            return "value", f"{op} takes no value", "Leave it out."
        return Test(op)
    if "value" not in node:
        return "", f"{op} has nothing to compare with", "Give it a value."
    value = node["value"]
    wanted = NUMBER if op in ORDERINGS else TEXT if op in TEXTUAL else kind
    if op == "between":
        return _between(value)
    if op in ("in", "not_in"):
        return _listed(op, value, wanted)
    wrong = _wrong(value, wanted)
    return Test(op, value) if wrong is None else ("value", *wrong)


def _between(value: Any) -> Test | Wrong:
    if not isinstance(value, list) or len(value) != 2:
        return "value", f"received {shown(value)}", "Give two numbers: [low, high]."
    for place, one in enumerate(value):
        wrong = _wrong(one, NUMBER)
        if wrong is not None:
            return f"value[{place}]", *wrong
    if value[0] > value[1]:
        return "value", f"received {shown(value)}", "The lower bound stands first."
    return Test("between", tuple(value))


def _listed(op: str, value: Any, kind: str | None) -> Test | Wrong:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_VALUES:
        return "value", f"received {shown(value)}", f"Give a list of 1 to {_MOST_VALUES:,} values."
    kind = kind or (TEXT if isinstance(value[0], str) else NUMBER)
    for place, one in enumerate(value):
        wrong = _wrong(one, kind)
        if wrong is not None:
            return f"value[{place}]", *wrong
    return Test(op, tuple(value))


def _wrong(value: Any, kind: str | None) -> tuple[str, str] | None:
    """What is wrong with one value, and what is allowed."""
    received = f"received {shown(value)}"
    if kind is None:
        kind = TEXT if isinstance(value, str) else NUMBER
    if kind == TEXT:
        if not isinstance(value, str):
            return received, "Give a text."
        if not 1 <= len(value) <= _LONGEST or not is_clean(value):
            return received, f"Give a text of 1 to {_LONGEST} characters, none of them NUL."
        return None
    if not is_number(value, -_LARGEST, _LARGEST):
        return received, f"Give a number between -{_LARGEST:g} and {_LARGEST:g}."
    if float(f"{value:.{_DIGITS}g}") != value:
        return received, f"Numbers have at most {_DIGITS} digits."
    return None


def is_number(value: Any, low: float, high: float, *, above: bool = False) -> bool:
    """Whether a value is a finite number within bounds (`above`: and not the lower one)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and low <= value <= high and not (above and value == low)


def is_whole(value: Any, low: int, high: int) -> bool:
    """Whether a value is a whole number within bounds."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_date(value: Any) -> bool:
    """Whether a value is an ISO date."""
    if not isinstance(value, str) or len(value) != 10:
        return False
    try:
        return date.fromisoformat(value).year >= 1
    except ValueError:
        return False


def is_property(name: Any) -> bool:
    """Whether a name is that of a field `properties.NAME`."""
    if not isinstance(name, str) or not name.startswith(PROPERTIES):
        return False
    return bool(_PROPERTY.fullmatch(name.removeprefix(PROPERTIES)))


def is_clean(text: str) -> bool:
    """Whether every engine takes the text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any(0xD800 <= ord(mark) <= 0xDFFF for mark in text)


def shown(value: Any) -> str:
    """A received value, short."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} of great depth"
    return text if len(text) <= 60 else f"{text[:57]}..."
