"""Go back to an earlier version of the segments: verified, the pointer moved, memberships told."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from shoal.adjust.canary import DROPPED
from shoal.domain.errors import UsageError
from shoal.domain.segment import ROLLBACK
from shoal.domain.time import Clock, iso, system_clock
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.workflows import canary, reference
from shoal.workflows.advance import record_version

SCHEMA: Final = "shoal.rollback/1"


def rollback(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    version: str,
    clock_now: Clock = system_clock,
) -> dict[str, Any]:
    """Make a version the current one of its line again; the JSON document `shoal.rollback/1`.

    Its files are verified first, so it says of every customer what it said before, bit by bit.
    Members are those that it last had on record; they are recorded again with the cause `rollback`.
    Nothing is removed: the version that was current can be gone back to in the same way. A canary
    that runs beside the version that is left is dropped.

    Raises:
        UsageError: `unknown_segmentation`; `usage`, it is the current version already, or was never
            in force but for a share of customers.
        OperationError: `artefact_damaged`, nothing was changed; `shop_locked`.
    """
    found = artefact.read(registry, version)
    registry.path(reference.KIND, found.document["reference_id"])
    with store.lease():
        pointers = _pointers(store, found)
        before = store.get_pointer(pointers[0])
        if before == version:
            raise UsageError(
                "usage",
                f"{version} is the current version already",
                where=version,
                hint="shoal versions SHOP lists the others.",
            )
        _check_was_whole(store, version)
        moment = latest_moment(warehouse)
        members = store.get_memberships(version)
        if not members.num_rows:
            members = found.members
        now = clock_now()
        with store.transaction():
            if artefact.MAIN in pointers:
                canary.end(store, DROPPED, "overtaken", moment, now)
            moved = record_version(store, version, before, members, moment, cause=ROLLBACK)
            for pointer in pointers:
                store.set_pointer(pointer, version, now)
            if artefact.MAIN in pointers:
                store.set_pointer(reference.POINTER, found.document["reference_id"], now)
    return _document(found, before, members.num_rows, moved, moment)


def _check_was_whole(store: StateStore, version: str) -> None:
    """Hold that a version had a place for everybody.

    Raises:
        UsageError: `usage`.
    """
    if version not in canary.tried(store):
        return
    if any(version == target for target, _ in store.pointer_history(artefact.MAIN)):
        return
    running = canary.running(store)
    hint = "shoal versions SHOP lists the others."
    if running is not None and running.segmentation_id == version:
        hint = f"For all: shoal adjust SHOP --approve {running.adjust_id}"
    raise UsageError(
        "usage",
        f"{version} was tried on a share of customers and was never in force for all",
        where=version,
        hint=hint,
    )


def _pointers(store: StateStore, found: SegmentationArtefact) -> tuple[str, ...]:
    """The pointers that are to name it, the one of its line first."""
    own = artefact.BESIDE.get(found.document["method"])
    if own is None:
        return (artefact.MAIN,)
    # Rules stand in for the main segmentation where the shop has no other.
    stands_in = store.get_pointer(artefact.MAIN) == store.get_pointer(own)
    return (own, artefact.MAIN) if stands_in else (own,)


def _document(
    found: SegmentationArtefact, before: str | None, members: int, moved: int, moment: datetime
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "segmentation_id": found.segmentation_id,
        "was": before,
        "method": found.document["method"],
        "k": found.document["k"],
        "as_of": found.document["as_of"],
        "customers": members,
        "moved": moved,
        "since": iso(moment),
    }
