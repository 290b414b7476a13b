"""What an ingest gives back: the account of each file, and what the shop holds now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shoal.domain.account import RowAccount
from shoal.domain.time import iso
from shoal.events.noise import DELIVERY
from shoal.ports import RESTATED, StateStore, Warehouse

#: Settings with the moments of the shop's first and last event.
PERIOD: Final[tuple[str, str]] = ("first", "last")


@dataclass(frozen=True)
class FileAccount:
    """What became of one file, or of the parts of one export.

    Args:
        file: its path; of parts their common name.
        rows: its rows, counted.
        unchanged: it was in already and was not read again.
        restated: what became of scopes (a day, an order) that it states: the counts of
            `shoal.ports.RESTATED` and `THINNED`; its `older` rows are among the skipped.
        superseded: it is unchanged, and all that it states was stated again later.
        instead_of: a file of the same call that stated the same scope before it.
    """

    file: str
    rows: RowAccount
    unchanged: bool = False
    restated: Mapping[str, int] = field(default_factory=dict)
    superseded: bool = False
    instead_of: str = ""

    @property
    def restates(self) -> bool:
        """Whether it changed what the shop held of a scope."""
        return self.restated.get("scopes", 0) > 0


@dataclass(frozen=True)
class IngestResult:
    """What an ingest did, and what the shop holds now.

    Args:
        files: each file's account, in the order they went in; parts of one export count as one.
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

    def _repr_html_(self) -> str:
        from shoal.report.notebook import facts

        return facts("Ingest", self.as_document())

    @property
    def rows(self) -> RowAccount:
        """The accounts of all files, added."""
        return sum((file.rows for file in self.files), RowAccount())

    @property
    def restated(self) -> dict[str, int]:
        """What became of restated scopes, over all files."""
        told = [name for name in RESTATED if name != "renewed"]
        return {name: sum(f.restated.get(name, 0) for f in self.files) for name in told}

    @property
    def file_counts(self) -> dict[str, int]:
        """Files that were new, that restate what the shop held, and that it had already.

        Of the unchanged, `superseded` counts those of which all was stated again later.
        """
        unchanged = sum(file.unchanged for file in self.files)
        restating = sum(file.restates for file in self.files)
        return {
            "new": len(self.files) - unchanged - restating,
            "restating": restating,
            "unchanged": unchanged,
            "superseded": sum(file.superseded for file in self.files),
        }

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
            "thinned": [
                {"file": file.file, **{name: file.restated[name] for name in ("held", "left")}}
                for file in self.files
                if file.restated.get("thinned")
            ],
            "forgotten": sum(file.restated.get("forgotten", 0) for file in self.files),
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
            "SELECT min(event_time) AS earliest, max(event_time) AS latest FROM events "
            # facts of items and accounts of exports are dated, but they are no behaviour
            f"WHERE kind <> 'item' AND noise IS DISTINCT FROM '{DELIVERY}'",
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
    for key, moment in zip(PERIOD, (result.first, result.last), strict=True):
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
