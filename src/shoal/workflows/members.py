"""Segments as they are now: who is in one, page by page, how many, and how that went over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.ports import StateStore
from shoal.segments.artefact import SegmentationArtefact
from shoal.workflows.advance import recorded_until
from shoal.workflows.canary import answering
from shoal.workflows.segment_counts import Counts

PAGE: Final = "shoal.members/1"
TREND: Final = "shoal.trend/1"
#: Moments of a trend.
MOST_MOMENTS: Final = 400


@dataclass(frozen=True)
class Place:
    """Where a page of members begins; the same place gives the same members, whoever moves.

    Args:
        segmentation_id: the version that was in force when the first page was asked for.
        upto: position of the membership log then.
        after: the last customer of the page before; empty: there was none.
    """

    segmentation_id: str
    upto: int
    after: str = ""


def page(
    store: StateStore, place: Place, segment_id: str, limit: int
) -> tuple[list[dict[str, Any]], Place | None]:
    """Members of a segment by customer, `limit` at most, and where the next page begins.

    `segmentation_id` of each says which version placed the customer: of a canary's another one.
    Who was erased meanwhile is in no page any more.
    """
    rows = store.standings.members(
        answering(store, place.segmentation_id, place.upto), segment_id,
        upto=place.upto, after=place.after, limit=limit + 1,
    ).to_pylist()  # fmt: skip
    told = [
        {
            "customer_id": row["customer_id"], "weight": row["weight"], "margin": row["margin"],
            "since": iso(row["since"]), "cause": row["cause"],
            "segmentation_id": row["segmentation_id"],
        }
        for row in rows[:limit]
    ]  # fmt: skip
    if len(rows) <= limit:
        return told, None
    return told, Place(place.segmentation_id, place.upto, told[-1]["customer_id"])


def sizes(store: StateStore, segmentation_id: str, upto: int) -> Mapping[str, int]:
    """Customers of each segment that has any, as the log stood at a position."""
    return store.standings.sizes(answering(store, segmentation_id, upto), upto)


def trend(
    store: StateStore,
    counts: Counts,
    found: SegmentationArtefact,
    segment_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    every_days: int = 1,
) -> dict[str, Any]:
    """The JSON document `shoal.trend/1`: how many customers were in a segment, moment by moment.

    By the membership log of the whole line of the segmentation, whose ids are permanent.

    Args:
        counts: of that line.
        since: None: 90 steps before `until`, not before the first membership.
        until: None: up to when the log is written.

    Raises:
        UsageError: `bad_period`: reversed, or of more than `MOST_MOMENTS` moments.
    """
    last = until or recorded_until(store, found).until
    first = since or _begin(counts, last, every_days)
    if first > last:
        raise UsageError(
            "bad_period", f"{iso(first)} is later than {iso(last)}",
            hint="Give an earlier since, or a later until.",
        )  # fmt: skip
    step = timedelta(days=every_days)
    count = (last - first) // step + 1
    if count > MOST_MOMENTS:
        raise UsageError(
            "bad_period",
            f"{count:,} moments from {iso(first)} to {iso(last)}, every {every_days} days",
            hint=f"At most {MOST_MOMENTS}: give a shorter period or more days between.",
        )
    moments = [last - step * place for place in range(count)][::-1]
    return {
        "schema": TREND,
        "segmentation_id": found.segmentation_id,
        "segment_id": segment_id,
        "every_days": every_days,
        "points": [
            {"moment": iso(moment), "customers": customers}
            for moment, customers in zip(moments, counts.at(segment_id, moments), strict=True)
        ],
    }


def _begin(counts: Counts, last: datetime, every_days: int) -> datetime:
    earliest = counts.earliest()
    wanted = last - timedelta(days=90 * every_days)
    return wanted if earliest is None or earliest > last else max(wanted, earliest)
