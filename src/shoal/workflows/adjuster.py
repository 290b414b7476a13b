"""One look of the adjuster: notice what changed, decide what to do about it, do it in memory.

Nothing is published and nothing recorded: `shoal adjust`, replay and the live stream drive this and
add nothing, so that the same log, seed and settings give the same decisions everywhere.

    look       now and earlier looks as the live segmentation sees them; drift
    propose    nudge, splits, merges, births; at its cadence a challenger from several starts
    decide     `shoal.adjust.decide`: what pays, inside the budget, with whose approval
    apply      a new segmenter whose segments keep their permanent ids; gates; lineage
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shoal.adjust.adjustment import KEEP, LADDER, Adjustment, Alarm
from shoal.adjust.settings import AdjustSettings
from shoal.domain.text import Text
from shoal.features.tastes import Vocabulary
from shoal.segments.choose import Choice
from shoal.segments.clustered import ClusterSegmenter
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.advance import InForce
from shoal.workflows.segment_learn import Known, Learner, Settled

if TYPE_CHECKING:
    from shoal.adjust.gates import Gate
    from shoal.adjust.policy import Policy

__all__ = ["Adjusted", "Adjuster", "AdjusterState", "Live", "Waiting"]

#: What was known at an earlier moment.
Past = Callable[[datetime], Known]

#: Every action that there is.
ACTIONS: Final = frozenset(LADDER)


@dataclass(frozen=True)
class Live:
    """The segmentation in force, as the adjuster reads it.

    Args:
        name: its id, or what a replay calls it.
        margin: of the switching rule.
        fitted_at: when all its segments were made together; later adjustments of single segments
            leave it.
        highest: the highest number that a segment of the line ever had.
        settled: number of segments and share of the outlook that a challenger keeps where they are
            as good as anything.
    """

    name: str
    segmenter: ClusterSegmenter
    vocabulary: Vocabulary
    margin: float
    fitted_at: datetime
    highest: int
    settled: Settled = field(default_factory=lambda: Settled(None, None))

    @property
    def in_force(self) -> InForce:
        """As the step applies it."""
        return InForce(self.name, self.segmenter, self.vocabulary, self.margin)


@dataclass(frozen=True)
class Waiting:
    """A changed segmentation that a person has to approve first.

    Args:
        live: what would be in force.
        reasons: codes of why somebody is asked.
        choice: how the number of segments came about, of a refit.
        lineage: the document of what would change.
    """

    live: Live
    reasons: tuple[str, ...]
    lineage: Mapping[str, Any]
    choice: Choice | None = None


@dataclass(frozen=True)
class Adjusted:
    """What came of a look.

    Args:
        moment: as of which was looked.
        live: what is in force from now on; the same object as before where nothing changed.
        memberships: `MEMBERSHIPS_SCHEMA`, those that were recorded moved on by what was done; who
            is in another segment for it has the cause `version`.
        adjustments: at least one; keeping is one too.
        alarms: of the look.
        gates: of what was to be done; empty where nothing was.
        lineage: document of what became of the segments (`shoal.adjust.lineage`); None where
            nothing changed.
        choice: how the number of segments came about, of a refit.
        state: for the next look.
        blocked: what is broken; nothing was learned.
        waiting: what was decided and waits for a person.
        dropped: codes of the gates for which a change was dropped.
        notes: what a person should know.
    """

    moment: datetime
    live: Live
    memberships: pa.Table
    adjustments: tuple[Adjustment, ...]
    state: AdjusterState
    alarms: tuple[Alarm, ...] = ()
    gates: tuple[Gate, ...] = ()
    lineage: Mapping[str, Any] | None = None
    choice: Choice | None = None
    blocked: tuple[str, ...] = ()
    waiting: Waiting | None = None
    dropped: tuple[str, ...] = ()
    notes: tuple[Text, ...] = ()

    @property
    def segmenter(self) -> ClusterSegmenter:
        return self.live.segmenter

    @property
    def vocabulary(self) -> Vocabulary:
        return self.live.vocabulary

    @property
    def changed(self) -> bool:
        """Whether another segmentation is in force than before."""
        return self.lineage is not None

    @property
    def changes(self) -> tuple[Mapping[str, Any], ...]:
        """What became of segments, those that go on left out."""
        told = () if self.lineage is None else self.lineage["changes"]
        return tuple(one for one in told if one["change"] != "continue")

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        raise NotImplementedError


@dataclass(frozen=True)
class Adjuster:
    """Looks at a segmentation, and adjusts it.

    Args:
        live: the segmentation in force.
        learner: fits challengers, with the settings, the aim and on the inputs of `live`.
        state: of the look before; None: nobody looked yet.
        policy: chooses among what is admissible; None: the rules.
        approve: whether what needs a person's word is done without it, as in a backtest.
        actions: those that may be taken; keeping always may.
        watch: whether drift is looked for. Without it nothing is blocked and nothing alarms.
    """

    live: Live
    learner: Learner
    settings: AdjustSettings = field(default_factory=AdjustSettings)
    state: AdjusterState | None = None
    policy: Policy | None = None
    approve: bool = False
    actions: frozenset[str] = ACTIONS
    watch: bool = True

    def due(self, moment: datetime) -> bool:
        """Whether the cadence asks for a look."""
        looked = None if self.state is None else self.state.looked_at
        cadence = timedelta(days=self.settings.cadence_days)
        return moment - (looked or self.live.fitted_at) >= cadence

    def after(self, adjusted: Adjusted) -> Adjuster:
        """The adjuster of the next look."""
        return replace(self, live=adjusted.live, state=adjusted.state)

    def look(self, known: Known, past: Past, recorded: pa.Table) -> Adjusted:
        """Look at customers as they are known at a moment, and adjust.

        Args:
            known: all customers now, with what `live` reads.
            past: the same of an earlier moment, with the same item facts; asked for the last
                cadence, the last horizons and the year before, where the log reaches back so far.
            recorded: `MEMBERSHIPS_SCHEMA`: where each belongs at this moment, after the step
                (`advance`) with `live`.

        Raises:
            UsageError: `bad_period`, a look at a later moment was taken already.
        """
        raise NotImplementedError


def kept(adjustments: tuple[Adjustment, ...]) -> bool:
    """Whether nothing was done."""
    return all(one.action == KEEP for one in adjustments)
