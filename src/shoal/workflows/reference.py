"""The frozen reference of items: built once for a moment, kept as an artefact, pointed at."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.domain.time import iso
from shoal.events.noise import ROW_RULES
from shoal.features import reference
from shoal.ports import EventTable, Registry

KIND: Final = "reference"
#: Pointer to the reference that features of stored states read.
POINTER: Final = "reference"

_FILE: Final = "items.parquet"


def freeze(
    warehouse: EventTable,
    registry: Registry,
    as_of: datetime,
    *,
    noise: tuple[str, ...] = ROW_RULES,
    table_version: int | None = None,
) -> tuple[pa.Table, str]:
    """Build the reference of the events before a moment and publish it; the table and its id."""
    events = warehouse.events(version=table_version)
    table = reference.build(warehouse.engine, events, as_of, noise)
    return table, keep(registry, table, as_of)


def keep(registry: Registry, table: pa.Table, as_of: datetime) -> str:
    """Publish a reference that was built of the events before a moment; its id."""
    with registry.create(KIND, "reference") as directory:
        pq.write_table(table, directory / _FILE, compression="zstd")
        document = {"schema": "shoal.reference/1", "as_of": iso(as_of), "items": table.num_rows}
        (directory / "reference.json").write_text(json.dumps(document) + "\n", encoding="utf-8")
        return directory.name


def read(registry: Registry, reference_id: str) -> pa.Table:
    """A frozen reference (`REFERENCE_SCHEMA`).

    Raises:
        OperationError: `artefact_damaged`.
    """
    table = pq.read_table(registry.path(KIND, reference_id) / _FILE)
    return table.cast(reference.REFERENCE_SCHEMA)
