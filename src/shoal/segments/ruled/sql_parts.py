"""Pieces of SQL: literals, fields of events, comparisons that are never null."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, Final

from shoal.domain import kinds
from shoal.features.queries import Rules
from shoal.segments.ruled.comparison import Among, Condition, IsKnown, Like, Range
from shoal.segments.ruled.language import MONEY_FIELDS, TEXT_FIELDS

#: Fields of events that canonical columns tell.
FIELDS: Final = (*TEXT_FIELDS, *MONEY_FIELDS, "quantity", "rating")


@cache
def text_sql(text: str) -> str:
    """A text as a literal."""
    from sqlglot import exp

    return exp.Literal.string(text).sql("duckdb")


def float_sql(value: Any) -> str:
    """A number as a literal; rules have at most 15 digits, which engines read alike."""
    return f"{float(value):.15g}"


def moment_sql(moment: datetime) -> str:
    """A moment as a literal."""
    text = moment.isoformat(sep=" ", timespec="microseconds")
    return f"CAST({text_sql(text)} AS TIMESTAMPTZ)"


def field_sql(name: str, shop: Rules) -> str:
    """A field of `FIELDS` over canonical columns; null where unknown."""
    native = "TRUE"
    if shop.currency:
        native = f"COALESCE(currency = {text_sql(shop.currency)}, TRUE)"
    units = "COALESCE(quantity, CASE WHEN price IS NOT NULL THEN 1 ELSE 0 END)"
    priced = f"price IS NOT NULL AND {native}"
    amount = f"CASE WHEN {priced} THEN price * {units} ELSE 0 END"
    reduction = f"CASE WHEN {native} THEN COALESCE(discount, 0) ELSE 0 END"
    match name:
        case "price":
            return f"CASE WHEN {priced} THEN price END"
        case "amount":
            return f"CASE WHEN {priced} THEN price * {units} END"
        case "discount":
            return reduction
        case "net":
            return (
                f"CASE WHEN kind = {text_sql(shop.value_event)} THEN {amount} - {reduction} "
                f"WHEN kind = {text_sql(kinds.REFUND)} THEN {reduction} - ABS({amount}) END"
            )
        case "quantity":
            return units
        case "rating":
            return "CAST(ROUND(rating * 1000000) AS BIGINT)"
    return name


def compared(
    name: str,
    found: Condition,
    literal: Callable[[Any], str],
    *,
    nullable: bool,
    turned: bool = False,
) -> str:
    """A comparison of a column; where `nullable`, true or false and never null.

    Args:
        literal: a value of the comparison as SQL.
        nullable: whether the column may be null where that matters (not within CASE WHEN).
        turned: larger values are smaller literals (an age is told by a moment).
    """
    if isinstance(found, IsKnown):
        if not nullable:
            return "TRUE" if found.wanted else "FALSE"
        return f"{name} IS NOT NULL" if found.wanted else f"{name} IS NULL"
    known = f"{name} IS NOT NULL AND " if nullable else ""
    if isinstance(found, Among):
        if not found.values:
            return f"{name} IS NOT NULL" if found.negate else "FALSE"
        word = "NOT IN" if found.negate else "IN"
        return f"{known}{name} {word} ({', '.join(map(literal, found.values))})"
    if isinstance(found, Like):
        return f"{known}({_like(name, found)})"
    return f"{known}{' AND '.join(_bounds(name, found, literal, turned))}"


def _bounds(name: str, found: Range, literal: Callable[[Any], str], turned: bool) -> list[str]:
    low, high = (">", "<") if not turned else ("<", ">")
    told = []
    if found.low is not None:
        told.append(f"{name} {low}{'' if found.above else '='} {literal(found.low)}")
    if found.high is not None:
        told.append(f"{name} {high}{'' if found.below else '='} {literal(found.high)}")
    return told


def _like(name: str, found: Like) -> str:
    text = found.text
    if found.op == "contains":
        return f"STRPOS({name}, {text_sql(text)}) > 0"
    start = f"SUBSTRING({name}, 1, {{}}) = {{}}"
    if found.op == "starts_with":
        return start.format(len(text), text_sql(text))
    below = start.format(len(text) + 1, text_sql(f"{text}/"))
    return f"{name} = {text_sql(text)} OR {below}"
