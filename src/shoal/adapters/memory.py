"""The event table in memory: the warehouse's meaning in its simplest code."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.memory_unit import MemoryUnit, Version
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import to_us
from shoal.events.schema import BUCKET, TABLE_SCHEMA
from shoal.ports import CommittedUnit, Engine, ErasedRows, ParquetFiles, Trimmed


class MemoryWarehouse:
    """Keeps each version of the table as one Arrow table; for tests and notebooks.

    Engines read Parquet files, so a version is written to a temporary directory when it is asked
    for; the directory goes with the object.

    >>> MemoryWarehouse().version()
    -1
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine: Engine = engine or DuckEngine()
        self.versions: list[Version] = []
        self._oldest = 0  # of the versions that are kept
        self._erased: dict[int, ErasedRows] = {}
        self._directory = Path(tempfile.mkdtemp(prefix="shoal-memory-"))
        weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)

    def version(self) -> int:
        """The table's latest version; -1 before the first commit."""
        return len(self.versions) - 1

    def events(
        self, *, version: int | None = None, buckets: Sequence[int] | None = None
    ) -> ParquetFiles:
        """The table (of one version, of some buckets) as files.

        Raises:
            UsageError: `bad_setting`, the table has no such version.
        """
        at = self.version() if version is None else version
        if version is not None and 0 <= version < self._oldest:
            raise UsageError(
                "bad_setting",
                f"version {version} of the event table is not kept any more; the oldest that is "
                f"kept is {self._oldest}",
                where="memory",
                hint="Ask for a later one.",
            )
        if version is not None and not 0 <= version <= self.version():
            newest = self.version()
            has = f"versions 0 to {newest}" if newest >= 0 else "no version yet"
            raise UsageError(
                "bad_setting",
                f"the event table has no version {version}; it has {has}",
                where="memory",
                hint="Give a version that `shoal status` lists, or none for the latest.",
            )
        rows = self.rows() if at < 0 else self.versions[at].rows
        return self._written(rows, f"version-{at}", buckets)

    def rows(self) -> pa.Table:
        """The latest version's rows."""
        return self.versions[-1].rows if self.versions else TABLE_SCHEMA.empty_table()

    def bucket_counts(self) -> Mapping[int, int]:
        """Rows per bucket at the latest version; empty buckets are left out."""
        return dict(sorted(Counter(self.rows()[BUCKET].to_pylist()).items()))

    def unit(self, name: str, *, joining: bool = False) -> MemoryUnit:
        """Begin a commit unit; see `shoal.ports.Warehouse.unit`."""
        return MemoryUnit(self, name, joining=joining)

    def committed(self, unit: str) -> bool:
        """Whether a unit of that name was committed."""
        return any(version.unit == unit for version in self.versions)

    def since(self, version: int) -> Iterator[CommittedUnit]:
        """The units committed after a version, in order.

        Raises:
            OperationError: `shop_damaged`, what was committed then was removed (`purge`, `trim`).
        """
        if version + 1 < self._oldest:
            raise OperationError(
                "shop_damaged",
                f"what was committed after version {version} is no longer told; the oldest version "
                f"is {self._oldest}",
                where="memory",
                hint="Make the customers' states anew from the whole table.",
            )
        for at, commit in enumerate(self.versions):
            if at > version and commit.unit is not None:
                assert commit.added is not None
                yield CommittedUnit(
                    version=at,
                    unit=commit.unit,
                    info=commit.info or {},
                    added=self._written(commit.added, f"added-{at}", None),
                    rewritten_customers=commit.rewritten_customers,
                    restating=commit.restating,
                )

    def erase(self, people: pa.Table, named: pa.Table, request: int) -> ErasedRows:
        """Remove the rows of some people; see `shoal.ports.Warehouse.erase`."""
        if request in self._erased:
            return self._erased[request]
        told = people.to_pylist()
        pairs = {(one["customer_id"], one["id"]) for one in named.to_pylist()}

        def goes(row: Mapping[str, Any]) -> bool:
            raw = row["customer_id"] or row["anonymous_id"]
            us = to_us(row["event_time"])
            return any(
                one["id"] == raw
                and one["from_us"] <= us < one["to_us"]
                and (one["merged"] or row["customer_id"] is None)
                for one in told
            )

        rows = self.rows().to_pylist()
        kept = [row for row in rows if not goes(row)]
        naming = [row for row in kept if (row["customer_id"], row["anonymous_id"]) in pairs]
        for row in naming:
            row["anonymous_id"] = None
        found = ErasedRows(len(rows) - len(kept), len(naming))
        if found.rows or found.cleared:
            self.versions.append(Version(pa.Table.from_pylist(kept, schema=TABLE_SCHEMA)))
            self._erased[request] = found
        return found

    def remembers(self, people: pa.Table) -> bool:
        """Whether versions before the latest still tell of some people."""
        ids = set(people["id"].to_pylist())
        told = [name for version in self.versions for name in version.rewritten_customers]
        for version in self.versions[:-1]:
            told += version.rows["customer_id"].to_pylist()
            told += version.rows["anonymous_id"].to_pylist()
        return not ids.isdisjoint(told)

    def purge(self) -> int:
        """Forget what earlier versions held; returns how many of them there were."""
        if self.versions and self.versions[-1].rewritten_customers:
            self.versions.append(Version(self.rows()))  # the one that stays names nobody
        return self._begin_with(max(self.version(), 0))

    def trim(self, before: datetime, *, needed: int = -1, most: int | None = None) -> Trimmed:
        """Forget versions that were replaced before a moment; see `Warehouse.trim`."""
        if not self.versions:
            return Trimmed()
        young = [at for at, one in enumerate(self.versions) if one.at >= before]
        wanted = max(min(young, default=len(self.versions)) - 1, self._oldest)
        if 0 <= needed < wanted:
            wanted = max(needed, self._oldest)
        first = wanted if most is None else min(wanted, self._oldest + most)
        gone = self._begin_with(first)
        return Trimmed(first, gone, gone, left=first < wanted)

    def _begin_with(self, version: int) -> int:
        """Let nothing be known of versions before one but units' names; how many there were."""
        before, self._oldest = self._oldest, version
        for at in range(before, self._oldest):
            gone = self.versions[at]
            self.versions[at] = Version(TABLE_SCHEMA.empty_table(), gone.unit, at=gone.at)
            for name in (f"version-{at}", f"added-{at}"):
                shutil.rmtree(self._directory / name, ignore_errors=True)
        return self._oldest - before

    def compact(self) -> int:
        """Sort the table by visitor, time, sequence and id; returns the latest version."""
        order = ("customer_id", "visitor", "event_time", "sequence", "event_id")
        rows = self.rows()
        visitor = pc.if_else(pc.is_null(rows["customer_id"]), rows["anonymous_id"], None)
        rows = rows.append_column("visitor", visitor)
        rows = rows.sort_by([(name, "ascending") for name in order]).drop_columns(["visitor"])
        if self.versions and not rows.equals(self.rows()):
            self.versions.append(Version(rows))
        return self.version()

    def _written(self, rows: pa.Table, name: str, buckets: Sequence[int] | None) -> ParquetFiles:
        paths = []
        for bucket in sorted(set(rows[BUCKET].to_pylist())):
            if buckets is not None and bucket not in buckets:
                continue
            path = self._directory / name / f"bucket={bucket}" / "events.parquet"
            if not path.exists():
                path.parent.mkdir(parents=True)
                mine = rows.filter(pc.equal(rows[BUCKET], bucket))
                pq.write_table(mine.drop_columns([BUCKET]), path)
            paths.append(str(path))
        return ParquetFiles(tuple(paths), TABLE_SCHEMA)
