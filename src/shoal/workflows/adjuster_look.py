"""The steps of one look, in the order in which they are taken (`shoal.workflows.adjuster`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.adjustment import (
    ASSIGNMENT,
    BROKEN,
    INPUTS,
    KEEP,
    MERGE,
    NUDGE,
    REFIT,
    RETRAIN,
    SPLIT,
    Adjustment,
    Alarm,
    Evidence,
    Proposal,
)
from shoal.adjust.birth import births
from shoal.adjust.decide import decide, passing, unanswered
from shoal.adjust.drift.detect import Monitors
from shoal.adjust.gates import Gate, asks, shut
from shoal.adjust.nudge import Nudged, nudge
from shoal.adjust.online import Statistics, begun
from shoal.adjust.propose import SETTLED_DAYS, merges, splits
from shoal.domain.text import Text
from shoal.domain.time import DAY_US, to_us
from shoal.segments.base import CUSTOMER, column
from shoal.workflows.adjuster_challenge import Challenger, challenge
from shoal.workflows.adjuster_change import Change, Ground, changed
from shoal.workflows.adjuster_gates import gated
from shoal.workflows.adjuster_live import Adjusted, Live, Waiting
from shoal.workflows.adjuster_looks import Past, last_period, recorded_places
from shoal.workflows.adjuster_notice import noticed
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.advance import advance
from shoal.workflows.known import Known

if TYPE_CHECKING:
    from shoal.workflows.adjuster import Adjuster

#: What single segments can answer; what the outlook or the model sees takes a refit.
_NEAR: Final = (INPUTS, ASSIGNMENT)
#: A log that segments were learned from is that long at least.
_LEAST_DAYS: Final = 1.0


@dataclass
class Looking:
    """One look."""

    adjuster: Adjuster
    known: Known
    past: Past
    recorded: pa.Table
    notes: list[Text] = field(default_factory=list)
    challengers: dict[str, Challenger] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    dropped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.live: Live = self.adjuster.live
        self.settings = self.adjuster.settings
        self.state = self.adjuster.state or AdjusterState(self.live.fitted_at)
        self.moment: datetime = self.known.as_of
        self.seed: int = self.adjuster.learner.seed
        self.recorded = _aligned(self.recorded, self.known, self.live)
        table = self.known.table(self.live.vocabulary)
        enough = self.live.segmenter.known(table)
        self.table = table.filter(pa.array(enough))
        self.Z: npt.NDArray[np.float64] = (
            self.live.segmenter.embed(self.table)
            if enough.any()
            else np.empty((0, self.live.segmenter.centers.shape[1]))
        )
        self.places = recorded_places(self.recorded, self.table[CUSTOMER], self.live.segmenter)

    def run(self) -> Adjusted:
        """What comes of the look."""
        self.period = last_period(
            self.live.in_force, self.known, self.past, fitted_at=self.live.fitted_at
        )
        alarms, monitors, blocked = self._noticed()
        nudged, proposals = self._proposed(alarms, blocked)
        evidence = Evidence(
            self.moment, len(self.table), alarms, tuple(proposals), self.state.spent(self.moment),
            blocked, self._days_since_fit(), self.adjuster.overdue(self.moment),
        )  # fmt: skip
        challenged = self._challenged(evidence)
        evidence = replace(
            evidence,
            proposals=(*proposals, *(one.proposal for one in self.challengers.values())),
        )
        adjustments = decide(evidence, self.settings, self.adjuster.policy)
        return self._done(adjustments, evidence, monitors, nudged, challenged=challenged)

    # -- noticed -----------------------------------------------------------------------------------

    def _noticed(self) -> tuple[tuple[Alarm, ...], Monitors | None, tuple[str, ...]]:
        """Alarms, monitors for the next look, and what is broken."""
        if not self.adjuster.watch:
            return (), self.state.monitors, ()
        found = noticed(
            self.live, self.adjuster.learner, self.known, self.past, self.period,
            self.state.monitors, self.settings,
        )  # fmt: skip
        self.notes += found.notes
        return found.alarms, found.monitors, found.blocked

    # -- proposed ----------------------------------------------------------------------------------

    def _proposed(
        self, alarms: Sequence[Alarm], blocked: Sequence[str]
    ) -> tuple[Nudged | None, list[Proposal]]:
        """Steps of single segments; none while anything is broken, or hardly anybody is placed."""
        segmenter = self.live.segmenter
        if blocked or len(self.Z) < 2 * len(segmenter.ids):
            return None, []
        found: list[Proposal] = []
        nudged = self._nudged(self._statistics(), self._budget())
        if nudged is not None and NUDGE in self.adjuster.actions:
            found.append(nudged.proposal)
        future = None if self.period is None else self.period.future
        told: dict[str, Any] = {"settings": self.settings, "seed": self.seed}
        if SPLIT in self.adjuster.actions:
            found += splits(segmenter, self.Z, self.places, future, settled=self._settled(), **told)
            found += births(segmenter, self.Z, self.places, future, **told)
        if MERGE in self.adjuster.actions:
            found += merges(segmenter, self.Z, self.places, future, **told)
        near = tuple(
            place for place, one in enumerate(alarms) if one.harmful and one.subject in _NEAR
        )
        return nudged, [one if one.alarms else replace(one, alarms=near) for one in found]

    def _settled(self) -> npt.NDArray[np.bool_]:
        """(placed,) who has been in the own segment for long."""
        rows = pc.index_in(self.table[CUSTOMER], value_set=self.recorded[CUSTOMER].combine_chunks())
        since = self.recorded["since"].take(rows)
        long_ago = pa.scalar(self.moment - timedelta(days=SETTLED_DAYS), since.type)
        told = pc.fill_null(pc.less_equal(since, long_ago), False)
        return np.asarray(told.to_numpy(), dtype=np.bool_)

    def _budget(self) -> float:
        return max(self.settings.relabel_budget - self.state.spent(self.moment), 0.0)

    def _statistics(self) -> Statistics:
        """Of the customers of earlier looks, as they weigh now."""
        kept = self.state.statistics
        if kept is not None and kept.ids == self.live.segmenter.ids:
            return kept.at(self.moment)
        return begun(self.live.segmenter, self.moment, half_life_days=self.settings.half_life_days)

    def _nudged(self, statistics: Statistics, budget: float) -> Nudged | None:
        return nudge(
            self.live.segmenter, self.Z, self.places, statistics, margin=self.live.margin,
            settings=self.settings, budget=budget, seed=self.seed,
        )  # fmt: skip

    def _challenged(self, evidence: Evidence) -> bool:
        """Fit challengers where it is time, or where a harmful alarm is not answered otherwise;
        whether one was fitted on what the live segments read.

        While something passes by, none would be let through: it stays due for the next look.
        """
        if evidence.blocked or not len(self.Z):
            return False
        self._retrained(evidence)
        needed = unanswered(evidence, self.settings)
        due = self.adjuster.challenges(self.moment) and not passing(evidence)
        if not (due or needed) or REFIT not in self.adjuster.actions:
            return False
        found = challenge(
            self.live, self.adjuster.learner, self.known, self.past, self.recorded, self.period
        )
        self._enters(found, evidence, {})
        return True

    def _retrained(self, evidence: Evidence) -> None:
        """A challenger on the behaviour model that was trained on, if one was."""
        model = self.adjuster.retrained
        if model is None or RETRAIN not in self.adjuster.actions:
            return
        found = challenge(
            self.live, model.learner, self.known, model.known, self.recorded, self.period,
            read=model.known(self.moment), action=RETRAIN,
        )  # fmt: skip
        self._enters(found, evidence, model.evidence)

    def _enters(
        self, found: Challenger | None, evidence: Evidence, more: Mapping[str, Any]
    ) -> None:
        """Let a challenger be proposed: it answers every harmful alarm that is no break."""
        if found is None:
            self.notes.append(
                Text("Too little is known to fit a challenger.", "数据太少，无法拟合挑战者。")
            )
            return
        answered = tuple(
            place
            for place, one in enumerate(evidence.alarms)
            if one.harmful and one.subject != BROKEN
        )
        told = found.proposal
        grown = self._grown()
        due = told.action == REFIT and 0 < self.settings.refit_growth <= grown
        proposal = replace(
            told, alarms=answered, due=due, evidence={**told.evidence, "grown": grown, **more}
        )
        self.challengers[proposal.action] = replace(found, proposal=proposal)
        self.notes += found.notes

    def _grown(self) -> float:
        """By how much longer the log is than what segments were learned from, as a share."""
        log = float(np.nanmax(column(self.known.features, "tenure_days"), initial=0.0))
        since = self._days_since_fit()
        return since / max(log - since, _LEAST_DAYS)

    def _days_since_fit(self) -> float:
        return (to_us(self.moment) - to_us(self.live.fitted_at)) / DAY_US

    # -- done --------------------------------------------------------------------------------------

    def _done(
        self,
        adjustments: tuple[Adjustment, ...],
        evidence: Evidence,
        monitors: Monitors | None,
        nudged: Nudged | None,
        *,
        challenged: bool,
    ) -> Adjusted:
        doing = [one for one in adjustments if one.action != KEEP]
        asked = [one for one in doing if one.approval and not self.adjuster.approve]
        free = [one for one in doing if one not in asked]
        done = self._passed(free, self.live, self.recorded, nudged)
        waiting = None
        if done is not None and done.reasons and not self.adjuster.approve:
            asked, done = [*done.adjustments, *asked], None
        trial = None
        if done is not None and done.known is not None and self.adjuster.tries:
            trial, done = done, None
        live = self.live if done is None else done.live
        memberships = self.recorded if done is None else done.memberships
        if asked:
            wanted = self._passed(asked, live, memberships, nudged)
            if wanted is not None:
                reasons = [why for one in asked for why in one.approval] + list(wanted.reasons)
                waiting = Waiting(
                    wanted.live, tuple(dict.fromkeys(reasons)), tuple(asked), wanted.lineage,
                    wanted.choice, wanted.gates, wanted.moved,
                )  # fmt: skip
        told = self._told(adjustments, evidence, monitors, nudged, done, waiting, challenged)
        return replace(told, trial=trial)

    def _passed(
        self, doing: Sequence[Adjustment], live: Live, recorded: pa.Table, nudged: Nudged | None
    ) -> Change | None:
        """What is done, if anything is and the gates let it through."""
        if not doing:
            return None
        ground = Ground(
            self.known, self.Z, self.table[CUSTOMER], self.settings, self._budget(), self.seed
        )
        change = changed(doing, live, recorded, ground, self.challengers, nudged)
        found = gated(
            live, change, self.known, recorded, self.period, self.settings, seed=self.seed
        )
        self.gates = found
        self.dropped = shut(found)
        return None if self.dropped else replace(change, gates=found, reasons=asks(found))

    def _told(
        self,
        adjustments: tuple[Adjustment, ...],
        evidence: Evidence,
        monitors: Monitors | None,
        nudged: Nudged | None,
        done: Change | None,
        waiting: Waiting | None,
        challenged: bool,
    ) -> Adjusted:
        statistics = self.state.statistics if nudged is None else nudged.statistics
        anew = done is not None and done.live.fitted_at == self.moment
        state = AdjusterState(
            fitted_at=self.live.fitted_at if done is None else done.live.fitted_at,
            looked_at=self.moment,
            challenged_at=self.moment if challenged else self.state.challenged_at,
            ledger=self.state.with_moved(self.moment, 0.0 if done is None else done.moved),
            statistics=statistics if done is None else done.statistics,
            monitors=None if anew else monitors,
        )
        return Adjusted(
            moment=self.moment,
            live=self.live if done is None else done.live,
            memberships=self.recorded if done is None else done.memberships,
            adjustments=adjustments,
            state=state,
            alarms=evidence.alarms,
            proposals=evidence.proposals,
            gates=self.gates,
            lineage=None if done is None else done.lineage,
            choice=None if done is None else done.choice,
            done=() if done is None else done.adjustments,
            customers=evidence.customers,
            moved=0.0 if done is None else done.moved,
            blocked=evidence.blocked,
            waiting=waiting,
            dropped=self.dropped,
            notes=tuple(self.notes),
        )


def _aligned(recorded: pa.Table, known: Known, live: Live) -> pa.Table:
    """Memberships of the customers that are known, in their order; who has none enters now."""
    customers = known.features[CUSTOMER]
    rows = pc.index_in(customers, value_set=recorded[CUSTOMER].combine_chunks())
    if rows.null_count:
        return advance(known, live.in_force, recorded).memberships
    return recorded.take(rows)
