"""A person's word about a change that waits: it is put in force, or dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from shoal.adjust.adjustment import REFIT, RETRAIN, Adjustment, Proposal
from shoal.adjust.align import Alignment, Change
from shoal.adjust.canary import DROPPED, PROMOTED, REASONS
from shoal.domain.errors import UsageError
from shoal.domain.time import iso, parse_moment
from shoal.segments.artefact import MAIN
from shoal.workflows import adjust_state, canary, reference
from shoal.workflows.adjust import Ground, Job
from shoal.workflows.adjust_canary import Promotion, anew, beginning
from shoal.workflows.adjust_publish import Making, publisher_of, told_of, written
from shoal.workflows.adjust_result import APPROVAL, REFUSAL, AdjustResult
from shoal.workflows.adjust_retrain import forget, latest_document, settle
from shoal.workflows.adjust_state import Candidate
from shoal.workflows.adjuster import Live
from shoal.workflows.adjuster_changes import rearranged, told_lineage
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.advance import recorded_until
from shoal.workflows.canary import Canary
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.known import from_events
from shoal.workflows.segment_publish import Written

#: Who gave a word without a name.
SOMEBODY = "somebody"


def decline(ground: Ground, look: str, *, by: str) -> AdjustResult:
    """Let a change that waits be forgotten, or stop one that is tried on some customers: they get
    back what the live version says of them. Who said so is written down.

    Raises:
        UsageError: `usage`, nothing of this look waits.
        OperationError: `shop_locked`, `artefact_damaged`.
    """
    with ground.store.lease():
        adjust_state.sweep(ground.registry, ground.store)
        trial = _tried(ground, look)
        if trial is not None:
            return _Early(ground, trial, by).stopped()
        told = _waiting(ground, look)
        job = Job(ground)
        document = _said(REFUSAL, told, job.found.segmentation_id, by)
        name = adjust_state.write(ground.registry, document, job.state, job.found.segmentation_id)
        with ground.store.transaction():
            adjust_state.remember(ground.store, name, ground.clock(), waiting=False)
    return AdjustResult({"schema": adjust_state.SCHEMA, "adjust_id": name, **document})


def approve(ground: Ground, look: str, *, by: str) -> AdjustResult:
    """Put in force what waits, applied to customers as they are now; segments made anew for a share
    of customers first, if so configured. What is tried already is put in force for all.

    Raises:
        UsageError: `usage`, nothing of this look waits, or other segments are in force by now; it
            is tried, and tracking is broken.
        OperationError: `shop_locked`, `artefact_damaged`, `disk_full`: the segmentation in force
            stays, and the change waits on.
    """
    with ground.store.lease():
        adjust_state.sweep(ground.registry, ground.store)
        trial = _tried(ground, look)
        if trial is not None:
            return _Early(ground, trial, by).promoted()
        told = _waiting(ground, look)
        return _Approval(ground, look, told, by).run()


def _tried(ground: Ground, look: str) -> Canary | None:
    """The canary of a look, if it runs."""
    found = canary.running(ground.store)
    return found if found is not None and found.adjust_id == look else None


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
        if job.tries and anew([_adjustment(one) for one in candidate.document["adjustments"]]):
            return self._begun(job, making, made, recorded, now)
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

    def _begun(
        self, job: Job, making: Making, made: Written, recorded: pa.Table, now: datetime
    ) -> AdjustResult:
        """Let what was approved be in force for a share of customers first."""
        ground, base = self.ground, job.found.segmentation_id
        told = {"adjust_id": self.look, "by": self.by or SOMEBODY}
        found = beginning(ground.dials, base, made, recorded, **told)
        moment = job.moment()
        state = replace(job.state, ledger=job.state.with_moved(moment, found.share))
        document = _said(APPROVAL, self.told, base, self.by) | {
            "as_of": iso(moment), "canary": found.as_document(), "spent": state.spent(moment),
            "next_look": iso(job.next_after(job.state.looked_at or moment, found.trial)),
        }  # fmt: skip
        name = adjust_state.write(ground.registry, document, state, base)
        with ground.store.transaction():
            found.begin(ground, self.look, now, job.version)
            if making.live.model_id != job.found.document.get("model_id"):
                forget(ground)
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


@dataclass
class _Early:
    """A person's word about what is tried, before its days are over or where it is asked for."""

    ground: Ground
    trial: Canary
    by: str

    def promoted(self) -> AdjustResult:
        """Put it in force for all."""
        ground, trial = self.ground, self.trial
        job = Job(ground)
        broken = latest_document(ground).get("blocked")
        if broken:
            raise UsageError(
                "usage",
                f"tracking is broken ({', '.join(broken)}): {trial.segmentation_id} was tried on "
                "what that says",
                where=trial.adjust_id,
                hint="Mend it and look again (shoal adjust SHOP), or stop it: "
                f"shoal adjust SHOP --decline {trial.adjust_id}",
            )
        moment = job.moment()
        job.advanced(moment)
        promotion = Promotion.of(job, trial, moment)
        state = promotion.state(job.state, moment)
        document = self._document(APPROVAL, job, moment, state) | {
            "published": trial.segmentation_id, "changed": True, "moved": promotion.moved,
        }  # fmt: skip
        name = adjust_state.write(ground.registry, document, state, trial.segmentation_id)
        now = ground.clock()
        with ground.store.transaction():
            promotion.put_in_force(job, trial, "word", moment, now, by=self.by)
            adjust_state.remember(ground.store, name, now, waiting=False)
        return AdjustResult({"schema": adjust_state.SCHEMA, "adjust_id": name, **document})

    def stopped(self) -> AdjustResult:
        """Let it be in force for nobody."""
        ground, job = self.ground, Job(self.ground)
        moment = recorded_until(ground.store, job.found).until
        document = self._document(REFUSAL, job, moment, job.state)
        name = adjust_state.write(ground.registry, document, job.state, self.trial.base_id)
        now = ground.clock()
        with ground.store.transaction():
            canary.end(ground.store, DROPPED, "word", moment, now, by=self.by)
            adjust_state.remember(ground.store, name, now, waiting=False, clear=False)
        return AdjustResult({"schema": adjust_state.SCHEMA, "adjust_id": name, **document})

    def _document(
        self, kind: str, job: Job, moment: datetime, state: AdjusterState
    ) -> dict[str, Any]:
        told = adjust_state.document_at(self.ground.registry, self.trial.adjust_id)
        outcome = PROMOTED if kind == APPROVAL else DROPPED
        return _said(kind, told, job.found.segmentation_id, self.by) | {
            "as_of": iso(moment), "spent": state.spent(moment),
            "next_look": iso(job.next_after(job.state.looked_at or moment, None)),
            "canary": {
                **self.trial.as_document(), "outcome": outcome, "reason": "word",
                "words": REASONS["word"].as_document(),
            },
        }  # fmt: skip


def _said(kind: str, told: Mapping[str, Any], in_force: str, by: str) -> dict[str, Any]:
    """What is written down of a person's word."""
    shown = ("as_of", "customers", "adjustments", "gates", "spent", "next_look", "table_version")
    return {
        "kind": kind, "of": told["adjust_id"], "by": by, "looked": False, "dry_run": False,
        "segmentation_id": in_force, **{name: told[name] for name in shown},
        "alarms": [], "considered": [], "blocked": [], "dropped": [], "retrained": None,
        "changed": False, "moved": 0.0, "changes": [],
        "notes": [], "published": None, "waiting": None, "canary": None,
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
