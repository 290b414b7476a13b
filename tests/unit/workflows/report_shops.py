"""Small shops for the report's tests: simulated ones, and ones of a few events written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.files import FileRegistry
from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.time import Zone
from shoal.events.presets import load
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.report.document import ReportDocument
from shoal.workflows.admission import Admission
from shoal.workflows.ingest import ingest
from shoal.workflows.report import document
from shoal.workflows.segment import segment

ZONE = Zone("Europe/Berlin")
MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
START = datetime(2024, 1, 1, tzinfo=UTC)


class Shop:
    """A shop in a folder, with memory as its state store."""

    def __init__(self, folder: Path, *, value_event: str = "purchase") -> None:
        self.folder = folder
        engine = DuckEngine()
        self.fold = Fold(CATALOG, engine, value_event=value_event)
        self.store = MemoryStateStore()
        self.warehouse = DeltaWarehouse(folder / "events", buckets=4, engine=engine)
        self.registry = FileRegistry(folder / "artefacts")
        self.admission = Admission(self.warehouse, self.store, self.registry, buckets=4)

    def parts(self) -> dict[str, Any]:
        return {
            "warehouse": self.warehouse, "store": self.store, "registry": self.registry,
            "fold": self.fold, "zone": ZONE, "admission": self.admission,
        }  # fmt: skip

    def take(self, path: Path) -> None:
        ingest(
            paths=[str(path)], mapping=load("shoal"), warehouse=self.warehouse, store=self.store,
            fold=self.fold, zone=ZONE, buckets=4, quarantine_dir=self.folder / "quarantine",
        )  # fmt: skip

    def segment(self, **settings: Any) -> None:
        segment(**self.parts(), **settings)

    def document(self, **changes: Any) -> ReportDocument:
        arguments = {"shop_name": "corner", "clock": lambda: MADE}
        return document(**self.parts(), **(arguments | changes))


def written(path: Path, events: Sequence[dict[str, Any]]) -> Path:
    """The events as a file of canonical columns; ids count up."""
    names = dict.fromkeys(["event_id", *(name for row in events for name in row)])
    columns = {
        name: pa.array(
            [row.get(name, f"e{place}" if name == "event_id" else None)
             for place, row in enumerate(events)],
            pa.float64() if name in ("price", "rating") else TABLE_SCHEMA.field(name).type,
        )
        for name in names
    }  # fmt: skip
    pq.write_table(pa.table(columns), path)
    return path


def shop_of(
    folder: Path, events: Sequence[dict[str, Any]], *, value_event: str = "purchase", **how: Any
) -> Shop:
    """A shop of events written by hand, with its segments."""
    found = Shop(folder, value_event=value_event)
    found.take(written(folder / "events.parquet", events))
    found.segment(**({"k": 2, "methods": ("kmeans",)} | how))
    return found
