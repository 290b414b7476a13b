"""Counts of the log a day, source and kind: what tells a fault of the tracking from behaviour.

All events count, those of nobody too, so that a sign-in that fails to be told is seen.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import DAY_US, SECOND_US, to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.features import queries
from shoal.features.activity import SPAN_SCHEMA, span_of
from shoal.features.algebra import epoch_us, total
from shoal.features.queries import floor_div
from shoal.ports import Engine, Relation

#: Days that breaks are looked for in, and those before that tell what is usual.
DAYS: Final = 77
#: Fields whose loss is looked for.
FIELDS: Final = ("customer_id", "item_id", "category", "price")
_HOUR_US: Final = DAY_US // 24

#: `largest` is what one visitor did alone; `with_*` events that have a field, `with_night` those
#: from 0 to 8 o'clock; `mean_price` the mean logarithm of prices (null without any).
RHYTHM_SCHEMA: Final = pa.schema(
    [
        pa.field("day", pa.int64()),
        pa.field("source", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("events", pa.int64()),
        pa.field("visitors", pa.int64()),
        pa.field("largest", pa.int64()),
        *(pa.field(f"with_{name}", pa.int64()) for name in (*FIELDS, "night")),
        pa.field("mean_price", pa.float64()),
    ]
)


_EVENTS_SCHEMA: Final = pa.schema(
    [
        TABLE_SCHEMA.field(name)
        for name in ("event_time", "utc_offset_s", "source", "kind", "anonymous_id", *FIELDS)
    ]
)
_NOW_SCHEMA: Final = pa.schema([SPAN_SCHEMA.field("now_us")])


def rhythm(engine: Engine, events: Relation, now: datetime, days: int = DAYS) -> pa.Table:
    """The last whole local days before a moment, of every source and kind that had events.

    Args:
        events: all events of the shop, canonical columns.

    Returns:
        `RHYTHM_SCHEMA`, sorted; `day` are local days since 1970. The local day of `now` has only
        begun and is left out; it stands in the schema's metadata as `until`.
    """
    local = epoch_us(_.event_time) + _.utc_offset_s.fill_null(0).cast("int64") * SECOND_US
    wide = queries.unbound(_EVENTS_SCHEMA, "events").cross_join(
        queries.unbound(_NOW_SCHEMA, "span")
    )
    wide = wide.filter((epoch_us(_.event_time) < _.now_us) & (_.kind != kinds.ITEM))
    wide = wide.mutate(local_us=local)
    rows = wide.mutate(
        day=floor_div(_.local_us, DAY_US),
        hour=floor_div(_.local_us % DAY_US, _HOUR_US),
        source=_.source.fill_null(""),
        visitor=ibis.coalesce(_.customer_id, _.anonymous_id, ""),
    )
    own = {f"with_{name}": total(1, where=_[name].notnull()) for name in FIELDS}
    logs = (_.price.cast("float64") / 1e6).ln().sum(where=_.price > 0)
    each = rows.group_by("day", "source", "kind", "visitor").agg(
        events=_.count(), with_night=total(1, where=_.hour < 8), logs=logs,
        priced=total(1, where=_.price > 0), offset=_.utc_offset_s.fill_null(0).max(), **own,
    )  # fmt: skip
    table = (
        each.group_by("day", "source", "kind")
        .agg(
            visitors=_.count(), largest=_.events.max(), logs=_.logs.sum(), priced=total(_.priced),
            with_night=total(_.with_night), counted=total(_.events), offset=_.offset.max(),
            **{name: total(_[name]) for name in own},
        )
        .mutate(events=_.counted, mean_price=_.logs / _.priced.nullif(0))
        .order_by(["day", "source", "kind"])
    )  # fmt: skip
    bound: dict[str, Relation] = {"events": events, "span": span_of(now)}
    found = engine.run(engine.compile(table), bound)
    return _whole_days(found, now, days)


def _whole_days(found: pa.Table, now: datetime, days: int) -> pa.Table:
    """Those of the last `days` that are over, by the local time of the latest events."""
    latest = pc.max(found["day"]).as_py() if found.num_rows else 0
    offset_s = pc.max(found.filter(pc.equal(found["day"], latest))["offset"]).as_py() or 0
    until = (to_us(now) // SECOND_US + offset_s) // 86_400
    inside = pc.and_(pc.less(found["day"], until), pc.greater_equal(found["day"], until - days))
    whole = found.filter(inside).select(RHYTHM_SCHEMA.names).cast(RHYTHM_SCHEMA)
    return whole.replace_schema_metadata({"until": str(until)})
