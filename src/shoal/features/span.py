"""From when to when a log reaches, and how many of its events fall between two moments."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.errors import InputError
from shoal.domain.time import from_us, to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.algebra import epoch_us
from shoal.features.queries import no_noise, unbound
from shoal.ports import EventTable

_READ: Final = pa.schema(
    [TABLE_SCHEMA.field(name) for name in ("event_time", "kind", "customer_id", "noise")]
)
_CLOCK: Final = pa.schema([pa.field("since_us", pa.int64()), pa.field("until_us", pa.int64())])


def log_span(table: EventTable, *, version: int | None = None) -> tuple[datetime, datetime]:
    """Times of the first and the last event; facts of items and told exports do not count.

    Raises:
        InputError: `too_little_data`, the table holds no event.
    """
    engine = table.engine
    found = engine.run(engine.compile(_span()), {"events": table.events(version=version)})
    first, last = (found.column(name)[0].as_py() for name in ("first_us", "last_us"))
    if first is None:
        raise InputError(
            "too_little_data",
            "the shop holds no event yet",
            hint="Run `shoal ingest SHOP FILE` first.",
        )
    return from_us(first), from_us(last)


def customer_events(
    table: EventTable, since: datetime, until: datetime, *, version: int | None = None
) -> int:
    """Customers' events with `since <= event_time < until`; facts of items do not count."""
    engine = table.engine
    clock = pa.table({"since_us": [to_us(since)], "until_us": [to_us(until)]}, schema=_CLOCK)
    found = engine.run(
        engine.compile(_between()), {"events": table.events(version=version), "clock": clock}
    )
    return int(found.column("n")[0].as_py())


@lru_cache(maxsize=1)
def _span() -> ir.Table:
    moments = unbound(_READ, "events").filter(_.kind != kinds.ITEM, no_noise(()))
    return moments.agg(first_us=epoch_us(_.event_time.min()), last_us=epoch_us(_.event_time.max()))


@lru_cache(maxsize=1)
def _between() -> ir.Table:
    events = unbound(_READ, "events").filter(
        _.kind != kinds.ITEM, _.customer_id.notnull(), no_noise(())
    )
    clock = ibis.table(ibis.Schema.from_pyarrow(_CLOCK), name="clock")
    timed = events.select(us=epoch_us(_.event_time)).cross_join(clock)
    inside = timed.filter(_.us >= _.since_us, _.us < _.until_us)
    return inside.agg(n=_.count())
