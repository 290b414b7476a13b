"""Adjustment in a replay: the adjuster looks at every cut, as the nightly job would have looked.

What a look knows is what was known then: states at its moment and before, item facts as the
segmentation in force read them, outcomes of periods that were over. A behaviour model is not
trained on in a replay.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.adjustment import LADDER, RETRAIN
from shoal.adjust.align import numbered
from shoal.adjust.settings import AdjustSettings
from shoal.features import reference
from shoal.workflows.adjuster import Adjusted, Adjuster, Live
from shoal.workflows.known import Known
from shoal.workflows.segment_learn import Learner

#: What was known at an earlier cut is kept so long; looks compare with the last two months.
_KEPT: Final = timedelta(days=63)


@dataclass(frozen=True)
class Adjusting:
    """How a replay adjusts.

    Args:
        approve: what needs a person's word is done, as if a person had said yes at once; else it
            is told and waits for ever.
        actions: that may be taken.
        watch: whether drift is looked for.
        identity: whether segments keep their ids; without it they are numbered by size at every
            change (only to see what identity is worth).
    """

    settings: AdjustSettings = field(default_factory=AdjustSettings)
    approve: bool = False
    actions: frozenset[str] = frozenset(LADDER)
    watch: bool = True
    identity: bool = True

    @property
    def told(self) -> tuple[object, ...]:
        """All that decides how a replay adjusts, the same in every process."""
        return (self.settings, self.approve, sorted(self.actions), self.watch, self.identity)


@dataclass(frozen=True)
class Reader:
    """What the looks of a replay read: the events before a moment, as they counted then."""

    learner: Learner

    def known(self, moment: datetime, items: pa.Table) -> Known:
        return self.learner.known(moment, self.learner.admitted(moment), items)

    def items(self, moment: datetime) -> pa.Table:
        learner, events = self.learner, self.learner.admitted(moment)
        files = events.events(version=learner.table_version)
        return reference.build(events.engine, files, moment, learner.fold.rules.noise)


class Loop:
    """The adjuster of a replay, from the first learning on.

    Args:
        reader: what is known at moments, as the replay reads it.
        items: the facts of items that the segmentation in force reads.
    """

    def __init__(
        self, adjusting: Adjusting, learner: Learner, live: Live, reader: Reader, items: pa.Table
    ) -> None:
        self._adjusting, self._reader, self._kept = adjusting, reader, dict[datetime, Known]()
        self.items = items
        self.adjuster = Adjuster(
            live, learner, adjusting.settings, approve=adjusting.approve,
            actions=adjusting.actions - {RETRAIN}, watch=adjusting.watch,
        )  # fmt: skip

    def look(self, known: Known, recorded: pa.Table) -> Adjusted | None:
        """What comes of a look at a cut; None where the cadence asks for none.

        Args:
            known: as the segmentation in force reads it.
            recorded: memberships after the step with that segmentation.
        """
        moment = known.as_of
        kept = {when: one for when, one in self._kept.items() if when >= moment - _KEPT}
        self._kept = {**kept, moment: known}
        if not self.adjuster.due(moment):
            return None
        before, held = self.items, self._kept
        if self.adjuster.challenges(moment):
            # A challenger knows the items of today; the live segments are asked about the same.
            self.items, self._kept = self._reader.items(moment), {}
        found = self.adjuster.look(self._past(moment), self._past, recorded)
        if not found.changed:
            self.items, self._kept = before, held
        elif not self._adjusting.identity:
            found = _renumbered(found)
        self.adjuster = self.adjuster.after(found)
        return found

    def known(self, moment: datetime) -> Known:
        """What was known at the moment of the last look, as what is in force since then reads."""
        return self._kept[moment]

    def _past(self, moment: datetime) -> Known:
        """What was known at a moment, read once."""
        if moment not in self._kept:
            self._kept[moment] = self._reader.known(moment, self.items)
        return self._kept[moment]

    def forget(self) -> None:
        """Read what was known anew: the event table has changed."""
        self._kept = {}


def _renumbered(found: Adjusted) -> Adjusted:
    """The same segments with ids by size."""
    segmenter, told = found.live.segmenter, found.memberships
    sizes = {
        one: int(pc.sum(pc.equal(told["segment_id"], one)).as_py() or 0) for one in segmenter.ids
    }
    order = sorted(segmenter.ids, key=lambda one: (-sizes[one], one))
    ids = {one: numbered(place + 1) for place, one in enumerate(order)}
    live = replace(
        found.live,
        segmenter=segmenter.with_clusterer(
            segmenter.clusterer, ids=[ids[one] for one in segmenter.ids]
        ),
    )
    names = pa.array([ids.get(one, one) for one in told["segment_id"].to_pylist()], pa.string())
    place = told.schema.get_field_index("segment_id")
    return replace(
        found, live=live, memberships=told.set_column(place, told.schema.field(place), names),
        state=replace(found.state, statistics=None),
    )  # fmt: skip
