"""An event table of an older Shoal brought to this one's schema.

The table says which schema it has, and says so last: until then every verb but `migrate` refuses
it. Each step may be killed; run again, the migration goes on where it was.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.adapters.bucket_files import BucketFiles, DataFile, describe, sync
from shoal.adapters.delta_log import STAGING, DeltaLog
from shoal.adapters.delta_unit import remove_orphans, remove_staged
from shoal.adapters.failures import translated
from shoal.domain.errors import OperationError
from shoal.events.identity import bucket_column
from shoal.events.schema import BUCKET, NO_CUSTOMER, SCHEMA_VERSION, SCOPE_KEY, TABLE_SCHEMA

_MIGRATE: Final = "migrate"


@dataclass(frozen=True)
class MigratedTable:
    """What became of an event table: schema before, events, and how many found another bucket."""

    before: int
    events: int
    moved: int
    version: int


def table_schema(root: Path, buckets: int) -> int:
    """The schema version of an event table; this program's if there is no table yet.

    Raises:
        OperationError: `shop_newer`, `shop_damaged`.
    """
    return DeltaLog(root.absolute(), buckets, migrating=True).schema_version()


def migrate_table(root: Path, buckets: int) -> MigratedTable:
    """Bring an event table to this program's schema; under the shop's lease only.

    Schema 2 has the columns `scope_key`, `scope_version` and `noise`, and keeps the events of an
    anonymous visitor in the bucket of that visitor. The files are written anew, unseen; one commit
    puts them in the place of the old ones. Earlier versions stay on disk as they were.

    Raises:
        OperationError: `disk_full`, `no_permission`, `shop_damaged`; the table is as before.
    """
    log = DeltaLog(root.absolute(), buckets, migrating=True)
    before = log.schema_version()
    if before == SCHEMA_VERSION:
        return MigratedTable(before, sum(f.rows for f in log.files()), 0, log.version())
    remove_orphans(log)
    log.add_columns()
    files = log.files()
    moved = 0
    if not all(_is_new(log.root / file.path) for file in files):
        moved = _rewrite(log, files, buckets)
    log.set_schema_version()
    return MigratedTable(before, sum(file.rows for file in files), moved, log.version())


def _is_new(path: Path) -> bool:
    with translated(path, damaged="a file of the event table"):
        return SCOPE_KEY in pq.read_schema(path).names


def _rewrite(log: DeltaLog, files: list[DataFile], buckets: int) -> int:
    """Write all files in the new form and commit them; returns the events that changed bucket."""
    stem = f"{_MIGRATE}-{uuid.uuid4().hex[:8]}"
    staging = log.root / STAGING / stem
    with translated(log.root):
        staging.mkdir(parents=True)
        target = BucketFiles(log.root, stem)
        try:
            moved = _copy(log.root, files, target, buckets)
            added = [describe(log.root, path) for path in target.paths]
            if sum(file.rows for file in added) != sum(file.rows for file in files):
                raise _miscounted(log.root)
            for path in target.paths:
                sync(log.root / path)
            for directory in {(log.root / path).parent for path in target.paths} | {log.root}:
                sync(directory)
        except BaseException:
            target.abandon()
            remove_staged(log.root, stem)
            raise
    log.commit(added, files, {"operation": _MIGRATE, "schema": SCHEMA_VERSION})
    shutil.rmtree(staging, ignore_errors=True)
    return moved


def _miscounted(root: Path) -> OperationError:
    return OperationError(
        "shop_damaged",
        "files of the event table hold another number of events than its log says",
        where=str(root),
        hint="Restore the directory from a backup; the migration changed nothing.",
    )


def _copy(root: Path, files: list[DataFile], target: BucketFiles, buckets: int) -> int:
    """Write all files in the new form; returns the events that changed bucket."""
    moved = 0
    for file in files:
        for rows in _in_new_form(root, file, buckets):
            moved += int(pc.sum(pc.not_equal(rows[BUCKET], file.bucket)).as_py() or 0)
            target.append(rows)
    target.close()
    return moved


def _in_new_form(root: Path, file: DataFile, buckets: int) -> Iterator[pa.Table]:
    """Rows of a file with every column of `TABLE_SCHEMA`, one row group at a time."""
    path = root / file.path
    with translated(path, damaged="a file of the event table"), pq.ParquetFile(path) as source:
        for group in range(source.num_row_groups):
            rows = source.read_row_group(group, use_threads=False)
            have = dict(zip(rows.column_names, rows.columns, strict=True))
            have[BUCKET] = pa.chunked_array([_buckets(rows, file.bucket, buckets)])
            columns = [have.get(f.name, pa.nulls(rows.num_rows, f.type)) for f in TABLE_SCHEMA]
            yield pa.table(columns, schema=TABLE_SCHEMA)


def _buckets(rows: pa.Table, bucket: int, buckets: int) -> pa.Array:
    if bucket == NO_CUSTOMER:
        return bucket_column(rows["anonymous_id"].combine_chunks(), buckets)
    return pa.repeat(pa.scalar(bucket, pa.int32()), rows.num_rows)
