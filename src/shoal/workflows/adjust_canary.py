"""Segments made anew for a share of customers first: begun, judged on what was recorded, ended.

They are published like any version, and in force for the customers of the canary alone
(`shoal.workflows.canary`). At every look until they are in force for all or for nobody they are
judged by `shoal.adjust.canary`; nothing else is changed meanwhile. Promoting moves the pointer to
the version that was tried; its customers stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust import canary as rules
from shoal.adjust.adjustment import REFIT, RETRAIN, Adjustment
from shoal.adjust.canary import BEGUN, PROMOTED, Verdict
from shoal.adjust.gates import Side, asks, gates
from shoal.adjust.settings import AdjustSettings
from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
from shoal.domain.time import DAY_US, iso, parse_moment, to_us
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.assign import places_of
from shoal.segments.base import CUSTOMER, column
from shoal.segments.clustered import ClusterSegmenter
from shoal.workflows import adjust_state, canary, reference
from shoal.workflows.adjust_retrain import settle
from shoal.workflows.adjuster_challenge import foretelling_gain
from shoal.workflows.adjuster_changes import rearranged
from shoal.workflows.adjuster_gates import ACTIVE_DAYS
from shoal.workflows.adjuster_looks import CUSTOMERS_A_SEGMENT, came_since, recorded_places
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.advance import InForce, active_since, record_version
from shoal.workflows.canary import Canary
from shoal.workflows.memberships import known_at
from shoal.workflows.segment_publish import Written

if TYPE_CHECKING:
    from shoal.ports import StateStore
    from shoal.workflows.adjust import Ground, Job


def possible(dials: AdjustSettings, customers: int) -> bool:
    """Whether a share of so many customers tells anything."""
    return dials.canary_share * customers >= rules.LEAST_CUSTOMERS


def too_few(dials: AdjustSettings, customers: int) -> Text:
    """What is said where a canary was asked for and would tell nothing."""
    would = int(dials.canary_share * customers)
    least = rules.LEAST_CUSTOMERS
    return Text(
        f"No canary: {would} customers would be in it, and fewer than {least} tell nothing.",
        f"未试用：仅 {would} 位客户会参与，少于 {least} 位无法判断。",
    )


def anew(adjustments: Sequence[Adjustment]) -> bool:
    """Whether a whole new version comes of adjustments."""
    return any(one.action in (REFIT, RETRAIN) for one in adjustments)


# -- begun -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Beginning:
    """A version that goes to a share of customers.

    Args:
        made: the version, not in force yet.
        customers: in it; `moved`: those of them who change segment.
        share: of all placed customers who change segment for it.
    """

    trial: Canary
    made: Written
    customers: int
    moved: int
    share: float

    def begin(self, ground: Ground, adjust_id: str, now: datetime, version: int) -> None:
        """Let it be in force for them; in the caller's transaction."""
        trial = replace(self.trial, adjust_id=adjust_id)
        canary.begin(ground.store, trial, self.made.members, now, version)

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        told = {"outcome": BEGUN, "customers": self.customers, "moved": self.moved}
        return {**self.trial.as_document(), **told}


def beginning(
    dials: AdjustSettings,
    base_id: str,
    made: Written,
    recorded: pa.Table,
    *,
    adjust_id: str = "",
    by: str = "",
) -> Beginning:
    """What is to begin.

    Args:
        recorded: `MEMBERSHIPS_SCHEMA`, where everybody is.
        adjust_id: the look that asked for it; empty: the one that is about to be written.
        by: who approved the change; empty: nobody was asked.
    """
    until = made.as_of + timedelta(days=dials.canary_days)
    trial = Canary(
        made.segmentation_id, base_id, adjust_id, dials.canary_share, made.as_of, until, by
    )
    mine = trial.of(made.members)
    rows = pc.index_in(mine[CUSTOMER], value_set=recorded[CUSTOMER].combine_chunks())
    stays = pc.fill_null(pc.equal(recorded["segment_id"].take(rows), mine["segment_id"]), False)
    moved = mine.num_rows - int(pc.sum(stays).as_py() or 0)
    placed = int(pc.sum(pc.not_equal(made.members["segment_id"], TIER_NEW)).as_py() or 0)
    return Beginning(trial, made, mine.num_rows, moved, moved / max(placed, 1))


# -- judged ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What a look says of a canary.

    Args:
        evidence: counts and gains behind it, as JSON.
    """

    trial: Canary
    verdict: Verdict
    evidence: Mapping[str, Any]

    def asking(self, job: Job) -> dict[str, Any]:
        """What a person is asked, as JSON."""
        begun = adjust_state.document_at(job.ground.registry, self.trial.adjust_id)
        found: dict[str, Any] = adjust_state.plain(
            {
                "adjust_id": self.trial.adjust_id,
                "reasons": list(asks(self.verdict.gates)),
                "actions": [one["action"] for one in begun["adjustments"]],
                "moved": self.evidence["moved"] / max(self.evidence["customers"], 1),
                "gates": [one.as_document() for one in self.verdict.gates],
                "changes": [],
            }
        )
        return found

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {**self.trial.as_document(), **self.verdict.as_document(), **self.evidence}


def judged(job: Job, trial: Canary, moment: datetime, *, blocked: bool) -> Judged:
    """Judge a canary on what is recorded of its customers up to a moment.

    Args:
        blocked: tracking is broken.
    """
    sides = _Sides.of(job, trial, moment)
    found = list(gates(sides.live, sides.tried, job.ground.dials))
    store, names = job.ground.store, sides.names
    live, tried = (
        rules.returns(
            store.membership_history(names, segmentations=ids), names, trial.since
        )
        for ids in ((trial.base_id, trial.live_log), (trial.segmentation_id,))
    )  # fmt: skip
    found.append(rules.flicker(live, tried))
    over = moment >= trial.until
    told = _foretold(job, trial, moment)
    if told is not None:
        found.append(rules.foretold(told["gain"], told["error"], over=over))
    verdict = rules.verdict(found, over=over, blocked=blocked, approved=bool(trial.approved_by))
    return Judged(
        trial, verdict,
        {
            "as_of": iso(moment),
            "days": (to_us(moment) - to_us(trial.since)) / DAY_US,
            "customers": len(names),
            "moved": int((sides.live_ids != sides.tried_ids).sum()),
            "returns": {"live": int(live.sum()), "canary": int(tried.sum())},
            "future": told,
        },
    )  # fmt: skip


@dataclass(frozen=True)
class _Sides:
    """The same customers, as both versions have them on record."""

    names: list[str]
    live: Side
    tried: Side
    live_ids: Any
    tried_ids: Any

    @classmethod
    def of(cls, job: Job, trial: Canary, moment: datetime) -> _Sides:
        store = job.ground.store
        tried = store.get_memberships(trial.segmentation_id)
        live = store.get_memberships(
            (trial.base_id, trial.live_log), customers=tried[CUSTOMER].to_pylist()
        )
        known = job.known(moment)
        there = live[CUSTOMER].combine_chunks()
        both = pc.and_(
            pc.is_in(tried[CUSTOMER], value_set=there),
            pc.is_in(tried[CUSTOMER], value_set=known.features[CUSTOMER].combine_chunks()),
        )
        tried = tried.filter(both)
        live = live.take(pc.index_in(tried[CUSTOMER], value_set=there))
        rows = pc.index_in(tried[CUSTOMER], value_set=known.features[CUSTOMER].combine_chunks())
        since = moment - timedelta(days=ACTIVE_DAYS)
        active = active_since(known.features, moment, since)[rows.to_numpy()]
        found = artefact.read(job.ground.registry, trial.segmentation_id)
        sides = [
            Side(
                ids := tuple(one.segmenter.segment_ids), column(table, "weight")[:, None],
                places_of(table["segment_id"], ids), active,
            )
            for one, table in ((job.found, live), (found, tried))
        ]  # fmt: skip
        told = [
            np.asarray(one["segment_id"].to_pylist(), dtype=object) for one in (live, tried)
        ]  # fmt: skip
        return cls(tried[CUSTOMER].to_pylist(), *sides, *told)


def _foretold(job: Job, trial: Canary, moment: datetime) -> dict[str, Any] | None:
    """How much better what came of its customers since it began is foretold by where they were put
    than by where the live version had them; None where too little came to tell.

    What a segment does is told by everybody whom either version placed when it began.
    """
    days = (to_us(moment) - to_us(trial.since)) / DAY_US
    if days < 1:
        return None
    store = job.ground.store
    then = job.known(trial.since)
    found = artefact.read(job.ground.registry, trial.segmentation_id)
    assert isinstance(found.segmenter, ClusterSegmenter)
    live = store.get_memberships((trial.base_id, trial.live_log), as_of=trial.since)
    table = then.table(job.found.vocabulary)
    before = recorded_places(live, table[CUSTOMER], job.segmenter)
    after = recorded_places(found.members, table[CUSTOMER], found.segmenter)
    known = job.known(moment)
    there = pc.is_in(table[CUSTOMER], value_set=known.features[CUSTOMER].combine_chunks())
    rows = (before >= 0) & (after >= 0) & there.to_numpy()
    own = trial.chosen(table[CUSTOMER])[rows]
    if own.sum() < CUSTOMERS_A_SEGMENT * max(len(job.segmenter.ids), len(found.segmenter.ids)):
        return None
    table = table.filter(pa.array(rows))
    period = came_since(job.segmenter, job.found.vocabulary, then, table, known, days)
    gain = foretelling_gain(
        period, before[rows], after[rows], seed=int(job.found.document["seed"]), counted=own
    )
    if gain is None:
        return None
    return {**gain.as_document(), "customers": int(own.sum())}


# -- promoted --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Promotion:
    """A version that was tried, about to be in force for all.

    Args:
        memberships: `MEMBERSHIPS_SCHEMA`, where everybody is by it.
        moved: share of the placed customers whom it moves now.
    """

    found: SegmentationArtefact
    memberships: pa.Table
    moved: float

    @classmethod
    def of(cls, job: Job, trial: Canary, moment: datetime) -> Promotion:
        """Customers as they are now; those of the canary stay where they are."""
        ground = job.ground
        found = artefact.read(ground.registry, trial.segmentation_id)
        known = known_at(
            found, ground.admission.at(moment, version=job.version), ground.fold, ground.registry,
            ground.zone, moment, version=job.version, store=ground.store,
        )  # fmt: skip
        recorded = ground.store.get_memberships((trial.base_id, trial.segmentation_id))
        memberships, moved = rearranged(InForce.of(found), known, recorded)
        return cls(found, memberships, moved)

    def put_in_force(
        self, job: Job, trial: Canary, reason: str, moment: datetime, now: datetime, by: str = ""
    ) -> None:
        """Move the pointers, and record who is elsewhere for it; in the caller's transaction.

        A behaviour model that a person put in force meanwhile stays; segments read their own.
        """
        store, name = job.ground.store, trial.segmentation_id
        canary.end(store, PROMOTED, reason, moment, now, by=by)
        record_version(
            store, name, (trial.base_id, name), self.memberships, moment,
            table_version=job.version,
        )  # fmt: skip
        store.set_pointer(artefact.MAIN, name, now)
        store.set_pointer(reference.POINTER, str(self.found.document["reference_id"]), now)
        model_id = self.found.document.get("model_id")
        another = model_id and model_id != job.found.document.get("model_id")
        if another and not _model_chosen_since(store, trial):
            settle(job.ground, str(model_id), now)

    def state(self, state: AdjusterState, moment: datetime) -> AdjusterState:
        """Of the next look: statistics and monitors begin anew."""
        return replace(
            state,
            fitted_at=parse_moment(self.found.document["adjusted"]["fitted_at"]),
            ledger=state.with_moved(moment, self.moved),
            statistics=None,
            monitors=None,
        )


def _model_chosen_since(store: StateStore, trial: Canary) -> bool:
    """Whether a behaviour model was put in force after a canary began."""
    from shoal.model.artefact import MAIN

    named = [moment for name, moment in store.pointer_history(canary.POINTER)
             if name == trial.segmentation_id]  # fmt: skip
    models = store.pointer_history(MAIN)
    return bool(named and models) and models[-1][1] > named[-1]
