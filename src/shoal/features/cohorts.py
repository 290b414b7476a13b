"""Cohorts: customers by the period of their first order (or event), and who came back later.

For reports: one query over the same prepared events that features are folded from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import pyarrow as pa
from ibis import _

from shoal.features import queries
from shoal.features.activity import before, span_of
from shoal.features.algebra import CUSTOMER
from shoal.features.queries import Rules, floor_div
from shoal.features.revenue import CALENDAR_SCHEMA, calendar
from shoal.ports import Engine, Relation

Unit = Literal["week", "month", "quarter"]

#: 1970-01-01 was a Thursday: days since the Monday before it.
_MONDAY: Final = 3


def cohorts(
    engine: Engine, events: Relation, rules: Rules, now: datetime, unit: Unit, *, orders: bool
) -> pa.Table:
    """How many customers of each first period were active in each period.

    Args:
        now: only events before it count.
        unit: local calendar periods: weeks from Monday (counted since the one of 1970-01-01),
            months since year 0 or quarters since year 0.
        orders: a customer is active in a period with an order; else with any event.

    Returns:
        `first`, `period` and `customers`, sorted; a cohort's size is its row with both equal.
    """
    rows = queries.prepared(before(queries.events_table()), rules, {"day", "is_value"})
    active = rows.filter(_.is_value) if orders else rows
    days = active.select(CUSTOMER, "day").distinct()
    if unit == "week":
        placed = days.mutate(period=floor_div(_.day + _MONDAY, 7))
    else:
        dated = days.join(queries.unbound(CALENDAR_SCHEMA, "calendar"), "day")
        placed = dated.mutate(period=floor_div(_.month, 3 if unit == "quarter" else 1))
    once = placed.select(CUSTOMER, "period").distinct()
    firsts = once.group_by(CUSTOMER).agg(first=_.period.min())
    table = (
        once.join(firsts, CUSTOMER)
        .group_by("first", "period")
        .agg(customers=_.count())
        .order_by(["first", "period"])
    )
    bound: dict[str, Relation] = {"events": events, "span": span_of(now)}
    if unit != "week":
        bound["calendar"] = calendar()
    return engine.run(engine.compile(table), bound)
