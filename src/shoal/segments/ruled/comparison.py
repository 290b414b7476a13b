"""Comparisons as the evaluators need them: a range, a list, a likeness, or being known.

Whatever is counted, or measured in money or time, is compared as whole micro-units, so all
evaluators agree to the last digit; features that are floats are compared as floats.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from shoal.domain.money import MICROS
from shoal.domain.time import DAY_US
from shoal.segments.ruled.language import (
    AGES,
    COUNTS,
    MONEY_FIELDS,
    TEXTUAL,
    Feature,
    Member,
    Subject,
    Test,
    Trait,
)

#: A text that compares as a number: plain decimal digits.
PLAIN_NUMBER: Final = r"^-?[0-9]{1,15}([.][0-9]{1,9})?$"
_PLAIN: Final = re.compile(PLAIN_NUMBER[1:-1])


@dataclass(frozen=True)
class Range:
    """low <= value <= high, either bound open to the outside (None) or excluded."""

    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False

    @property
    def empty(self) -> bool:
        """Whether no value lies in it."""
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.above or self.below))


@dataclass(frozen=True)
class Among:
    """One of the values; with `negate`, known and none of them."""

    values: tuple[float | str, ...]
    negate: bool = False


@dataclass(frozen=True)
class Like:
    """A text that contains another, starts with it, or is a path at or under it."""

    op: str
    text: str


@dataclass(frozen=True)
class IsKnown:
    """Whether there is a value at all."""

    wanted: bool = True


Condition = Range | Among | Like | IsKnown


def is_textual(test: Test) -> bool:
    """Whether a comparison is of texts, by what it compares with."""
    values = test.value if isinstance(test.value, tuple) else (test.value,)
    return test.op in TEXTUAL or any(isinstance(value, str) for value in values)


def field_scale(name: str) -> int:
    """Stored units in one unit of a field that holds numbers."""
    return MICROS if name in MONEY_FIELDS or name == "rating" else 1


def scale_of(subject: Subject) -> int | None:
    """Stored units in one unit of what a rule asks about; None where it is a float."""
    if isinstance(subject, Feature | Trait):
        return None
    if isinstance(subject, Member):
        return DAY_US if subject.measure == "days" else None
    if subject.measure in COUNTS:
        return 1
    return DAY_US if subject.measure in AGES else field_scale(subject.of)


def condition(test: Test, scale: int | None) -> Condition:
    """The comparison, its numbers in stored units of the scale."""
    op, value = test.op, test.value
    if op in ("known", "unknown"):
        return IsKnown(op == "known")
    if op in TEXTUAL:
        return Like(op, value)
    if op in ("=", "!=", "in", "not_in"):
        values = value if op in ("in", "not_in") else (value,)
        if not is_textual(test):
            values = tuple(one for one in (_exact(v, scale) for v in values) if one is not None)
        return Among(values, negate=op in ("!=", "not_in"))
    low, high = {
        "<": (None, value), "<=": (None, value), ">": (value, None), ">=": (value, None),
    }.get(op, value)  # fmt: skip
    if scale is None:
        return Range(low, high, above=op == ">", below=op == "<")
    return Range(_up(low, scale, op == ">"), _down(high, scale, op == "<"))


def _exact(value: float, scale: int | None) -> float | None:
    """The value in stored units; None if no whole number of them."""
    if scale is None:
        return float(value)
    stored = Decimal(str(value)) * scale
    return int(stored) if stored == stored.to_integral_value() else None


def _up(value: float | None, scale: int, above: bool) -> int | None:
    """The smallest whole number at (or above) a value."""
    if value is None:
        return None
    stored = Decimal(str(value)) * scale
    return math.floor(stored) + 1 if above else math.ceil(stored)


def _down(value: float | None, scale: int, below: bool) -> int | None:
    """The largest whole number at (or below) a value."""
    if value is None:
        return None
    stored = Decimal(str(value)) * scale
    return math.ceil(stored) - 1 if below else math.floor(stored)


def plain_number(text: str | None) -> float | None:
    """The number that a text is, None for any other text.

    >>> plain_number("41"), plain_number("-0.5"), plain_number("1e3"), plain_number("nan")
    (41.0, -0.5, None, None)
    """
    return float(text) if text is not None and _PLAIN.fullmatch(text) else None
