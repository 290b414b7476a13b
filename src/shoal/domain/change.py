"""A change of membership: a customer is in another segment than before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shoal.domain.time import iso


@dataclass(frozen=True)
class Change:
    """One row of the membership log whose segment is another than that of the row before.

    Args:
        sequence: the row's position in the log; a later change has a higher one.
        before: the segment that the customer was in; None: in none of these segmentations yet.
        after: the segment that the customer is in now.
        cause: one of `shoal.domain.segment.CAUSES`.
        weight: of `after`, 0 to 1; `margin` is that less the next best one's, None: not told.
        since: when it began.
        before_since: when the membership before began.
    """

    sequence: int
    customer_id: str
    segmentation_id: str
    before: str | None
    after: str
    cause: str
    weight: float
    margin: float | None
    since: datetime
    before_since: datetime | None = None

    def touches(self, segments: Collection[str]) -> bool:
        """Whether it leads into or out of one of some segments; none named: of any."""
        return not segments or self.after in segments or self.before in segments

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seq": self.sequence, "customer_id": self.customer_id,
            "segmentation_id": self.segmentation_id, "from": self.before, "to": self.after,
            "cause": self.cause, "weight": self.weight, "margin": self.margin,
            "since": iso(self.since),
        }  # fmt: skip
