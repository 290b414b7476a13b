"""Every version of a shop's segmentations: method, moment, customers, and which one is current."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from shoal.adjust.transitions import CONTINUE
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import iso
from shoal.ports import Registry, StateStore
from shoal.segments import artefact
from shoal.segments.artefact import document_of, lineage_of
from shoal.workflows import canary
from shoal.workflows.canary import Canary

SCHEMA: Final = "shoal.versions/1"
POINTERS: Final[Mapping[str, str]] = {
    "main": artefact.MAIN, "rfm": artefact.RFM, "rules": artefact.RULES,
}  # fmt: skip


def versions(*, store: StateStore, registry: Registry) -> dict[str, Any]:
    """The JSON document `shoal.versions/1`, oldest first.

    A version whose documents cannot be read is listed with `readable` false; whether its files are
    whole is verified when it is used. `canary` tells how one fared that was tried on a share of
    customers first; None: it was not.
    """
    current = {name: store.get_pointer(pointer) for name, pointer in POINTERS.items()}
    tried = {one.segmentation_id: _tried(one) for one in canary.canaries(store.get_settings())}
    found = [
        _row(registry, name, [line for line, target in current.items() if target == name])
        | {"canary": tried.get(name)}
        for name in registry.list(artefact.KIND)
    ]
    return {
        "schema": SCHEMA,
        "current": {name: target for name, target in current.items() if target is not None},
        "versions": found,
    }


def _tried(one: Canary) -> dict[str, Any]:
    return {
        "adjust_id": one.adjust_id, "share": one.share, "since": iso(one.since),
        "until": iso(one.until), "ended": None if one.ended is None else dict(one.ended),
    }  # fmt: skip


def _row(registry: Registry, name: str, current: list[str]) -> dict[str, Any]:
    document = document_of(registry, name)
    told = {"segmentation_id": name, "current": current, "readable": document is not None}
    if document is None:
        return told
    lineage = lineage_of(registry, name) or {}
    counted = Counter(one["change"] for one in lineage.get("changes", ()))
    return told | {
        "method": document["method"],
        "title": document["title"],
        "k": document["k"],
        "on": document.get("on", "features"),
        "as_of": document["as_of"],
        "created_at": document["created_at"],
        "customers": document["customers"]["total"],
        "too_little_known": document["customers"]["too_little_known"],
        "previous_id": lineage.get("previous_id"),
        "continued": counted.pop(CONTINUE, 0),
        "changes": dict(sorted(counted.items())),
        "segments": [
            {"segment_id": one["segment_id"], "name": one["name"], "customers": one["size"]}
            for one in document["segments"]
            if one["segment_id"] != TIER_NEW
        ],
    }
