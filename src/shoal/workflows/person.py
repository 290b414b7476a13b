"""Everything that a shop knows of one person, as one document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from shoal.events.raw_ids import names_any
from shoal.events.tombstones import RawIds
from shoal.features.consent import consents_at
from shoal.workflows.identity_view import Identity
from shoal.workflows.quarantine import at_hand
from shoal.workflows.quarantine_file import id_columns_of, read_batches

SCHEMA: Final = "shoal.person/1"

#: Events as they are stored, without what only the storage needs.
_COLUMNS: Final = (
    "e.* EXCLUDE (bucket, event_key, content_key, utc_offset_s, scope_key, scope_version)"
)


def person(
    identity: Identity,
    raw_id: str,
    customer: Mapping[str, Any] | None,
    quarantine_dir: Path,
    raw_ids: RawIds | None = None,
) -> dict[str, Any]:
    """The JSON document `shoal.person/1`.

    Of a device that others use too it holds the person's part only, without the others' ids, and no
    quarantined row unless the row names the person by another id: nobody can say whose it is.

    Args:
        identity: of the shop.
        customer: what `shoal customer` tells; None where the person has no features.
        raw_ids: the ids that a quarantined row may name; None: those that stand in it.

    Raises:
        UsageError: `unknown_customer`.
        InputError: `too_little_data`, the shop holds no event.
    """
    view = identity.view(raw_id)
    found = identity.person(raw_id)
    warehouse = identity.warehouse
    counted = identity.admission.at()
    consents = consents_at(warehouse.engine, counted.events(), found.moment)
    own = consents.filter(pc.equal(consents["customer_id"], found.owner))
    return {
        "schema": SCHEMA,
        "identity": _of_this_person(view),
        "traits": view["traits"],
        "consents": own.drop_columns(["customer_id"]).to_pylist(),
        "events": [
            {name: value for name, value in row.items() if value is not None}
            for row in identity.events_of(found, _COLUMNS).to_pylist()
        ],
        "customer": customer,
        "quarantined": _quarantined(identity, view, quarantine_dir, raw_ids),
    }


def _of_this_person(view: Mapping[str, Any]) -> dict[str, Any]:
    """The view without the ids of others who use the same devices."""
    ids = {one["id"] for one in view["ids"]}
    kept = {name: value for name, value in view.items() if name not in ("schema", "traits")}
    kept["ids"] = [
        {name: value for name, value in one.items() if name != "shared_with"} for one in view["ids"]
    ]
    kept["told"] = [row for row in view["told"] if row["customer_id"] in ids]
    return kept


def _quarantined(
    identity: Identity, view: Mapping[str, Any], directory: Path, raw_ids: RawIds | None
) -> list[dict[str, Any]]:
    """Quarantined rows that hold an id which is this person's alone."""
    alone = {
        one["id"]
        for one in view["ids"]
        if one["role"] != "anonymous" or not one["shared_with"]
    } - {one["id"] for one in view["refused"]}  # fmt: skip
    names = frozenset(alone)

    def is_theirs(raw: str, columns: Sequence[str] | None) -> bool:
        if raw_ids is None:
            return names_any(raw, names, columns)
        return not names.isdisjoint(raw_ids(raw, columns))

    found: list[dict[str, Any]] = []
    for unit in at_hand(identity.store, directory):
        path = directory / str(unit.quarantine)
        columns = id_columns_of(path)
        for rows in read_batches(path):
            found += [row for row in rows.to_pylist() if is_theirs(row["raw"], columns)]
    return found


def as_text(document: Mapping[str, Any]) -> str:
    """The document as JSON for people and programs."""
    return json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n"
