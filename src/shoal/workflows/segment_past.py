"""What the last period of a shop's log says of segments that are to be made: their judge.

Segments are judged by what would have been foretold of it from what was known and expected before
it (`shoal.segments.choose`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shoal.features.tastes import Vocabulary
from shoal.heads.next_period import ACTIVE, ORDERS, SPEND
from shoal.segments.base import CUSTOMER
from shoal.segments.inputs import EMBEDDING
from shoal.segments.judge import Future
from shoal.segments.methods.density import Density
from shoal.segments.methods.seeded import Seeded
from shoal.segments.outlook import ALONE, STAGED, TOLD, Outlook
from shoal.segments.protected import protected_of
from shoal.workflows.segment_outlook import (
    BALANCE,
    FORETELL,
    OUTLOOK,
    STYLE,
    Foreseen,
    came_between,
    foresee,
    horizon_of,
)

if TYPE_CHECKING:
    from shoal.workflows.known import Known
    from shoal.workflows.segment_learn import Learner

#: Customers a segment that segments are judged with; of fewer nothing is said.
CUSTOMERS_A_SEGMENT: Final = 10

#: Methods whose segments tell style alone unless another aim is told: known customers say what
#: segments are, or the method finds their number itself.
_STYLE_ALONE: Final = (Seeded.method, Density.method)


@dataclass(frozen=True)
class Foretold:
    """What the last period says before segments are made.

    Args:
        aim: one of `shoal.workflows.segment_outlook.AIMS`.
        outlook: what customers are expected to do; None where the log is too short for a head.
        future: the period that judges; None where k is told or the log is short.
        head: figures of the head.
        staged: whether segments are styles and their stages.
    """

    aim: str
    outlook: Outlook | None = None
    future: Future | None = None
    head: Mapping[str, Any] | None = None
    staged: bool = False

    @property
    def best(self) -> bool:
        """Whether segments are to foretell as well as can be."""
        return self.aim == FORETELL

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        alone = self.outlook is not None and self.outlook.share == ALONE
        return {"aim": self.aim, "outlook_alone": alone, "head": self.head}


@dataclass(frozen=True)
class Past:
    """The last period, as a learner reads it."""

    learner: Learner

    def outlook(self, known: Known, vocabulary: Vocabulary, method: str) -> Foretold:
        """What segments are made on beside style, and the period that judges them."""
        learner = self.learner
        unasked = STYLE if method in _STYLE_ALONE or learner.on == EMBEDDING else BALANCE
        aim = learner.aim or unasked
        horizon = horizon_of(known.features)
        if horizon is None or (aim == STYLE and learner.k):
            return Foretold(aim)
        seen = None
        if aim != STYLE:
            learner.progress.start("outlook", None)
            seen = foresee(
                known, learner.then, vocabulary, learner.fold.catalog, horizon,
                minimum_events=learner.settings.min_events, seed=learner.seed,
                protected=protected_of(learner.settings),
            )  # fmt: skip
            learner.progress.done()
        if seen is None and learner.k:
            return Foretold(aim)
        future = self.future(known, vocabulary, horizon, seen)
        if seen is None:
            return Foretold(aim, future=future)
        head = seen.head.figures
        if aim == OUTLOOK:
            judged = None if future is None else future.expected
            return Foretold(aim, seen.outlook(ALONE), judged, head)
        # Nobody can tell how many styles there should be without an outlook of the last period.
        tells = future is not None and future.outlook is not None and method not in _STYLE_ALONE
        staged = learner.styles is not None or tells
        return Foretold(aim, seen.outlook(STAGED if staged else TOLD), future, head, staged)

    def horizon(self, known: Known) -> int | None:
        """Days of the period to foretell; None where the log is too short."""
        return horizon_of(known.features)

    def period(self, known: Known, vocabulary: Vocabulary) -> tuple[Future, pa.Table] | None:
        """The last period with what was known and expected before it, and the table of the
        customers who were known enough then; None where the log is too short."""
        horizon = horizon_of(known.features)
        if horizon is None:
            return None
        seen = foresee(
            known, self.learner.then, vocabulary, self.learner.fold.catalog, horizon,
            minimum_events=self.learner.settings.min_events, seed=self.learner.seed,
            protected=protected_of(self.learner.settings),
        )  # fmt: skip
        future = self.future(known, vocabulary, horizon, seen)
        if future is None:
            return None
        table = self.learner.then(known.as_of - timedelta(days=horizon)).table(vocabulary)
        enough = self.learner.segmenter(table, vocabulary, self.learner.settings.k_min).known(table)
        return future, table.filter(pa.array(enough))

    def future(
        self, known: Known, vocabulary: Vocabulary, horizon: int, seen: Foreseen | None
    ) -> Future | None:
        """What was known, and expected, a horizon ago and what came since; None where too few were
        known then."""
        then = self.learner.then(known.as_of - timedelta(days=horizon))
        before = then.table(vocabulary)
        segmenter = self.learner.segmenter(before, vocabulary, self.learner.settings.k_min)
        enough = segmenter.known(before)
        if enough.sum() < CUSTOMERS_A_SEGMENT * self.learner.settings.k_min:
            return None
        Z = segmenter.prepare(before)
        before = before.filter(pa.array(enough))
        expected = None
        if seen is not None and seen.earlier is not None:
            expected = Outlook(seen.earlier, ALONE).fit(before).transform(before)
        came = came_between(before, known.features)
        taken = vocabulary.events(before[CUSTOMER], known.counts) - vocabulary.events(
            before[CUSTOMER], then.counts
        )
        categories = [facet == "category" for facet, _ in vocabulary.names]
        return Future(
            Z, horizon, came[ACTIVE], came[ORDERS], came[SPEND], taken[:, categories], expected,
        )  # fmt: skip
