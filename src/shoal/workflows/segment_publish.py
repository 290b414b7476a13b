"""Publish a fitted segmenter: who is who, profiles, names, artefact, memberships, pointers.

Ids come first: a main segmentation is aligned with the one before it, so that everything told of a
segment is told of its permanent id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.adjust.canary import DROPPED
from shoal.config import SegmentConfig
from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
from shoal.domain.time import DAY_US, from_us, iso, to_us
from shoal.domain.version import __version__
from shoal.features.fold import Fold
from shoal.features.tastes import Vocabulary
from shoal.ports import Registry, StateStore
from shoal.segments import artefact
from shoal.segments.assign import places_of
from shoal.segments.base import CUSTOMER, NET_REVENUE, ORDERS, Segmenter, Weights, column
from shoal.segments.choose import Choice
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.inputs import FEATURES
from shoal.segments.profile import Placed
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.workflows import canary
from shoal.workflows.advance import record_version, with_margins
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.explain_publish import explained, explanation_before
from shoal.workflows.known import Known
from shoal.workflows.segment_identity import Identified, Line
from shoal.workflows.segment_profiles import profiled

TITLES: Final[Mapping[str, Text]] = {
    "kmeans": Text("Segments by behaviour (k-means)", "行为分群（k-means）"),
    "mixture": Text("Segments by behaviour (Gaussian mixture)", "行为分群（高斯混合）"),
    "hierarchy": Text("Segments by behaviour (hierarchy)", "行为分群（层次聚类）"),
    "density": Text("Segments by behaviour (density)", "行为分群（密度聚类）"),
    "deep": Text("Segments by behaviour (deep clustering)", "行为分群（深度聚类）"),
    "seeded": Text("Segments from known customers", "由已知客户引导的分群"),
    "consensus": Text("Segments by behaviour (consensus)", "行为分群（集成）"),
    "rules": Text("Segments by rules", "规则分群"),
    "rfm": Text("RFM segments (rules)", "RFM 分群（规则）"),
}


@dataclass(frozen=True)
class Continued:
    """What is settled already of a segmentation that an adjustment makes.

    Args:
        who: its segmenter with permanent ids, and the lineage.
        memberships: `MEMBERSHIPS_SCHEMA`, of the known customers in their order: where the margin
            leaves each, rather than where weights alone would put it.
        told: what was done and why, for the document.
        choice: of the number of segments, from the version that was changed; None: a new one.
    """

    who: Identified
    memberships: pa.Table
    told: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Written:
    """A segmentation that lies there and is not in force yet.

    Args:
        members: `customer_id`, `segment_id`, `weight`, `margin`.
    """

    segmentation_id: str
    document: Mapping[str, Any]
    members: pa.Table
    as_of: datetime

    @property
    def method(self) -> str:
        return str(self.document["method"])


@dataclass(frozen=True)
class Publisher:
    """Makes fitted segmenters the shop's current ones.

    Args:
        k: the number of segments asked for, 0 if it was chosen.
        table_version: of the event table that was learned from.
        now: when this is done; pointers carry it.
        warnings: what a person should know, written into the artefact.
        on, model: what k-means was made on, and the model it took.
        line: the main segmentations that a new one continues; None: it stands alone.
    """

    store: StateStore
    registry: Registry
    fold: Fold
    settings: SegmentConfig
    k: int
    seed: int
    table_version: int
    now: datetime
    warnings: list[Text]
    on: str = FEATURES
    model: ModelInUse | None = None
    line: Line | None = None

    def publish(
        self,
        segmenter: Segmenter,
        choice: Choice | None,
        known: Known,
        vocabulary: Vocabulary,
        reference_id: str,
    ) -> Mapping[str, Any]:
        """Write the artefact of a fitted segmenter, its memberships and pointers.

        Returns its document, with its id and method.
        """
        written = self.write(segmenter, choice, known, vocabulary, reference_id)
        self.remember(written)
        return written.document

    def write(
        self,
        segmenter: Segmenter,
        choice: Choice | None,
        known: Known,
        vocabulary: Vocabulary,
        reference_id: str,
        continued: Continued | None = None,
    ) -> Written:
        """Write the artefact of a fitted segmenter; `remember` puts it in force.

        Args:
            continued: what an adjustment has settled already; None: who is who is found out, and
                customers are where the weights put them.
        """
        as_of, features, counts = known.as_of, known.features, known.counts
        table = known.table(vocabulary)
        who = self._identified(segmenter, known, table) if continued is None else continued.who
        segmenter = who.segmenter
        self.warnings.extend(who.warnings)
        weights = segmenter.transform(table)
        held = None
        if continued is not None:
            held = places_of(continued.memberships["segment_id"], segmenter.segment_ids)
        placed = Placed(
            features,
            segmenter.segment_ids,
            weights,
            vocabulary,
            vocabulary.shares(features[CUSTOMER], counts),
            held,
        )
        told = profiled(
            segmenter, placed, table, as_of, who.kept or {}, self.fold, self.settings.min_events
        )
        if continued is None:
            members = members_of(features[CUSTOMER], segmenter.segment_ids, weights)
            with_margin = with_margins(members, weights)
        else:
            with_margin = continued.memberships.select([*artefact.MEMBERS_SCHEMA.names, "margin"])
            members = with_margin.select(artefact.MEMBERS_SCHEMA.names)
        document = self._document(segmenter, choice, as_of, features, told, reference_id)
        if continued is not None:
            document["adjusted"] = dict(continued.told)
            document["choice"] = document["choice"] or continued.choice
        extra = {} if who.lineage is None else {"lineage": who.lineage}
        if isinstance(segmenter, ClusterSegmenter):  # rules explain themselves
            before = explanation_before(self.registry, who.previous_id)
            extra["explanation"] = explained(
                segmenter, placed, table, counts, told["segments"], self.fold,
                previous=before, seed=self.seed,
            )  # fmt: skip
        name = artefact.write(self.registry, segmenter, vocabulary, document, told, members, extra)
        told_of = {**document, "segmentation_id": name, "method": segmenter.method}
        return Written(name, told_of, with_margin, as_of)

    def becomes_main(self, method: str) -> bool:
        """Whether a segmentation of this method becomes the main one: rules only where none is."""
        return method not in artefact.BESIDE or self.store.get_pointer(artefact.MAIN) is None

    def _identified(self, segmenter: Segmenter, known: Known, table: pa.Table) -> Identified:
        """The segmenter with permanent ids."""
        if self.line is None or not self.becomes_main(segmenter.method):
            return Identified(segmenter)
        clustered = isinstance(segmenter, ClusterSegmenter)
        differs = {
            "method": segmenter.method,
            "on": self.on if clustered else FEATURES,
            "model_id": self.model.model_id if clustered and self.model else None,
            "k": len([one for one in segmenter.segment_ids if one != TIER_NEW]),
            "minimum_events": self.settings.min_events if clustered else 1,
            "fold_fingerprint": self.fold.fingerprint,
            "seed": self.seed,
            "as_of": iso(known.as_of),
        }
        return self.line.identified(segmenter, known, table, differs, self.seed)

    def _document(
        self,
        segmenter: Segmenter,
        choice: Choice | None,
        as_of: datetime,
        features: pa.Table,
        told: Mapping[str, Any],
        reference_id: str,
    ) -> dict[str, Any]:
        clustered = isinstance(segmenter, ClusterSegmenter)
        segments = told["segments"]
        unknown = sum(one["size"] for one in segments if one["segment_id"] == TIER_NEW)
        return {
            "title": TITLES[segmenter.method].as_document(),
            "parameters": self._parameters(segmenter),
            "seed": self.seed,
            "as_of": iso(as_of),
            "trained_until": iso(as_of),
            "period": _period(features, as_of),
            "created_at": iso(self.now),
            "table_version": self.table_version,
            "catalog_fingerprint": self.fold.catalog.fingerprint,
            "fold_fingerprint": self.fold.fingerprint,
            "value_event": self.fold.rules.value_event,
            "reference_id": reference_id,
            "on": self.on if clustered else FEATURES,
            "model_id": self.model.model_id if clustered and self.model else None,
            "shoal_version": __version__,
            "currency": self.fold.rules.currency,
            "minimum_events": self.settings.min_events if clustered else 1,
            "switch_margin": self.settings.switch_margin,
            "customers": {
                "total": features.num_rows,
                "placed": features.num_rows - unknown,
                "too_little_known": unknown,
            },
            "k": len(segments) - (1 if unknown else 0),
            "choice": None if choice is None else choice.as_document(),
            "method_facts": segmenter.facts if isinstance(segmenter, ClusterSegmenter) else None,
            "features": _inputs_document(segmenter),
            "warnings": [
                {"code": "segment", "en": text.en, "zh": text.zh} for text in self.warnings
            ],
            "segments": [
                {key: one[key] for key in ("segment_id", "name", "size", "share")}
                for one in segments
            ],
        }

    def _parameters(self, segmenter: Segmenter) -> dict[str, Any]:
        if isinstance(segmenter, ClusterSegmenter):
            learned, _ = segmenter.to_artefact()
            return {
                "on": self.on,
                "model": self.model.model_id if self.model else None,
                "k": self.k or "chosen",
                "k_min": self.settings.k_min,
                "k_max": self.settings.k_max,
                "minimum_events": self.settings.min_events,
                **learned["preparation"],
            }
        return segmenter.to_artefact()[0]

    def remember(self, written: Written) -> None:
        """Put a segmentation in force: memberships and pointers in one transaction.

        A canary that runs beside the main one that it takes the place of is dropped.
        """
        name, method = written.segmentation_id, written.method
        pointer = artefact.MAIN if self.becomes_main(method) else artefact.BESIDE[method]
        # ids are permanent on the line of the main segmentations; rules carry the same in all
        permanent = self.line is not None or method in artefact.BESIDE
        previous = self.store.get_pointer(pointer) if permanent else None
        with self.store.transaction():
            if self.becomes_main(method):
                canary.end(self.store, DROPPED, "overtaken", written.as_of, self.now)
            record_version(
                self.store, name, previous, written.members, written.as_of,
                table_version=self.table_version,
            )  # fmt: skip
            if method in artefact.BESIDE:
                self.store.set_pointer(artefact.BESIDE[method], name, self.now)
            if self.becomes_main(method):
                self.store.set_pointer(artefact.MAIN, name, self.now)


def members_of(
    customers: pa.ChunkedArray, segment_ids: Sequence[str], weights: Weights
) -> pa.Table:
    """One row a customer: the segment with the largest weight, and that weight."""
    places: npt.NDArray[np.int64] = weights.argmax(axis=1)
    segments = pa.array(segment_ids, pa.string()).take(pa.array(places))
    return pa.table(
        [customers, segments, pa.array(weights.max(axis=1))], schema=artefact.MEMBERS_SCHEMA
    )


def _period(features: pa.Table, as_of: datetime) -> dict[str, str | None]:
    """First and last event of the customers before the moment."""
    oldest = float(np.nanmax(column(features, "tenure_days")))
    latest = float(np.nanmin(column(features, "recency_days")))
    ends = (from_us(to_us(as_of) - round(days * DAY_US)) for days in (oldest, latest))
    first, last = (iso(end) for end in ends)
    return {"from": first, "to": last}


def _inputs_document(segmenter: Segmenter) -> dict[str, Any]:
    if isinstance(segmenter, RuleSegmenter):
        return {"used": list(segmenter.columns), "dropped": [],
                "components": None, "variance_share": None}  # fmt: skip
    if not isinstance(segmenter, ClusterSegmenter):
        return {"used": [ORDERS, "order_recency_days", NET_REVENUE], "dropped": [],
                "components": None, "variance_share": None}  # fmt: skip
    components = segmenter.parts[-1]
    return {
        "used": list(segmenter.used),
        "dropped": [{"feature": name, "reason": why} for name, why in segmenter.dropped],
        "components": int(components.n_components_),
        "variance_share": float(components.explained_share_.sum()),
    }
