"""The event table together with what states hold of it already: the log, whole.

A stream keeps its events in the state store until they are flushed into the event table. Whoever
asks for events without naming a version is given both; a version by its number is what was flushed
at it, which never changes.

Waiting events are written to files when somebody asks for them, unsynchronised and outside the
table: they can be made again at any time from the state store.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.events.schema import BUCKET, TABLE_SCHEMA
from shoal.ports import (
    CommittedUnit,
    Engine,
    ErasedRows,
    LiveStore,
    ParquetFiles,
    Trimmed,
    UnitWriter,
    Warehouse,
)

#: Sets of files beyond which they are written anew as one.
_SETS: Final = 16
#: Files of batches that were flushed stay for readers who were given them so long.
_READERS_S: Final = 120.0


@dataclass(frozen=True)
class _Files:
    """Some batches as files.

    Args:
        numbers: of the batches.
        paths: by bucket.
        rows: of each bucket.
    """

    numbers: frozenset[int]
    paths: Mapping[int, str]
    rows: Mapping[int, int]
    directory: Path


class LiveTable:
    """`Warehouse` over another one and the batches of a `LiveStore`.

    Args:
        table: what is flushed.
        live: what waits; asked for anew by every call.
        flushing: (source, number, unit): up to which batch a source's are flushed, and under which
            name; None: no flush has begun.
        work_dir: where files are made; None: in the system's temporary directory.
    """

    def __init__(
        self,
        table: Warehouse,
        live: LiveStore,
        flushing: Callable[[], tuple[str, int, str] | None],
        work_dir: Path | None = None,
    ) -> None:
        self.table = table
        self.engine: Engine = table.engine
        self._live, self._flushing, self._work_dir = live, flushing, work_dir
        self._home: Path | None = None
        self._sets: list[_Files] = []
        self._gone: list[tuple[float, Path]] = []
        self._lock = threading.RLock()

    # -- the log -----------------------------------------------------------------------------------

    def version(self) -> int:
        """The event table's latest version; -1 before the first commit."""
        return self.table.version()

    def events(
        self, *, version: int | None = None, buckets: Sequence[int] | None = None
    ) -> ParquetFiles:
        """The files of one version; None: of the latest one, and what waits behind it."""
        if version is not None or not self._live.numbers():
            return self.table.events(version=version, buckets=buckets)
        at, numbers = self._now()
        found = self.table.events(version=at if at >= 0 else None, buckets=buckets)
        if not numbers:
            return found
        with self._lock:
            more = [
                path
                for one in self._written(numbers)
                for bucket, path in one.paths.items()
                if buckets is None or bucket in buckets
            ]
        return ParquetFiles((*found.paths, *more), found.schema)

    def bucket_counts(self) -> Mapping[int, int]:
        """Rows per bucket, of the latest version and of what waits."""
        counts = Counter(self.table.bucket_counts())
        numbers = self._now()[1] if self._live.numbers() else frozenset()
        if numbers:
            with self._lock:
                for one in self._written(numbers):
                    counts.update(one.rows)
        return dict(sorted(counts.items()))

    def at(self, version: int) -> LiveTable:
        """The same with one version of the event table as its latest."""
        return LiveTable(_Pinned(self.table, version), self._live, lambda: None, self._work_dir)

    def files_of(self, numbers: Sequence[int]) -> ParquetFiles:
        """Some batches that wait, as files."""
        with self._lock:
            found = self._written(frozenset(numbers))
            return ParquetFiles(
                tuple(path for one in found for path in one.paths.values()), TABLE_SCHEMA
            )

    def forget_after(self, number: int) -> None:
        """Let nothing be known of batches after a number: they were taken back."""
        with self._lock:
            for one in [one for one in self._sets if max(one.numbers) > number]:
                self._retire(one)

    def close(self) -> None:
        """Remove the files."""
        with self._lock:
            self._sets.clear()
            self._gone.clear()
            if self._home is not None:
                shutil.rmtree(self._home, ignore_errors=True)
                self._home = None

    # -- of the table underneath -------------------------------------------------------------------

    def unit(self, name: str, *, joining: bool = False) -> UnitWriter:
        return self.table.unit(name, joining=joining)

    def committed(self, unit: str) -> bool:
        return self.table.committed(unit)

    def since(self, version: int) -> Iterable[CommittedUnit]:
        return self.table.since(version)

    def erase(self, people: pa.Table, named: pa.Table, request: int) -> ErasedRows:
        return self.table.erase(people, named, request)

    def remembers(self, people: pa.Table) -> bool:
        return self.table.remembers(people)

    def purge(self) -> int:
        return self.table.purge()

    def trim(self, before: datetime, *, needed: int = -1, most: int | None = None) -> Trimmed:
        return self.table.trim(before, needed=needed, most=most)

    def compact(self) -> int:
        return self.table.compact()

    # -- files -------------------------------------------------------------------------------------

    def _now(self) -> tuple[int, frozenset[int]]:
        """The latest version and the batches that are not in it, of one moment."""
        while True:
            version = self.table.version()
            flushing = self._flushing()
            waiting = self._live.numbers()
            if flushing is not None:
                source, upto, unit = flushing
                if self.table.committed(unit):  # and the store does not say so yet
                    waiting = [one for one in waiting if one[1] != source or one[0] > upto]
            if self.table.version() == version and self._flushing() == flushing:
                return version, frozenset(number for number, _ in waiting)

    def _written(self, numbers: frozenset[int]) -> list[_Files]:
        """Files that hold just these batches."""
        self._sweep(numbers)
        found = [one for one in self._sets if one.numbers <= numbers]
        lacking = numbers - frozenset[int]().union(*(one.numbers for one in found))
        if len(found) > _SETS:
            for one in found:
                self._retire(one)
            found, lacking = [], numbers
        if lacking:
            made = self._write(sorted(lacking))
            self._sets.append(made)
            found.append(made)
        return found

    def _write(self, numbers: Sequence[int]) -> _Files:
        events = pa.concat_tables(
            [one.events.select(TABLE_SCHEMA.names) for one in self._live.read(numbers)]
        )
        if self._home is None:
            if self._work_dir is not None:
                self._work_dir.mkdir(parents=True, exist_ok=True)
            self._home = Path(tempfile.mkdtemp(prefix="live-", dir=self._work_dir))
        directory = Path(tempfile.mkdtemp(dir=self._home))
        paths: dict[int, str] = {}
        rows: dict[int, int] = {}
        for bucket, own in _by_bucket(events):
            path = directory / f"{BUCKET}={bucket}" / "events.parquet"
            path.parent.mkdir()
            pq.write_table(own.drop_columns([BUCKET]), path, compression="lz4")
            paths[bucket], rows[bucket] = str(path), own.num_rows
        return _Files(frozenset(numbers), paths, rows, directory)

    def _sweep(self, there: frozenset[int]) -> None:
        """Retire what was flushed, and remove what was retired a while ago."""
        oldest = min(there)
        for one in [one for one in self._sets if max(one.numbers) < oldest]:
            self._retire(one)
        due = time.monotonic() - _READERS_S
        for _, directory in [one for one in self._gone if one[0] < due]:
            shutil.rmtree(directory, ignore_errors=True)
        self._gone = [one for one in self._gone if one[0] >= due]

    def _retire(self, files: _Files) -> None:
        with suppress(ValueError):
            self._sets.remove(files)
        self._gone.append((time.monotonic(), files.directory))


class _Pinned:
    """A `Warehouse` to be read, whose latest version is an earlier one of another."""

    def __init__(self, table: Warehouse, version: int) -> None:
        self._table, self._version = table, version

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def version(self) -> int:
        return self._version

    def events(
        self, *, version: int | None = None, buckets: Sequence[int] | None = None
    ) -> ParquetFiles:
        at = self._version if version is None else version
        if at < 0:
            return ParquetFiles((), TABLE_SCHEMA)
        return self._table.events(version=at, buckets=buckets)


def _by_bucket(events: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    if not events.num_rows:
        return
    buckets = events[BUCKET].to_numpy()
    order = np.argsort(buckets, kind="stable")
    events = events.take(pa.array(order))
    found, first = np.unique(buckets[order], return_index=True)
    for place, bucket in enumerate(found.tolist()):
        stop = first[place + 1] if place + 1 < len(first) else len(buckets)
        yield int(bucket), events.slice(int(first[place]), int(stop - first[place]))
