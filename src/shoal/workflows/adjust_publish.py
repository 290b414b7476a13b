"""Put in force what a look changed, and write down the look; all that counts in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.adjust.adjustment import Adjustment
from shoal.adjust.canary import ASKS, DROPPED, PROMOTED
from shoal.domain.text import Text
from shoal.domain.time import iso
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.choose import Choice
from shoal.workflows import adjust_state, canary, reference
from shoal.workflows.adjust_canary import Judged, Promotion, anew, beginning, too_few
from shoal.workflows.adjust_result import LOOK, AdjustResult
from shoal.workflows.adjust_retrain import dropped, forget, settle
from shoal.workflows.adjust_state import Candidate
from shoal.workflows.adjuster import Adjusted, Adjuster, Live
from shoal.workflows.adjuster_live import told
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.known import Known
from shoal.workflows.segment_identity import Identified, Line
from shoal.workflows.segment_publish import Continued, Publisher, Written

if TYPE_CHECKING:
    from shoal.workflows.adjust import Ground, Job
    from shoal.workflows.adjuster_change import Change


@dataclass(frozen=True)
class Making:
    """A changed segmentation that is to be published.

    Args:
        before: the one that it changes.
        memberships: `MEMBERSHIPS_SCHEMA`, of `known` in its order.
        told: what was done, for its document.
        choice: how the number of segments came about; None: `chosen`, else as before.
    """

    before: SegmentationArtefact
    live: Live
    known: Known
    memberships: pa.Table
    lineage: Mapping[str, Any]
    told: Mapping[str, Any]
    choice: Choice | None
    reference_id: str
    model: ModelInUse | None
    chosen: Mapping[str, Any] | None = None


def publisher_of(ground: Ground, making: Making, version: int, now: datetime) -> Publisher:
    """What writes it, with the settings of the segments that it changes."""
    document, model = making.before.document, making.model
    k = document["parameters"].get("k", "chosen")
    settings = replace(
        ground.settings,
        min_events=making.live.segmenter.minimum_events,
        switch_margin=making.live.margin,
    )
    events = ground.admission.at(making.known.as_of, version=version)
    line = Line(ground.registry, ground.fold, events, version, model, making.before.segmentation_id)
    return Publisher(
        ground.store, ground.registry, ground.fold, settings, k if isinstance(k, int) else 0,
        int(document["seed"]), version, now, [], document["on"], model, line,
    )  # fmt: skip


def written(publisher: Publisher, making: Making) -> Written:
    """The artefact, complete and not in force yet."""
    names = {
        one["segment_id"]: Text(**one["name"])
        for one in making.before.document["segments"]
        if one["segment_id"] in making.live.segmenter.ids
    }
    who = Identified(making.live.segmenter, making.lineage, names, making.before.segmentation_id)
    choice = making.chosen or making.before.document.get("choice")
    return publisher.write(
        making.live.segmenter, making.choice, making.known, making.live.vocabulary,
        making.reference_id, Continued(who, making.memberships, making.told, choice),
    )  # fmt: skip


def told_of(live: Live, adjustments: Sequence[Adjustment | Mapping[str, Any]]) -> dict[str, Any]:
    """What a segmentation's document says of how it was adjusted."""
    done = [one.as_document() if isinstance(one, Adjustment) else one for one in adjustments]
    shown = ("action", "segments", "gain", "gain_error", "moved", "reason", "policy", "probability")
    return {
        "fitted_at": iso(live.fitted_at),
        "adjustments": [
            {name: one[name] for name in shown} for one in done if one["action"] != "keep"
        ],
    }


@dataclass(frozen=True)
class Publishing:
    """What is made of a look."""

    job: Job
    adjuster: Adjuster
    adjusted: Adjusted
    warnings: tuple[str, ...] = ()
    judged: Judged | None = None

    def result(self) -> AdjustResult:
        """Write it down and put it in force; on a dry run only say it."""
        document = adjust_state.plain(self._document())
        if self.job.dry_run:
            dry = {"schema": adjust_state.SCHEMA, "adjust_id": None}
            return AdjustResult({**dry, **document, "waiting": self._asking()}, self.warnings)
        ground = self.job.ground
        now = ground.clock()
        if self.adjusted.trial is not None:
            return self._begun(self.adjusted.trial, document, now)
        if self.judged is not None and self.judged.verdict.outcome in (PROMOTED, DROPPED):
            return self._ended(self.judged, document, now)
        making, publisher, made = None, None, None
        if self.adjusted.changed:
            ground.progress.start("publishing", None)
            making = self._making(self.adjusted, self._reference())
            publisher = publisher_of(ground, making, self.job.version, now)
            made = written(publisher, making)
            ground.progress.done()
        in_force = self.job.found.segmentation_id if made is None else made.segmentation_id
        candidate = self._candidate(in_force, making)
        document |= {"published": None if made is None else made.segmentation_id}
        document["waiting"] = self._asking()
        look = adjust_state.write(
            ground.registry, document, self.adjusted.state, in_force, candidate
        )
        with ground.store.transaction():
            if publisher is not None and made is not None and making is not None:
                publisher.remember(made)
                ground.store.set_pointer(reference.POINTER, making.reference_id, now)
                if self.job.on_trained(making.live) and making.live.model_id is not None:
                    settle(ground, making.live.model_id, now)
            adjust_state.remember(
                ground.store, look, now, waiting=candidate is not None,
                clear=made is not None or candidate is not None,
            )  # fmt: skip
            if self._asks is not None:
                adjust_state.ask(ground.store, self._asks.trial.adjust_id)
        document["waiting"] = self._asking(look)
        return self._told(look, document)

    def _begun(self, change: Change, document: dict[str, Any], now: datetime) -> AdjustResult:
        """Publish what goes to a share of customers first; the live version stays in force."""
        job, ground = self.job, self.job.ground
        ground.progress.start("publishing", None)
        making = self._making(change, self._reference())
        made = written(publisher_of(ground, making, job.version, now), making)
        ground.progress.done()
        base = job.found.segmentation_id
        recorded = ground.store.get_memberships(base)
        found = beginning(ground.dials, base, made, recorded)
        moment, state = self.adjusted.moment, self.adjusted.state
        state = replace(state, ledger=job.state.with_moved(moment, found.share))
        document |= {
            "canary": adjust_state.plain(found.as_document()), "spent": state.spent(moment),
            "next_look": iso(job.next_after(moment, found.trial)),
        }  # fmt: skip
        look = adjust_state.write(ground.registry, document, state, base)
        with ground.store.transaction():
            found.begin(ground, look, now, job.version)
            if job.on_trained(change.live):
                forget(ground)
            adjust_state.remember(ground.store, look, now, waiting=False)
        document["canary"]["adjust_id"] = look
        return self._told(look, document)

    def _ended(self, told: Judged, document: dict[str, Any], now: datetime) -> AdjustResult:
        """Put what was tried in force for all, or for nobody."""
        job, ground, trial = self.job, self.job.ground, told.trial
        moment, state, base = self.adjusted.moment, self.adjusted.state, trial.base_id
        promotion = None
        if told.verdict.outcome == PROMOTED:
            promotion = Promotion.of(job, trial, moment)
            state, base = promotion.state(state, moment), trial.segmentation_id
            document |= {
                "published": base, "changed": True, "moved": promotion.moved,
                "spent": state.spent(moment),
            }  # fmt: skip
        document["next_look"] = iso(job.next_after(moment, None))
        look = adjust_state.write(ground.registry, document, state, base)
        with ground.store.transaction():
            if promotion is not None:
                promotion.put_in_force(job, trial, told.verdict.reason, moment, now)
            else:
                canary.end(ground.store, DROPPED, told.verdict.reason, moment, now)
            adjust_state.remember(
                ground.store, look, now, waiting=False, clear=promotion is not None
            )
        return self._told(look, document)

    def _told(self, look: str, document: dict[str, Any]) -> AdjustResult:
        self._let_go()
        head = {"schema": adjust_state.SCHEMA, "adjust_id": look}
        return AdjustResult({**head, **document}, self.warnings)

    def _let_go(self) -> None:
        """Remove a model that was trained on, is not in force, and does not wait."""
        job, waiting = self.job, self.adjusted.waiting
        if job.trained is None or job.on_trained(self.adjusted.live) or self._tries_trained:
            return
        if waiting is not None and job.on_trained(waiting.live):
            forget(job.ground)
        else:
            dropped(job.ground, job.trained)

    @property
    def _tries_trained(self) -> bool:
        """Whether a model that was trained on goes to a share of customers first."""
        trial = self.adjusted.trial
        return trial is not None and self.job.on_trained(trial.live)

    def _reference(self) -> str:
        """The facts of items that were read, kept."""
        job = self.job
        if not job.renewed or job.items is None:
            return str(job.found.document["reference_id"])
        return reference.keep(job.ground.registry, job.items, self.adjusted.moment)

    def _making(self, made: Adjusted | Change, reference_id: str) -> Making:
        job, live, done = self.job, made.live, made.done
        assert made.lineage is not None
        return Making(
            job.found, live, job.known_by(live, self.adjusted.moment), made.memberships,
            made.lineage, told_of(live, done), made.choice, reference_id, job.model_by(live),
        )  # fmt: skip

    def _candidate(self, in_force: str, making: Making | None) -> Candidate | None:
        waiting = self.adjusted.waiting
        if waiting is None:
            return None
        reference_id = self._reference() if making is None else making.reference_id
        return Candidate(
            waiting.live.segmenter,
            waiting.live.vocabulary,
            {
                "segmentation_id": in_force,
                "as_of": iso(self.adjusted.moment),
                "adjustments": [told(one) for one in waiting.adjustments],
                "lineage": dict(waiting.lineage),
                "choice": None if waiting.choice is None else waiting.choice.as_document(),
                "reference_id": reference_id,
                "fitted_at": iso(waiting.live.fitted_at),
                "highest": waiting.live.highest,
                "margin": waiting.live.margin,
                "model_id": waiting.live.model_id,
            },
        )

    @property
    def _asks(self) -> Judged | None:
        """What is tried and needs a person's word."""
        told = self.judged
        return told if told is not None and told.verdict.outcome == ASKS else None

    def _asking(self, look: str | None = None) -> dict[str, Any] | None:
        """What a person is asked; None: nothing."""
        waiting = self.adjusted.waiting
        if self._asks is not None:
            return self._asks.asking(self.job)
        if waiting is None:
            return None
        asked: dict[str, Any] = {
            "adjust_id": look,
            "reasons": list(waiting.reasons),
            "actions": [one.action for one in waiting.adjustments],
            "moved": waiting.moved,
            "gates": [one.as_document() for one in waiting.gates],
            "changes": [one for one in waiting.lineage["changes"] if one["change"] != "continue"],
        }
        found: dict[str, Any] = adjust_state.plain(asked)
        return found

    def _document(self) -> dict[str, Any]:
        adjusted, job = self.adjusted, self.job
        notes = [*job.notes, *adjusted.notes, *self._model()]
        dials = job.ground.dials
        if dials.canary_share and not job.tries and anew(adjusted.done):
            notes.append(too_few(dials, job.placed))
        return {
            "kind": LOOK,
            "looked": True,
            "dry_run": job.dry_run,
            "segmentation_id": job.found.segmentation_id,
            **adjusted.as_document(),
            "notes": [one.as_document() for one in notes],
            "retrained": None if job.trained is None else dict(job.trained.evidence),
            "spent": adjusted.state.spent(adjusted.moment),
            "next_look": iso(job.next_after(adjusted.moment, job.trial)),
            "table_version": job.version,
            "published": None,
            "waiting": None,
            "canary": None if self.judged is None else self.judged.as_document(),
        }

    def _model(self) -> list[Text]:
        """What became of a model that was trained on."""
        job, waiting = self.job, self.adjusted.waiting
        if job.trained is None or job.on_trained(self.adjusted.live) or self._tries_trained:
            return []
        if waiting is not None and job.on_trained(waiting.live):
            return []
        name, was = job.trained.model.model_id, job.trained.was
        shut = ", ".join(self.adjusted.dropped)
        why = f"the gates {shut} are shut" if shut else "segments on it do not pay"
        return [
            Text(
                f"{name}, trained on from {was}, was dropped: {why}.",
                f"由 {was} 继续训练的 {name} 未被采用：{shut or '据此分群得不偿失'}。",
            )
        ]
