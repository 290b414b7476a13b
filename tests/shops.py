"""A small shop of real adapters in a folder, and files to bring into it."""

from __future__ import annotations

import atexit
import csv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.files import FileRegistry
from shoal.adapters.sql import SqlStateStore
from shoal.domain.time import Zone
from shoal.events.mapping import SourceMapping
from shoal.events.presets import load
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.workflows import catch_up, quarantine, quarantine_replay
from shoal.workflows.admission import Admission
from shoal.workflows.ingest import ingest
from shoal.workflows.ingest_result import IngestResult
from shoal.workflows.progress import Progress

BUCKETS = 4
ZONE = Zone("Europe/London")
#: Columns of the files that `write_csv` writes, all canonical names.
COLUMNS = (
    "event_id", "customer_id", "kind", "event_time", "item_id", "category", "price", "quantity",
    "order_id", "session_id", "currency",
)  # fmt: skip

Row = Mapping[str, object]


@cache
def engine() -> DuckEngine:
    """One engine for all tests of a process."""
    return DuckEngine(threads=1)


# Before the interpreter goes: DuckDB complains of what is still alive after it.
atexit.register(lambda: (fold.cache_clear(), engine.cache_clear()))


@cache
def fold(value_event: str, currency: str) -> Fold:
    """A fold, compiled once for all tests of a process."""
    return Fold(CATALOG, engine(), value_event=value_event, currency=currency or None)


class Shop:
    """The parts of one shop, as `bootstrap` wires them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.quarantine_dir = directory / "quarantine"
        self.engine = engine()
        self.warehouse = DeltaWarehouse(directory / "events", BUCKETS, self.engine)
        self.store = SqlStateStore(f"sqlite:///{directory}/shop.sqlite")
        self.registry = FileRegistry(directory / "artefacts")
        self.admission = Admission(self.warehouse, self.store, self.registry, buckets=BUCKETS)
        #: Value events that folds were asked for.
        self.folded: list[str] = []

    def fold(self, value_event: str, currency: str) -> Fold:
        self.folded.append(value_event)
        return fold(value_event, currency)

    def ingest(
        self,
        *paths: Path | str,
        mapping: SourceMapping | None = None,
        progress: Progress | None = None,
        again: bool = False,
    ) -> IngestResult:
        return ingest(
            warehouse=self.warehouse,
            store=self.store,
            fold=self.fold,
            admission=self.admission,
            quarantine_dir=self.quarantine_dir,
            paths=[str(path) for path in paths],
            mapping=mapping or load("shoal"),
            zone=ZONE,
            buckets=BUCKETS,
            again=again,
            progress=progress,
        )

    def replay(self, mapping: SourceMapping) -> IngestResult:
        return quarantine_replay.replay(
            warehouse=self.warehouse,
            store=self.store,
            fold=self.fold,
            admission=self.admission,
            quarantine_dir=self.quarantine_dir,
            mapping=mapping,
            zone=ZONE,
            buckets=BUCKETS,
        )

    def listing(self, **options: Any) -> quarantine.Listing:
        return quarantine.listing(store=self.store, quarantine_dir=self.quarantine_dir, **options)

    def rebuild(self) -> int:
        return catch_up.rebuild(
            warehouse=self.warehouse, store=self.store, fold=self.fold, admission=self.admission
        )

    def events(self) -> pa.Table:
        """All events, in one order."""
        if self.warehouse.version() < 0:
            return pa.table({})
        query = "SELECT * FROM events ORDER BY event_key"
        return self.engine.run(query, {"events": self.warehouse.events()})

    def states(self) -> dict[str, bytes]:
        """Each customer's state, byte for byte."""
        return {
            row["customer_id"]: row["body"]
            for batch in self.store.iter_states()
            for row in batch.to_pylist()
        }

    def stray_files(self) -> list[str]:
        """Files of the shop that nothing refers to."""
        known = {Path(path) for path in self.warehouse.events().paths}
        units = self.store.units()
        known |= {self.quarantine_dir / u["quarantine"] for u in units if u["quarantine"]}
        places = [self.directory / "events", self.quarantine_dir]
        found = [p for place in places for p in place.rglob("*") if p.is_file()]
        return [str(p) for p in found if p not in known and "_delta_log" not in p.parts]

    def close(self) -> None:
        self.store.close()


def purchase(number: int, customer: str, **changes: object) -> dict[str, object]:
    """One good row; `number` makes its id, minute and item."""
    row: dict[str, object] = {
        "event_id": f"e{number}",
        "customer_id": customer,
        "kind": "purchase",
        "event_time": f"2024-03-{1 + number // 1440 % 28:02d}T{number // 60 % 24:02d}:"
        f"{number % 60:02d}:00Z",
        "item_id": f"i{number % 7}",
        "category": f"home/c{number % 3}",
        "price": f"{1 + number % 50}.99",
        "quantity": 1 + number % 3,
        "order_id": f"o{number // 2}",
        "session_id": f"s{number // 5}",
    }
    return {**row, **changes}


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> Path:
    """A CSV file of the rows; what a row lacks is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path
