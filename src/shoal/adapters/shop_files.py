"""The stores of a shop directory as files: SQLite databases and a Delta table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shoal.adapters import delta_files, sqlite_files
from shoal.adapters.delta_log import DeltaLog
from shoal.adapters.failures import translated
from shoal.adapters.high_water import mark_of
from shoal.adapters.sql import SqlStateStore
from shoal.domain.errors import OperationError
from shoal.domain.faults import Fault


class ShopFiles:
    """`shoal.workflows.shop_files.ShopFiles` of the embedded stores.

    Args:
        directory: the shop's, or a backup's.
        store_file, events: names of the state store's file and the event table's directory.
        buckets: number of customer buckets.
        at_rest: nobody has the files open, and nothing may be written beside them (a backup).
    """

    def __init__(
        self, directory: Path, store_file: str, events: str, buckets: int, *, at_rest: bool = False
    ) -> None:
        self.directory = directory
        self._store_file = store_file
        self._events = directory / events
        self._buckets = buckets
        self._at_rest = at_rest

    def databases(self) -> list[str]:
        found = sqlite_files.databases(self.directory, self._store_file)
        return [path.name for path in found]

    def not_copied(self) -> frozenset[str]:
        """Names at the top of the directory that `copy_databases` and `copy_table` see to."""
        found = sqlite_files.databases(self.directory, self._store_file)
        beside = {f"{path.name}{end}" for path in found for end in ("", "-wal", "-shm", "-journal")}
        return frozenset({*beside, *(mark_of(path).name for path in found), self._events.name})

    def copy_database(self, name: str, target: Path) -> None:
        sqlite_files.copy(self.directory / name, target / name, at_rest=self._at_rest)

    def database_faults(self, name: str, copied: Path) -> list[Fault]:
        return sqlite_files.faults(copied / name, self.directory / name)

    def numbers(self, copied: Path) -> dict[str, int]:
        found: dict[str, int] = {}
        for path in sqlite_files.databases(copied, self._store_file):
            found |= sqlite_files.numbers(path)
        return found

    def membership_gaps(self, copied: Path) -> list[tuple[int, int]]:
        return sqlite_files.gaps(copied / self._store_file)

    def open_store(self, copied: Path) -> SqlStateStore:
        if not (copied / self._store_file).exists():
            raise OperationError(
                "shop_damaged",
                "the shop has no state store",
                str(self.directory / self._store_file),
                "Restore the shop from a backup (shoal restore).",
            )
        return SqlStateStore(f"sqlite:///{copied / self._store_file}")

    def copy_table(
        self, target: Path, applied: int, first: int, knows: delta_files.Knows, *, link: bool
    ) -> tuple[int, int]:
        log = DeltaLog(self._events, self._buckets)
        latest = log.version()
        if applied > latest:
            raise delta_files.behind(self._events, applied, latest).as_error()
        if latest < 0:
            return -1, 0
        with translated(target):
            version = delta_files.fitting_version(log, applied, knows)
            delta_files.copy(log, target / self._events.name, version, first, link=link)
            return version, sum(file.rows for file in log.files(version))

    def place(self, source: Path, target: Path, *, link: bool) -> None:
        delta_files.place(source, target, link=link)

    def table_faults(self, read: str) -> Iterator[Fault]:
        return delta_files.faults(self._events, self._buckets, read)

    def table_behind(self, applied: int, latest: int) -> Fault:
        return delta_files.behind(self._events, applied, latest)
