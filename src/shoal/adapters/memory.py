"""The event table in memory: the warehouse's meaning in its simplest code."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.errors import UsageError
from shoal.events.identity import renumbered
from shoal.events.schema import BUCKET, CONTENT_KEY, SCOPE_KEY, SCOPE_VERSION, TABLE_SCHEMA
from shoal.ports import CommittedUnit, Engine, ParquetFiles

_GENERATED: Final = "generated_id"
_Identity = tuple[str, str]


@dataclass(frozen=True)
class _Version:
    """The whole table after one commit, and what the commit added."""

    rows: pa.Table
    unit: str | None = None
    info: Mapping[str, Any] | None = None
    added: pa.Table | None = None
    rewritten_customers: tuple[str, ...] = ()


class MemoryWarehouse:
    """Keeps each version of the table as one Arrow table; for tests and notebooks.

    Engines read Parquet files, so a version is written to a temporary directory when it is asked
    for; the directory goes with the object.

    >>> MemoryWarehouse().version()
    -1
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine: Engine = engine or DuckEngine()
        self.versions: list[_Version] = []
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

    def unit(self, name: str) -> MemoryUnit:
        """Begin a commit unit."""
        return MemoryUnit(self, name)

    def committed(self, unit: str) -> bool:
        """Whether a unit of that name was committed."""
        return any(version.unit == unit for version in self.versions)

    def since(self, version: int) -> Iterator[CommittedUnit]:
        """The units committed after a version, in order."""
        for at, commit in enumerate(self.versions):
            if at > version and commit.unit is not None:
                assert commit.added is not None
                yield CommittedUnit(
                    version=at,
                    unit=commit.unit,
                    info=commit.info or {},
                    added=self._written(commit.added, f"added-{at}", None),
                    rewritten_customers=commit.rewritten_customers,
                )

    def compact(self) -> int:
        """Sort the table by customer, time, sequence and id; returns the latest version."""
        order = ("customer_id", "event_time", "sequence", "event_id")
        rows = self.rows().sort_by([(name, "ascending") for name in order])
        if self.versions and not rows.equals(self.rows()):
            self.versions.append(_Version(rows))
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


class MemoryUnit:
    """A commit unit as Python rows; settled by one dictionary of identities."""

    def __init__(self, warehouse: MemoryWarehouse, name: str) -> None:
        self._warehouse = warehouse
        self._name = name
        self._staged: list[pa.Table] = []
        self._counts: Counter[str] | None = None
        self._added: list[dict[str, Any]] = []
        self._removed: set[_Identity] = set()
        self._customers: set[str] = set()

    def append(self, events: pa.Table) -> None:
        """Stage valid events: `TABLE_SCHEMA` and a bool `generated_id`."""
        if self._counts is not None:
            raise RuntimeError("a unit takes no more events once it is resolved")
        self._staged.append(events.select([*TABLE_SCHEMA.names, _GENERATED]))

    def resolve(self) -> Mapping[str, int]:
        """Settle occurrences, duplicates and conflicts; counts of the three outcomes."""
        if self._counts is None:
            self._counts = Counter(stored=0, duplicate=0, conflicting=0)
            stored = {_identity(row): row for row in self._warehouse.rows().to_pylist()}
            rivals: dict[_Identity, list[dict[str, Any]]] = {}
            for row in self._restate(_numbered(self._staged), stored):
                rivals.setdefault(_identity(row), []).append(row)
            for identity, rows in rivals.items():
                self._settle(identity, rows, stored.get(identity))
        return dict(self._counts)

    def _restate(
        self, rows: list[dict[str, Any]], stored: dict[_Identity, dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The rows that count, after stored ones of their scopes were withdrawn (from `stored`)."""
        assert self._counts is not None
        newest = _versions(rows)
        if not newest:
            return rows
        known = _versions(stored.values())
        live = [row for row in rows if not _older(row, newest, known)]
        said = {_statement(row) for row in live}
        scopes = {row[SCOPE_KEY] for row in live} - {None}
        gone = [r for r in stored.values() if r[SCOPE_KEY] in scopes and _statement(r) not in said]
        for row in gone:
            del stored[_identity(row)]
            self._removed.add(_identity(row))
            self._customers |= {row["customer_id"], row["anonymous_id"]} - {None}
        counted = {"scopes": len(newest), "older": len(rows) - len(live), "withdrawn": len(gone)}
        self._counts.update(counted)
        return live

    def commit(self, info: Mapping[str, Any]) -> int:
        """Make the unit visible in one version; returns it. A committed unit is not repeated."""
        self.resolve()
        warehouse = self._warehouse
        if warehouse.committed(self._name):
            return warehouse.version()
        before = warehouse.rows().to_pylist()
        kept = [row for row in before if _identity(row) not in self._removed]
        added = pa.Table.from_pylist(self._added, schema=TABLE_SCHEMA)
        if not warehouse.versions:
            warehouse.versions.append(_Version(TABLE_SCHEMA.empty_table()))
        warehouse.versions.append(
            _Version(
                rows=pa.concat_tables([pa.Table.from_pylist(kept, schema=TABLE_SCHEMA), added]),
                unit=self._name,
                info=json.loads(json.dumps(dict(info))),
                added=added,
                rewritten_customers=tuple(sorted(self._customers)),
            )
        )
        return warehouse.version()

    def discard(self) -> None:
        """Forget everything staged."""
        self._staged, self._added, self._removed = [], [], set()

    def _settle(
        self, identity: _Identity, rows: list[dict[str, Any]], stored: dict[str, Any] | None
    ) -> None:
        """Choose among the rows of one event: the smallest content key, then who came first."""
        assert self._counts is not None
        rivals = rows if stored is None else [stored, *rows]
        winner = min(rivals, key=lambda row: row[CONTENT_KEY])
        for row in rows:
            if row is winner:
                self._added.append(row)
                self._counts["stored" if stored is None else "conflicting"] += 1
            elif row[CONTENT_KEY] == winner[CONTENT_KEY]:
                self._counts["duplicate"] += 1
            else:
                self._counts["conflicting"] += 1
        if stored is not None and winner is not stored:
            self._removed.add(identity)
            both = [one[who] for one in (stored, winner) for who in ("customer_id", "anonymous_id")]
            self._customers.update(name for name in both if name is not None)


def _versions(rows: Iterable[Mapping[str, Any]]) -> dict[int, int | None]:
    """The greatest version of each scope; None where no row of it has one."""
    found: dict[int, int | None] = {}
    for row in rows:
        if row[SCOPE_KEY] is not None:
            before, version = found.get(row[SCOPE_KEY]), row[SCOPE_VERSION]
            both = [one for one in (before, version) if one is not None]
            found[row[SCOPE_KEY]] = max(both, default=None)
    return found


def _older(
    row: Mapping[str, Any], newest: Mapping[int, int | None], known: Mapping[int, int | None]
) -> bool:
    """Whether a row is of a statement older than another one, in its unit or in the table."""
    scope, version = row[SCOPE_KEY], row[SCOPE_VERSION]
    latest = newest.get(scope)
    if scope is None or latest is None:
        return False
    stored = known.get(scope)
    return version is None or version < latest or (stored is not None and latest < stored)


def _statement(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = (SCOPE_KEY, SCOPE_VERSION, "source", "event_id", CONTENT_KEY)
    return tuple(row[name] for name in names)


def _identity(row: Mapping[str, Any]) -> _Identity:
    return row["source"], row["event_id"]


def _numbered(staged: list[pa.Table]) -> list[dict[str, Any]]:
    """Rows in order, those that repeat a row without an id of its own given the next one's id."""
    if not staged:
        return []
    events = pa.concat_tables(staged)
    rows: list[dict[str, Any]] = events.to_pylist()
    seen: Counter[tuple[str, str, int]] = Counter()
    for place, row in enumerate(rows):
        if row.pop(_GENERATED):
            same = (*_identity(row), row[CONTENT_KEY])
            if seen[same]:
                number = np.array([seen[same]], dtype=np.int64)
                ids, keys = renumbered(events.slice(place, 1), number)
                row["event_id"], row["event_key"] = ids[0].as_py(), keys[0].as_py()
            seen[same] += 1
    return rows
