"""Everything that a shop knows of one person, as one document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import ShoalError
from shoal.events.tombstones import texts_of
from shoal.features.consent import consents_at
from shoal.features.snapshot import latest_moment
from shoal.features.traits import traits_of
from shoal.workflows import units
from shoal.workflows.identity_view import Identity
from shoal.workflows.quarantine_file import read_batches

SCHEMA: Final = "shoal.person/1"

_EVENTS: Final = """
SELECT * EXCLUDE (bucket, event_key, content_key, utc_offset_s, scope_key, scope_version)
FROM events JOIN ids ON coalesce(events.customer_id, events.anonymous_id) = ids.id
ORDER BY event_time, sequence, event_id
"""


def person(
    identity: Identity, raw_id: str, customer: dict[str, Any] | ShoalError, quarantine_dir: Path
) -> dict[str, Any]:
    """The JSON document `shoal.person/1`.

    Args:
        identity: of the shop.
        customer: what `shoal customer` tells, or why it tells nothing.

    Raises:
        UsageError: `unknown_customer`.
    """
    view = identity.view(raw_id)
    ids = pa.array([one["id"] for one in view["ids"]], pa.string())
    warehouse = identity.warehouse
    moment = latest_moment(warehouse)
    events = warehouse.engine.run(
        _EVENTS, {"events": warehouse.events(), "ids": pa.table({"id": ids})}
    )
    table = identity.admission.at()
    consents = consents_at(warehouse.engine, table.events(), moment)
    own = consents.filter(pc.equal(consents["customer_id"], view["customer_id"]))
    return {
        "schema": SCHEMA,
        "identity": view,
        "traits": traits_of(warehouse.engine, warehouse.events(), ids, moment),
        "consents": own.drop_columns(["customer_id"]).to_pylist(),
        "events": _owned(events.to_pylist(), view),
        "customer": None if isinstance(customer, ShoalError) else customer,
        "quarantined": _quarantined(identity, frozenset(ids.to_pylist()), quarantine_dir),
    }


def _owned(rows: list[dict[str, Any]], view: dict[str, Any]) -> list[dict[str, Any]]:
    """The person's events, without what lacks a value; on shared devices only the person's part."""
    spans = {one["id"]: one for one in view["ids"]}
    kept = []
    for row in rows:
        one = spans[row.pop("id")]
        stamp = row["event_time"].isoformat().replace("+00:00", "Z")
        inside = not one["spans"] or any(
            (span["from"] is None or span["from"] <= stamp)
            and (span["to"] is None or stamp < span["to"])
            for span in one["spans"]
        )
        if inside or one["role"] != "anonymous":
            kept.append({name: value for name, value in row.items() if value is not None})
    return kept


def _quarantined(identity: Identity, ids: frozenset[str], directory: Path) -> list[dict[str, Any]]:
    found = []
    for unit in units.all_units(identity.store):
        if unit.status != units.COMMITTED or unit.quarantine is None:
            continue
        for rows in read_batches(directory / unit.quarantine):
            found += [row for row in rows.to_pylist() if not ids.isdisjoint(texts_of(row["raw"]))]
    return found


def as_text(document: dict[str, Any]) -> str:
    """The document as JSON for people and programs."""
    return json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n"
