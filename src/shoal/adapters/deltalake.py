"""The event table as a Delta Lake table on disk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from shoal.adapters.compacting import compact
from shoal.adapters.delta_log import SHOAL, DeltaLog
from shoal.adapters.delta_unit import DeltaUnit, remove_orphans
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.erasing import erase, purge, remembers
from shoal.adapters.trimming import Trimming
from shoal.domain.errors import OperationError
from shoal.events.schema import TABLE_SCHEMA
from shoal.ports import CommittedUnit, Engine, ErasedRows, ParquetFiles, Trimmed


class DeltaWarehouse:
    """The event table, partitioned by customer bucket; one writer, any number of readers.

    Only the holder of the shop's lease may call `unit`, `compact`, `trim` and `discard_orphans`.

    Args:
        path: the table's directory; it is made by the first commit.
        buckets: number of customer buckets, fixed when the table is made.
        engine: settles units and sorts at compaction.
    """

    def __init__(self, path: str | os.PathLike[str], buckets: int, engine: DuckEngine) -> None:
        self.engine: Engine = engine
        self._duck = engine
        self._root = Path(path).absolute()
        self._log = DeltaLog(self._root, buckets)
        self._buckets = buckets
        self._trimming = Trimming(self._log)

    def version(self) -> int:
        """The table's latest version; -1 before the first commit."""
        return self._log.version()

    def events(
        self, *, version: int | None = None, buckets: Sequence[int] | None = None
    ) -> ParquetFiles:
        """The files of the table (of one version, of some buckets) to be bound as `events`.

        Raises:
            UsageError: `bad_setting`, the table has no such version.
            OperationError: `shop_damaged`, `shop_newer`, `no_permission`.
        """
        wanted = None if buckets is None else set(buckets)
        files = self._log.files(version)
        return self._relation(f.path for f in files if wanted is None or f.bucket in wanted)

    def bucket_counts(self) -> Mapping[int, int]:
        """Rows per bucket at the latest version; empty buckets are left out."""
        counts: Counter[int] = Counter()
        for file in self._log.files():
            counts[file.bucket] += file.rows
        return dict(sorted(counts.items()))

    def unit(self, name: str, *, joining: bool = False) -> DeltaUnit:
        """Begin a commit unit, after the one before it was committed or discarded.

        What a dead process left of any unit is removed first. A unit that is `joining` brings rows
        of statements made before: see `shoal.adapters.restating`.
        """
        self.discard_orphans()
        return DeltaUnit(self._log, self._duck, name, joining=joining)

    def committed(self, unit: str) -> bool:
        """Whether a unit of that name was committed."""
        return self._log.committed(unit)

    def since(self, version: int) -> Iterator[CommittedUnit]:
        """The units committed after a version, in order.

        `added` are the unit's own files, also when a compaction has since merged them.
        `rewritten_customers` (customers and anonymous ids) had a stored row replaced or withdrawn:
        their events stand in the table at that version, and those that came with the unit stand in
        `added` too.

        Raises:
            OperationError: `shop_damaged`, an entry of the log or a file is missing; also where it
                was removed on purpose (`purge`, `trim`). The table as it is has all events
                nevertheless.
        """
        for at, actions in self._log.entries(version):
            infos = [a["commitInfo"] for a in actions if "commitInfo" in a]
            said: dict[str, Any] = infos[0].get(SHOAL, {}) if infos else {}
            if "unit" not in said:
                continue
            rewritten = set(said["rewritten_files"])
            paths = [a["add"]["path"] for a in actions if "add" in a]
            yield CommittedUnit(
                version=at,
                unit=said["unit"],
                info=said["info"],
                added=self._existing(path for path in paths if path not in rewritten),
                rewritten_customers=tuple(said["rewritten_customers"]),
                restating=any("remove" in action for action in actions),
            )

    def compact(self) -> int:
        """Merge each bucket's files into few, sorted by visitor, time, sequence and id.

        A visitor is a customer, or an anonymous one where an event has no customer.

        Adds and removes no event; earlier versions stay readable. Buckets that are one compacted
        file already are left alone. Returns the latest version.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`.
        """
        self.discard_orphans()
        return compact(self._log, self.engine)

    def erase(self, people: pa.Table, named: pa.Table, request: int) -> ErasedRows:
        """Remove the rows of some people in one commit that names nobody; see `Warehouse.erase`.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`; the table is as before.
        """
        self.discard_orphans()
        return erase(self._log, self._duck, people, named, request, self._buckets)

    def remembers(self, people: pa.Table) -> bool:
        """Whether files of earlier versions or the log still tell of some people."""
        return remembers(self._log, self._duck, people, self._buckets)

    def purge(self) -> int:
        """Remove all that only earlier versions need; returns how many data files went.

        Queries that read an earlier version at this moment fail.
        """
        self.discard_orphans()
        return purge(self._log)

    def trim(self, before: datetime, *, needed: int = -1, most: int | None = None) -> Trimmed:
        """Remove what only versions need that were replaced before a moment; see `Warehouse.trim`.

        Safe to repeat after a kill at any point.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`; some may be gone already.
        """
        self.discard_orphans()
        return self._trimming.trim(before, needed, most)

    def discard_orphans(self) -> int:
        """Remove what dead processes staged and never committed; returns the files removed."""
        return remove_orphans(self._log)

    def _relation(self, paths: Iterable[str]) -> ParquetFiles:
        return ParquetFiles(tuple(str(self._root / path) for path in paths), TABLE_SCHEMA)

    def _existing(self, paths: Iterable[str]) -> ParquetFiles:
        relation = self._relation(paths)
        for path in relation.paths:
            if not Path(path).exists():
                raise OperationError(
                    "shop_damaged",
                    "a file of the event table is missing",
                    where=path,
                    hint="Restore the directory from a backup, or rebuild the customers' states "
                    "from the whole table.",
                )
        return relation
