"""What customers did in a window of time: whether they bought, how often, for how much, of what.

Two queries over the same prepared events that features are folded from, so that orders and spend
add up to the features of these names.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain.time import to_us
from shoal.features import queries
from shoal.features.activity import before
from shoal.features.algebra import CUSTOMER, total
from shoal.features.queries import Rules
from shoal.ports import Engine, Relation

#: Counts of a customer's events and orders in the window; `net` is revenue in micro-units, 0 where
#: no price counts.
OUTCOMES_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        *(pa.field(name, pa.int64()) for name in ("events", "orders", "net")),
    ]
)
#: The first part of the category path that a customer had most events with; ties by name.
CATEGORIES_SCHEMA: Final = pa.schema(
    [pa.field(CUSTOMER, pa.string()), pa.field("category", pa.string())]
)
_SPAN: Final = pa.schema([pa.field("now_us", pa.int64()), pa.field("since_us", pa.int64())])


def outcomes(
    engine: Engine, events: Relation, rules: Rules, since: datetime, until: datetime
) -> pa.Table:
    """`OUTCOMES_SCHEMA` of [since, until) for every customer with an event before `until`, sorted.

    Args:
        events: the events as they count at `until`.
        rules: which are customers' own, and what counts as an order.
    """
    return _run(engine, events, _outcomes(rules), since, until).cast(OUTCOMES_SCHEMA)


def categories(
    engine: Engine, events: Relation, rules: Rules, since: datetime, until: datetime
) -> pa.Table:
    """`CATEGORIES_SCHEMA` of [since, until) for customers with an event of a category, sorted.

    Arguments as of `outcomes`.
    """
    found = _run(engine, events, _categories(rules), since, until)
    # sorted by customer, then the commonest first: the first row of each
    ids = found[CUSTOMER].to_pylist()
    first = [place for place, one in enumerate(ids) if not place or ids[place - 1] != one]
    return found.take(pa.array(first, pa.int64())).select(CATEGORIES_SCHEMA.names)


def _run(
    engine: Engine, events: Relation, query: ir.Table, since: datetime, until: datetime
) -> pa.Table:
    span = pa.table([[to_us(until)], [to_us(since)]], schema=_SPAN)
    return engine.run(engine.compile(query), {"events": events, "span": span})


@lru_cache(maxsize=8)
def _outcomes(rules: Rules) -> ir.Table:
    rows = _rows(rules, {"us", "is_value", "net", "order_key"})
    inside = _.us >= _.since_us
    summed = rows.group_by(CUSTOMER).agg(
        events=total(1, where=inside),
        orders=_.order_key.nunique(where=_.is_value & inside),
        net=total(_.net, where=inside),
    )
    return summed.select(*OUTCOMES_SCHEMA.names).order_by(CUSTOMER)


@lru_cache(maxsize=8)
def _categories(rules: Rules) -> ir.Table:
    rows = _rows(rules, {"us", "top_category"})
    inside = rows.filter(_.us >= _.since_us, _.top_category.notnull())
    counted = inside.group_by(CUSTOMER, category=_.top_category).agg(n=_.count())
    return counted.order_by([CUSTOMER, _.n.desc(), "category"])


def _rows(rules: Rules, wanted: set[str]) -> ir.Table:
    rows = queries.prepared(before(queries.events_table()), rules, wanted)
    return rows.cross_join(queries.unbound(_SPAN, "span").drop("now_us"))
