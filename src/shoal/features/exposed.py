"""What customers did after an action: those who were exposed to it and those who were held out."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import to_us
from shoal.events.noise import DELIVERY
from shoal.features import queries
from shoal.features.algebra import CUSTOMER, epoch_us, total
from shoal.features.queries import Rules, json_text, unbound
from shoal.ports import Engine, Relation

#: A row a customer of the action: when it was told, whether the customer was exposed and with which
#: probability that came about; orders and net revenue (micro-units) after it.
OUTCOMES_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("since_us", pa.int64()),
        pa.field("exposed", pa.bool_()),
        pa.field("probability", pa.float64()),
        pa.field("orders", pa.int64()),
        pa.field("net", pa.int64()),
    ]
)
#: The action, how long after it something counts, and the moment before which it must be.
_ASKED: Final = pa.schema(
    [
        pa.field("asked_id", pa.string()),
        pa.field("span_us", pa.int64()),
        pa.field("now_us", pa.int64()),
    ]
)


def outcomes(
    engine: Engine,
    events: Relation,
    rules: Rules,
    action_id: str,
    *,
    before: datetime,
    span_us: int | None = None,
) -> pa.Table:
    """Orders and net revenue of every customer of an action after it (`OUTCOMES_SCHEMA`).

    Args:
        events: as they count at `before`.
        before: only what happened before it counts.
        span_us: how long after the action something counts; None: until `before`.
    """
    span = 2**62 if span_us is None else span_us
    asked = pa.table([[action_id], [span], [to_us(before)]], schema=_ASKED)
    found = engine.run(engine.compile(_query(rules)), {"events": events, "asked": asked})
    return found.cast(OUTCOMES_SCHEMA)


@lru_cache(maxsize=4)
def _query(rules: Rules) -> ir.Table:
    events, asked = queries.events_table(), unbound(_ASKED, "asked")
    told = events.filter(_.kind == kinds.EXPOSURE, _.noise == DELIVERY, _.customer_id.notnull())
    told = told.inner_join(asked, told.action_id == asked.asked_id)
    who = told.group_by(CUSTOMER).agg(
        since_us=epoch_us(_.event_time).min(),
        until_us=epoch_us(_.event_time).min() + _.span_us.min(),
        now_us=_.now_us.min(),
        # of two ids that became one customer, sent to one of them is sent to
        exposed=(json_text(_.properties, "exposed") == "true").any(),
        probability=json_text(_.properties, "probability").cast("float64").max(),
    )
    done = queries.prepared(events, rules, {CUSTOMER, "us", "is_value", "order_key", "net"})
    after = done.join(who, CUSTOMER).filter(_.us >= _.since_us, _.us < _.until_us, _.us < _.now_us)
    sums = after.group_by(CUSTOMER).agg(
        orders=_.order_key.nunique(where=_.is_value), net=total(_.net)
    )
    return (
        who.left_join(sums, CUSTOMER)
        .select(
            CUSTOMER, "since_us", "exposed", "probability",
            orders=_.orders.fill_null(0), net=_.net.fill_null(0),
        )
        .order_by(ibis.asc(CUSTOMER))
    )  # fmt: skip
