"""Old versions of the event table leave; those that the shop itself goes on from stay.

A stream that is flushed once a minute replaces some twenty thousand small files a day. Whoever
reads a version is given so many days, whatever it is: a backup, a training, a look, a query.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from shoal.domain.time import iso
from shoal.ports import StateStore, Trimmed, Warehouse
from shoal.workflows import carries_noted
from shoal.workflows.advance import follow_flush
from shoal.workflows.catch_up import units_since

SCHEMA: Final = "shoal.trim/1"


def trim(
    warehouse: Warehouse, store: StateStore, now: datetime, days: int, most: int | None = None
) -> dict[str, Any]:
    """Let go of what only versions need that were replaced so many days ago.

    Args:
        days: 0: every version is kept.
        most: so many versions, or files, at once; None: all.

    Returns:
        The JSON document `shoal.trim/1`.

    Raises:
        OperationError: `shop_locked`, `disk_full`, `no_permission`, `shop_damaged`; some may be
            gone already, and the next call goes on.
    """
    if not days:
        return _document(days, None, Trimmed())
    before = now - timedelta(days=days)
    with store.lease():
        _follow(warehouse, store)
        found = warehouse.trim(before, needed=_needed(store), most=most)
    return _document(days, before, found)


def _follow(warehouse: Warehouse, store: StateStore) -> None:
    """Let everything stand at the latest version where files were merely merged since.

    It would otherwise need the version before, with all the small files, for as long as no event
    comes.
    """
    applied, latest = store.applied_version(), warehouse.version()
    if not 0 <= applied < latest or units_since(warehouse, applied, latest) != []:
        return
    with store.transaction():
        store.set_applied_version(latest)
        carries_noted.follow_erasure(store, applied, latest)
        follow_flush(store, applied, latest)


def _needed(store: StateStore) -> int:
    """The oldest version from which customers' states, or those of models, follow the table.

    They could all be made anew from the latest one, at a much greater cost.
    """
    versions = [store.applied_version(), *carries_noted.versions(store)]
    return min((one for one in versions if one >= 0), default=-1)


def _document(days: int, before: datetime | None, found: Trimmed) -> dict[str, Any]:
    return {
        "schema": SCHEMA, "days": days, "before": None if before is None else iso(before),
        "oldest_version": found.oldest if found.oldest >= 0 else None,
        "versions": found.versions, "files": found.files, "bytes": found.bytes, "left": found.left,
    }  # fmt: skip


def words(found: Mapping[str, Any]) -> str:
    """The same in one line for people; empty where nothing went."""
    if not (found["versions"] or found["files"]):
        return ""
    return (
        f"{found['versions']:,} versions older than {found['days']} days and {found['files']:,} "
        f"files of theirs ({found['bytes'] / 1e6:,.1f} MB) are gone; the oldest that is kept is "
        f"{found['oldest_version']}"
    )
