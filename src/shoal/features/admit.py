"""The admission step: stored events become events that count, by the decisions of one moment."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.events.identity import bucket_of
from shoal.events.schema import BUCKET, TABLE_SCHEMA
from shoal.features.admission import (
    FLAGS_SCHEMA,
    ITEMS_SCHEMA,
    PEOPLE_SCHEMA,
    RATES_SCHEMA,
    Decisions,
)
from shoal.features.algebra import CUSTOMER, epoch_us
from shoal.features.items import with_item_facts
from shoal.features.queries import EVENT_COLUMNS, unbound
from shoal.features.rates import converted
from shoal.ports import Engine, ParquetFiles, Relation

#: What is read of the event table, and what admitted events hold: what features and sequence models
#: read.
_KEPT: Final = (*EVENT_COLUMNS, "title", BUCKET)
READ_SCHEMA: Final = pa.schema([TABLE_SCHEMA.field(name) for name in (*_KEPT, "anonymous_id")])
ADMITTED_SCHEMA: Final = pa.schema([TABLE_SCHEMA.field(name) for name in _KEPT])

_OWNERS_SCHEMA: Final = PEOPLE_SCHEMA.append(pa.field("owner_bucket", pa.int32()))


def admit(
    engine: Engine, events: Relation, decisions: Decisions, directory: Path, *, buckets: int
) -> ParquetFiles:
    """Events as they count, written once under `directory` so that many queries may read them.

    Args:
        events: files or rows of the event table.
        decisions: as of the moment in question.
        directory: an empty one; the caller removes it.
        buckets: number of customer buckets.

    Returns:
        Files of `ADMITTED_SCHEMA`; each customer's events lie in the customer's bucket.
    """
    query, inputs = _bound(engine, events, decisions, buckets)
    return engine.spool(query, inputs, directory, ADMITTED_SCHEMA)


def admit_rows(engine: Engine, events: pa.Table, decisions: Decisions, *, buckets: int) -> pa.Table:
    """As `admit`, of few events: rows of `ADMITTED_SCHEMA` in memory."""
    query, inputs = _bound(engine, events, decisions, buckets)
    return engine.run(query, inputs).cast(ADMITTED_SCHEMA)


def _bound(
    engine: Engine, events: Relation, decisions: Decisions, buckets: int
) -> tuple[str, dict[str, Relation]]:
    inputs: dict[str, Relation] = {"events": events}
    if decisions.people.num_rows:
        inputs["people"] = _with_buckets(decisions.people, buckets)
    if decisions.flags.num_rows:
        inputs["flags"] = decisions.flags
    if decisions.rates.num_rows:
        inputs["rates"] = decisions.rates
    if decisions.items.num_rows:
        inputs["items"] = decisions.items
    return engine.compile(_definition(tuple(sorted(inputs)), decisions.currency)), inputs


@lru_cache(maxsize=16)
def _definition(tables: tuple[str, ...], currency: str) -> ir.Table:
    """Admitted events over unbound inputs; steps without a table are left out."""
    events = unbound(READ_SCHEMA, "events")
    if "flags" in tables:
        events = _without_flagged(events, unbound(FLAGS_SCHEMA, "flags"))
    if "people" in tables:
        events = _owned(events, unbound(_OWNERS_SCHEMA, "people"))
    if "rates" in tables:
        events = converted(events, unbound(RATES_SCHEMA, "rates"), currency)
    if "items" in tables:
        events = with_item_facts(events, unbound(ITEMS_SCHEMA, "items"))
    return events.select(*ADMITTED_SCHEMA.names)


def _raw_id(events: Any) -> Any:
    return ibis.coalesce(events.customer_id, events.anonymous_id)


def _without_flagged(events: ir.Table, flags: ir.Table) -> ir.Table:
    """Events outside the stretches that a pace rule caught."""
    us = epoch_us(events.event_time)
    stretches = flags.select("visitor_id", "from_us", "to_us").distinct()
    caught = (
        (_raw_id(events) == stretches.visitor_id)
        & (us >= stretches.from_us)
        & (us < stretches.to_us)
    )
    return events.anti_join(stretches, caught)


def _owned(events: ir.Table, people: ir.Table) -> ir.Table:
    """Events with the customer they belong to; those of nobody have none."""
    us = epoch_us(events.event_time)
    theirs = people.select(
        raw_id=_.id, since_us=_.from_us, until_us=_.to_us, owner=_.customer_id, merged=_.merged,
        owner_bucket=_.owner_bucket,
    )  # fmt: skip
    same = (
        (_raw_id(events) == theirs.raw_id)
        & (us >= theirs.since_us)
        & (us < theirs.until_us)
        & (theirs.merged | events.customer_id.isnull())
    )
    joined = events.left_join(theirs, same)
    told = joined.raw_id.notnull()
    return joined.mutate(
        customer_id=ibis.ifelse(told, joined.owner, joined.customer_id),
        bucket=ibis.ifelse(told & joined.owner.notnull(), joined.owner_bucket, joined.bucket),
    ).select(*READ_SCHEMA.names)


def _with_buckets(people: pa.Table, buckets: int) -> pa.Table:
    coded = people[CUSTOMER].combine_chunks().dictionary_encode()
    places = pa.array([bucket_of(name, buckets) for name in coded.dictionary.to_pylist()])
    column = places.cast(pa.int32()).take(coded.indices)
    return people.append_column("owner_bucket", column).cast(_OWNERS_SCHEMA)
