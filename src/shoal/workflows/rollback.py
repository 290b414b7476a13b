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
from shoal.workflows.advance import record_version, recorded_of

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
    that runs beside the version that is left is dropped first: its customers get back what that
    version says of them, so that going forward again finds everybody as if there had been none.

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
            raise _is_current(store, version)
        _check_was_whole(store, version)
        moment = _moment(warehouse, store, before)
        members = store.get_memberships(canary.kept(store, version))
        if not members.num_rows:
            members = found.members
        now, ended = clock_now(), None
        with store.transaction():
            if artefact.MAIN in pointers:
                ended = canary.end(store, DROPPED, "overtaken", moment, now)
            moved = record_version(store, version, before, members, moment, cause=ROLLBACK)
            for pointer in pointers:
                store.set_pointer(pointer, version, now)
            if artefact.MAIN in pointers:
                store.set_pointer(reference.POINTER, found.document["reference_id"], now)
    told = None if ended is None else ended.as_document()
    return _document(found, before, members.num_rows, moved, moment) | {"canary": told}


def _moment(warehouse: Warehouse, store: StateStore, left: str | None) -> datetime:
    """As of when: just after the latest event, or where the log of the version that is left is
    written further, as of then."""
    noted = None if left is None else recorded_of(store, left)
    latest = latest_moment(warehouse)
    return latest if noted is None else max(latest, noted.until)


def _is_current(store: StateStore, version: str) -> UsageError:
    """Of the version in force: also while another is tried on some customers."""
    trial, hint = canary.beside(store, version), "shoal versions SHOP lists the others."
    if trial is not None:
        hint = (
            f"{trial.segmentation_id} is tried on {trial.share:.0%} of customers beside it; stop "
            f"that: shoal adjust SHOP --decline {trial.adjust_id}"
        )
    return UsageError(
        "usage", f"{version} is the current version already", where=version, hint=hint
    )


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
