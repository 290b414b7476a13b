"""Writing the event table's Parquet files: one open file a bucket, bounded memory.

Files are written into their final directories; no reader sees them before a commit names them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.events.schema import BUCKET, TABLE_SCHEMA

#: What a file holds: the bucket is told by its directory.
FILE_SCHEMA: Final = TABLE_SCHEMA.remove(TABLE_SCHEMA.get_field_index(BUCKET))

ROWS_PER_GROUP: Final = 65_536
ROWS_PER_FILE: Final = 2_000_000
#: Rows wait in memory until a row group is full; beyond this in all, the largest bucket is written.
BUFFER_BYTES: Final = 192 * 2**20

# Every value of these is new: a dictionary would be built only to be thrown away.
_DISTINCT: Final = {
    "event_id", "event_time", "received_at", "sequence", "event_key", "content_key", "text",
    "properties", "query",
}  # fmt: skip

#: No statistics on ids and texts: what is erased must not survive in a file's footer.
_STATISTICS: Final = ["event_time", "event_key"]

_OPTIONS: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": [name for name in FILE_SCHEMA.names if name not in _DISTINCT],
    "write_statistics": _STATISTICS,
    # 4 bytes a page: a bit that flipped on the disk is told, not read as another event.
    "write_page_checksum": True,
}

_CUSTOMER_ORDER: Final = (BUCKET, "customer_id", "event_time", "sequence")
_VISITOR: Final = "visitor"


@dataclass(frozen=True)
class DataFile:
    """A closed file: its place under the table's root, size, rows and times (UTC microseconds)."""

    path: str
    bucket: int
    rows: int
    bytes: int
    first_us: int
    last_us: int


def describe(root: Path, path: str) -> DataFile:
    """What a closed file holds, from its footer."""
    footer = pq.read_metadata(root / path)
    place = FILE_SCHEMA.get_field_index("event_time")
    spans = [footer.row_group(i).column(place).statistics for i in range(footer.num_row_groups)]
    return DataFile(
        path=path,
        bucket=int(path.split("/", 1)[0].removeprefix("bucket=")),
        rows=footer.num_rows,
        bytes=(root / path).stat().st_size,
        first_us=min(_us(span.min) for span in spans),
        last_us=max(_us(span.max) for span in spans),
    )


def open_writer(path: Path) -> pq.ParquetWriter:
    """A writer of one file, in the table's way of encoding."""
    return pq.ParquetWriter(path, FILE_SCHEMA, **_OPTIONS)


@dataclass
class _Bucket:
    """One bucket's open file and what waits for it."""

    number: int
    waiting: list[pa.Table] = field(default_factory=list)
    waiting_rows: int = 0
    waiting_bytes: int = 0
    writer: pq.ParquetWriter | None = None
    file: int = -1
    file_rows: int = 0
    job: Future[None] | None = None


class BucketFiles:
    """Spreads rows over one open file a bucket; encoding runs on worker threads.

    Args:
        root: the table's directory.
        stem: beginning of every file's name.
        settled: told (rows, file, position) as soon as rows have their place: `file` indexes
            `paths`, `position` is the place of their first row in it. Rows have every column
            given to `append` but `bucket`.
        workers: threads that encode.
    """

    def __init__(
        self,
        root: Path,
        stem: str,
        settled: Callable[[pa.Table, int, int], None] | None = None,
        *,
        workers: int = 2,
    ) -> None:
        self.paths: list[str] = []
        self._root = root
        self._stem = stem
        self._settled = settled
        self._buckets: dict[int, _Bucket] = {}
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="shoal-encode")
        self._workers = workers
        self._running: list[Future[None]] = []

    def append(self, rows: pa.Table) -> None:
        """Take rows: `TABLE_SCHEMA` and any further columns, which are not written."""
        for bucket, part in _by_bucket(rows):
            state = self._buckets.setdefault(bucket, _Bucket(bucket))
            state.waiting.append(part)
            state.waiting_rows += part.num_rows
            state.waiting_bytes += part.nbytes
            if state.waiting_rows >= ROWS_PER_GROUP or state.waiting_bytes >= BUFFER_BYTES // 4:
                self._write(state)
        while sum(state.waiting_bytes for state in self._buckets.values()) > BUFFER_BYTES:
            self._write(max(self._buckets.values(), key=lambda state: state.waiting_bytes))

    def close(self) -> None:
        """Write what waits and close every file."""
        for state in sorted(self._buckets.values(), key=lambda state: state.number):
            if state.waiting:
                self._write(state)
            self._after(state, _close, state.writer)
            state.writer = None
        for job in self._running:
            job.result()
        self._pool.shutdown()

    def abandon(self) -> None:
        """Close what is open, whatever its state; the files remain for the caller to remove."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for state in self._buckets.values():
            if state.writer is not None:
                try:
                    state.writer.close()
                except (OSError, pa.ArrowException):
                    continue  # the footer of a file that is to be removed

    def _write(self, state: _Bucket) -> None:
        rows = pa.concat_tables(state.waiting)
        state.waiting, state.waiting_rows, state.waiting_bytes = [], 0, 0
        if state.writer is None or state.file_rows >= ROWS_PER_FILE:
            self._after(state, _close, state.writer)
            self._open(state)
        if self._settled is not None:
            self._settled(rows, state.file, state.file_rows)
        state.file_rows += rows.num_rows
        self._after(state, _encode, state.writer, rows.select(FILE_SCHEMA.names))

    def _open(self, state: _Bucket) -> None:
        directory = f"bucket={state.number}"
        path = f"{directory}/{self._stem}-{len(self.paths):05d}.parquet"
        (self._root / directory).mkdir(parents=True, exist_ok=True)
        self.paths.append(path)
        state.file, state.file_rows = len(self.paths) - 1, 0
        state.writer = open_writer(self._root / path)

    def _after(self, state: _Bucket, work: Any, *arguments: Any) -> None:
        """Start work on a bucket's file after its earlier work; wait when too much is under way."""
        if state.job is not None:
            state.job.result()
        while len(self._running) > self._workers:
            self._running.pop(0).result()
        state.job = self._pool.submit(work, *arguments)
        self._running.append(state.job)


def _encode(writer: pq.ParquetWriter, rows: pa.Table) -> None:
    writer.write_table(rows, row_group_size=ROWS_PER_GROUP)


def _close(writer: pq.ParquetWriter | None) -> None:
    if writer is not None:
        writer.close()


def _by_bucket(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Rows of each bucket, in order of visitor, time and sequence, in memory of their own.

    A slice would keep its whole chunk alive for as long as one small bucket waits.
    """
    if not rows.num_rows:
        return
    sorted_by = _visitor_order(rows)
    order = pc.sort_indices(sorted_by, [(name, "ascending") for name in sorted_by.column_names])
    buckets = rows[BUCKET].take(order).to_numpy()
    edges = np.flatnonzero(np.diff(buckets, prepend=buckets[:1] - 1, append=buckets[-1:] + 1))
    columns = rows.drop_columns([BUCKET])
    for start, end in itertools.pairwise(edges):
        yield int(buckets[start]), _taken(columns, order.slice(start, end - start))


def _visitor_order(rows: pa.Table) -> pa.Table:
    """The columns to sort by; an anonymous visitor stands in where events have no customer."""
    keys = rows.select(_CUSTOMER_ORDER)
    customers = rows["customer_id"]
    if not customers.null_count:
        return keys
    visitors = pc.if_else(pc.is_null(customers), rows["anonymous_id"], None)
    return keys.add_column(2, _VISITOR, visitors)


def _taken(rows: pa.Table, order: pa.Array) -> pa.Table:
    columns = [
        pa.nulls(len(order), column.type) if column.null_count == len(column) else
        column.take(order)
        for column in rows.columns
    ]  # fmt: skip
    return pa.table(columns, schema=rows.schema)


def _us(moment: Any) -> int:
    return int(pa.scalar(moment, pa.timestamp("us", tz="UTC")).value)


def sync(path: os.PathLike[str]) -> None:
    """Make a file's or a directory's content survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
