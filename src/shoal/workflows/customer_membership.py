"""One customer in one segmentation: where, since when, why, what before, and what is next best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.domain.errors import ShoalError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import DAY_US, iso, to_us
from shoal.ports import Registry, StateStore
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER, Weights
from shoal.workflows.advance import InForce, placed
from shoal.workflows.canary import kept
from shoal.workflows.membership_log import line_of, spells

#: Weights below this share are not told.
_LEAST_WEIGHT: Final = 0.01


@dataclass(frozen=True)
class Teller:
    """Tells of a customer's memberships at a moment, from the log and the segmentation applied."""

    store: StateStore
    registry: Registry
    moment: datetime
    names: dict[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def membership(self, found: SegmentationArtefact, table: pa.Table) -> dict[str, Any]:
        """One entry of `shoal.customer/1`.

        Args:
            table: what the segmentation reads of the customer, one row.
        """
        weights = found.segmenter.transform(table)
        ids = found.segmenter.segment_ids
        customer = table[CUSTOMER].to_pylist()
        recorded = self.store.get_memberships(
            kept(self.store, found.segmentation_id), customers=customer, as_of=self.moment
        )
        members, moved = placed(table[CUSTOMER], weights, InForce.of(found), recorded, self.moment)
        own = members.to_pylist()[0]
        segment_id = str(own["segment_id"])
        return {
            "segmentation_id": found.segmentation_id,
            "method": found.document["method"],
            "segment_id": segment_id,
            "name": self._name(found, segment_id),
            "weight": own["weight"],
            "since": iso(own["since"]),
            "days": _days(own["since"], self.moment),
            "cause": None if moved[0] else own["cause"],
            "recorded": not moved[0],
            "margin": own["margin"],
            "runner_up": self._runner_up(found, weights[0], segment_id),
            "previous": self._previous(found, customer[0], segment_id, moved=bool(moved[0])),
            "prior": self._prior(found, table) if segment_id == TIER_NEW else None,
            "weights": {
                name: float(weight)
                for name, weight in zip(ids, weights[0], strict=True)
                if weight > _LEAST_WEIGHT
            },
        }

    def _runner_up(
        self, found: SegmentationArtefact, weights: Weights, segment_id: str
    ) -> dict[str, Any] | None:
        """The heaviest other segment; None where nothing else weighs anything."""
        others = [
            (float(weight), name)
            for name, weight in zip(found.segmenter.segment_ids, weights, strict=True)
            if name not in (segment_id, TIER_NEW)
        ]
        weight, name = max(others, key=lambda one: one[0], default=(0.0, ""))
        if weight <= 0:
            return None
        return {"segment_id": name, "name": self._name(found, name), "weight": weight}

    def _previous(
        self, found: SegmentationArtefact, customer: str, segment_id: str, *, moved: bool
    ) -> list[dict[str, Any]]:
        """Spells in other segments before this one, latest first; `until` says when each ended.

        `ended_by` is the cause of the change; None where that is not recorded yet.
        """
        history = self.store.membership_history(
            customer, segmentations=line_of(self.store, found.segmentation_id)
        )
        began = [moment <= self.moment for moment in history["since"].to_pylist()]
        rows = spells(history.filter(pa.array(began, pa.bool_()))).to_pylist()
        told = []
        for place, row in enumerate(rows if moved else rows[:-1]):
            until = row["until"] or self.moment
            cause = rows[place + 1]["cause"] if place + 1 < len(rows) else None
            told.append(
                {
                    "segmentation_id": row["segmentation_id"],
                    "segment_id": row["segment_id"],
                    "name": self._name_in(found, row["segmentation_id"], row["segment_id"]),
                    "since": iso(row["since"]),
                    "until": iso(until),
                    "days": _days(row["since"], until),
                    "cause": row["cause"],
                    "ended_by": cause,
                }
            )
        return told[::-1]

    def _prior(self, found: SegmentationArtefact, table: pa.Table) -> list[dict[str, Any]]:
        """Chances of the segments for one too little known to be placed, largest first."""
        ids = [name for name in found.segmenter.segment_ids if name != TIER_NEW]
        told = getattr(found.segmenter, "prior", None)
        if told is None:
            sizes = {one["segment_id"]: one["size"] for one in found.document["segments"]}
            chances = np.array([sizes.get(name, 0) for name in ids], dtype=np.float64)
        else:
            chances = np.asarray(told(table), dtype=np.float64)[0, : len(ids)]
        total = chances.sum()
        pairs = sorted(zip(chances / total if total else chances, ids, strict=True), reverse=True)
        return [
            {"segment_id": name, "name": self._name(found, name), "chance": float(chance)}
            for chance, name in pairs
        ]

    def _name(self, found: SegmentationArtefact, segment_id: str) -> Mapping[str, str]:
        known = {one["segment_id"]: one["name"] for one in found.document["segments"]}
        return known.get(segment_id, {"en": segment_id, "zh": segment_id})

    def _name_in(
        self, found: SegmentationArtefact, segmentation_id: str, segment_id: str
    ) -> Mapping[str, str]:
        """The name that a segment had in a version; its id where that version is gone."""
        if segmentation_id == found.segmentation_id:
            return self._name(found, segment_id)
        if segmentation_id not in self.names:
            try:
                older = artefact.read(self.registry, segmentation_id).document["segments"]
            except ShoalError:
                older = []
            self.names[segmentation_id] = {one["segment_id"]: one["name"] for one in older}
        return self.names[segmentation_id].get(segment_id, {"en": segment_id, "zh": segment_id})


def _days(since: datetime, until: datetime) -> float:
    return (to_us(until) - to_us(since)) / DAY_US
