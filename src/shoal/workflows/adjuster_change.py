"""Carry out what was decided: other segments with permanent ids, and who belongs where then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.adjust.adjustment import MERGE, NUDGE, REFIT, RETRAIN, SPLIT, Adjustment
from shoal.adjust.align import numbered
from shoal.adjust.nudge import Nudged, nudge
from shoal.adjust.online import Statistics, begun
from shoal.adjust.reshape import reshaped
from shoal.adjust.settings import AdjustSettings
from shoal.domain.time import iso
from shoal.segments.choose import Choice
from shoal.workflows.adjuster_challenge import Challenger, Gain, settled_of
from shoal.workflows.adjuster_changes import rearranged, told_lineage
from shoal.workflows.adjuster_live import Live
from shoal.workflows.adjuster_looks import recorded_places
from shoal.workflows.known import Known

if TYPE_CHECKING:
    from shoal.adjust.gates import Gate

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """What some adjustments make of the live segments.

    Args:
        memberships: `MEMBERSHIPS_SCHEMA`, where everybody is then.
        moved: share of the placed customers in another segment.
        reasons: codes of the gates that ask for a person.
        known, future: of segments that were all made anew: what they read, and what the same fit of
            a horizon ago would have foretold more.
    """

    live: Live
    adjustments: tuple[Adjustment, ...]
    memberships: pa.Table
    moved: float
    lineage: Mapping[str, Any]
    statistics: Statistics
    choice: Choice | None = None
    gates: tuple[Gate, ...] = ()
    reasons: tuple[str, ...] = ()
    known: Known | None = None
    future: Gain | None = None

    @property
    def done(self) -> tuple[Adjustment, ...]:
        return self.adjustments


@dataclass(frozen=True)
class Ground:
    """What changes are made on.

    Args:
        Z: (n, d) placed customers in the live segmenter's space; `customers` (n,) their ids.
        budget: share of them that a nudge may move.
    """

    known: Known
    Z: Floats
    customers: pa.ChunkedArray
    settings: AdjustSettings
    budget: float
    seed: int


def changed(
    doing: Sequence[Adjustment],
    live: Live,
    recorded: pa.Table,
    ground: Ground,
    challengers: Mapping[str, Challenger],
    nudged: Nudged | None,
) -> Change:
    """Carry out adjustments on the live segments.

    Args:
        doing: in order, none of them `keep`.
        recorded: `MEMBERSHIPS_SCHEMA`, where everybody is.
        challengers: by action, those that a refit or a retraining puts in force.
        nudged: the step that was proposed, of the segments as they were before.
    """
    whole = next((one for one in doing if one.action in (REFIT, RETRAIN)), None)
    if whole is not None:
        return _made_anew(whole, live, recorded, ground, challengers[whole.action])
    after, statistics = _reshaped(doing, live, ground)
    if any(one.action == NUDGE for one in doing):
        if statistics is None and nudged is not None:
            step: Nudged | None = nudged
        else:
            step = _nudged_again(after, recorded, ground, statistics)
        if step is not None:
            after, statistics = replace(after, segmenter=step.segmenter), step.statistics
    if statistics is None:
        statistics = _gathered(after, ground.Z, ground)
    memberships, moved = rearranged(after.in_force, ground.known, recorded)
    told = told_lineage(
        doing, live.segmenter.ids, after.segmenter.ids, recorded, memberships, ground.known,
        previous_id=live.name, highest=after.highest,
    )  # fmt: skip
    return Change(after, tuple(doing), memberships, moved, told, statistics)


def _named(live: Live, ground: Ground) -> str:
    return f"{live.segmenter.method}@{iso(ground.known.as_of)}"


def _made_anew(
    doing: Adjustment, live: Live, recorded: pa.Table, ground: Ground, found: Challenger
) -> Change:
    after = replace(
        live,
        name=_named(live, ground),
        segmenter=found.segmenter,
        vocabulary=found.vocabulary,
        fitted_at=ground.known.as_of,
        highest=max(live.highest, found.aligned.highest),
        settled=settled_of(found.choice, found.segmenter),
        model_id=found.model_id,
    )
    known = found.known
    memberships, moved = rearranged(after.in_force, known, recorded)
    told = told_lineage(
        [doing], live.segmenter.ids, after.segmenter.ids, recorded, memberships, known,
        previous_id=live.name, highest=after.highest, aligned=found.aligned, noise=found.noise,
    )  # fmt: skip
    table = known.table(after.vocabulary)
    enough = after.segmenter.known(table)
    Z = after.segmenter.embed(table.filter(pa.array(enough)))
    return Change(
        after, (doing,), memberships, moved, told, _gathered(after, Z, ground), found.choice,
        known=known, future=found.future,
    )  # fmt: skip


def _reshaped(
    doing: Sequence[Adjustment], live: Live, ground: Ground
) -> tuple[Live, Statistics | None]:
    """After splits, births and merges; statistics begin anew where there was one."""
    segmenter, highest, statistics = live.segmenter, live.highest, None
    for one in doing:
        if one.action not in (SPLIT, MERGE):
            continue
        new = [numbered(highest + 1)] if one.action == SPLIT else []
        segmenter = reshaped(segmenter, one.proposal, new)
        highest += len(new)
        statistics = begun(
            segmenter, ground.known.as_of, half_life_days=ground.settings.half_life_days
        )
    settled = live.settled if statistics is None else settled_of(None, segmenter)
    after = replace(
        live, name=_named(live, ground), segmenter=segmenter, highest=highest, settled=settled
    )
    return after, statistics


def _nudged_again(
    after: Live, recorded: pa.Table, ground: Ground, statistics: Statistics | None
) -> Nudged | None:
    """The step of segments that were reshaped just now; their members are those that it left."""
    memberships, moved = rearranged(after.in_force, ground.known, recorded)
    places = recorded_places(memberships, ground.customers, after.segmenter)
    if statistics is None:
        statistics = begun(
            after.segmenter, ground.known.as_of, half_life_days=ground.settings.half_life_days
        )
    return nudge(
        after.segmenter, ground.Z, places, statistics, margin=after.margin,
        settings=ground.settings, budget=max(ground.budget - moved, 0.0), seed=ground.seed,
    )  # fmt: skip


def _gathered(after: Live, Z: Floats, ground: Ground) -> Statistics:
    """Statistics of today's customers alone."""
    fresh = begun(
        after.segmenter, ground.known.as_of, half_life_days=ground.settings.half_life_days
    )
    return fresh.learned(after.segmenter.clusterer, Z, ground.known.as_of)
