"""An order's amounts on its lines: exact micro-units, nothing counted twice, nothing lost.

Net revenue of a line is price x quantity - discount; what an order states once (its discount, tax,
shipping, a refund) is put on lines such that the sums are those of the order to the micro-unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shoal.domain.money import MICROS, micros
from shoal.events.reasons import REASONS
from shoal.events.texts import raw_text

_LARGEST: Final = 10**15
#: Why an order whose amounts cannot be read is refused; how much of a value is shown.
BAD_AMOUNT: Final = "bad_price"
_SHOWN: Final = 80


class UnreadableError(ValueError):
    """A value of an order that is no number: without it the order's money cannot be told.

    `code` is one of `shoal.events.reasons.REASONS`, `name` the field, `text` what it held.
    """

    def __init__(self, code: str, name: str, value: Any) -> None:
        self.code, self.name, self.text = code, name, raw_text(value) or ""
        super().__init__(self.said(name))

    def said(self, name: str) -> str:
        """What was wrong, the field under the name that the file has for it."""
        shown = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}..."
        marks = "; other marks than those of 1000.00 are told under [money] in a copy of the preset"
        return f"{name} = {shown!r}: {REASONS[self.code]}{marks if self.code == BAD_AMOUNT else ''}"


def micros_of(value: Any) -> int | None:
    """Micro-units of an amount of a file; None where there is none or it is not a number."""
    if value is None or value == "" or isinstance(value, (bool, dict, list)):
        return None
    if isinstance(value, str) and "_" in value:  # a number to Python alone
        return None
    if type(value) is int:
        return value * MICROS if abs(value) < _LARGEST else None
    try:
        return micros(value.strip() if isinstance(value, str) else value)
    except ValueError:
        return None


def told_micros(value: Any, name: str) -> int | None:
    """Micro-units of an amount that concerns a whole order; None where there is none.

    Raises:
        UnreadableError: it is not a number.
    """
    if value is None or value == "":
        return None
    found = micros_of(value)
    if found is None:
        raise UnreadableError(BAD_AMOUNT, name, value)
    return found


def told_units(value: Any, name: str, missing: int = 0) -> int:
    """Whole units of a quantity that concerns a whole order; `missing` where there is none.

    Raises:
        UnreadableError: it is not a whole number.
    """
    found = units_of(value, missing)
    if found == 0 and not _is_zero(value):
        raise UnreadableError("bad_quantity", name, value)
    return found


def _is_zero(value: Any) -> bool:
    try:
        return value is None or value == "" or float(value) == 0
    except (TypeError, ValueError):
        return False


def amount_text(amount: int | None) -> str | None:
    """Micro-units as a decimal text.

    >>> amount_text(19_990_000), amount_text(-1), amount_text(None)
    ('19.99', '-0.000001', None)
    """
    if amount is None:
        return None
    whole, rest = divmod(abs(amount), MICROS)
    text = f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
    return f"-{text}" if amount < 0 else text


def units_of(value: Any, missing: int = 1) -> int:
    """Whole units of a quantity; `missing` where there is none, 0 where it is not whole."""
    if value is None or value == "":
        return missing
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0
    return int(number) if number.is_integer() and abs(number) < _LARGEST else 0


def allocated(total: int, weights: Sequence[int]) -> list[int]:
    """The total spread in proportion to the weights (those below zero count as zero).

    The parts sum to the total exactly and, where the total is no larger than the weights' sum, none
    is larger than its weight. Without any weight the first part takes all.

    >>> allocated(100, [1, 1, 1]), allocated(5, [0, 0]), allocated(7, [3, -2, 4])
    ([33, 33, 34], [5, 0], [3, 0, 4])
    """
    positive = [max(weight, 0) for weight in weights]
    whole = sum(positive)
    if not whole:
        return [total, *[0] * (len(weights) - 1)] if weights else []
    parts, before, reached = [], 0, 0
    for weight in positive:
        reached += weight
        upto = total * reached // whole
        parts.append(upto - before)
        before = upto
    return parts


@dataclass(frozen=True)
class Priced:
    """A price a unit and a discount of the line with price x units - discount = the amount."""

    price: int
    discount: int


def priced(amount: int, units: int) -> Priced:
    """An exact price for units that cost an amount together.

    Where the amount does not divide, the price is rounded up and the rest is a discount of less
    than a micro-unit a unit.

    >>> priced(10_000_000, 3)
    Priced(price=3333334, discount=2)
    """
    if units <= 0:
        return Priced(amount, 0)
    price = -(-amount // units)
    return Priced(price, price * units - amount)


def line_discounts(
    gross: Sequence[int], own: Sequence[int], stated: int | None, subtotal: int | None
) -> tuple[list[int], int]:
    """(the discount of each line, what of the subtotal the lines do not explain).

    The order's subtotal (after discounts, before tax and shipping) decides where it is known:
    gross - subtotal is all that was taken off. What the lines' own discounts leave of it is spread
    in proportion to what they still cost. Own discounts that exceed it are already in the prices,
    so the whole is spread anew. Without a subtotal the stated discount of the order is taken, or
    the lines' own sum if that is larger.

    Args:
        gross: price x quantity of each line.
        own: the discount each line states.
        stated: the discount the order states.
        subtotal: the order's.
    """
    lines = sum(gross)
    off = max(stated or 0, sum(own)) if subtotal is None else lines - subtotal
    unexplained = 0
    if off < 0:  # the subtotal is larger than all lines together
        unexplained, off = -off, 0
    rest = off - sum(own)
    if rest < 0:
        return allocated(off, gross), unexplained
    left = [cost - taken for cost, taken in zip(gross, own, strict=True)]
    more = allocated(rest, left)
    return [taken + part for taken, part in zip(own, more, strict=True)], unexplained


@dataclass(frozen=True)
class RefundParts:
    """What of an amount that went back is for products, and what for tax and for the rest."""

    products: int
    tax: int
    rest: int
    beyond: int


def refund_parts(amount: int, products: int, tax: int, rest: int) -> RefundParts:
    """An amount that went back without lines, taken apart.

    It is for products and the tax on them in their proportion until those are used up, then for
    the rest (shipping, tips, fees); what is beyond the whole order went back for products too and
    is named (`beyond`).

    Args:
        amount: what went back, all in all.
        products: net of the products bought.
        tax: the tax that was charged on top of them.
        rest: everything else the customer paid.
    """
    taxed = products + tax
    first = min(amount, taxed)
    for_tax = first * tax // taxed if taxed > 0 else 0
    for_rest = min(amount - first, rest)
    beyond = amount - first - for_rest
    return RefundParts(first - for_tax + beyond, for_tax, for_rest, beyond)
