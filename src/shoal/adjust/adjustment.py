"""The nouns of adjustment: alarms, evidence, and what is done about it.

The ladder, from nothing to everything: keep, nudge (centres move inside a budget), split or merge
of single segments, refit (a challenger takes the place of all), retrain (of the behaviour model,
and a refit on it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shoal.domain.time import iso

KEEP: Final = "keep"
NUDGE: Final = "nudge"
SPLIT: Final = "split"
MERGE: Final = "merge"
REFIT: Final = "refit"
RETRAIN: Final = "retrain"
#: From the least to the most.
LADDER: Final = (KEEP, NUDGE, SPLIT, MERGE, REFIT, RETRAIN)

#: What an alarm is about: what customers do, how the model sees them, how well segments hold them,
#: how well the next period is foretold, or the tracking itself.
INPUTS: Final = "inputs"
EMBEDDING: Final = "embedding"
ASSIGNMENT: Final = "assignment"
OUTCOMES: Final = "outcomes"
BROKEN: Final = "broken"
SUBJECTS: Final = (INPUTS, EMBEDDING, ASSIGNMENT, OUTCOMES, BROKEN)


@dataclass(frozen=True)
class Alarm:
    """Something changed by more than chance.

    Args:
        subject: one of `SUBJECTS`.
        what: the feature, monitor or source it is told of.
        size: how large the change is, in `unit` (such as `deviations`, `AUC`, `share`).
        p_value: of the test after correction; of a monitor 1 / its e-value.
        customers: how many it was seen on.
        since: from when on, as far as can be told.
        features: those that tell the change, most telling first.
        harmful: whether segments or forecasts are worse for it; only these are answered. None: not
            asked, as of the tracking.
        evidence: figures and series behind it, as JSON, enough to draw it.
    """

    subject: str
    what: str
    size: float
    unit: str
    p_value: float
    customers: int
    since: datetime
    features: Sequence[str] = ()
    harmful: bool | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "subject": self.subject, "what": self.what, "size": self.size, "unit": self.unit,
            "p_value": self.p_value, "customers": self.customers, "since": iso(self.since),
            "features": list(self.features), "harmful": self.harmful,
            "evidence": dict(self.evidence),
        }  # fmt: skip


@dataclass(frozen=True)
class Proposal:
    """Something that could be done.

    Args:
        action: one of `LADDER`.
        segments: permanent ids of whom it concerns: the one that splits, those that merge; empty
            for all.
        gain: expected, as a share of the loss that segments leave now (0 to 1), held out.
        gain_error: standard error of the gain.
        moved: share of customers that would change segment.
        cost: further cost in the unit of the gain, such as that of training.
        alarms: places of the alarms that it would answer.
        evidence: the local tests behind it, as JSON.
        due: so much more is known by now than segments were made of that it is time for it: it
            need not pay for whom it moves, it only has to be better than what is.
    """

    action: str
    segments: tuple[str, ...] = ()
    gain: float = 0.0
    gain_error: float = 0.0
    moved: float = 0.0
    cost: float = 0.0
    alarms: tuple[int, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    due: bool = False


@dataclass(frozen=True)
class Evidence:
    """All that a decision is made on; the same evidence gives the same decision.

    Args:
        moment: as of which it was gathered.
        customers: placed ones.
        alarms: of this look.
        proposals: what could be done; keeping is always possible.
        spent: share of customers that adjustments moved in the last 30 days.
        blocked: features and sources that are broken: nothing is learned while they are.
        days_since_fit: since all segments were made.
        overdue: a challenger has waited for changes to pass for as long as one waits for the next.
    """

    moment: datetime
    customers: int
    alarms: tuple[Alarm, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    spent: float = 0.0
    blocked: tuple[str, ...] = ()
    days_since_fit: float = 0.0
    overdue: bool = False


@dataclass(frozen=True)
class Adjustment:
    """What is done, and why.

    Args:
        action: one of `LADDER`.
        proposal: what it carries out; of keeping one without gain.
        probability: with which the policy chose it.
        policy: which policy chose.
        reason: code of the reason, such as `pays`, `nothing_pays`, `blocked`, `over_budget`.
        approval: why a person has to approve it first; empty: nobody.
    """

    action: str
    proposal: Proposal
    probability: float
    policy: str
    reason: str
    approval: tuple[str, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        told = self.proposal
        return {
            "action": self.action, "segments": list(told.segments), "gain": told.gain,
            "gain_error": told.gain_error, "moved": told.moved, "cost": told.cost,
            "alarms": list(told.alarms), "evidence": dict(told.evidence),
            "due": told.due, "probability": self.probability, "policy": self.policy,
            "reason": self.reason, "approval": list(self.approval),
        }  # fmt: skip
