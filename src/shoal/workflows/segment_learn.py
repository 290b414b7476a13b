"""Learn segmenters from what is known of all customers at a moment; nothing is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import SegmentConfig
from shoal.domain.errors import InputError
from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
from shoal.domain.time import Zone, iso
from shoal.features.fold import Fold
from shoal.features.snapshot import snapshot_table
from shoal.features.tastes import Vocabulary, counts_at
from shoal.ports import EventTable
from shoal.segments.base import CUSTOMER, Segmenter
from shoal.segments.choose import NO_GROUPS, Choice, Staging, Standing, choose
from shoal.segments.choose import told as told_k
from shoal.segments.clustered import ClusterSegmenter, Preparation
from shoal.segments.inputs import (
    EMBEDDING,
    FEATURES,
    TASTE_PRIOR_EVENTS,
    WEIGHTS,
    inputs,
)
from shoal.segments.methods.base import Clusterer, Matrix
from shoal.segments.methods.base import Labels as Places
from shoal.segments.methods.density import Density
from shoal.segments.methods.hierarchy import Hierarchy
from shoal.segments.methods.registry import Options, make
from shoal.segments.methods.seeded import Anchors, Seeded
from shoal.segments.methods.staged import Staged
from shoal.segments.outlook import Outlook
from shoal.segments.protected import protected_of
from shoal.segments.rules import Rfm
from shoal.segments.weigh import weigh
from shoal.workflows.admission import Admission
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.known import Known
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.segment_labels import Labels, labels_of_feature, read_labels
from shoal.workflows.segment_outlook import OUTLOOK
from shoal.workflows.segment_past import CUSTOMERS_A_SEGMENT, Foretold, Past
from shoal.workflows.segment_settled import Settled
from shoal.workflows.segment_temper import temper

#: Dimensions of an embedding have no long tails and are no facts counted twice.
EMBEDDED: Final = Preparation(skew="none", correlation_limit=1.0)

#: A segmenter and, where its number of segments was chosen or told, how.
Learned = tuple[Segmenter, Choice | None]


def _usual(on: str) -> Preparation:
    return EMBEDDED if on == EMBEDDING else Preparation(group_weights=WEIGHTS)


@dataclass
class Learner:
    """Reads a shop at a moment and learns segmenters from it.

    Args:
        settings: bounds of k and minimum events.
        k: the number of segments, 0 to choose it.
        table_version: of the event table; None for the latest.
        warnings: what a person should know of what was learned; filled while learning.
        past: what is known already of earlier moments, to be read once only.
        on: what learned segments are made on, one of `shoal.segments.inputs.ON`.
        model: whose embeddings they are made on; None only where `on` is features.
        options: what single methods are told.
        labels: a file, or the name of a text feature, that names segments of known customers.
        warm: `customer_id`, `segment_id` of an earlier version: a further start.
        aim: one of `shoal.workflows.segment_outlook.AIMS`; None: balance, but style where somebody
            asked for the embedding alone or labelled customers.
        settled: what the version before had, kept where it is as good as anything.
        preparation: of features; None: the usual one.
        styles: groups by style among the k, told and not chosen.
    """

    fold: Fold
    zone: Zone
    admission: Admission
    settings: SegmentConfig
    k: int
    seed: int
    table_version: int | None = None
    progress: Progress = field(default_factory=NoProgress)
    warnings: list[Text] = field(default_factory=list)
    past: dict[datetime, Known] = field(default_factory=dict)
    on: str = FEATURES
    model: ModelInUse | None = None
    options: Options = field(default_factory=Options)
    labels: str | None = None
    warm: pa.Table | None = None
    aim: str | None = None
    settled: Settled | None = None
    preparation: Preparation | None = None
    styles: int | None = None

    # -- reading -----------------------------------------------------------------------------------

    def admitted(self, as_of: datetime) -> EventTable:
        """The events as they count at a moment."""
        return self.admission.at(as_of, version=self.table_version)

    def known(self, as_of: datetime, events: EventTable, items: pa.Table | None = None) -> Known:
        """What admitted events tell at the moment.

        Args:
            items: the frozen reference; None builds it from the events before the moment.

        Raises:
            InputError: `too_little_data`, no customer has an event before the moment.
        """
        features = snapshot_table(
            events,
            self.fold,
            zone=self.zone,
            as_of=as_of,
            reference_table=items,
            version=self.table_version,
        )
        if not features.num_rows:
            raise InputError(
                "too_little_data",
                f"no customer has an event before {iso(as_of)}",
                hint="Give a later --until, or ingest earlier events.",
            )
        counts = counts_at(self.fold, events.events(version=self.table_version), as_of)
        embedded = None
        if self.model is not None:
            embedded = self.model.embeddings(events, as_of, version=self.table_version)
        return Known(as_of, features, counts, embedded)

    def vocabulary(self, known: Known) -> Vocabulary:
        """The names of tastes that become columns."""
        return Vocabulary.of(known.counts, prior=TASTE_PRIOR_EVENTS)

    def then(self, moment: datetime) -> Known:
        """What was known at an earlier moment, read once."""
        if moment not in self.past:
            self.past[moment] = self.known(moment, self.admitted(moment))
        return self.past[moment]

    # -- learning ----------------------------------------------------------------------------------

    def learn(self, known: Known, vocabulary: Vocabulary, methods: Sequence[str]) -> list[Learned]:
        """The segmenters of some methods, in their order; RFM comes last.

        Where another method is asked for as well, RFM is left out with a warning if too few have
        ordered.

        Raises:
            InputError: `too_little_data`; what `read_labels` raises.
            UsageError: `usage`, labels or k that a method cannot have.
        """
        made = [
            self._clustered(known, vocabulary, method)
            for method in dict.fromkeys(methods)
            if method != Rfm.method
        ]
        if Rfm.method in methods:
            made += self._rfm(known.features, needed=len(methods) == 1)
        return made

    def _clustered(self, known: Known, vocabulary: Vocabulary, method: str) -> Learned:
        table = known.table(vocabulary)
        told = Past(self).outlook(known, vocabulary, method)
        segmenter = self.segmenter(table, vocabulary, self.k or self.settings.k_min, told.outlook)
        Z = segmenter.prepare(table)
        anchors: Anchors | None = None
        account: dict[str, Any] = {}
        if method == Seeded.method:
            anchors, account = self._anchors(segmenter, table, Z)
        least = 0 if anchors is None else len(anchors.names)
        choice = None
        if method != Density.method:
            choice = self._choice(segmenter, table, Z, least, method, told)
        segmenter.clusterer = self._made(method, choice, told, segmenter, anchors)
        segmenter.cluster(Z, self._places_before(segmenter, table))
        if told.outlook is not None or told.future is not None:  # the past was read
            temper(segmenter, known, self.then, vocabulary)
        segmenter.clusterer.facts = {**segmenter.clusterer.facts, **account}
        self.warnings += segmenter.clusterer.notes
        made = len(segmenter.centers)
        if choice and made < choice.chosen:
            self.warnings.append(
                Text(
                    f"{choice.chosen} segments were wanted, but the customers show only {made} "
                    "different behaviours.",
                    f"希望分为 {choice.chosen} 群，但客户只呈现 {made} 种不同行为。",
                )
            )
        return segmenter, choice

    def _made(
        self, method: str, choice: Choice | None, told: Foretold, segmenter: ClusterSegmenter,
        anchors: Anchors | None,
    ) -> Clusterer:  # fmt: skip
        """The method that is to be fitted, in stages where the choice says so."""
        k = choice.chosen if choice else 0
        styles = self.styles if self.styles is not None else choice and choice.styles
        if not told.staged or not styles or k < 2:
            return make(method, k, self.options, anchors)
        owner = self.settled.owner if self.settled else {}
        before = [owner.get(one, -1) for one in self._ids_before()] if owner else None
        return Staged(make(method, styles, self.options, anchors), k, segmenter.width, before)

    def _choice(
        self, segmenter: ClusterSegmenter, table: pa.Table, Z: Matrix, least: int, method: str,
        told: Foretold,
    ) -> Choice:  # fmt: skip
        """The number of segments: told, the finest level asked for, or chosen.

        Args:
            least: as many are named.
        """
        evidence = told.as_document()
        fixed = self.k
        if method == Hierarchy.method and self.options.levels and not fixed:
            fixed = max(self.options.levels)
        if fixed:
            return replace(told_k(fixed), **self._weighed(fixed, told, evidence))
        self._enough(len(Z), table.num_rows)
        groups = None
        # Where the version before had groups, a doubtful half of the customers takes none away.
        had = self.settled is not None and (self.settled.k or 1) > 1
        if told.aim != OUTLOOK and not least and not had:
            groups = segmenter.style(table.filter(pa.array(segmenter.known(table))))
        lowest = max(self.settings.k_min, least)
        ks = range(lowest, max(self.settings.k_max, lowest) + 1)
        self.progress.start("number of segments", len(ks))
        before = self.settled or Settled(None, None)
        staging = None
        if told.staged:
            staging = Staging(segmenter.width, told.best, before.styles, before.doubted)
        choice = choose(
            Z, ks, seed=self.seed, future=told.future, step=self.progress.advance,
            standing=replace(before.standing or Standing(), k=before.k), groups=groups,
            staging=staging,
        )  # fmt: skip
        self.progress.done()
        if not choice.trusted or choice.rule == NO_GROUPS:
            self.warnings.append(choice.reason)
        return replace(choice, extra={**choice.extra, **evidence})

    def _weighed(self, k: int, told: Foretold, evidence: Mapping[str, Any]) -> dict[str, Any]:
        """Of k segments that were told: how many differ by style, and why."""
        if not told.staged or self.styles is not None or told.future is None:
            return {"extra": evidence, "styles": self.styles}
        before = self.settled or Settled(None, None)
        found = weigh(
            told.future, k, seed=self.seed, best=told.best, settled=before.styles,
            doubted=before.doubted,
        )  # fmt: skip
        if found is None:
            return {"extra": evidence}
        return {"extra": {**evidence, "outlook": found.as_document()}, "styles": found.styles}

    def _anchors(
        self, segmenter: ClusterSegmenter, table: pa.Table, Z: Matrix
    ) -> tuple[Anchors, dict[str, Any]]:
        """The known customers, and what became of the labels, which is told."""
        assert self.labels is not None, "check_methods refuses seeded segments without labels"
        labels = _labels(self.labels, table)
        anchors, account, warnings = labels.anchors(
            table[CUSTOMER].to_pylist(), segmenter.known(table), Z
        )
        self.label_account = account
        self.warnings += warnings
        return anchors, {"labels": account}

    def _places_before(self, segmenter: ClusterSegmenter, table: pa.Table) -> Places | None:
        """(n,) place of each known customer in the earlier version, -1 for none."""
        if self.warm is None:
            return None
        rows = pc.index_in(table[CUSTOMER], self.warm[CUSTOMER].combine_chunks())
        ids = self.warm["segment_id"].take(rows).to_pylist()
        place = {one: number for number, one in enumerate(self._ids_before())}
        found = np.array([place.get(one, -1) for one in ids], np.int64)
        return found[segmenter.known(table)]

    def _ids_before(self) -> list[str]:
        """Ids of the segments of the earlier version in which anybody is, in their order."""
        if self.warm is None:
            return []
        return sorted({*self.warm["segment_id"].unique().to_pylist()} - {None, TIER_NEW})

    def segmenter(
        self, table: pa.Table, vocabulary: Vocabulary, k: int, outlook: Outlook | None = None
    ) -> ClusterSegmenter:
        return ClusterSegmenter(
            inputs(table, self.fold.catalog, vocabulary, self.on, protected_of(self.settings)),
            k,
            minimum_events=self.settings.min_events,
            preparation=self.preparation or _usual(self.on),
            seed=self.seed,
            outlook=outlook,
        )

    def _enough(self, placed: int, customers: int) -> None:
        needed = CUSTOMERS_A_SEGMENT * self.settings.k_min
        if placed < needed:
            raise InputError(
                "too_little_data",
                f"choosing the number of segments needs at least {needed} customers with "
                f"{self.settings.min_events} events or more; there are {placed} of {customers} "
                "customers",
                hint="Ingest more events, tell the number of segments (--k), or use what works "
                "with less: RFM rules (--method rfm) or features alone (shoal features).",
            )

    def _rfm(self, features: pa.Table, *, needed: bool) -> list[Learned]:
        try:
            return [(Rfm().fit(features), None)]
        except InputError as error:
            if needed:
                raise
            self.warnings.append(
                Text(
                    f"No RFM segments were made: {error.message}.",
                    "未生成 RFM 分群：有订单的客户太少。",
                )
            )
            return []


def _labels(source: str, table: pa.Table) -> Labels:
    """The labels of a file; of a feature where there is no such file."""
    path = Path(source)
    if path.exists() or path.suffix:
        return read_labels(path)
    return labels_of_feature(table, source)
