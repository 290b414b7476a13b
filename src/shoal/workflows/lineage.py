"""The lineage of a shop's segments over the versions that led to one: who went on, who changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.adjust.transitions import BIRTH, CONTINUE, DEATH
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.segment import TIER_NEW
from shoal.ports import Registry, StateStore
from shoal.segments import artefact
from shoal.segments.artefact import document_of, lineage_of

SCHEMA: Final = "shoal.lineages/1"

Document = Mapping[str, Any]


def lineages(
    *, store: StateStore, registry: Registry, segmentation: str | None = None
) -> dict[str, Any]:
    """The JSON document `shoal.lineages/1`: the versions from the first one to the current main one
    (or another), every change between them, and the life of each segment.

    Raises:
        UsageError: `unknown_segmentation`, there is none (of that id).
        OperationError: `artefact_damaged`, documents of a version cannot be read.
    """
    path = _path(registry, _asked(store, registry, segmentation))
    changes = [
        {"segmentation_id": one["segmentation_id"], "previous_id": told["previous_id"], **change}
        for one, told in path
        if told is not None
        for change in told["changes"]
    ]
    segments = _lives(path)
    return {
        "schema": SCHEMA,
        "headline": _headline(path, changes),
        "current": store.get_pointer(artefact.MAIN),
        "versions": [_version(document, told) for document, told in path],
        "changes": changes,
        "segments": segments,
        "flows": [
            {"previous_id": told["previous_id"], "segmentation_id": one["segmentation_id"], **flow}
            for one, told in path
            if told is not None
            for flow in told["flows"]
        ],
    }


def _asked(store: StateStore, registry: Registry, segmentation: str | None) -> str:
    known = registry.list(artefact.KIND)
    chosen = segmentation or store.get_pointer(artefact.MAIN)
    if chosen is None or chosen not in known:
        told = "the shop has no segmentation yet"
        if chosen is not None:
            told = f"the shop has no segmentation {chosen!r}"
        raise UsageError(
            "unknown_segmentation",
            told,
            where=chosen or "",
            hint=f"Known: {', '.join(known)}." if known else "Make one with: shoal segment SHOP",
        )
    return chosen


def _path(registry: Registry, last: str) -> list[tuple[Document, Document | None]]:
    """Documents and lineages of the versions that led to one, oldest first."""
    found: list[tuple[Document, Document | None]] = []
    name: str | None = last
    while name is not None and name not in {one["segmentation_id"] for one, _ in found}:
        document = document_of(registry, name)
        if document is None:
            raise OperationError(
                "artefact_damaged",
                f"the documents of {name} cannot be read",
                where=str(registry.directory(artefact.KIND, name)),
                hint="Restore it from a backup, or go on from another version with: "
                "shoal rollback SHOP VERSION",
            )
        told = lineage_of(registry, name)
        found.append((document, told))
        name = None if told is None else told["previous_id"]
    return found[::-1]


def _version(document: Document, told: Document | None) -> dict[str, Any]:
    return {
        "segmentation_id": document["segmentation_id"],
        "previous_id": None if told is None else told["previous_id"],
        "method": document["method"],
        "k": document["k"],
        "as_of": document["as_of"],
        "created_at": document["created_at"],
        "customers": document["customers"]["total"],
        "causes": [] if told is None else list(told["causes"]),
        "segments": [
            {"segment_id": one["segment_id"], "name": one["name"], "customers": one["size"]}
            for one in document["segments"]
        ],
    }


def _lives(path: Sequence[tuple[Document, Document | None]]) -> list[dict[str, Any]]:
    """Each segment that ever was, in order of id: when and out of what it came, how it ended."""
    lives: dict[str, dict[str, Any]] = {}
    for document, told in path:
        version, date = document["segmentation_id"], document["as_of"]
        here = [one for one in document["segments"] if one["segment_id"] != TIER_NEW]
        origin, ends = _origins(told), _endings(told)
        for name, how in ends.items():
            if name in lives and name not in {one["segment_id"] for one in here}:
                lives[name]["ended"] = {"version": version, "date": date, **how}
        for one in here:
            how = origin.get(one["segment_id"], {"change": "beginning", "parents": []})
            life = lives.setdefault(
                one["segment_id"],
                {"segment_id": one["segment_id"], "names": [], "versions": 0,
                 "began": {"version": version, "date": date, **how}, "ended": None},
            )  # fmt: skip
            life["versions"] += 1
            life["customers"] = one["size"]
            if one["name"] not in life["names"]:
                life["names"].append(one["name"])
    return [lives[name] for name in sorted(lives)]


def _origins(told: Document | None) -> dict[str, dict[str, Any]]:
    """How the new ids of a version came about."""
    return {
        name: {"change": one["change"], "parents": one["parents"]}
        for one in (told or {}).get("changes", ())
        if one["change"] != CONTINUE
        for name in one["children"]
        if name not in one["parents"]
    }


def _endings(told: Document | None) -> dict[str, dict[str, Any]]:
    return {
        name: {"change": one["change"], "children": one["children"]}
        for one in (told or {}).get("changes", ())
        if one["change"] not in (CONTINUE, BIRTH)
        for name in one["parents"]
        if name not in one["children"]
    }


def _headline(path: Sequence[tuple[Document, Document | None]], changes: Sequence[Document]) -> str:
    first, last = path[0][0], path[-1][0]
    altered = [one for one in changes if one["change"] != CONTINUE]
    if len(path) == 1:
        return f"{last['segmentation_id']} is the first version: nothing came before it"
    counts = [
        f"{count} {what}{'s' if count > 1 else ''}"
        for what in ("split", "merge", BIRTH, DEATH)
        if (count := sum(one["change"] == what for one in altered))
    ]
    told = ", ".join(counts) if counts else "every segment went on"
    return (
        f"{len(path)} versions from {first['segmentation_id']} ({first['as_of'][:10]}) to "
        f"{last['segmentation_id']} ({last['as_of'][:10]}): {told}"
    )
