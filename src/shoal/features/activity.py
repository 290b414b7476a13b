"""A shop's events over time: totals, periods of days, and hours of the week by segment.

For people and reports, not for segments: these are counts over the whole event table before a
moment, each one query over the same prepared events that features are folded from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import DAY_US, SECOND_US, to_us
from shoal.features import queries
from shoal.features.algebra import epoch_us, total
from shoal.features.queries import Rules, floor_div
from shoal.ports import Engine, Relation

#: The moment before which events count, and the periods: `width` local days each, counted from the
#: local day `origin`.
SPAN_SCHEMA: Final = pa.schema(
    [pa.field("now_us", pa.int64()), pa.field("origin", pa.int64()), pa.field("width", pa.int64())]
)

_NOW_SCHEMA: Final = pa.schema([SPAN_SCHEMA.field("now_us")])

#: Which segment each customer is in.
MEMBERS_SCHEMA: Final = pa.schema(
    [pa.field("customer_id", pa.string()), pa.field("segment_id", pa.string())]
)


def totals(engine: Engine, events: Relation, now: datetime) -> dict[str, Any]:
    """Counts of all events before a moment, guests' and facts of items included.

    Returns:
        `events`, `guests` (events of nobody known), `customers`, `first_day` and `last_day` (local
        days since 1970, None for an empty table), `currencies` (text -> priced events; the text is
        empty where none is stated).
    """
    table = queries.events_table()
    local = epoch_us(_.event_time) + _.utc_offset_s.fill_null(0).cast("int64") * SECOND_US
    rows = before(table).mutate(day=floor_div(local, DAY_US))
    whole = rows.agg(
        events=_.count(),
        guests=total(1, where=_.customer_id.isnull() & (_.kind != kinds.ITEM)),
        customers=_.customer_id.nunique(where=_.kind != kinds.ITEM),
        first_day=_.day.min(),
        last_day=_.day.max(),
    )
    bound = {"events": events, "span": span_of(now)}
    found: dict[str, Any] = engine.run(engine.compile(whole), bound).to_pylist()[0]
    priced = rows.filter(_.price.notnull() & (_.kind != kinds.ITEM))
    by_currency = priced.group_by(currency=_.currency.fill_null("")).agg(n=_.count())
    table_of = engine.run(engine.compile(by_currency), bound)
    found["currencies"] = {row["currency"]: row["n"] for row in table_of.to_pylist()}
    return found


def periods(
    engine: Engine,
    events: Relation,
    rules: Rules,
    now: datetime,
    members: pa.Table,
    *,
    origin: int,
    width: int,
) -> pa.Table:
    """Customers' activity by segment and period of whole local days, oldest first.

    Quiet periods are absent. Everything adds up over segments, since a customer is in one.

    Args:
        members: `MEMBERS_SCHEMA`, each customer once.
        origin: local day (since 1970) on which period 0 begins; `width` days a period.

    Returns:
        `segment_id` (empty for customers who are no members), `period` (may be negative),
        `customers`, `events`, `orders` and `net` (micro-units).
    """
    who = queries.unbound(MEMBERS_SCHEMA, "members")
    wanted = {"day", "is_value", "order_key", "net"}
    rows = queries.prepared(before(queries.events_table()), rules, wanted)
    # The span is joined again, since preparing keeps the columns of events alone.
    dated = rows.cross_join(_span_table().select("origin", "width")).mutate(place=_.day - _.origin)
    binned = dated.mutate(
        period=(_.place - ((_.place % _.width) + _.width) % _.width) / _.width,
        bought=_.customer_id + "\x1f" + _.order_key,
    ).mutate(period=_.period.cast("int64"))
    table = (
        binned.left_join(who, "customer_id")
        .mutate(segment_id=_.segment_id.fill_null(""))
        .group_by("segment_id", "period")
        .agg(
            customers=_.customer_id.nunique(),
            events=_.count(),
            orders=_.bought.nunique(where=_.is_value),
            net=total(_.net),
        )
        .order_by(["segment_id", "period"])
    )
    bound = {
        "events": events,
        "span": span_of(now, origin, width),
        "members": members.cast(MEMBERS_SCHEMA),
    }
    return engine.run(engine.compile(table), bound)


def hours_of_week(
    engine: Engine, events: Relation, rules: Rules, now: datetime, members: pa.Table
) -> pa.Table:
    """Events of each segment by local weekday (0 is Monday) and hour.

    Args:
        members: `MEMBERS_SCHEMA`, each customer once.

    Returns:
        `segment_id`, `weekday`, `hour`, `n` events, `midnight` how many of them at 00:00:00 sharp.
    """
    early = before(queries.events_table())
    rows = queries.prepared(early, rules, {"day", "local_us", "hour", "weekday"})
    who = queries.unbound(MEMBERS_SCHEMA, "members")
    table = (
        rows.join(who, "customer_id")
        .group_by("segment_id", "weekday", "hour")
        .agg(n=_.count(), midnight=total(1, where=_.local_us == _.day * DAY_US))
        .order_by(["segment_id", "weekday", "hour"])
    )
    bound = {"events": events, "span": span_of(now), "members": members.cast(MEMBERS_SCHEMA)}
    return engine.run(engine.compile(table), bound)


def _span_table() -> ir.Table:
    return queries.unbound(SPAN_SCHEMA, "span")


def span_of(now: datetime, origin: int = 0, width: int = 1) -> pa.Table:
    """One row of `SPAN_SCHEMA`."""
    columns = {"now_us": [to_us(now)], "origin": [origin], "width": [width]}
    return pa.table(columns, schema=SPAN_SCHEMA)


def before(events: ir.Table) -> ir.Table:
    """Events before the moment `now_us` of the unbound table `span`, with their own columns."""
    joined = events.cross_join(queries.unbound(_NOW_SCHEMA, "span"))
    early = joined.filter(epoch_us(_.event_time) < _.now_us)
    return early.select(*queries.EVENT_COLUMNS)
