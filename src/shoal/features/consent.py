"""Consents as of a moment: what each customer allows on each channel, since when.

The latest statement counts. Two statements of one channel within a second that differ are one act
of which nobody knows the order, so the withdrawal counts.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import SECOND_US, to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.algebra import epoch_us
from shoal.features.queries import json_extract_string, json_valid, unbound
from shoal.ports import Engine, Relation

#: `granted` as of the moment; `since` when it was said.
CONSENTS_SCHEMA: Final = pa.schema(
    [
        pa.field("customer_id", pa.string()),
        pa.field("channel", pa.string()),
        pa.field("granted", pa.bool_()),
        pa.field("since", pa.timestamp("us", tz="UTC")),
    ]
)
_READ: Final = pa.schema(
    [
        TABLE_SCHEMA.field(name)
        for name in ("customer_id", "kind", "event_time", "channel", "properties")
    ]
)
_CLOCK: Final = pa.schema([pa.field("now_us", pa.int64())])
_YES: Final = ("true", "1", "yes", "granted", "subscribed", "opted_in")


def consents_at(engine: Engine, events: Relation, before: datetime) -> pa.Table:
    """What customers allow at a moment (`CONSENTS_SCHEMA`, by customer and channel).

    Args:
        events: as they count, so that consents given before signing in are the customer's.
        before: only statements before it count.
    """
    clock = pa.table({"now_us": [to_us(before)]}, schema=_CLOCK)
    found = engine.run(engine.compile(_query()), {"events": events, "clock": clock})
    return found.cast(CONSENTS_SCHEMA)


@lru_cache(maxsize=1)
def _query() -> ir.Table:
    events, clock = unbound(_READ, "events"), unbound(_CLOCK, "clock")
    said = events.filter(
        _.kind == kinds.CONSENT, _.customer_id.notnull(), _.channel.notnull()
    ).cross_join(clock)
    said = said.mutate(us=epoch_us(said.event_time)).filter(_.us < _.now_us)
    word = json_extract_string(said.properties, ibis.literal("$.granted"))
    granted = ibis.ifelse(json_valid(said.properties), word, ibis.null("string")).lower()
    stated = said.select(
        "customer_id", "channel", "event_time", "us",
        granted=granted.isin(_YES).fill_null(False),
    )  # fmt: skip
    latest = ibis.window(group_by=["customer_id", "channel"])
    near = stated.mutate(last_us=_.us.max().over(latest)).filter(_.us >= _.last_us - SECOND_US)
    # Of the last second only: all must agree that it is granted.
    return (
        near.group_by(["customer_id", "channel"])
        .agg(granted=_.granted.all(), since=_.event_time.max())
        .order_by(["customer_id", "channel"])
    )
