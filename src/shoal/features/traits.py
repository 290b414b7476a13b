"""Traits of a person with the dates they were told: what `profile` events say, latest first."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import from_us, iso, to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.events.sealed_form import same
from shoal.features.algebra import epoch_us
from shoal.features.queries import unbound
from shoal.ports import Engine, Relation

IDS_SCHEMA: Final = pa.schema([pa.field("id", pa.string())])
_NAMES: Final = (
    "customer_id", "anonymous_id", "kind", "event_time", "sequence", "event_id", "source",
    "properties",
)  # fmt: skip
_READ: Final = pa.schema([TABLE_SCHEMA.field(name) for name in _NAMES])
#: Members that say how an event came to be, not what the person is like.
_NO_TRAITS: Final = frozenset({"alias", "identity", "note", "fee"})


def traits_of(engine: Engine, events: Relation, ids: pa.Array, before: datetime) -> list[Any]:
    """What holds of a person before a moment: `trait`, `value`, `since`, `source`, by trait.

    `since` is when the present value was first told without another one in between. A trait whose
    latest value is null was taken back and is left out.

    Args:
        ids: the person's raw ids.
    """
    asked = pa.table([ids], schema=IDS_SCHEMA)
    rows = engine.run(engine.compile(_query()), {"events": events, "ids": asked}).to_pylist()
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["us"] >= to_us(before):
            continue
        for name, value in _members(row["properties"]).items():
            if name in found and same(found[name]["value"], value):
                continue
            found[name] = {
                "trait": name, "value": value, "since": iso(from_us(row["us"])),
                "source": row["source"],
            }  # fmt: skip
    return [found[name] for name in sorted(found) if found[name]["value"] is not None]


def _query() -> ir.Table:
    events, ids = unbound(_READ, "events"), unbound(IDS_SCHEMA, "ids")
    told = events.filter(_.kind == kinds.PROFILE, _.properties.notnull())
    raw = ibis.coalesce(told.customer_id, told.anonymous_id)
    own = told.semi_join(ids, raw == ids.id)
    order = ["us", "sequence", "event_id"]
    return own.select(
        "sequence", "event_id", "source", "properties", us=epoch_us(own.event_time)
    ).order_by(order)


def _members(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if name not in _NO_TRAITS}
