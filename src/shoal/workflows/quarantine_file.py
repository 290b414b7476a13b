"""The quarantined rows of one commit unit: one Parquet file, complete or not there."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.events.schema import QUARANTINE_SCHEMA

#: Rows are gathered before a row group is written; raw texts may be long.
_GROUP_BYTES: Final = 8 * 2**20
_TEMPORARY: Final = ".part"
_COLUMNS: Final = b"shoal.columns"
_IDS: Final = b"shoal.ids"


class QuarantineFile:
    """Takes quarantined rows; `publish` makes them a file, `abandon` leaves nothing.

    Args:
        directory: the shop's quarantine; made when the first row comes.
        name: file name, for example `<unit>.parquet`.
        columns: all columns of the source, kept in the file for a replay.
        ids: those that hold ids of visitors, kept for an erasure; None: any may.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        columns: Sequence[str],
        ids: Sequence[str] | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        #: The first row seen of each reason.
        self.samples: dict[str, dict[str, object]] = {}
        self._directory = directory
        self._name = name
        self._part = directory / f"{name}{_TEMPORARY}"
        told = {_COLUMNS: json.dumps(list(columns))}
        if ids is not None:
            told[_IDS] = json.dumps(list(ids))
        self._schema = QUARANTINE_SCHEMA.with_metadata(told)
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0

    def append(self, rows: pa.Table) -> None:
        """Take rows of `QUARANTINE_SCHEMA`."""
        if not rows.num_rows:
            return
        for entry in pc.value_counts(rows["code"].combine_chunks()).to_pylist():
            self.counts[entry["values"]] += entry["counts"]
            if entry["values"] not in self.samples:
                first = pc.index(rows["code"], entry["values"]).as_py()
                self.samples[entry["values"]] = rows.slice(first, 1).to_pylist()[0]
        self._waiting.append(rows)
        self._waiting_bytes += rows.nbytes
        if self._waiting_bytes >= _GROUP_BYTES:
            self._write()

    def publish(self) -> str | None:
        """Make the file complete and durable; returns its name, None if there was no row."""
        if not self.counts:
            return None
        if self._waiting:
            self._write()
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        _sync(self._part)
        self._part.replace(self._directory / self._name)
        _sync(self._directory)
        return self._name

    def abandon(self) -> None:
        """Remove what was written; the shop is as it was."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with suppress(OSError):  # the footer of a file that goes, on a disk that is full
                writer.close()
        self._part.unlink(missing_ok=True)

    def _write(self) -> None:
        rows = pa.concat_tables(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        if self._writer is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._part, self._schema, compression="zstd", write_statistics=False
            )
        self._writer.write_table(rows.select(self._schema.names).cast(self._schema))


def columns_of(path: Path) -> tuple[str, ...]:
    """All columns of the source that a quarantine file's rows came from."""
    with path.open("rb") as handle:
        metadata = pq.read_schema(handle).metadata or {}
    return tuple(json.loads(metadata.get(_COLUMNS, b"[]")))


def id_columns_of(path: Path) -> tuple[str, ...] | None:
    """The columns of a quarantine file's source that hold ids of visitors; None if it is silent."""
    with path.open("rb") as handle:
        told = (pq.read_schema(handle).metadata or {}).get(_IDS)
    return None if told is None else tuple(json.loads(told))


def read_batches(path: Path) -> Iterator[pa.Table]:
    """The rows of a quarantine file, in bounded pieces."""
    with path.open("rb") as handle, pq.ParquetFile(handle) as file:
        for batch in file.iter_batches(batch_size=20_000):
            yield pa.Table.from_batches([batch])


def sweep(directory: Path, kept: frozenset[str]) -> None:
    """Remove every file of the quarantine that no unit names."""
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        if path.name not in kept and path.name.endswith((".parquet", _TEMPORARY)):
            path.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
