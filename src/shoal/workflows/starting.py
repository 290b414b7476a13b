"""What a service finds when it starts: what the run before left, and what is damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shoal.ports import Inbox, StateStore
from shoal.workflows import recovery
from shoal.workflows.verify import Subject, of_pointers, of_positions

SCHEMA: Final = "shoal.recovery/1"


def recover(
    subject: Subject,
    store: StateStore,
    inbox: Inbox,
    finish_erasures: Callable[[], object],
    *,
    killed: bool,
) -> dict[str, Any]:
    """Finish what the run before left half done; the JSON document `shoal.recovery/1`.

    Under the shop's lease. Calls that wait, and versions that states have yet to follow, are told
    and left to the first batch. A damaged event table stops it: taking in more would hide what is
    lost. An artefact that is gone does not, for calls can be kept all the same; it is in `damage`.

    Args:
        subject: the shop's files.
        finish_erasures: finishes erasures that were interrupted.
        killed: the run before did not close its inbox.

    Raises:
        OperationError: `shop_damaged`, and what a store raises.
    """
    faults = [
        *subject.files.table_faults("sizes"),
        *of_positions(subject.files, store, subject.warehouse),
    ]
    if faults:
        error = faults[0].as_error()
        if len(faults) > 1:
            error.message += f"; and {len(faults) - 1:,} more"
        error.hint = f"See all of it: shoal verify {subject.files.directory}. {error.hint}"
        raise error
    erasures = len(store.erasures.pending())
    finish_erasures()
    settled = recovery.settle(subject.warehouse, store, subject.quarantine)
    waiting, planned = inbox.waiting(), inbox.planned() - inbox.drained()
    latest, applied = subject.warehouse.version(), store.applied_version()
    return {
        "schema": SCHEMA,
        "killed": killed,
        "calls_waiting": waiting,
        "calls_on_their_way": min(max(planned, 0), waiting),
        "units_finished": settled.finished,
        "units_discarded": settled.discarded,
        "erasures_finished": erasures,
        "versions_to_follow": max(latest - applied, 0),
        "table_version": latest,
        "damage": [fault.as_document() for fault in of_pointers(store, subject.artefacts)],
    }


def words(found: dict[str, Any]) -> str:
    """The same in one line for people."""
    parts = [
        f"{found[name]:,} {text}"
        for name, text in (
            ("calls_waiting", "calls wait in the inbox"),
            ("calls_on_their_way", "of them were on their way into the log"),
            ("units_finished", "files are in after all"),
            ("units_discarded", "files were half in and are out again"),
            ("erasures_finished", "erasures were finished"),
            ("versions_to_follow", "versions of the event table are yet to be followed"),
        )
        if found[name]
    ]
    begun = "the run before was killed" if found["killed"] else "the run before ended well"
    parts += [f"damaged: {fault['message']}" for fault in found["damage"]]
    return "; ".join([begun, *(parts or ["nothing was left undone"])])
