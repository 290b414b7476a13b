"""What the last period of a shop's log says of segments that are to be made: their judge.

Segments are judged by what would have been foretold of it from what was known and expected before
it (`shoal.segments.choose`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shoal.features.tastes import Vocabulary
from shoal.heads.next_period import ACTIVE, ORDERS, SPEND
from shoal.segments.base import CUSTOMER
from shoal.segments.inputs import EMBEDDING
from shoal.segments.judge import Future
from shoal.segments.methods.seeded import Seeded
from shoal.segments.outlook import Outlook
from shoal.segments.protected import protected_of
from shoal.segments.weigh import weigh
from shoal.workflows.segment_outlook import (
    BALANCE,
    FORETELL,
    OUTLOOK,
    STYLE,
    UNTOLD_SHARE,
    Foreseen,
    came_between,
    foresee,
    horizon_of,
    rfm_of,
)

if TYPE_CHECKING:
    from shoal.workflows.segment_learn import Known, Learner

#: Customers a segment that segments are judged with; of fewer nothing is said.
CUSTOMERS_A_SEGMENT: Final = 10

#: Segments that the share of the outlook is found with where their number is not told.
_USUAL_K: Final = 8


@dataclass(frozen=True)
class Past:
    """The last period, as a learner reads it."""

    learner: Learner

    def outlook(
        self, known: Known, vocabulary: Vocabulary, method: str
    ) -> tuple[Outlook | None, Future | None, dict[str, Any]]:
        """The outlook that segments are made on, the period that judges them (with the outlook's
        share in it; None where k is told or the log is short), and how the share was found."""
        fixed = {STYLE: 0.0, OUTLOOK: 1.0}
        unasked = STYLE if method == Seeded.method or self.learner.on == EMBEDDING else BALANCE
        aim = self.learner.aim or unasked
        horizon = horizon_of(known.features)
        if horizon is None or (aim == STYLE and self.learner.k):
            return None, None, {"aim": aim, "outlook_share": 0.0, "outlook": None}
        seen = None
        if aim != STYLE:
            self.learner.progress.start("outlook", None)
            seen = foresee(
                known, self.learner.then, vocabulary, self.learner.fold.catalog, horizon,
                minimum_events=self.learner.settings.min_events, seed=self.learner.seed,
                protected=protected_of(self.learner.settings),
            )  # fmt: skip
            self.learner.progress.done()
        if seen is None and self.learner.k:
            return None, None, {"aim": aim, "outlook_share": 0.0, "outlook": None}
        future = self.future(known, vocabulary, horizon, seen)
        weighed = None
        searched = self.learner.share is None and aim in (BALANCE, FORETELL)
        if searched and seen is not None and future is not None:
            bounds = self.learner.settings
            k = self.learner.k or min(max(_USUAL_K, bounds.k_min), bounds.k_max)
            before = self.learner.settled.share if self.learner.settled else None
            weighed = weigh(future, k, seed=self.learner.seed, best=aim == FORETELL, settled=before)
        share = fixed.get(aim, UNTOLD_SHARE if weighed is None else weighed.share)
        if self.learner.share is not None:
            share = self.learner.share
        share = share if seen is not None else 0.0
        evidence = {
            "aim": aim, "outlook_share": share,
            "outlook": None if weighed is None else weighed.as_document(),
            "head": None if seen is None else seen.head.figures,
        }  # fmt: skip
        outlook = None if seen is None else seen.outlook(share)
        return outlook, None if future is None else future.at(share), evidence

    def horizon(self, known: Known) -> int | None:
        """Days of the period to foretell; None where the log is too short."""
        return horizon_of(known.features)

    def shares_of_aim(self, shares: Sequence[float]) -> tuple[float, ...]:
        """Of shares of the outlook, those that the aim allows."""
        if self.learner.aim in (STYLE, OUTLOOK):
            wanted = 1.0 if self.learner.aim == OUTLOOK else 0.0
            return (wanted,) if wanted in shares else (0.0,)
        return tuple(shares)

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
            expected = Outlook(seen.earlier, 1.0).fit(before).transform(before)
        came = came_between(before, known.features)
        taken = vocabulary.events(before[CUSTOMER], known.counts) - vocabulary.events(
            before[CUSTOMER], then.counts
        )
        categories = [facet == "category" for facet, _ in vocabulary.names]
        return Future(
            Z, horizon, came[ACTIVE], came[ORDERS], came[SPEND], taken[:, categories], expected,
            rfm_of(before),
        )  # fmt: skip
