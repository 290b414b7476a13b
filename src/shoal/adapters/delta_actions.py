"""Files of the event table as the Delta Lake log writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from deltalake.transaction import AddAction, RemoveAction

from shoal.adapters.bucket_files import DataFile
from shoal.domain.time import from_us
from shoal.events.schema import BUCKET


def add_action(file: DataFile, now_ms: int, data_change: bool) -> AddAction:
    """A file that appears, with its rows and times; of ids and texts nothing is told."""
    stats = {
        "numRecords": file.rows,
        "minValues": {"event_time": _millisecond(file.first_us // 1000)},
        "maxValues": {"event_time": _millisecond(-(-file.last_us // 1000))},
        "nullCount": {"event_time": 0},
    }
    return AddAction(
        path=file.path,
        size=file.bytes,
        partition_values={BUCKET: str(file.bucket)},
        modification_time=now_ms,
        data_change=data_change,
        stats=json.dumps(stats),
    )


def remove_action(file: DataFile, now_ms: int, data_change: bool) -> RemoveAction:
    """A file that disappears."""
    return RemoveAction(
        path=file.path,
        data_change=data_change,
        deletion_timestamp=now_ms,
        size=file.bytes,
        partition_values={BUCKET: str(file.bucket)},
    )


def data_file(row: Mapping[str, Any]) -> DataFile:
    """A file as the log describes it."""
    return DataFile(
        path=row["path"],
        bucket=int(row["partition.bucket"]),
        rows=int(row["num_records"]),
        bytes=int(row["size_bytes"]),
        first_us=_us(row.get("min.event_time")),
        last_us=_us(row.get("max.event_time")),
    )


def _us(moment: Any) -> int:
    return int(pa.scalar(moment, pa.timestamp("us", tz="UTC")).value) if moment else 0


def _millisecond(ms: int) -> str:
    """Delta keeps times in statistics to the millisecond, so the range is widened to one.

    >>> _millisecond(1)
    '1970-01-01T00:00:00.001Z'
    """
    return from_us(ms * 1000).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
