"""What an ingest gives back: the account of each file, and what the shop holds now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shoal.domain.account import RowAccount
from shoal.domain.time import iso
from shoal.ports import StateStore, Warehouse

#: What is told of scopes that a file states anew; see `shoal.ports.UnitWriter.resolve`.
RESTATED: Final = ("scopes", "withdrawn", "older")


@dataclass(frozen=True)
class FileAccount:
    """What became of one file.

    `unchanged`: it was in already and was not read again. `restated`: of scopes that it states (a
    day, an order), how many, the stored rows that it withdrew, and its rows of statements older
    than one that the shop has (these are among the skipped).
    """

    file: str
    rows: RowAccount
    unchanged: bool = False
    restated: Mapping[str, int] = field(default_factory=dict)

    @property
    def restates(self) -> bool:
        """Whether it changed what the shop held."""
        return self.restated.get("withdrawn", 0) > 0


@dataclass(frozen=True)
class IngestResult:
    """What an ingest did, and what the shop holds now.

    Args:
        files: each file's account, in the order they went in.
        table_version: the event table's version afterwards; -1 when it is empty.
        events: events in the shop.
        customers: customers in the shop.
        first, last: times of its earliest and latest event, None when it is empty.
    """

    files: tuple[FileAccount, ...]
    table_version: int
    events: int
    customers: int
    first: datetime | None
    last: datetime | None

    @property
    def rows(self) -> RowAccount:
        """The accounts of all files, added."""
        return sum((file.rows for file in self.files), RowAccount())

    @property
    def restated(self) -> dict[str, int]:
        """What became of restated scopes, over all files."""
        return {name: sum(f.restated.get(name, 0) for f in self.files) for name in RESTATED}

    @property
    def file_counts(self) -> dict[str, int]:
        """Files that were new, that restate what the shop held, and that it had already."""
        unchanged = sum(file.unchanged for file in self.files)
        restating = sum(file.restates for file in self.files)
        new = len(self.files) - unchanged - restating
        return {"new": new, "restating": restating, "unchanged": unchanged}

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.ingest/1`."""
        rows = self.rows
        return {
            "schema": "shoal.ingest/1",
            "table_version": self.table_version,
            "rows": rows.as_document(),
            "quarantine": dict(sorted(rows.quarantine.items())),
            "files": self.file_counts,
            "restated": self.restated,
            "events": self.events,
            "customers": self.customers,
            "from": None if self.first is None else iso(self.first),
            "to": None if self.last is None else iso(self.last),
        }


def summarise(
    warehouse: Warehouse, store: StateStore, accounts: Sequence[FileAccount]
) -> IngestResult:
    """The result of an ingest from its accounts and what the shop holds now."""
    version = warehouse.version()
    first = last = None
    if version >= 0:
        found = warehouse.engine.run(
            "SELECT min(event_time) AS earliest, max(event_time) AS latest FROM events",
            {"events": warehouse.events()},
        )
        first, last = found["earliest"][0].as_py(), found["latest"][0].as_py()
    return IngestResult(
        files=tuple(accounts),
        table_version=version,
        events=sum(warehouse.bucket_counts().values()),
        customers=store.count_states(),
        first=first,
        last=last,
    )


def remembered(result: IngestResult, store: StateStore) -> IngestResult:
    """The result, its first and last moment kept as settings for those who ask without a table."""
    known = store.get_settings()
    for key, moment in (("first", result.first), ("last", result.last)):
        if moment is not None and known.get(key) != iso(moment):
            store.put_setting(key, iso(moment))
    return result


def as_read_again(account: RowAccount) -> RowAccount:
    """The account of a file that is in already, as reading it again would give it."""
    return RowAccount(
        read=account.read,
        duplicate=account.stored + account.duplicate,
        conflicting=account.conflicting,
        quarantined=account.quarantined,
        skipped=account.skipped,
        quarantine=account.quarantine,
    )
