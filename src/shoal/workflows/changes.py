"""The membership log as changes, page by page: what streams and webhooks read.

Nothing is queued for whoever reads. A position of the log says how far a reader is, so that one who
was away, or a process that was killed, goes on where it was. A row that confirms where a customer
was already (a new version of the segments writes one for everybody) is no change.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from shoal.domain.change import Change
from shoal.ports import StateStore
from shoal.workflows.canary import is_beside
from shoal.workflows.membership_log import line_of

SCHEMA: Final = "shoal.changes/1"
#: Rows of the log that are read at once, and those that one page of a list may cost.
ROWS: Final = 1_000
_PAGE_ROWS: Final = 20_000


@dataclass(frozen=True)
class Page:
    """Changes in a stretch of the log.

    Args:
        until: the position up to which the log was read.
        more: whether it goes on behind it.
    """

    changes: tuple[Change, ...]
    until: int
    more: bool

    def touching(self, segments: Collection[str]) -> tuple[Change, ...]:
        """Those into or out of some segments; none named: all."""
        return tuple(one for one in self.changes if one.touches(segments))


def page_after(store: StateStore, after: int, rows: int = ROWS) -> Page:
    """The changes among the next rows of the log behind a position."""

    @lru_cache(maxsize=64)
    def line(segmentation_id: str) -> tuple[str, ...]:
        return line_of(store, segmentation_id)

    last = store.last_membership()
    table = store.membership_log(after, rows, line)
    told = tuple(
        _change(row)
        for row in table.to_pylist()
        if row["before"] != row["segment_id"] and not is_beside(row["segmentation_id"])
    )
    until = int(table["position"][-1].as_py()) if table.num_rows else after
    if table.num_rows == rows:
        return Page(told, until, more=True)
    return Page(told, max(until, last), more=False)  # rows at the end may have gone


def changes_after(
    store: StateStore,
    after: int,
    most: int,
    segments: Collection[str] = (),
    *,
    until: int | None = None,
) -> Page:
    """The next changes behind a position, so many at most.

    Args:
        segments: only into or out of one of these; none: all.
        until: the last position that counts; None: the log's.

    It ends early where none is found for long: `until` of the page says from where to go on.
    """
    found: list[Change] = []
    place, read = after, 0
    rows = min(ROWS, 2 * most)  # where every row is a change, few are read for nothing
    while read < _PAGE_ROWS:
        if until is not None:
            rows = max(1, min(ROWS, until - place))
        page = page_after(store, place, rows)
        read, rows = read + rows, ROWS
        for one in page.touching(segments):
            if until is not None and one.sequence > until:
                return Page(tuple(found), until, more=False)
            found.append(one)
            if len(found) == most:
                more = page.more or one.sequence < page.until
                return Page(tuple(found), one.sequence, more)
        place = page.until
        if until is not None and place >= until:
            return Page(tuple(found), until, more=False)
        if not page.more:
            return Page(tuple(found), place, more=False)
    return Page(tuple(found), place, more=True)


def listed(
    store: StateStore, after: int, most: int, segments: Collection[str] = ()
) -> dict[str, Any]:
    """The JSON document `shoal.changes/1`; the next page begins behind `next_seq`."""
    page = changes_after(store, min(after, store.last_membership()), most, segments)
    return {
        "schema": SCHEMA,
        "changes": [one.as_document() for one in page.changes],
        "next_seq": page.until,
        "more": page.more,
    }


def _change(row: dict[str, Any]) -> Change:
    return Change(
        row["position"], row["customer_id"], row["segmentation_id"], row["before"],
        row["segment_id"], row["cause"], row["weight"], row["margin"], row["since"],
        row["before_since"],
    )  # fmt: skip
