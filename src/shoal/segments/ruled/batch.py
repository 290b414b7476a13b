"""Rules asked of an engine: one query for all customers and all rules.

Everything that the rules measure of events becomes one aggregate of a single pass over them; each
sequence and each latest value is a query of its own over the events that it is about. The values
are joined to the customers and compared. Texts and numbers of rules are literals of the query,
never parts of its text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, to_us
from shoal.features.algebra import CUSTOMER
from shoal.features.queries import CLOCK_SCHEMA, Rules
from shoal.ports import Engine, Relation
from shoal.segments.ruled.comparison import (
    PLAIN_NUMBER,
    IsKnown,
    condition,
    is_textual,
    scale_of,
)
from shoal.segments.ruled.language import (
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
    Sets,
    Trait,
    leaves,
)
from shoal.segments.ruled.language import Sequence as Chain
from shoal.segments.ruled.measured import MEMBERS_SCHEMA, Query, balanced, column_of, compared

_MICROSECOND: Final = timedelta(microseconds=1)


def needs_events(*rules: Rule) -> bool:
    """Whether rules ask for events, so that features alone do not answer them."""
    return any(
        isinstance(leaf, Chain) or isinstance(leaf.subject, Events) for leaf in leaves(*rules)
    )


def segmentations(*rules: Rule) -> tuple[str, ...]:
    """Other segmentations that rules ask about, as they name them."""
    found = (leaf.subject for leaf in leaves(*rules) if isinstance(leaf, Compare))
    return tuple(dict.fromkeys(one.segmentation for one in found if isinstance(one, Member)))


def columns(*rules: Rule) -> tuple[str, ...]:
    """Columns of the features table that rules ask for."""
    found = (leaf.subject for leaf in leaves(*rules) if isinstance(leaf, Compare))
    names = (column_of(one) for one in found if isinstance(one, Feature | Trait))
    return tuple(dict.fromkeys(names))


def answers(
    engine: Engine,
    named: Mapping[str, Rule],
    shop: Rules,
    *,
    as_of: datetime,
    zone: Zone,
    events: Relation | None = None,
    features: pa.Table | None = None,
    members: pa.Table | None = None,
) -> pa.Table:
    """For whom rules hold: `customer_id` (sorted) and a boolean column a rule.

    Args:
        named: rules by the name of their column.
        shop: what the shop settles about its events.
        as_of: T; only events before it count.
        zone: the shop's, for its local days.
        events: as they count at T (`Admission.at`); needed where rules ask for events, or where
            no features are given.
        features: of a snapshot at T, with any further columns (the next period's); its customers
            are those that are asked about.
        members: `MEMBERS_SCHEMA`, at T; needed where rules ask for other segments.

    Raises:
        UsageError: `bad_rule`, a rule asks for a column that the features do not have, or names a
            rule of a file that was not read.
    """
    rules = tuple(named.values())
    wanted = columns(*rules)
    missing = [name for name in wanted if features is None or name not in features.column_names]
    if missing:
        raise UsageError(
            "bad_rule",
            f"a rule asks for {', '.join(missing)}, which the features table does not have",
            hint="Give the table that has it, for example of the next period.",
        )
    inputs: dict[str, Relation] = {"clock": clock(as_of, zone)}
    if features is not None:
        inputs["features"] = features.select([CUSTOMER, *wanted]).replace_schema_metadata(None)
    if events is not None:
        inputs["events"] = events
    if members is not None:
        inputs["members"] = members.select(MEMBERS_SCHEMA.names).cast(MEMBERS_SCHEMA)
    schema = inputs["features"].schema if features is not None else None
    query = engine.compile(definition(named, shop, schema))
    return engine.run(query, inputs)


def clock(as_of: datetime, zone: Zone) -> pa.Table:
    """The moment T, and the local day of the microsecond before it."""
    today = zone.local_day(as_of - _MICROSECOND)
    return pa.table({"now_us": [to_us(as_of)], "today": [today]}, schema=CLOCK_SCHEMA)


def definition(
    named: Mapping[str, Rule], shop: Rules, features: pa.Schema | None = None
) -> ir.Table:
    """The query over unbound `events`, `features`, `members` and `clock`."""
    query = Query(shop, features)
    found = leaves(*named.values())
    columns = {leaf: f"v{place}" for place, leaf in enumerate(dict.fromkeys(map(asked, found)))}
    table = query.values(columns)
    truths = {
        name: _truth(rule, lambda leaf: _holds(leaf, table[columns[asked(leaf)]]))
        for name, rule in named.items()
    }
    return table.select(CUSTOMER, **truths).order_by(CUSTOMER)


def asked(leaf: Compare | Chain) -> Any:
    """What a leaf measures: leaves that compare the same share it."""
    return leaf.subject if isinstance(leaf, Compare) else leaf


# -- truth -----------------------------------------------------------------------------------------


def _truth(rule: Rule, leaf: Callable[[Compare | Chain], Any]) -> Any:
    """A boolean expression, null of nobody."""
    match rule:
        case Compare() | Chain():
            return leaf(rule)
        case Not(clause):
            return ~_truth(clause, leaf)
        case Named(rule_id, target):
            if target is None:
                raise unread(rule_id)
            return _truth(target, leaf)
        case AtLeast(count, members):
            ones = [ibis.ifelse(_truth(one, leaf), 1, 0) for one in members]
            return balanced(ones, lambda a, b: a + b) >= count
        case All(members) | Sets("intersect", members):
            return balanced([_truth(one, leaf) for one in members], lambda a, b: a & b)
        case AnyOf(members) | Sets("union", members):
            return balanced([_truth(one, leaf) for one in members], lambda a, b: a | b)
        case Sets("except", members):
            first, *others = (_truth(one, leaf) for one in members)
            return first & ~balanced(others, lambda a, b: a | b)
    raise TypeError(f"{rule!r} is no clause")


def unread(rule_id: str) -> UsageError:
    """The refusal of a rule that names another one outside a file."""
    return UsageError(
        "bad_rule", f"no rule is called {rule_id!r} here", where=rule_id,
        hint="Rules name one another within a RuleSet: checked(RuleSet(...)).",
    )  # fmt: skip


def _holds(leaf: Compare | Chain, value: Any) -> Any:
    if isinstance(leaf, Chain):
        return value.fill_null(False)
    if isinstance(leaf.subject, Trait) and not is_textual(leaf.test):
        found = condition(leaf.test, None)
        if not isinstance(found, IsKnown):
            plain = ibis.ifelse(value.re_search(PLAIN_NUMBER), value, ibis.null("string"))
            value = plain.cast("float64")
    else:
        found = condition(leaf.test, scale_of(leaf.subject))
    if isinstance(leaf.subject, Feature) and value.type().is_numeric():
        value = value.cast("float64")
        value = ibis.ifelse(value.isnan(), ibis.null("float64"), value)
    return compared(value, found)
