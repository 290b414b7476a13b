"""What each customer did up to a moment, as far as money and silence go: a row a customer.

For reports: one query over the same prepared events that features are folded from, so that
worth adds up to the features `spend` and `orders`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain.time import DAY_US, to_us
from shoal.features import queries
from shoal.features.activity import before
from shoal.features.algebra import CUSTOMER, total
from shoal.features.queries import Rules
from shoal.ports import Engine, Relation

#: The moment before which events count, and moments from which some sums begin.
MOMENTS_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.int64()) for name in ("now_us", "span_us", "year_us")]
)

#: `first_day` and `last_day` (local days since 1970) are null without an order. Worth is net
#: revenue in micro-units, or orders.
HABITS_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        *(
            pa.field(name, pa.int64())
            for name in (
                "order_days", "first_day", "last_day", "span_events", "span_worth", "year_worth",
            )
        ),
    ]
)  # fmt: skip

YEAR_DAYS: Final = 365


def habits(
    engine: Engine, events: Relation, rules: Rules, now: datetime, since: datetime, *, money: bool
) -> pa.Table:
    """`HABITS_SCHEMA` of every customer with an event before a moment, sorted by customer.

    `span_*` is of [since, now), `year_*` of the last 365 times 24 hours; `order_days` counts local
    days with an order. Money of a customer of whom no order has a price that counts is 0.

    Args:
        now: only events before it count.
        since: earlier than `now`.
        money: worth is net revenue; else it is the number of orders (those of a span have a line in
            it).
    """
    wanted = {"day", "us", "is_value", *({"net", "priced"} if money else {"order_key"})}
    rows = queries.prepared(before(queries.events_table()), rules, wanted)
    dated = rows.cross_join(queries.unbound(MOMENTS_SCHEMA, "span").drop("now_us"))
    table = _of_money(dated) if money else _of_orders(dated)
    found = engine.run(
        engine.compile(table.select(*HABITS_SCHEMA.names).order_by(CUSTOMER)),
        {"events": events, "span": _moments(now, since)},
    )
    return found.cast(HABITS_SCHEMA)


def _of_money(dated: ir.Table) -> ir.Table:
    # Days first: engines count distinct days of each customer far more slowly.
    days = dated.group_by(CUSTOMER, "day").agg(
        span_events=total(1, where=_.us >= _.span_us),
        lines=total(1, where=_.is_value),
        priced=total(1, where=_.is_value & _.priced),
        span_net=total(_.net, where=_.us >= _.span_us),
        year_net=total(_.net, where=_.us >= _.year_us),
    )
    summed = days.group_by(CUSTOMER).agg(
        order_days=total(1, where=_.lines > 0),
        first_day=_.day.min(where=_.lines > 0),
        last_day=_.day.max(where=_.lines > 0),
        span_events=total(_.span_events),
        lines=total(_.lines),
        priced=total(_.priced),
        span_net=total(_.span_net),
        year_net=total(_.year_net),
    )
    known = (_.lines == 0) | (_.priced > 0)
    sums = {"span_worth": _.span_net, "year_worth": _.year_net}
    return summed.mutate(**{name: ibis.ifelse(known, value, 0) for name, value in sums.items()})


def _of_orders(dated: ir.Table) -> ir.Table:
    return dated.group_by(CUSTOMER).agg(
        order_days=_.day.nunique(where=_.is_value),
        first_day=_.day.min(where=_.is_value),
        last_day=_.day.max(where=_.is_value),
        span_events=total(1, where=_.us >= _.span_us),
        span_worth=_.order_key.nunique(where=_.is_value & (_.us >= _.span_us)),
        year_worth=_.order_key.nunique(where=_.is_value & (_.us >= _.year_us)),
    )


def _moments(now: datetime, since: datetime) -> pa.Table:
    now_us = to_us(now)
    moments = (now_us, to_us(since), now_us - YEAR_DAYS * DAY_US)
    return pa.table([[one] for one in moments], schema=MOMENTS_SCHEMA)
