from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.laws.logs import random_log, to_table

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.errors import InputError
from shoal.domain.time import Zone
from shoal.events.schema import TABLE_SCHEMA
from shoal.features import reference
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.features.snapshot import (
    AS_OF_KEY,
    CATALOG_KEY,
    latest_moment,
    snapshot,
    snapshot_table,
    write_snapshot,
)
from shoal.ports import ParquetFiles, Warehouse

UTC_ZONE = Zone("UTC")
ENGINE = DuckEngine(threads=2, memory_mib=256)
FOLD = Fold(CATALOG, ENGINE, currency="GBP")
EVENTS = to_table(random_log(3, 300), "UTC")


class Shelf:
    """The reading half of a warehouse: bucketed files in a directory."""

    engine = ENGINE

    def __init__(self, root: Path, events: pa.Table, buckets: int = 3) -> None:
        owners = events.column("customer_id").to_pylist()
        places = np.array([-1 if one is None else len(one.encode()) % buckets for one in owners])
        complete = pa.table(
            {
                field.name: events.column(field.name)
                if field.name in events.column_names
                else pa.nulls(events.num_rows, field.type)
                for field in TABLE_SCHEMA
                if field.name != "bucket"
            }
        )
        self._paths = {}
        self._counts = {}
        for bucket in sorted(set(places.tolist())):
            part = complete.filter(pa.array(places == bucket))
            path = root / f"bucket={bucket}" / "part.parquet"
            path.parent.mkdir()
            pq.write_table(part, path)
            self._paths[bucket], self._counts[bucket] = str(path), part.num_rows

    def version(self) -> int:
        return 0 if self._paths else -1

    def bucket_counts(self) -> dict[int, int]:
        return self._counts

    def events(self, *, version: int | None = None, buckets: Any = None) -> ParquetFiles:
        chosen = self._paths if buckets is None else buckets
        return ParquetFiles(tuple(self._paths[bucket] for bucket in chosen), TABLE_SCHEMA)


def shelf(root: Path, events: pa.Table = EVENTS) -> Warehouse:
    return cast(Warehouse, Shelf(root, events))


def test_buckets_together_hold_what_one_fold_of_all_events_says(tmp_path: Path) -> None:
    warehouse = shelf(tmp_path)
    moment = datetime(2024, 11, 5, 11, tzinfo=UTC)
    whole = snapshot_table(warehouse, FOLD, zone=UTC_ZONE, as_of=moment)
    items = reference.build(ENGINE, EVENTS, moment)
    expected = FOLD.features(EVENTS, moment, UTC_ZONE, items)
    assert whole.to_pylist() == expected.to_pylist()


def test_the_file_is_sorted_and_says_as_of_and_catalog(tmp_path: Path) -> None:
    warehouse = shelf(tmp_path)
    path = tmp_path / "features.parquet"
    rows = write_snapshot(
        path, warehouse, FOLD, zone=UTC_ZONE, as_of=datetime(2024, 7, 1, tzinfo=UTC)
    )
    table = pq.read_table(path)
    owners = table.column("customer_id").to_pylist()
    assert len(owners) == rows and owners == sorted(owners)
    assert table.column_names == ["customer_id", *CATALOG.names]
    assert table.schema.metadata[AS_OF_KEY] == b"2024-07-01T00:00:00Z"
    assert table.schema.metadata[CATALOG_KEY] == CATALOG.fingerprint.encode()
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_file()) == [path.name]


def test_without_a_moment_every_event_counts(tmp_path: Path) -> None:
    warehouse = shelf(tmp_path)
    whole = snapshot_table(warehouse, FOLD, zone=UTC_ZONE)
    own = [
        one
        for one in EVENTS.select(["customer_id", "kind"]).to_pylist()
        if one["customer_id"] is not None and one["kind"] != "item"
    ]
    assert sum(whole.column("events").to_pylist()) == len(own)
    latest = max(
        one["event_time"]
        for one in EVENTS.select(["event_time", "kind"]).to_pylist()
        if one["kind"] != "item"
    )
    assert (latest_moment(warehouse) - latest).microseconds == 1


def test_an_empty_shop_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no event yet"):
        next(snapshot(shelf(tmp_path, EVENTS.slice(0, 0)), FOLD, zone=UTC_ZONE))


def test_a_shop_of_guests_is_told(tmp_path: Path) -> None:
    guests = EVENTS.set_column(
        EVENTS.column_names.index("customer_id"), "customer_id", pa.nulls(300, pa.string())
    )
    with pytest.raises(InputError, match="no event of the shop belongs to a customer"):
        snapshot_table(shelf(tmp_path, guests), FOLD, zone=UTC_ZONE)
