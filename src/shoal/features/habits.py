"""What each customer did up to a moment, as far as money and silence go: a row a customer.

For reports: one query over the same prepared events that features are folded from, so that
`orders` and `net` are the features of those names.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import ibis
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
    [pa.field(name, pa.int64()) for name in ("now_us", "span_us", "prior_us", "year_us")]
)

#: Amounts are micro-units; `first_day` and `last_day` (local days since 1970) are null without an
#: order.
HABITS_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        *(
            pa.field(name, pa.int64())
            for name in (
                "orders", "order_days", "first_day", "last_day", "net", "span_events",
                "span_orders", "span_net", "prior_events", "prior_orders", "prior_net",
                "year_orders", "year_net",
            )
        ),
    ]
)  # fmt: skip

YEAR_DAYS: Final = 365


def habits(
    engine: Engine, events: Relation, rules: Rules, now: datetime, since: datetime
) -> pa.Table:
    """`HABITS_SCHEMA` of every customer with an event before a moment, sorted by customer.

    Sums named `span_*` are of [since, now), `prior_*` of the span of the same length before it,
    `year_*` of the last 365 times 24 hours. Money of a customer of whom no order has a price that
    counts is 0.

    Args:
        now: only events before it count.
        since: earlier than `now`.
    """
    wanted = {"day", "us", "is_value", "order_key", "net", "priced"}
    rows = queries.prepared(before(queries.events_table()), rules, wanted)
    dated = rows.cross_join(queries.unbound(MOMENTS_SCHEMA, "span").drop("now_us"))
    span, year = _.us >= _.span_us, _.us >= _.year_us
    prior = (_.us >= _.prior_us) & (_.us < _.span_us)
    summed = dated.group_by(CUSTOMER).agg(
        orders=_.order_key.nunique(where=_.is_value),
        order_days=_.day.nunique(where=_.is_value),
        first_day=_.day.min(where=_.is_value),
        last_day=_.day.max(where=_.is_value),
        net=total(_.net),
        span_events=total(1, where=span),
        span_orders=_.order_key.nunique(where=_.is_value & span),
        span_net=total(_.net, where=span),
        prior_events=total(1, where=prior),
        prior_orders=_.order_key.nunique(where=_.is_value & prior),
        prior_net=total(_.net, where=prior),
        year_orders=_.order_key.nunique(where=_.is_value & year),
        year_net=total(_.net, where=year),
        lines=total(1, where=_.is_value),
        priced=total(1, where=_.is_value & _.priced),
    )
    known = (_.lines == 0) | (_.priced > 0)
    amounts = {
        name: ibis.ifelse(known, _[name], 0) for name in HABITS_SCHEMA.names if "net" in name
    }
    table = summed.mutate(**amounts).select(*HABITS_SCHEMA.names).order_by(CUSTOMER)
    found = engine.run(engine.compile(table), {"events": events, "span": _moments(now, since)})
    return found.cast(HABITS_SCHEMA)


def _moments(now: datetime, since: datetime) -> pa.Table:
    now_us, span_us = to_us(now), to_us(since)
    moments = (now_us, span_us, 2 * span_us - now_us, now_us - YEAR_DAYS * DAY_US)
    return pa.table([[one] for one in moments], schema=MOMENTS_SCHEMA)
