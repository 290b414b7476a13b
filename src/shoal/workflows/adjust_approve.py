"""A person's word about a change that waits: it is put in force, or dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from shoal.adjust.adjustment import REFIT, RETRAIN, Adjustment, Proposal
from shoal.adjust.align import Alignment, Change
from shoal.domain.errors import UsageError
from shoal.domain.time import iso, parse_moment
from shoal.segments.artefact import MAIN
from shoal.workflows import adjust_state, reference
from shoal.workflows.adjust import Ground, Job
from shoal.workflows.adjust_publish import Making, publisher_of, told_of, written
from shoal.workflows.adjust_result import APPROVAL, REFUSAL, AdjustResult
from shoal.workflows.adjust_retrain import settle
from shoal.workflows.adjust_state import Candidate
from shoal.workflows.adjuster import Live
from shoal.workflows.adjuster_changes import rearranged, told_lineage
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.known import from_events


def decline(ground: Ground, look: str, *, by: str) -> AdjustResult:
    """Let a change that waits be forgotten; who said so is written down.

    Raises:
        UsageError: `usage`, nothing of this look waits.
        OperationError: `shop_locked`, `artefact_damaged`.
    """
    with ground.store.lease():
        adjust_state.sweep(ground.registry, ground.store)
        told = _waiting(ground, look)
        job = Job(ground)
        document = _said(REFUSAL, told, job.found.segmentation_id, by)
        name = adjust_state.write(ground.registry, document, job.state, job.found.segmentation_id)
        with ground.store.transaction():
            adjust_state.remember(ground.store, name, ground.clock(), waiting=False)
    return AdjustResult({"schema": adjust_state.SCHEMA, "adjust_id": name, **document})


def approve(ground: Ground, look: str, *, by: str) -> AdjustResult:
    """Put in force what waits, applied to customers as they are now.

    Raises:
        UsageError: `usage`, nothing of this look waits, or other segments are in force by now.
        OperationError: `shop_locked`, `artefact_damaged`, `disk_full`: the segmentation in force
            stays, and the change waits on.
    """
    with ground.store.lease():
        adjust_state.sweep(ground.registry, ground.store)
        told = _waiting(ground, look)
        return _Approval(ground, look, told, by).run()


def _waiting(ground: Ground, look: str) -> dict[str, Any]:
    """The document of the look that waits.

    Raises:
        UsageError: `usage`: it does not, or it would change segments that are in force no more.
    """
    pending = adjust_state.pending(ground.store)
    if pending != look:
        _check_base(ground, look)
        told = "nothing waits for anybody's word" if pending is None else f"{pending} waits"
        raise UsageError(
            "usage",
            f"{look} does not wait for a person's word",
            where=look,
            hint=f"{told[0].upper()}{told[1:]}; shoal adjustments SHOP lists all looks.",
        )
    return adjust_state.document_at(ground.registry, look)


def _check_base(ground: Ground, look: str) -> None:
    """Hold that a look is not about segments that others have taken the place of.

    Raises:
        UsageError: `usage`.
    """
    base = adjust_state.overtaken(ground.store, look)
    if base is not None:
        in_force = ground.store.get_pointer(MAIN)
        raise UsageError(
            "usage",
            f"{look} would change {base}, but {in_force} is in force now",
            where=look,
            hint="Nothing of it waits any more: look again (shoal adjust SHOP), or go back to "
            f"{base} first (shoal rollback SHOP {base}).",
        )


@dataclass
class _Approval:
    """One change that is approved."""

    ground: Ground
    look: str
    told: Mapping[str, Any]
    by: str

    def run(self) -> AdjustResult:
        ground = self.ground
        job = Job(ground)
        candidate = adjust_state.candidate_of(ground.registry, self.look)
        moment = job.moment()
        recorded = job.advanced(moment)
        now = ground.clock()
        making, moved = self._making(job, candidate, recorded)
        publisher = publisher_of(ground, making, job.version, now)
        made = written(publisher, making)
        state = self._state(job, making.live, moved)
        document = _said(APPROVAL, self.told, job.found.segmentation_id, self.by) | {
            "published": made.segmentation_id,
            "as_of": iso(moment),
            "changed": True,
            "moved": moved,
            "changes": [one for one in making.lineage["changes"] if one["change"] != "continue"],
            "spent": state.spent(moment),
        }
        name = adjust_state.write(ground.registry, document, state, made.segmentation_id)
        with ground.store.transaction():
            publisher.remember(made)
            ground.store.set_pointer(reference.POINTER, making.reference_id, now)
            if making.live.model_id != job.found.document.get("model_id"):
                settle(ground, str(making.live.model_id), now)
            adjust_state.remember(ground.store, name, now, waiting=False)
        return AdjustResult({"schema": adjust_state.SCHEMA, "adjust_id": name, **document})

    def _making(self, job: Job, candidate: Candidate, recorded: pa.Table) -> tuple[Making, float]:
        ground, document = self.ground, candidate.document
        on = {"on": job.found.document["on"], "model_id": document["model_id"]}
        model = of_segmentation(on, ground.registry, ground.fold)
        moment = job.moment()
        known = from_events(
            ground.admission.at(moment, version=job.version), ground.fold, ground.zone, moment,
            reference.read(ground.registry, document["reference_id"]),
            model=model, version=job.version,
        )  # fmt: skip
        live = Live(
            job.found.segmentation_id, candidate.segmenter, candidate.vocabulary,
            float(document["margin"]), parse_moment(document["fitted_at"]),
            int(document["highest"]), model_id=document["model_id"],
        )  # fmt: skip
        memberships, moved = rearranged(live.in_force, known, recorded)
        adjustments = [_adjustment(one) for one in document["adjustments"]]
        lineage = told_lineage(
            adjustments, job.segmenter.ids, live.segmenter.ids, recorded, memberships, known,
            previous_id=job.found.segmentation_id, highest=live.highest,
            aligned=_alignment(document["lineage"], adjustments, live),
        )  # fmt: skip
        told = told_of(live, document["adjustments"]) | {"approved_by": self.by}
        making = Making(
            job.found, live, known, memberships, lineage, told, None,
            str(document["reference_id"]), model, document["choice"],
        )  # fmt: skip
        return making, moved

    def _state(self, job: Job, live: Live, moved: float) -> AdjusterState:
        """Statistics are gathered anew; monitors begin anew where all segments were made anew."""
        moment = job.moment()
        anew = live.fitted_at != job.state.fitted_at
        return replace(
            job.state,
            fitted_at=live.fitted_at,
            ledger=job.state.with_moved(moment, moved),
            statistics=None,
            monitors=None if anew else job.state.monitors,
        )


def _said(kind: str, told: Mapping[str, Any], in_force: str, by: str) -> dict[str, Any]:
    """What is written down of a person's word."""
    shown = ("as_of", "customers", "adjustments", "gates", "spent", "next_look", "table_version")
    return {
        "kind": kind, "of": told["adjust_id"], "by": by, "looked": False, "dry_run": False,
        "segmentation_id": in_force, **{name: told[name] for name in shown},
        "alarms": [], "considered": [], "blocked": [], "dropped": [], "retrained": None,
        "changed": False, "moved": 0.0, "changes": [],
        "notes": [], "published": None, "waiting": None,
    }  # fmt: skip


def _adjustment(document: Mapping[str, Any]) -> Adjustment:
    """What `Adjustment.as_document` wrote."""
    proposal = Proposal(
        document["action"], tuple(document["segments"]), document["gain"], document["gain_error"],
        document["moved"], document["cost"], tuple(document["alarms"]), document["evidence"],
        document.get("due", False),
    )  # fmt: skip
    return Adjustment(
        document["action"], proposal, document["probability"], document["policy"],
        document["reason"], tuple(document["approval"]),
    )  # fmt: skip


def _alignment(
    lineage: Mapping[str, Any], adjustments: list[Adjustment], live: Live
) -> Alignment | None:
    """Who is who in segments that were all made anew; None of others, which tell it themselves."""
    if not any(one.action in (REFIT, RETRAIN) for one in adjustments):
        return None
    changes = tuple(
        Change(
            one["change"], tuple(one["parents"]), tuple(one["children"]), one["customers"],
            one["share"], float("nan") if one["confidence"] is None else one["confidence"],
        )
        for one in lineage["changes"]
    )  # fmt: skip
    same = {one["segment_id"]: one["overlap"] for one in lineage["segments"] if one["continues"]}
    return Alignment(live.segmenter.ids, same, changes, {}, 0, live.highest)
