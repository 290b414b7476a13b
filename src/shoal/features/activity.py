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

#: Which segment each customer is in.
MEMBERS_SCHEMA: Final = pa.schema(
    [pa.field("customer_id", pa.string()), pa.field("segment_id", pa.string())]
)


def totals(engine: Engine, events: Relation, before: datetime) -> dict[str, Any]:
    """Counts of all events before a moment, guests' and facts of items included.

    Returns:
        `events`, `guests` (events of nobody known), `customers`, `first_day` and `last_day` (local
        days since 1970, None for an empty table), `currencies` (text -> priced events; the text is
        empty where none is stated).
    """
    table, span = queries.events_table(), _span_table()
    local = epoch_us(_.event_time) + _.utc_offset_s.fill_null(0).cast("int64") * SECOND_US
    rows = _before(table, span).mutate(day=floor_div(local, DAY_US))
    whole = rows.agg(
        events=_.count(),
        guests=total(1, where=_.customer_id.isnull() & (_.kind != kinds.ITEM)),
        customers=_.customer_id.nunique(where=_.kind != kinds.ITEM),
        first_day=_.day.min(),
        last_day=_.day.max(),
    )
    bound = {"events": events, "span": _span(before)}
    found: dict[str, Any] = engine.run(engine.compile(whole), bound).to_pylist()[0]
    priced = rows.filter(_.price.notnull() & (_.kind != kinds.ITEM))
    by_currency = priced.group_by(currency=_.currency.fill_null("")).agg(n=_.count())
    table_of = engine.run(engine.compile(by_currency), bound)
    found["currencies"] = {row["currency"]: row["n"] for row in table_of.to_pylist()}
    return found


def periods(
    engine: Engine, events: Relation, rules: Rules, before: datetime, *, origin: int, width: int
) -> pa.Table:
    """Customers' activity by periods of whole local days, oldest first; quiet periods are absent.

    Args:
        origin: local day (since 1970) on which period 0 begins; `width` days a period.

    Returns:
        `period` (may be negative), `customers`, `events`, `orders` and `net` (micro-units).
    """
    early = _before(queries.events_table(), _span_table())
    rows = queries.prepared(early, rules, {"day", "is_value", "order_key", "net"})
    # The span is joined again, since preparing keeps the columns of events alone.
    dated = rows.cross_join(_span_table().select("origin", "width")).mutate(place=_.day - _.origin)
    binned = dated.mutate(
        period=(_.place - ((_.place % _.width) + _.width) % _.width) / _.width,
        bought=_.customer_id + "\x1f" + _.order_key,
    ).mutate(period=_.period.cast("int64"))
    table = (
        binned.group_by("period")
        .agg(
            customers=_.customer_id.nunique(),
            events=_.count(),
            orders=_.bought.nunique(where=_.is_value),
            net=total(_.net),
        )
        .order_by("period")
    )
    bound = {"events": events, "span": _span(before, origin, width)}
    return engine.run(engine.compile(table), bound)


def hours_of_week(
    engine: Engine, events: Relation, rules: Rules, before: datetime, members: pa.Table
) -> pa.Table:
    """Events of each segment by local weekday (0 is Monday) and hour.

    Args:
        members: `MEMBERS_SCHEMA`, each customer once.

    Returns:
        `segment_id`, `weekday`, `hour`, `n` events, `midnight` how many of them at 00:00:00 sharp.
    """
    early = _before(queries.events_table(), _span_table())
    rows = queries.prepared(early, rules, {"day", "local_us", "hour", "weekday"})
    who = queries.unbound(MEMBERS_SCHEMA, "members")
    table = (
        rows.join(who, "customer_id")
        .group_by("segment_id", "weekday", "hour")
        .agg(n=_.count(), midnight=total(1, where=_.local_us == _.day * DAY_US))
        .order_by(["segment_id", "weekday", "hour"])
    )
    bound = {"events": events, "span": _span(before), "members": members.cast(MEMBERS_SCHEMA)}
    return engine.run(engine.compile(table), bound)


def _span_table() -> ir.Table:
    return queries.unbound(SPAN_SCHEMA, "span")


def _span(before: datetime, origin: int = 0, width: int = 1) -> pa.Table:
    columns = {"now_us": [to_us(before)], "origin": [origin], "width": [width]}
    return pa.table(columns, schema=SPAN_SCHEMA)


def _before(events: ir.Table, span: ir.Table) -> ir.Table:
    """Events before the moment of the span, with the columns of events alone."""
    joined = events.cross_join(span.select("now_us"))
    early = joined.filter(epoch_us(_.event_time) < _.now_us)
    return early.select(*queries.EVENT_COLUMNS)
