"""Features of all customers at a moment, from the event table, in bounded memory.

A bucket holds all events of its customers, so buckets are folded in groups of about
`EVENTS_AT_ONCE` events. A snapshot at T uses events with `event_time < T` and holds the customers
that have one; null means that a feature is not defined for that customer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _

from shoal.domain import kinds
from shoal.domain.errors import InputError
from shoal.domain.time import Zone, from_us, iso
from shoal.events.schema import NO_CUSTOMER, TABLE_SCHEMA
from shoal.features import reference
from shoal.features.algebra import CUSTOMER, epoch_us
from shoal.features.fold import Fold
from shoal.features.queries import no_noise, unbound
from shoal.ports import EventTable, ParquetFiles

EVENTS_AT_ONCE: Final = 4_000_000
#: Keys of a snapshot's Parquet metadata.
AS_OF_KEY: Final = b"shoal.as_of"
CATALOG_KEY: Final = b"shoal.catalog"
FOLD_KEY: Final = b"shoal.fold"

_ROWS_A_BATCH: Final = 50_000


def latest_moment(warehouse: EventTable, *, version: int | None = None) -> datetime:
    """A microsecond after the latest event: the T at which every event counts.

    Facts of items do not move it: prices may be known for days to come. Nor does what an export
    told of its own doing.

    Raises:
        InputError: `too_little_data`, the table holds no event.
    """
    engine = warehouse.engine
    found = engine.run(
        engine.compile(_latest_definition()), {"events": warehouse.events(version=version)}
    )
    latest = found.column("latest_us")[0].as_py()
    if latest is None:
        raise InputError(
            "too_little_data",
            "the shop holds no event yet",
            hint="Run `shoal ingest SHOP FILE` first.",
        )
    return from_us(latest) + timedelta(microseconds=1)


@lru_cache(maxsize=1)
def _latest_definition() -> ir.Table:
    names = ("event_time", "kind", "noise")
    events = unbound(pa.schema([TABLE_SCHEMA.field(name) for name in names]), "events")
    happened = (_.kind != kinds.ITEM) & no_noise(())
    return events.agg(latest_us=epoch_us(_.event_time.max(where=happened)))


def snapshot(
    warehouse: EventTable,
    fold: Fold,
    *,
    zone: Zone,
    as_of: datetime | None = None,
    reference_table: pa.Table | None = None,
    version: int | None = None,
) -> Iterator[pa.Table]:
    """Features at a moment, a table for each group of buckets, each sorted by `customer_id`.

    Args:
        warehouse: the event table.
        fold: the features and the shop's rules.
        zone: the shop's time zone.
        as_of: T, aware; None for `latest_moment`.
        reference_table: the frozen reference; None builds it from the events before T.
        version: of the event table; None for the latest.

    Raises:
        InputError: `too_little_data`, the table holds no event.
    """
    moment = as_of or latest_moment(warehouse, version=version)
    if reference_table is None:
        events = warehouse.events(version=version)
        reference_table = reference.build(fold.engine, events, moment, fold.rules.noise)
    groups = bucket_groups(warehouse.bucket_counts()) if warehouse.version() >= 0 else []
    for buckets in groups:
        events = warehouse.events(version=version, buckets=buckets)
        table = fold.features(events, moment, zone, reference_table)
        yield stamped(table, fold, moment)


def bucket_groups(counts: Mapping[int, int], at_once: int = EVENTS_AT_ONCE) -> list[list[int]]:
    """Customers' buckets in groups of at most `at_once` events, or of one bucket.

    >>> bucket_groups({-1: 50, 0: 6, 1: 5, 2: 5, 3: 20}, at_once=10)
    [[0], [1, 2], [3]]
    """
    groups: list[list[int]] = []
    size = 0
    for bucket, count in sorted(counts.items()):
        if bucket == NO_CUSTOMER:
            continue
        if groups and size + count <= at_once:
            groups[-1].append(bucket)
            size += count
        else:
            groups.append([bucket])
            size = count
    return groups


def stamped(table: pa.Table, fold: Fold, as_of: datetime) -> pa.Table:
    """The table with as-of moment and fingerprints in its schema metadata."""
    return table.replace_schema_metadata(
        {
            AS_OF_KEY: iso(as_of).encode(),
            CATALOG_KEY: fold.catalog.fingerprint.encode(),
            FOLD_KEY: fold.fingerprint.encode(),
        }
    )


def snapshot_table(
    warehouse: EventTable,
    fold: Fold,
    *,
    zone: Zone,
    as_of: datetime | None = None,
    reference_table: pa.Table | None = None,
    version: int | None = None,
) -> pa.Table:
    """The whole snapshot in memory (about 1 KB a customer), sorted by `customer_id`.

    Arguments and errors as of `snapshot`.
    """
    groups = list(
        snapshot(
            warehouse,
            fold,
            zone=zone,
            as_of=as_of,
            reference_table=reference_table,
            version=version,
        )
    )
    if not groups:
        raise InputError(
            "too_little_data",
            "no event of the shop belongs to a customer",
            hint="Map a column to `customer_id` and ingest again.",
        )
    whole = pa.concat_tables(groups)
    return whole if len(groups) == 1 else whole.sort_by(CUSTOMER)


def write_snapshot(
    path: Path,
    warehouse: EventTable,
    fold: Fold,
    *,
    zone: Zone,
    as_of: datetime | None = None,
    reference_table: pa.Table | None = None,
    version: int | None = None,
) -> int:
    """Write the snapshot as one Parquet file, sorted by `customer_id`; returns its customers.

    Groups of buckets are spilled beside the file and sorted by the engine, so memory stays bounded
    however many customers there are. Arguments and errors as of `snapshot`.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".snapshot-") as spill:
        files = []
        schema = None
        for place, table in enumerate(
            snapshot(
                warehouse,
                fold,
                zone=zone,
                as_of=as_of,
                reference_table=reference_table,
                version=version,
            )
        ):
            schema = table.schema
            files.append(str(Path(spill) / f"{place}.parquet"))
            pq.write_table(table, files[-1], compression="zstd")
        if schema is None:
            raise InputError(
                "too_little_data",
                "no event of the shop belongs to a customer",
                hint="Map a column to `customer_id` and ingest again.",
            )
        return _sorted_into(path, fold, ParquetFiles(tuple(files), schema))


def _sorted_into(path: Path, fold: Fold, parts: ParquetFiles) -> int:
    rows = ibis.table(ibis.Schema.from_pyarrow(parts.schema), name="parts")
    query = fold.engine.compile(rows.order_by(CUSTOMER))
    count = 0
    with pq.ParquetWriter(path, parts.schema, compression="zstd") as writer:
        for batch in fold.engine.stream(query, {"parts": parts}, _ROWS_A_BATCH):
            writer.write_batch(batch.cast(parts.schema))
            count += batch.num_rows
    return count
