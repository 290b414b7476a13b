"""What a sync does once everything is in, a step a function.

Each step can be done again without harm: a membership that is recorded is not recorded twice, a
look that was taken is not due again, a list that was delivered holds nothing more to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import iso
from shoal.ports import StateStore
from shoal.segments import artefact
from shoal.workflows.ingest_result import IngestResult
from shoal.workflows.movement_report import MovementReport
from shoal.workflows.refresh import Refreshed
from shoal.workflows.sync_journal import Run

#: Setting that says of how many customers no segments could be learned.
_TRIED: Final = "sync.segments_tried"
#: So many times as many customers, and it is tried again.
_GROWN: Final = 1.25


class Doors(Protocol):
    """The verbs of a shop that a sync drives."""

    def ingest(self) -> IngestResult: ...

    def catch_up(self) -> None: ...

    def fingerprint(self) -> str:
        """Of what decides which events count and what features mean."""
        ...

    def segment(self) -> str:
        """Make segments; the id of the main segmentation."""
        ...

    def refresh(self) -> Refreshed: ...

    def adjust(self) -> Mapping[str, Any]:
        """The document `shoal.adjust/1` of a look, where one is due."""
        ...

    def lists(self, stem: str) -> Mapping[str, Any]:
        """Write what changed on each list, in files whose names begin with `stem`."""
        ...

    def movement(self) -> MovementReport: ...


@dataclass(frozen=True)
class SyncOrder:
    """What is asked of a sync.

    Args:
        export_dir: where lists go; None: none are written.
        format, channel, to: of the lists.
        adjust: whether the segments may be adjusted.
        as_of: the moment to move on to; None: just after the latest event.
    """

    export_dir: Path | None = None
    format: str = "csv"
    channel: str = ""
    to: str = "nightly"
    adjust: bool = True
    as_of: datetime | None = None

    def as_document(self) -> dict[str, Any]:
        """What makes a call with the same data another one."""
        return {
            "lists": None
            if self.export_dir is None
            else [str(self.export_dir), self.format, self.channel, self.to],
            "adjust": self.adjust,
            "as_of": None if self.as_of is None else iso(self.as_of),
        }


@dataclass
class Night:
    """What the steps of one call share."""

    doors: Doors
    order: SyncOrder
    store: StateStore
    warnings: list[str] = field(default_factory=list)

    @property
    def main(self) -> str | None:
        """The main segmentation; None where there is none yet."""
        return self.store.get_pointer(artefact.MAIN)


def segments(night: Night, run: Run) -> dict[str, Any]:
    """Make segments where the shop has no learned ones and enough customers for them."""
    main = night.main
    ruled = main in [night.store.get_pointer(one) for one in artefact.BESIDE.values()]
    if main is not None and not ruled:
        return {"made": None}
    customers = night.store.count_states()
    tried = int(night.store.get_settings().get(_TRIED) or 0)
    if tried and customers < _GROWN * tried:
        return {"made": None, "why": f"too few customers at {tried:,}, and few came since"}
    try:
        made = night.doors.segment()
    except InputError as error:
        if error.code != "too_little_data":
            raise
        night.store.put_setting(_TRIED, str(customers))
        night.warnings.append(f"No segments yet: {error.message}.")
        return {"made": None, "why": error.message}
    return {"made": made}


def memberships(night: Night, run: Run) -> dict[str, Any]:
    """Move every customer on: by what came in, and by silence."""
    if night.main is None:
        return {"as_of": None, "changed": 0}
    found = night.doors.refresh()
    night.warnings += found.warnings
    return {
        "as_of": iso(found.as_of),
        "changed": found.changed,
        "segmentations": {
            str(one["segmentation_id"]): one["changed"] for one in found.segmentations
        },
    }


def adjust(night: Night, run: Run) -> dict[str, Any]:
    """A look where one is due; a shop whose segments cannot be adjusted goes on without."""
    if not night.order.adjust:
        return {"skipped": "not asked for"}
    if night.main is None:
        return {"skipped": "no segments yet"}
    try:
        found = night.doors.adjust()
    except (UsageError, InputError) as error:
        night.warnings.append(f"Segments were not adjusted: {error.message}.")
        return {"skipped": error.message}
    night.warnings += found["warnings"]
    if not found["looked"]:
        return {"skipped": found["notes"][0]["en"]}
    return {
        "look": found["adjust_id"],
        "alarms": len(found["alarms"]),
        "actions": [one["action"] for one in found["adjustments"]],
        "published": found["published"],
    }


def lists(night: Night, run: Run) -> dict[str, Any]:
    """Say to the destination who entered and who left each segment."""
    if night.order.export_dir is None:
        return {"skipped": "not asked for"}
    if night.main is None:
        return {"skipped": "no segments yet"}
    found = dict(night.doors.lists(run.stem))
    night.warnings += found.pop("warnings", ())
    return found


Step = Callable[[Night, Run], Mapping[str, Any]]

#: In this order, after `ingest`.
STEPS: Final[Mapping[str, Step]] = {
    "segments": segments,
    "memberships": memberships,
    "adjust": adjust,
    "lists": lists,
}


def headline(steps: Mapping[str, Any]) -> str:
    """What was done, in a line."""
    came, moved, adjusted, told = (
        steps[name] for name in ("ingest", "memberships", "adjust", "lists")
    )
    said = [
        f"{came['events']:,} events of {came['files']:,} new files",
        f"{moved['changed']:,} memberships changed",
    ]
    actions = [one for one in adjusted.get("actions") or () if one != "keep"]
    if actions:
        said.append(f"segments adjusted ({', '.join(actions)})")
    if told.get("lists") is not None:
        entered, exited = (
            sum(one[what] for one in told["lists"]) for what in ("entered", "exited")
        )
        said.append(f"{entered:,} entered and {exited:,} left {len(told['lists']):,} lists")
    return "; ".join(said)
