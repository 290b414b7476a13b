"""A tree as SQL over one table of canonical events, in a named dialect.

The statement works out the features that the tree asks for (`shoal.features.portable`), and then
asks the tree's questions. On the same events it gives the customers whom the tree puts there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp

from shoal.domain.segment import TIER_NEW
from shoal.domain.time import iso
from shoal.features.portable import Moment, Portable, column_names, statement
from shoal.features.queries import Rules
from shoal.segments.base import CUSTOMER, EVENTS
from shoal.segments.explain.tree import Bounds, Tree

_SEGMENT = "segment_id"


def tree_sql(
    tree: Tree,
    segment_ids: Sequence[str],
    forms: Portable,
    rules: Rules,
    moment: Moment,
    *,
    segment_id: str | None = None,
    minimum_events: int = 1,
    dialect: str = "duckdb",
    remarks: Iterable[str] = (),
) -> str:
    """One statement: the members of a segment, or every customer's segment.

    Args:
        tree: whose features all have a form in `forms`.
        rules: which kind of event counts as buying, and in which currency.
        segment_id: whose members (`customer_id`); None: `customer_id` and `segment_id` of all.
        minimum_events: customers with fewer are the tier `new`.
        remarks: lines that stand above it as comments.

    Raises:
        UsageError: `unknown_dialect`.
    """
    wanted = forms.only({*tree.features, EVENTS})
    columns = column_names(wanted.names)
    known = exp.column(columns[EVENTS]) >= minimum_events
    leaves = [(segment_ids[place], conditions(path, columns)) for _, place, path in tree.paths()]
    tree_of = statement(wanted, rules, moment, dialect)
    if segment_id is None:
        answer = exp.Case().when(exp.not_(known), exp.Literal.string(TIER_NEW))
        for name, asked in leaves:
            answer = answer.when(asked, exp.Literal.string(name))
        query = tree_of.select(CUSTOMER, answer.as_(_SEGMENT), append=False)
    elif segment_id == TIER_NEW:
        query = tree_of.select(CUSTOMER, append=False).where(exp.not_(known))
    else:
        own = [asked for name, asked in leaves if name == segment_id]
        query = tree_of.select(CUSTOMER, append=False).where(
            exp.and_(known, exp.or_(*own)) if own else exp.false()
        )
    head = [
        *remarks,
        f"Customers as of {iso(moment.as_of)}; local days and hours of {moment.zone.name}.",
        "events: one row an event (deduplicated, persons joined, no noise), canonical columns,",
        "money in micro-units of the shop's currency.",
    ]
    text = query.order_by(CUSTOMER).sql(dialect, pretty=True)
    return "\n".join([*(f"-- {line}" for line in head), text, ""])


def conditions(path: Sequence[Bounds], columns: Mapping[str, str]) -> exp.Expr:
    """What a path asks, over columns by feature."""
    asked = [_bounds(one, columns[one.feature]) for one in path]
    return exp.and_(*asked) if asked else exp.true()


def _bounds(one: Bounds, name: str) -> exp.Expr:
    parts: list[exp.Expr] = []
    if one.low is not None:
        parts.append(exp.GT(this=exp.column(name), expression=_number(one.low)))
    if one.high is not None:
        parts.append(exp.LTE(this=exp.column(name), expression=_number(one.high)))
    inside = exp.and_(*parts)
    if not one.unknown:
        return inside  # a comparison with NULL is not true
    return exp.or_(inside, exp.column(name).is_(exp.null()))


def _number(value: float) -> exp.Expr:
    """A literal that every engine reads as the same double."""
    short = f"{abs(value):.15g}"
    text = short if float(short) == abs(value) else f"{abs(value):.17e}"
    literal = exp.Literal.number(text)
    return exp.Neg(this=literal) if value < 0 else literal
