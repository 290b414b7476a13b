"""Segments: who belongs together, since when, and by which version of which method."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shoal.domain.text import Text

#: Tier of customers with fewer events than the stated minimum: too little known to place.
TIER_NEW: Final = "new"

#: Tier of the customers a segmenter has placed.
TIER_PLACED: Final = "placed"

#: Why a membership began: the segmentation was made or changed, the customer's events moved it,
#: time without an event did, or an earlier segmentation was put back.
VERSION: Final = "version"
EVENT: Final = "event"
SILENCE: Final = "silence"
ROLLBACK: Final = "rollback"
CAUSES: Final = (VERSION, EVENT, SILENCE, ROLLBACK)


@dataclass(frozen=True)
class Segment:
    """One segment of a segmentation.

    `segment_id` is unique within its segmentation; `share` is that of all customers, 0 to 1.
    """

    segment_id: str
    name: Text
    size: int
    share: float

    @property
    def tier(self) -> str:
        return TIER_NEW if self.segment_id == TIER_NEW else TIER_PLACED


@dataclass(frozen=True)
class Segmentation:
    """A frozen, versioned division of a shop's customers.

    `as_of` is the moment of the states it was learned from; nothing later than `trained_until`
    was used.
    """

    segmentation_id: str
    method: str
    as_of: datetime
    trained_until: datetime
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        ids = [segment.segment_id for segment in self.segments]
        if len(set(ids)) != len(ids):
            raise ValueError(f"segmentation {self.segmentation_id} repeats a segment id: {ids}")

    def segment(self, segment_id: str) -> Segment | None:
        """The segment of that id; None if there is none."""
        return next((one for one in self.segments if one.segment_id == segment_id), None)


@dataclass(frozen=True)
class Membership:
    """A dated fact: a customer belongs to a segment with a weight (0 to 1) since a moment.

    `cause` is one of `CAUSES`; `margin` is the weight less that of the next best segment when the
    fact was written, None where that was not told.
    """

    customer_id: str
    segmentation_id: str
    segment_id: str
    weight: float
    since: datetime
    cause: str = VERSION
    margin: float | None = None
