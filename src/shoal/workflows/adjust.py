"""Adjust the segments of a shop once: look, decide, and put in force what passes the gates.

`shoal.workflows.adjuster` looks and decides; here a shop is read for it, and what it changed is
published with its lineage and causes. Everything that counts is written in one transaction at the
end: killed at any point, the last good version stays in force, and what was left half made is swept
by the next look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from shoal.adjust.settings import AdjustSettings
from shoal.config import BehaviourConfig, SegmentConfig
from shoal.domain.errors import UsageError
from shoal.domain.text import Text
from shoal.domain.time import Clock, Zone, parse_moment, system_clock
from shoal.features import reference as references
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.inputs import FEATURES
from shoal.workflows import adjust_state, canary, reference
from shoal.workflows.adjust_canary import judged, possible
from shoal.workflows.adjust_publish import Publishing
from shoal.workflows.adjust_result import AdjustResult, nothing_new
from shoal.workflows.adjust_retrain import Trained, due_of, latest_document, trained_on
from shoal.workflows.adjuster import Adjusted, Adjuster, Live, Retrained
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.admission import Admission
from shoal.workflows.advance import InForce, advance, margin_of, recorded_until
from shoal.workflows.canary import Canary
from shoal.workflows.embedded import ModelInUse, of_segmentation
from shoal.workflows.known import Known, from_events
from shoal.workflows.memberships import current, fold_warning
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.refresh import refresh
from shoal.workflows.segment_identity import highest_number
from shoal.workflows.segment_learn import Learner
from shoal.workflows.segment_settled import Settled


@dataclass(frozen=True)
class Ground:
    """A shop that is adjusted: what every step of it needs.

    Args:
        dials: of adjustment.
        work_dir, text_cache: the shop's directories of work under way and of vectors of titles, for
            a training.
        behaviour: how the behaviour model is trained.
        retrain: whether it may be trained on.
    """

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    settings: SegmentConfig
    dials: AdjustSettings
    work_dir: Path | None = None
    text_cache: Path | None = None
    behaviour: BehaviourConfig | None = None
    retrain: bool = False
    clock: Clock = system_clock
    progress: Progress = field(default_factory=NoProgress)

    def applied(self) -> dict[str, Any]:
        """What workflows that apply a segmentation need."""
        return {
            "warehouse": self.warehouse, "store": self.store, "registry": self.registry,
            "fold": self.fold, "zone": self.zone, "admission": self.admission,
        }  # fmt: skip


def adjust(
    ground: Ground,
    *,
    as_of: datetime | None = None,
    dry_run: bool = False,
    if_due: bool = False,
    granted: Callable[[], None] | None = None,
) -> AdjustResult:
    """Look at the main segmentation, and adjust it where that pays and the gates allow it.

    Memberships are moved on to the moment first, as `refresh` does.

    Args:
        as_of: T, which may lie after the latest event. None: just after it, or up to when
            memberships are recorded where that is later.
        dry_run: say what would be done; nothing is written.
        if_due: do nothing before the cadence asks for a look.
        granted: called where there is something to look at, before the shop is written to; returns
            once it may be. A service that holds the shop stands aside meanwhile.

    Raises:
        UsageError: `unknown_segmentation`, there is none; `usage`, the main one is by rules;
            `bad_period`, a later moment was looked at, or is recorded, already.
        InputError: `too_little_data`, no customer has an event before the moment.
        OperationError: `shop_locked`, `artefact_damaged`, `disk_full`, `no_permission`: the
            segmentation in force stays.
    """
    trained: Trained | None = None
    notes: tuple[Text, ...] = ()
    if ground.retrain and not dry_run:
        trained, notes = _trained(ground, as_of, if_due=if_due)
    if granted is not None:
        job = Job(ground)
        moment = job.moment(as_of)
        if not job.asks(moment, if_due=if_due):
            return nothing_new(job.found, job.state, moment, job.next_look())
        granted()
    with ground.store.lease():
        if not dry_run:
            adjust_state.sweep(ground.registry, ground.store)
        return Job(ground, dry_run=dry_run, trained=trained, notes=notes).run(as_of, if_due=if_due)


def _trained(
    ground: Ground, as_of: datetime | None, *, if_due: bool
) -> tuple[Trained | None, tuple[Text, ...]]:
    """The behaviour model trained on, where that is due; without the lease, for it takes long."""
    job = Job(ground)
    moment = job.moment(as_of)
    if job.trial is not None:
        return None, ()  # what is tried is judged first
    if job.model is None or not job.asks(moment, if_due=if_due):
        return None, ()
    due = due_of(ground, latest_document(ground), job.model, moment, job.version)
    return trained_on(ground, job.model, due, moment)


@dataclass
class Job:
    """One look at a shop; the steps in the order of `run`."""

    ground: Ground
    dry_run: bool = False
    trained: Trained | None = None
    notes: tuple[Text, ...] = ()
    items: pa.Table | None = None
    renewed: bool = False
    _past: dict[datetime, Known] = field(default_factory=dict)
    _read: dict[datetime, Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ground = self.ground
        self.found: SegmentationArtefact = current(ground.store, ground.registry)
        if not isinstance(self.found.segmenter, ClusterSegmenter):
            raise UsageError(
                "usage",
                f"{self.found.segmentation_id} is made by rules, which learn nothing",
                where=self.found.segmentation_id,
                hint="Segments that adjust are learned: shoal segment SHOP",
            )
        self.segmenter: ClusterSegmenter = self.found.segmenter
        self.version = ground.warehouse.version()
        self.model = of_segmentation(self.found.document, ground.registry, ground.fold)
        self.trial: Canary | None = canary.beside(ground.store, self.found.segmentation_id)
        self.state = self._state()

    def run(self, as_of: datetime | None, *, if_due: bool) -> AdjustResult:
        moment = self.moment(as_of)
        if not self.asks(moment, if_due=if_due):
            return nothing_new(self.found, self.state, moment, self.next_look())
        adjuster = self.adjuster(moment)
        warnings = list(fold_warning(self.found.document, self.ground.fold))
        recorded = self.advanced(moment)
        adjusted = self.look(adjuster, moment, recorded)
        told = None
        if self.trial is not None:
            told = judged(self, self.trial, moment, blocked=bool(adjusted.blocked))
        return Publishing(self, adjuster, adjusted, tuple(warnings), told).result()

    def asks(self, moment: datetime, *, if_due: bool) -> bool:
        """Whether there is anything to look at: a moment that was not looked at yet, and, if the
        cadence is to be kept, one that is late enough."""
        return self.state.looked_at != moment and (not if_due or moment >= self.next_look())

    def look(self, adjuster: Adjuster, moment: datetime, recorded: pa.Table) -> Adjusted:
        """The look itself; nothing is written."""
        progress = self.ground.progress
        progress.start("look", None)
        try:
            return adjuster.look(self.known(moment), self.known, recorded)
        finally:
            progress.done()

    # -- what is there -----------------------------------------------------------------------------

    def _state(self) -> AdjusterState:
        """What earlier looks left; of another segmentation only what was spent counts on."""
        fitted_at = fitted_at_of(self.found)
        told = adjust_state.state_of(self.ground.store, self.ground.registry)
        if told is None:
            return AdjusterState(fitted_at)
        segmentation_id, state = told
        if segmentation_id == self.found.segmentation_id:
            return state
        return AdjusterState(fitted_at, state.looked_at, ledger=state.ledger)

    def moment(self, as_of: datetime | None = None) -> datetime:
        """What was asked for, or just after the latest event, or up to when the log is written."""
        if as_of is not None:
            return as_of
        ground = self.ground
        known = [latest_moment(ground.warehouse, version=self.version)]
        known.append(recorded_until(ground.store, self.found).until)
        return max(known)

    def adjuster(self, moment: datetime) -> Adjuster:
        """As `shoal.workflows.adjuster` wants it."""
        found, ground = self.found, self.ground
        live = Live(
            found.segmentation_id, self.segmenter, found.vocabulary, margin_of(found),
            self.state.fitted_at, highest_number(ground.registry),
            Settled.of(found.document, found.segmenter),
            None if self.model is None else self.model.model_id,
        )  # fmt: skip
        retrained = None
        # one that goes on from another model than the live segments read has nothing to say of them
        if self.trained is not None and live.model_id == self.trained.was:
            reads = self.learner(self.trained.model)
            retrained = Retrained(reads, self.known_trained, self.trained.evidence)
        adjuster = Adjuster(
            live, self.learner(), ground.dials, self.state, retrained=retrained, tries=self.tries
        )
        if self.trial is not None:  # one change is judged at a time
            adjuster = replace(adjuster, actions=frozenset())
        self.items = self._items(moment, renew=adjuster.challenges(moment))
        return adjuster

    @property
    def tries(self) -> bool:
        """Whether segments made anew go to a share of customers first."""
        return possible(self.ground.dials, self.placed)

    @property
    def placed(self) -> int:
        """How many customers the segments in force were made of."""
        return int(self.found.document["customers"]["placed"])

    def learner(self, model: ModelInUse | None = None) -> Learner:
        """One that fits challengers as the live segments were fitted."""
        document, ground = self.found.document, self.ground
        told = document["parameters"].get("k", "chosen")
        choice = document.get("choice") or {}
        return Learner(
            ground.fold, ground.zone, ground.admission, ground.settings,
            told if isinstance(told, int) else 0, int(document["seed"]), self.version,
            ground.progress, on=document.get("on", FEATURES), model=model or self.model,
            aim=choice.get("aim"),
        )  # fmt: skip

    def _items(self, moment: datetime, *, renew: bool) -> pa.Table:
        """Facts of items: those that the live segments read, or all that are known by now."""
        ground = self.ground
        if not renew:
            return reference.read(ground.registry, self.found.document["reference_id"])
        events = ground.admission.at(moment, version=self.version)
        files = events.events(version=self.version)
        self.renewed = True
        return references.build(events.engine, files, moment, ground.fold.rules.noise)

    def known(self, moment: datetime) -> Known:
        """What is known of all customers at a moment, read once.

        Raises:
            InputError: `too_little_data`, nobody is known then.
        """
        if moment not in self._past:
            ground = self.ground
            counted = ground.admission.at(moment, version=self.version)
            self._past[moment] = from_events(
                counted, ground.fold, ground.zone, moment, self.items,
                model=self.model, version=self.version,
            )  # fmt: skip
        return self._past[moment]

    def advanced(self, moment: datetime) -> pa.Table:
        """Memberships moved on to the moment by the segments in force."""
        ground = self.ground
        ids = canary.kept(ground.store, self.found.segmentation_id)
        until = recorded_until(ground.store, self.found)
        if self.dry_run and moment >= until.until:
            recorded = ground.store.get_memberships(ids)
            step = advance(
                self.known(moment), InForce.of(self.found), recorded, since=until.known_at
            )
            return step.memberships
        if until.until != moment:
            refresh(**ground.applied(), as_of=moment, progress=ground.progress)
        return ground.store.get_memberships(ids)

    def known_trained(self, moment: datetime) -> Known:
        """The same, as the model reads it that was trained on."""
        assert self.trained is not None
        if moment not in self._read:
            known = self.known(moment)
            counted = self.ground.admission.at(moment, version=self.version)
            embedded = self.trained.model.embeddings(counted, moment, version=self.version)
            self._read[moment] = replace(known, embeddings=embedded)
        return self._read[moment]

    def known_by(self, live: Live, moment: datetime) -> Known:
        """What a segmentation reads of all customers at a moment."""
        return self.known_trained(moment) if self.on_trained(live) else self.known(moment)

    def model_by(self, live: Live) -> ModelInUse | None:
        """The behaviour model that it reads."""
        return self.trained.model if self.trained and self.on_trained(live) else self.model

    def on_trained(self, live: Live) -> bool:
        """Whether it reads the model that was trained on."""
        return self.trained is not None and live.model_id == self.trained.model.model_id

    def next_look(self) -> datetime:
        """When the cadence asks for the next look."""
        return self.next_after(self.state.looked_at or self.state.fitted_at, self.trial)

    def next_after(self, last: datetime, trial: Canary | None) -> datetime:
        """When the cadence asks for a look after one, or a canary's days are over before."""
        due = last + timedelta(days=self.ground.dials.cadence_days)
        return due if trial is None or last >= trial.until else min(due, trial.until)


def fitted_at_of(found: SegmentationArtefact) -> datetime:
    """When all segments of a segmentation were made together."""
    told: Mapping[str, Any] = found.document.get("adjusted") or {}
    return parse_moment(told.get("fitted_at") or found.document["as_of"])
