"""Erasing rows from the Delta table, and everything that still remembers them.

A rewritten file replaces one that held rows of the person; then whatever no version may show any
more goes: files that the latest version does not name, and the log's earlier entries, which a
checkpoint has made dispensable (they name files, and customers whose rows were replaced).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.adapters.bucket_files import FILE_SCHEMA, DataFile, describe, sync
from shoal.adapters.delta_log import STAGING, DeltaLog
from shoal.adapters.duckdb import DuckEngine, scan
from shoal.adapters.failures import translated
from shoal.adapters.rewriting import Edit, rewrite
from shoal.ports import ParquetFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What the commit says of itself.
ERASE: Final = "erase"

_FOUND: Final = """
SELECT locator FROM ({table}) AS events JOIN people
  ON coalesce(events.customer_id, events.anonymous_id) = people.id
  AND epoch_us(events.event_time) >= people.from_us AND epoch_us(events.event_time) < people.to_us
  AND (people.merged OR events.customer_id IS NULL)
GROUP BY locator ORDER BY locator
"""


def erase(log: DeltaLog, engine: DuckEngine, people: pa.Table, buckets: Sequence[int]) -> int:
    """Remove the rows of some people in one commit that names nobody; returns how many went.

    Args:
        people: `PEOPLE_SCHEMA` of `shoal.features.admission`.
        buckets: where their rows lie.
    """
    wanted = set(buckets)
    files = [file for file in log.files() if file.bucket in wanted]
    if not files:
        return 0
    relation = ParquetFiles(tuple(str(log.root / file.path) for file in files), FILE_SCHEMA)
    query = _FOUND.format(table=scan(relation, located=True))
    found = engine.run(query, {"people": people})["locator"].to_numpy()
    if not len(found):
        return 0
    stem = f"{ERASE}-{uuid.uuid4().hex[:8]}"
    staging = log.root / STAGING / stem
    with translated(log.root):
        staging.mkdir(parents=True)
        replaced: list[DataFile] = []
        added: list[DataFile] = []
        for number in np.unique(found >> 32).tolist():
            old = files[number]
            drop = found[found >> 32 == number] & 0xFFFFFFFF
            replaced.append(old)
            if len(drop) == pq.read_metadata(log.root / old.path).num_rows:
                continue
            path = f"{old.path.split('/', 1)[0]}/{stem}-{number:05d}.parquet"
            rewrite(log.root, old.path, path, Edit(drop))
            sync(log.root / path)
            added.append(describe(log.root, path))
        log.commit(added, replaced, {"operation": ERASE})
        staging.rmdir()
    return len(found)


def purge(log: DeltaLog) -> int:
    """Remove every file and every entry of the log that the latest version does without.

    Returns how many data files went. Safe to repeat after a kill at any point.
    """
    with translated(log.root):
        named = {file.path for file in log.files()}
        gone = 0
        for file in log.root.glob("bucket=*/*.parquet"):
            if file.relative_to(log.root).as_posix() not in named:
                file.unlink()
                gone += 1
        log.truncate()
    return gone
