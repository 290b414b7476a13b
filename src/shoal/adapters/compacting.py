"""Merging small files of the event table into few, sorted ones; no event comes or goes.

Files that are merged stay on disk for earlier versions, and for states that have yet to catch up
with the units that brought them.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from shoal.adapters.bucket_files import (
    FILE_SCHEMA,
    ROWS_PER_FILE,
    ROWS_PER_GROUP,
    DataFile,
    describe,
    open_writer,
    sync,
)
from shoal.adapters.delta_log import STAGING, DeltaLog
from shoal.adapters.failures import translated
from shoal.events.schema import TABLE_SCHEMA
from shoal.ports import Engine, ParquetFiles

#: So many small files of a bucket are merged of themselves. To look into a file costs about 0.1 ms
#: for each unit that comes later, to merge one about 10 ms once.
SMALL_FILES: Final = 64

_COMPACT: Final = "compact"
_TIDY: Final = "tidy"
_IN_ORDER: Final = (
    f"SELECT {', '.join(FILE_SCHEMA.names)} FROM events "
    "ORDER BY customer_id NULLS FIRST, "
    "CASE WHEN customer_id IS NULL THEN anonymous_id END NULLS FIRST, "
    "event_time, sequence, event_id"
)


def compact(log: DeltaLog, engine: Engine) -> int:
    """Merge each bucket's files; buckets that are compacted files alone are left as they are.

    Returns the latest version.

    Raises:
        OperationError: `disk_full`, `no_permission`, `shop_damaged`.
    """

    def wanted(files: list[DataFile]) -> list[DataFile]:
        done = all(Path(file.path).name.startswith(_COMPACT) for file in files)
        return [] if done else files

    return _merge(log, engine, _COMPACT, wanted)


def tidy(log: DeltaLog, engine: Engine) -> int:
    """Merge the files below a row group of buckets that have `SMALL_FILES` of them.

    So the cost of one more file does not grow with the number of files before it. Returns the
    latest version.

    Raises:
        OperationError: `disk_full`, `no_permission`, `shop_damaged`.
    """

    def wanted(files: list[DataFile]) -> list[DataFile]:
        small = [file for file in files if file.rows < ROWS_PER_GROUP]
        return small if len(small) >= SMALL_FILES else []

    return _merge(log, engine, _TIDY, wanted)


def _merge(
    log: DeltaLog,
    engine: Engine,
    operation: str,
    wanted: Callable[[list[DataFile]], list[DataFile]],
) -> int:
    """Merge the wanted files of each bucket in one commit."""
    chosen = {bucket: wanted(files) for bucket, files in _by_bucket(log.files()).items()}
    replaced = [file for files in chosen.values() for file in files]
    if not replaced:
        return log.version()
    stem = f"{operation}-{uuid.uuid4().hex[:8]}"
    staging = log.root / STAGING / stem
    with translated(log.root):
        staging.mkdir(parents=True, exist_ok=True)
        merged = [
            file
            for bucket, files in chosen.items()
            if files
            for file in _merged(log.root, engine, bucket, files, stem)
        ]
    version = log.commit(merged, replaced, {"operation": operation})
    shutil.rmtree(staging, ignore_errors=True)
    return version


def _by_bucket(files: list[DataFile]) -> Mapping[int, list[DataFile]]:
    found: dict[int, list[DataFile]] = {}
    for file in files:
        found.setdefault(file.bucket, []).append(file)
    return found


def _merged(
    root: Path, engine: Engine, bucket: int, files: list[DataFile], stem: str
) -> list[DataFile]:
    """New files of a bucket with the same rows in the order of visitors."""
    relation = ParquetFiles(tuple(str(root / file.path) for file in files), TABLE_SCHEMA)
    names: list[str] = []
    writer = None
    rows = ROWS_PER_FILE
    for batch in engine.stream(_IN_ORDER, {"events": relation}, ROWS_PER_GROUP):
        if rows >= ROWS_PER_FILE:
            if writer is not None:
                writer.close()
            names.append(f"bucket={bucket}/{stem}-{len(names):05d}.parquet")
            writer, rows = open_writer(root / names[-1]), 0
        assert writer is not None
        writer.write_batch(batch.cast(FILE_SCHEMA))
        rows += batch.num_rows
    if writer is not None:
        writer.close()
    for name in names:
        sync(root / name)
    sync(root / f"bucket={bucket}")
    return [describe(root, name) for name in names]
