"""What is told of an erasure: the receipt, and which of the ids that were given nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from shoal.domain.time import iso
from shoal.events.identity import bucket_of
from shoal.ports import StateStore, Warehouse

SCHEMA: Final = "shoal.forget/1"

#: What a receipt counts, in its order.
_COUNTED: Final = (
    "events", "cleared", "states", "carries", "memberships", "flags", "links", "quarantined",
    "artefact_entries",
)  # fmt: skip

_NAMED: Final = """
SELECT DISTINCT a.id FROM asked AS a JOIN events AS e
  ON coalesce(e.customer_id, e.anonymous_id) = a.id
"""


def receipt_of(
    number: int,
    document: Mapping[str, Any],
    not_reached: Sequence[Mapping[str, str]],
    finished: datetime,
) -> dict[str, Any]:
    """The receipt that is kept, `shoal.forget/1`: it names nobody.

    Args:
        document: what was journaled of the request.
        not_reached: files that only a person can clean.
    """
    return {
        "schema": SCHEMA,
        "number": number,
        "asked_at": document["asked_at"],
        "finished_at": iso(finished),
        "asked": document["asked"],
        "unknown": document.get("unknown", 0),
        "ids": len(document["own"]),
        "shared_devices": len(document["shared"]),
        "tombstones": document["tombstones"],
        "persons": document.get("persons", []),
        "removed": {name: document["removed"].get(name, 0) for name in _COUNTED},
        "files": document["files"],
        "not_reached": list(not_reached),
        "earlier_versions": "removed" if document["purged"] else "kept",
    }


def unknown_among(
    warehouse: Warehouse, store: StateStore, ids: Iterable[str], buckets: int | None
) -> list[str]:
    """Those of some ids of which no event tells: an id mistyped, or forgotten before.

    Args:
        buckets: how many the event table has; None: it is not known, and all of it is read.
    """
    names = sorted(set(ids))
    known = {
        *store.get_states(names)["customer_id"].to_pylist(),
        *store.people.links(ids=names)["id"].to_pylist(),
        *store.people.links(customers=names)["customer_id"].to_pylist(),
    }
    left = [name for name in names if name not in known]
    if not left or warehouse.version() < 0:
        return left
    homes = None if buckets is None else sorted({bucket_of(name, buckets) for name in left})
    asked = pa.table({"id": pa.array(left, pa.string())})
    events = warehouse.events(buckets=homes)
    found = warehouse.engine.run(_NAMED, {"events": events, "asked": asked})["id"].to_pylist()
    return sorted(set(left) - set(found))
