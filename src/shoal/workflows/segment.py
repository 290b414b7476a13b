"""Form segments: features at a moment, k-means and RFM beside it, artefacts, memberships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import SegmentConfig
from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.domain.time import Clock, Zone, iso, system_clock
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment, snapshot_table
from shoal.features.tastes import Vocabulary, counts_at
from shoal.ports import EventTable, Registry, StateStore, Warehouse
from shoal.segments.base import (
    CUSTOMER,
    EVENTS,
    NET_REVENUE,
    ORDERS,
    Segmenter,
    column,
)
from shoal.segments.choose import Choice, Future, choose, told
from shoal.segments.clustered import ClusterSegmenter, Preparation
from shoal.segments.inputs import TASTE_PRIOR_EVENTS, WEIGHTS, inputs, with_tastes
from shoal.segments.rules import Rfm
from shoal.workflows import reference
from shoal.workflows.admission import Admission
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.segment_publish import Publisher

SCHEMA: Final = "shoal.segment/1"
METHODS: Final = ("kmeans", "rfm")

#: The period that segments have to foretell, and the shortest one worth asking for.
HORIZON_DAYS: Final = 28
SHORTEST_HORIZON_DAYS: Final = 7
#: A horizon may take this share of the log at most.
_HORIZON_SHARE: Final = 4
#: Customers a segment that k-means chooses k among; below, k has to be told.
CUSTOMERS_A_SEGMENT: Final = 10


@dataclass(frozen=True)
class SegmentResult:
    """The segmentations that were made, main one first, and what a person should know."""

    as_of: datetime
    documents: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the segmentations, main one first."""
        return tuple(str(one["segmentation_id"]) for one in self.documents)

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.segment/1`."""
        shown = (
            "segmentation_id", "method", "as_of", "trained_until", "seed", "k", "choice",
            "customers", "minimum_events", "warnings", "segments",
        )  # fmt: skip
        return {
            "schema": SCHEMA,
            "as_of": iso(self.as_of),
            "segmentations": [{key: one[key] for key in shown} for one in self.documents],
            "warnings": list(self.warnings),
        }


def segment(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    settings: SegmentConfig | None = None,
    until: datetime | None = None,
    methods: Sequence[str] = METHODS,
    k: int | None = None,
    seed: int | None = None,
    table_version: int | None = None,
    clock_now: Clock = system_clock,
    progress: Progress | None = None,
) -> SegmentResult:
    """Learn segments from all customers' features and make them the current ones.

    K-means becomes `segmentation.main` (RFM where k-means was not asked for) and RFM becomes
    `segmentation.rfm`. All customers with an event before the moment get a membership in each.

    Args:
        settings: k, its bounds, minimum events and seed; `k` and `seed` given here win.
        until: T; nothing at or after it is used. None: just after the latest event.
        methods: some of `METHODS`.
        table_version: of the event table; None for the latest.

    Raises:
        UsageError: `unknown_method`.
        InputError: `too_little_data`: what there is, what is needed, what is possible with less.
        OperationError: `shop_locked`, `disk_full`, `no_permission`.
    """
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        raise UsageError(
            "unknown_method",
            f"no segmentation method {', '.join(map(repr, unknown)) or 'was given'}",
            hint=f"Methods: {', '.join(METHODS)}.",
        )
    settings = settings or SegmentConfig()
    job = _Job(
        warehouse=warehouse,
        store=store,
        registry=registry,
        fold=fold,
        zone=zone,
        admission=admission,
        settings=settings,
        k=settings.k if k is None else k,
        seed=settings.seed if seed is None else seed,
        table_version=table_version,
        now=clock_now(),
        progress=progress or NoProgress(),
    )
    with store.lease():
        return job.run(until, methods)


@dataclass
class _Job:
    """One run; the steps in the order of `run`."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    settings: SegmentConfig
    k: int
    seed: int
    table_version: int | None
    now: datetime
    progress: Progress
    warnings: list[Text] = field(default_factory=list)
    counted: dict[datetime, EventTable] = field(default_factory=dict)

    def run(self, until: datetime | None, methods: Sequence[str]) -> SegmentResult:
        as_of = until or latest_moment(self.warehouse, version=self.table_version)
        self.progress.start("features", None)
        items, reference_id = reference.freeze(
            self._counted(as_of),
            self.registry,
            as_of,
            noise=self.fold.rules.noise,
            table_version=self.table_version,
        )
        features = self._features(as_of, items)
        counts = self._counts(as_of)
        vocabulary = Vocabulary.of(counts, prior=TASTE_PRIOR_EVENTS)
        self.progress.done()
        made: list[tuple[Segmenter, Choice | None]] = []
        if "kmeans" in methods:
            made.append(self._kmeans(as_of, features, counts, vocabulary))
        if "rfm" in methods:
            made += self._rfm(features, needed=len(methods) == 1)
        self.progress.start("profiles", len(made))
        publisher = self._publisher()
        documents = []
        for segmenter, choice in made:
            documents.append(
                publisher.publish(
                    segmenter, choice, as_of, features, counts, vocabulary, reference_id
                )
            )
            self.progress.advance()
        self.progress.done()
        self.store.set_pointer(reference.POINTER, reference_id, self.now)
        return SegmentResult(as_of, tuple(documents), tuple(text.en for text in self.warnings))

    def _features(self, as_of: datetime, items: pa.Table | None = None) -> pa.Table:
        features = snapshot_table(
            self._counted(as_of),
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
        return features

    def _counts(self, as_of: datetime) -> pa.Table:
        events = self._counted(as_of).events(version=self.table_version)
        return counts_at(self.fold, events, as_of)

    def _counted(self, as_of: datetime) -> EventTable:
        """The events as they count at a moment; admitted once for each."""
        if as_of not in self.counted:
            self.counted[as_of] = self.admission.at(as_of, version=self.table_version)
        return self.counted[as_of]

    def _publisher(self) -> Publisher:
        version = self.warehouse.version() if self.table_version is None else self.table_version
        return Publisher(
            self.store,
            self.registry,
            self.fold,
            self.settings,
            self.k,
            self.seed,
            version,
            self.now,
            self.warnings,
        )

    # -- methods -----------------------------------------------------------------------------------

    def _kmeans(
        self, as_of: datetime, features: pa.Table, counts: pa.Table, vocabulary: Vocabulary
    ) -> tuple[Segmenter, Choice]:
        table = with_tastes(features, counts, vocabulary)
        segmenter = self._segmenter(table, vocabulary, self.k or self.settings.k_min)
        Z = segmenter.prepare(table)
        if self.k:
            choice = told(self.k)
        else:
            self._enough(len(Z), features.num_rows)
            future = self._future(as_of, features, counts, vocabulary)
            ks = range(self.settings.k_min, self.settings.k_max + 1)
            self.progress.start("number of segments", len(ks))
            choice = choose(Z, ks, seed=self.seed, future=future, step=self.progress.advance)
            self.progress.done()
            if not choice.trusted:
                self.warnings.append(choice.reason)
        segmenter.k = choice.chosen
        segmenter.cluster(Z)
        made = len(segmenter.centers)
        if made < choice.chosen:
            self.warnings.append(
                Text(
                    f"{choice.chosen} segments were wanted, but the customers show only {made} "
                    "different behaviours.",
                    f"希望分为 {choice.chosen} 群，但客户只呈现 {made} 种不同行为。",
                )
            )
        return segmenter, choice

    def _segmenter(self, table: pa.Table, vocabulary: Vocabulary, k: int) -> ClusterSegmenter:
        return ClusterSegmenter(
            inputs(table, self.fold.catalog, vocabulary),
            k,
            minimum_events=self.settings.min_events,
            preparation=Preparation(group_weights=WEIGHTS),
            seed=self.seed,
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

    def _future(
        self, as_of: datetime, features: pa.Table, counts: pa.Table, vocabulary: Vocabulary
    ) -> Future | None:
        """What was known a horizon ago and what came since; None if the log is too short."""
        span = float(np.nanmax(column(features, "tenure_days")))
        horizon = min(HORIZON_DAYS, int(span / _HORIZON_SHARE))
        if horizon < SHORTEST_HORIZON_DAYS:
            return None
        then = as_of - timedelta(days=horizon)
        counts_then = self._counts(then)
        before = with_tastes(self._features(then), counts_then, vocabulary)
        segmenter = self._segmenter(before, vocabulary, self.settings.k_min)
        known = segmenter.known(before)
        if known.sum() < CUSTOMERS_A_SEGMENT * self.settings.k_min:
            return None
        Z = segmenter.prepare(before)
        before = before.filter(pa.array(known))
        after = features.take(pc.index_in(before[CUSTOMER], features[CUSTOMER].combine_chunks()))
        events, orders, spend = (
            np.nan_to_num(column(after, name)) - np.nan_to_num(column(before, name))
            for name in (EVENTS, ORDERS, NET_REVENUE)
        )
        taken = vocabulary.events(before[CUSTOMER], counts) - vocabulary.events(
            before[CUSTOMER], counts_then
        )
        categories = [facet == "category" for facet, _ in vocabulary.names]
        active = (events > 0).astype(np.float64)
        return Future(Z, horizon, active, np.maximum(orders, 0), spend, taken[:, categories])

    def _rfm(self, features: pa.Table, *, needed: bool) -> list[tuple[Segmenter, Choice | None]]:
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
