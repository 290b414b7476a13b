"""The funnel: of the days on which customers came, on how many they looked, added and bought.

For reports: one query over the same prepared events that features are folded from. The unit is a
customer's local day, not a session: orders often come from another source than views, without the
session's id.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.features import queries
from shoal.features.activity import MEMBERS_SCHEMA, before, span_of
from shoal.features.algebra import CUSTOMER, total
from shoal.features.queries import Rules
from shoal.ports import Engine, Relation

#: The steps in their order; the last is the shop's value event.
STEPS: Final = ("view", "cart_add", "checkout", "value")


def funnel(
    engine: Engine, events: Relation, rules: Rules, now: datetime, members: pa.Table
) -> pa.Table:
    """What customers of each segment came to on the days on which they were active.

    Args:
        now: only events before it count.
        members: `MEMBERS_SCHEMA`, each customer once.

    Returns:
        `segment_id`, `customers` and `days` (a customer's local days with an event); for each of
        `STEPS` `<step>_customers` and `<step>_days` with at least one such event; `bought_days`
        with a view and a value event.
    """
    rows = queries.prepared(before(queries.events_table()), rules, {"day", "is_value", "kind"})
    marked = rows.mutate(
        view=_.kind == kinds.VIEW,
        cart_add=_.kind == kinds.CART_ADD,
        checkout=_.kind == kinds.CHECKOUT,
        value=_.is_value,
    )
    days = marked.group_by(CUSTOMER, "day").agg(**{step: _[step].any() for step in STEPS})
    each = days.group_by(CUSTOMER).agg(
        days=_.count(),
        # In brackets: tables have a method `view`.
        bought_days=total(1, where=_["view"] & _["value"]),
        **{f"{step}_days": total(1, where=_[step]) for step in STEPS},
    )
    sums = {name: total(_[name]) for name in ("days", "bought_days", *map(_days_of, STEPS))}
    reached = {f"{step}_customers": total(1, where=_[_days_of(step)] > 0) for step in STEPS}
    table = (
        each.join(queries.unbound(MEMBERS_SCHEMA, "members"), CUSTOMER)
        .group_by("segment_id")
        .agg(customers=_.count(), **sums, **reached)
        .order_by("segment_id")
    )
    bound = {"events": events, "span": span_of(now), "members": members.cast(MEMBERS_SCHEMA)}
    return engine.run(engine.compile(table), bound)


def _days_of(step: str) -> str:
    return f"{step}_days"
