"""The segmentation that is looked at, and what comes of a look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.adjust.adjustment import Adjustment, Alarm, Proposal
from shoal.adjust.decide import APPROVALS, REASONS
from shoal.domain.text import Text
from shoal.domain.time import iso
from shoal.features.tastes import Vocabulary
from shoal.segments.choose import Choice
from shoal.segments.clustered import ClusterSegmenter
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.advance import InForce
from shoal.workflows.known import Known
from shoal.workflows.segment_learn import Learner
from shoal.workflows.segment_settled import Settled

if TYPE_CHECKING:
    from shoal.adjust.gates import Gate
    from shoal.workflows.adjuster_change import Change


@dataclass(frozen=True)
class Live:
    """The segmentation in force, as the adjuster reads it.

    Args:
        name: its id, or what a replay calls it.
        margin: of the switching rule.
        fitted_at: when all its segments were made together; later adjustments of single segments
            leave it.
        highest: the highest number that a segment of the line ever had.
        settled: number of segments and of styles that a challenger keeps where they are as good as
            anything.
        model_id: of the behaviour model that it reads; None: features alone.
    """

    name: str
    segmenter: ClusterSegmenter
    vocabulary: Vocabulary
    margin: float
    fitted_at: datetime
    highest: int
    settled: Settled = field(default_factory=lambda: Settled(None, None))
    model_id: str | None = None

    @property
    def in_force(self) -> InForce:
        """As the step applies it."""
        return InForce(self.name, self.segmenter, self.vocabulary, self.margin)


@dataclass(frozen=True)
class Retrained:
    """A behaviour model that was trained on, for a challenger to be made on.

    Args:
        learner: that reads it.
        known: all customers at a moment as it reads them.
        evidence: `due` (`growth`, `days` or `harm`), `model_id`, losses, as JSON.
    """

    learner: Learner
    known: Callable[[datetime], Known]
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Waiting:
    """A changed segmentation that a person has to approve first.

    Args:
        live: what would be in force.
        reasons: codes of why somebody is asked.
        choice: how the number of segments came about, of a refit.
        adjustments: what would be done.
        lineage: the document of what would change.
        gates: that it passed.
        moved: share of the placed customers that it would move.
    """

    live: Live
    reasons: tuple[str, ...]
    adjustments: tuple[Adjustment, ...]
    lineage: Mapping[str, Any]
    choice: Choice | None = None
    gates: tuple[Gate, ...] = ()
    moved: float = 0.0


@dataclass(frozen=True)
class Adjusted:
    """What came of a look.

    Args:
        moment: as of which was looked.
        live: what is in force from now on; the same object as before where nothing changed.
        memberships: `MEMBERSHIPS_SCHEMA`, those that were recorded moved on by what was done; who
            is in another segment for it has the cause `version`.
        adjustments: decided, at least one; keeping is one too. Those of them that are in force are
            `done`.
        alarms: of the look.
        proposals: all that could have been done.
        gates: of what was to be done; empty where nothing was.
        lineage: document of what became of the segments (`shoal.adjust.lineage`); None where
            nothing changed.
        choice: how the number of segments came about, of a refit.
        state: for the next look.
        customers: placed ones.
        moved: share of them in another segment for what was done.
        blocked: what is broken; nothing was learned.
        waiting: what was decided and waits for a person.
        trial: segments made anew that passed and go to a share of customers first.
        dropped: codes of the gates for which a change was dropped.
        notes: what a person should know.
    """

    moment: datetime
    live: Live
    memberships: pa.Table
    adjustments: tuple[Adjustment, ...]
    state: AdjusterState
    alarms: tuple[Alarm, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    gates: tuple[Gate, ...] = ()
    lineage: Mapping[str, Any] | None = None
    choice: Choice | None = None
    done: tuple[Adjustment, ...] = ()
    customers: int = 0
    moved: float = 0.0
    blocked: tuple[str, ...] = ()
    waiting: Waiting | None = None
    trial: Change | None = None
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
        """As JSON: what was noticed, decided and done."""
        return {
            "as_of": iso(self.moment),
            "customers": self.customers,
            "alarms": [one.as_document() for one in self.alarms],
            "blocked": list(self.blocked),
            "adjustments": [told(one) for one in self.adjustments],
            "considered": [considered(one) for one in self.proposals],
            "gates": [one.as_document() for one in self.gates],
            "dropped": list(self.dropped),
            "changed": self.changed,
            "moved": self.moved,
            "changes": [dict(one) for one in self.changes],
            "asked": None if self.waiting is None else list(self.waiting.reasons),
            "notes": [one.as_document() for one in self.notes],
        }


def told(adjustment: Adjustment) -> dict[str, Any]:
    """An adjustment as JSON, with its reason and what a person is asked in words."""
    return {
        **adjustment.as_document(),
        "words": REASONS[adjustment.reason].as_document(),
        "asks": [APPROVALS[code].as_document() for code in adjustment.approval],
    }


def considered(proposal: Proposal) -> dict[str, Any]:
    """A proposal as JSON, without what carrying it out would take."""
    evidence = {name: one for name, one in proposal.evidence.items() if name != "centers"}
    return {
        "action": proposal.action, "segments": list(proposal.segments), "gain": proposal.gain,
        "gain_error": proposal.gain_error, "moved": proposal.moved, "cost": proposal.cost,
        "alarms": list(proposal.alarms), "evidence": evidence, "due": proposal.due,
    }  # fmt: skip
