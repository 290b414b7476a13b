"""What a cut of a replay learned, and what goes on from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from shoal.adjust.align import number_of
from shoal.domain.time import iso
from shoal.features.tastes import Vocabulary
from shoal.segments.base import CUSTOMER, Segmenter
from shoal.segments.clustered import ClusterSegmenter
from shoal.workflows.advance import InForce
from shoal.workflows.segment_identity import compared


@dataclass(frozen=True)
class Model:
    """What a cut learned: later cuts apply it. Nothing at or after `trained_until` was used."""

    segmenter: Segmenter
    vocabulary: Vocabulary
    items: pa.Table
    trained_until: datetime

    @property
    def name(self) -> str:
        """`kmeans@2024-03-05T00:00:00Z`."""
        return f"{self.segmenter.method}@{iso(self.trained_until)}"

    def in_force(self, margin: float) -> InForce:
        """As the step applies it."""
        return InForce(self.name, self.segmenter, self.vocabulary, margin)


@dataclass(frozen=True)
class Before:
    """A segmenter that is to be followed by another, and what it reads of the customers now."""

    segmenter: ClusterSegmenter
    table: pa.Table
    seed: int

    @property
    def warm(self) -> pa.Table:
        """`customer_id`, `segment_id` of everybody: a further start."""
        places = pa.array(self.segmenter.predict(self.table))
        ids = pa.array(self.segmenter.segment_ids, pa.string()).take(places)
        return pa.table({CUSTOMER: self.table[CUSTOMER], "segment_id": ids})

    def go_on(self, after: ClusterSegmenter, table: pa.Table, highest: int) -> int:
        """Give the segments of `after` the ids of those that they continue; the highest number."""
        aligned, _, _ = compared(
            self.segmenter, self.table, after, table, highest=highest, seed=self.seed
        )
        after.rename(aligned.ids)
        return max(highest, *(number_of(one) for one in aligned.ids))
