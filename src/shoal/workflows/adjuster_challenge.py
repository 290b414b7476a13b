"""A challenger: segments fitted anew from several starts, beside the live ones.

It is judged on what it was not fitted to. Within segments: the means of one half of the customers
tell how far those of the other half lie from them, in the space of both segmentations, so that
neither is asked in its own alone. Of the future: the same fit made a horizon ago, without what came
since, and the live segments foretell what came; where the live ones have seen it, nobody is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.adjustment import REFIT, Proposal
from shoal.adjust.align import Alignment, Noise
from shoal.domain.errors import InputError
from shoal.domain.text import Text
from shoal.features.row_order import canonical_order
from shoal.features.tastes import Vocabulary
from shoal.segments.base import CUSTOMER
from shoal.segments.choose import Choice
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.judge import LEAST_FORETOLD, Judge
from shoal.segments.methods.base import means_of
from shoal.workflows.adjuster_looks import LastPeriod, Past, recorded_places
from shoal.workflows.advance import InForce, placed
from shoal.workflows.known import Known
from shoal.workflows.segment_identity import compared
from shoal.workflows.segment_learn import Learner
from shoal.workflows.segment_settled import Settled

if TYPE_CHECKING:
    from shoal.workflows.adjuster import Live

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

#: Customers whose next period is asked, in so many folds.
_JUDGED_CUSTOMERS: Final = 20_000
_FOLDS: Final = 5


@dataclass
class PastLearner(Learner):
    """A learner that asks for earlier moments instead of reading them.

    Args:
        asked: what was known at an earlier moment.
    """

    asked: Past | None = None

    @classmethod
    def of(cls, learner: Learner, asked: Past, **changes: Any) -> PastLearner:
        """The learner with some fields changed; its list of warnings is its own."""
        told = {one.name: getattr(learner, one.name) for one in fields(Learner)}
        return cls(**{**told, "warnings": [], "past": {}, **changes}, asked=asked)

    def then(self, moment: datetime) -> Known:
        """What was known at an earlier moment."""
        return super().then(moment) if self.asked is None else self.asked(moment)


@dataclass(frozen=True)
class Gain:
    """What a segmentation leaves less than another, as a share of what that one leaves.

    Args:
        share: above 0: better.
        error: its standard error.
        parts: by which names it was told.
        influence: (n,) what each customer adds to the deviation from the mean; sums to 0.
    """

    share: float
    error: float
    parts: Mapping[str, float]
    influence: Floats = field(default_factory=lambda: np.empty(0), repr=False)

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {"gain": self.share, "error": self.error, "parts": dict(self.parts)}


@dataclass(frozen=True)
class Challenger:
    """Segments that could take the place of all.

    Args:
        segmenter: with permanent ids.
        aligned: how it came to them; `noise` of the refits behind it.
        tiers: (old id, new id) -> customers whom one of both does not place.
        memberships: `MEMBERSHIPS_SCHEMA`, where everybody would be.
        known: all customers, as it reads them; `model_id` of the behaviour model it reads.
        future: what the same fit of a horizon ago would have foretold more; None: not asked.
    """

    known: Known
    model_id: str | None
    segmenter: ClusterSegmenter
    vocabulary: Vocabulary
    choice: Choice | None
    aligned: Alignment
    noise: Noise | None
    tiers: Mapping[tuple[str, str], int]
    memberships: pa.Table
    proposal: Proposal
    future: Gain | None = None
    notes: tuple[Text, ...] = ()


def challenge(
    live: Live,
    learner: Learner,
    known: Known,
    past: Past,
    recorded: pa.Table,
    period: LastPeriod | None,
    *,
    read: Known | None = None,
    action: str = REFIT,
) -> Challenger | None:
    """A challenger of the live segments; None where too little is known to fit one.

    Args:
        learner: with the settings of the live segments.
        known: all customers, as the live segments read them.
        past: the same at an earlier moment, as the learner reads them.
        recorded: `MEMBERSHIPS_SCHEMA`, where everybody is.
        period: what judges both; None: nobody is asked.
        read: all customers as the learner reads them; None: as the live segments do.
        action: what carrying it out would be.
    """
    mine = read or known
    before = pa.table({CUSTOMER: recorded[CUSTOMER], "segment_id": recorded["segment_id"]})
    asked = PastLearner.of(learner, past, warm=before, settled=live.settled)
    vocabulary = asked.vocabulary(mine)
    method = live.segmenter.method
    try:
        [(segmenter, choice)] = asked.learn(mine, vocabulary, (method,))
    except InputError as error:
        if error.code != "too_little_data":
            raise
        return None
    assert isinstance(segmenter, ClusterSegmenter)
    table = mine.table(vocabulary)
    aligned, noise, tiers = compared(
        live.segmenter, known.table(live.vocabulary), segmenter, table,
        highest=live.highest, seed=learner.seed,
    )  # fmt: skip
    segmenter.rename(aligned.ids)
    memberships, moved = placed(
        table[CUSTOMER], segmenter.transform(table),
        InForce(live.name, segmenter, vocabulary, live.margin), recorded, known.as_of,
    )  # fmt: skip
    enough = live.segmenter.known(known.table(live.vocabulary)) & segmenter.known(table)
    told = _judged(live, asked, known, mine, vocabulary, segmenter, memberships, recorded, enough)
    future = _foretold(live, asked, choice, period, method)
    proposal = _proposal(action, told, future, float(moved[enough].mean()) if enough.any() else 0.0)
    model_id = None if learner.model is None else learner.model.model_id
    return Challenger(
        mine, model_id, segmenter, vocabulary, choice, aligned, noise, tiers, memberships,
        proposal, future, tuple(asked.warnings),
    )  # fmt: skip


def _proposal(action: str, within: Gain | None, future: Gain | None, moved: float) -> Proposal:
    """The mean of what both judges say; without a judge there is no gain."""
    gains = [one for one in (within, future) if one is not None]
    evidence = {
        "within": None if within is None else within.as_document(),
        "future": None if future is None else future.as_document(),
    }
    if not gains:
        return Proposal(action, moved=moved, evidence=evidence)
    gain = float(np.mean([one.share for one in gains]))
    error = float(np.sqrt(np.sum([one.error**2 for one in gains]))) / len(gains)
    return Proposal(action, gain=gain, gain_error=error, moved=moved, evidence=evidence)


# -- within segments -------------------------------------------------------------------------------


def _judged(
    live: Live,
    learner: Learner,
    known: Known,
    mine: Known,
    vocabulary: Vocabulary,
    segmenter: ClusterSegmenter,
    memberships: pa.Table,
    recorded: pa.Table,
    enough: npt.NDArray[np.bool_],
) -> Gain | None:
    """How much nearer customers are to the means of the challenger's segments; None where both
    have not equally many, which alone brings customers nearer."""
    if len(segmenter.ids) != len(live.segmenter.ids) or enough.sum() < 2 * len(segmenter.ids):
        return None
    rows = pa.array(enough)
    theirs = known.table(live.vocabulary).filter(rows)
    table = mine.table(vocabulary).filter(rows)
    customers = table[CUSTOMER]
    before = recorded_places(recorded, customers, live.segmenter)
    after = recorded_places(memberships, customers, segmenter)
    if (before < 0).any() or (after < 0).any():
        kept = (before >= 0) & (after >= 0)
        theirs, table = (one.filter(pa.array(kept)) for one in (theirs, table))
        before, after = before[kept], after[kept]
    spaces = (live.segmenter.embed(theirs), segmenter.embed(table))
    gains = [within_gain(Z, before, after, seed=learner.seed) for Z in spaces]
    names = ("live", "challenger")
    parts = {name: one.share for name, one in zip(names, gains, strict=True)}
    # Both spaces tell of the same customers: their errors are not independent.
    return Gain(
        float(np.mean([one.share for one in gains])),
        float(np.mean([one.error for one in gains])),
        parts,
    )


def within_gain(Z: Floats, before: Places, after: Places, *, seed: int = 0) -> Gain:
    """How much nearer rows are to the means of their group, as a share, by halves crosswise.

    Args:
        Z: (n, d).
        before, after: (n,) two divisions of the rows.

    The error is by linearisation of the ratio of both losses.
    """
    order = canonical_order(Z)
    half = np.empty(len(Z), np.int64)
    half[order] = np.random.default_rng([seed, 7]).permutation(len(Z)) % 2
    was, now = (_away(Z, one, half) for one in (before, after))
    total = float(was.mean())
    if total <= 0:
        return Gain(0.0, 0.0, {})
    ratio = float(now.mean()) / total
    error = float(np.std(now - ratio * was) / total / np.sqrt(len(Z)))
    return Gain(1 - ratio, error, {})


def _away(Z: Floats, places: Places, half: Places) -> Floats:
    """(n,) squared distance to the mean of the own group's other half; to that of all where it has
    nobody there."""
    k = int(places.max(initial=0)) + 1
    found = np.empty(len(Z))
    for own in (0, 1):
        rows, other = half == own, half != own
        told = np.where(other, places, -1)
        means = means_of(Z, told, k)
        empty = np.bincount(places[other], minlength=k) == 0
        means[empty] = Z[other].mean(axis=0) if other.any() else 0.0
        found[rows] = np.square(Z[rows] - means[places[rows]]).sum(axis=1)
    return found


# -- the future ------------------------------------------------------------------------------------


def _foretold(
    live: Live, learner: PastLearner, choice: Choice | None, period: LastPeriod | None, method: str
) -> Gain | None:
    """What the same fit of a horizon ago would have foretold more than the live segments."""
    if period is None or live.fitted_at > period.then.as_of:
        return None
    k = choice.chosen if choice is not None else 0
    earlier = PastLearner.of(
        learner, learner.then, k=k, warm=None, settled=Settled(k or None, None),
        styles=None if choice is None else choice.styles,
    )  # fmt: skip
    vocabulary = earlier.vocabulary(period.then)
    try:
        [(segmenter, _)] = earlier.learn(period.then, vocabulary, (method,))
    except InputError as error:
        if error.code != "too_little_data":
            raise
        return None
    table = period.then.table(vocabulary)
    asked = pc.is_in(table[CUSTOMER], value_set=period.table[CUSTOMER].combine_chunks())
    table = table.filter(asked)
    return foretelling_gain(
        period, live.segmenter.predict(period.table), segmenter.predict(table), seed=learner.seed
    )


def foretelling_gain(
    period: LastPeriod,
    before: Places,
    after: Places,
    *,
    seed: int = 0,
    counted: npt.NDArray[np.bool_] | None = None,
) -> Gain | None:
    """How much better one division of customers foretells what came of them than another, as a
    share of what the other leaves; None where nobody foretells anything.

    Args:
        before, after: (n,) places, in the order of the period's customers.
        counted: (n,) of whom it is asked; the others only tell what segments do. None: of all.
    """
    order = canonical_order(period.future.X)
    drawn = np.random.default_rng([seed, 8]).permutation(len(order))
    if counted is not None:  # they are judged first, and fewer others tell the means
        drawn = drawn[np.argsort(~counted[order[drawn]], kind="stable")]
    rows = order[np.sort(drawn[:_JUDGED_CUSTOMERS])]
    if len(rows) < 2 * _FOLDS:
        return None
    judge = Judge(period.future, rows, _FOLDS)
    asked = None if counted is None else counted[rows]
    told = [judge.judged(one[rows], asked) for one in (before, after)]
    (was, was_parts), (now, now_parts) = told
    names = [name for name in was if max(was[name], now[name]) >= LEAST_FORETOLD]
    if not names:
        return None
    left = {name: max(1 - was[name], 1e-9) for name in names}
    gains = {name: (now[name] - was[name]) / left[name] for name in names}
    parts = np.mean([(now_parts[name] - was_parts[name]) / left[name] for name in names], axis=0)
    error = float(np.sqrt(np.sum(parts**2)))
    return Gain(float(np.mean(list(gains.values()))), error, gains, parts)


def settled_of(choice: Choice | None, segmenter: ClusterSegmenter) -> Settled:
    """What the next challenger keeps of segments that were just made or changed."""
    found = Settled.after(choice, segmenter) if choice is not None else Settled(None, None)
    return replace(found, k=len(segmenter.ids))
