"""Events as they count, written for as long as somebody reads them."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from shoal.ports import Engine, EventTable, ParquetFiles

#: Directories of admitted events, each with the number of the process that reads it.
_PREFIX: Final = "admitted-"


class AdmittedTable:
    """An `EventTable`: the admitted events of one version at one moment."""

    def __init__(self, stored: EventTable, files: ParquetFiles, directory: Path) -> None:
        self.engine: Engine = stored.engine
        self._stored = stored
        self._files = files
        weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)

    def version(self) -> int:
        """The event table's latest version."""
        return self._stored.version()

    def events(
        self, *, version: int | None = None, buckets: Sequence[int] | None = None
    ) -> ParquetFiles:
        """The admitted events (of some buckets); the version was chosen when they were admitted."""
        if buckets is None:
            return self._files
        wanted = set(buckets)
        paths = [path for path in self._files.paths if _bucket(path) in wanted]
        return ParquetFiles(tuple(paths), self._files.schema)

    def bucket_counts(self) -> Mapping[int, int]:
        """Admitted rows per bucket; empty buckets are left out."""
        counts: Counter[int] = Counter()
        for path in self._files.paths:
            counts[_bucket(path)] += pq.read_metadata(path).num_rows
        return dict(sorted(counts.items()))


def workspace(work_dir: Path | None) -> Path:
    """A new empty directory for events that are being read; the caller removes it.

    Args:
        work_dir: where it is made, after what killed processes left there was removed; None: in
            the system's temporary directory.
    """
    if work_dir is not None:
        sweep(work_dir)
        work_dir.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=work_dir))


def sweep(work_dir: Path) -> None:
    """Remove what readers that were killed left behind."""
    for entry in work_dir.glob(f"{_PREFIX}*") if work_dir.is_dir() else ():
        if not _alive(int(entry.name.removeprefix(_PREFIX).partition("-")[0])):
            shutil.rmtree(entry, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _bucket(path: str) -> int:
    return int(Path(path).parent.name.removeprefix("bucket="))
