"""Files through a preset, and the money of what comes out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from shoal.domain.time import Zone
from shoal.events import presets
from shoal.events.chunks import no_rows
from shoal.events.clean import CLEANED_SCHEMA, clean
from shoal.events.mapping import SourceMapping
from shoal.events.reading import open_source

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Read:
    """What became of a file."""

    events: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]
    read: int
    skipped: int

    def of(self, **wanted: Any) -> list[dict[str, Any]]:
        """The events with these values."""
        return [e for e in self.events if all(e[k] == v for k, v in wanted.items())]

    @property
    def reasons(self) -> dict[str, int]:
        counts: dict[str, int] = defaultdict(int)
        for row in self.quarantined:
            counts[row["code"]] += 1
        return dict(counts)


def read(
    preset: str, path: Path, rows_per_chunk: int = 1000, mapping: SourceMapping | None = None
) -> Read:
    """A file through its preset (or a mapping), as ingest reads it; the account adds up."""
    mapping = mapping or presets.load(preset)
    events, quarantined, rows, skipped = [CLEANED_SCHEMA.empty_table()], [no_rows()], 0, 0
    for chunk in open_source(path, mapping, rows_per_chunk=rows_per_chunk).chunks():
        assert chunk.table.num_rows <= rows_per_chunk
        cleaned = clean(chunk, mapping, zone=Zone(), buckets=4, file=path.name)
        events.append(cleaned.events)
        quarantined.append(cleaned.quarantined)
        rows += cleaned.read
        skipped += cleaned.skipped
    stored = pa.concat_tables(events).to_pylist()
    refused = pa.concat_tables(quarantined).to_pylist()
    assert rows == len(stored) + len(refused) + skipped
    return Read(stored, refused, rows, skipped)


def net_of_orders(events: list[dict[str, Any]]) -> dict[str, int]:
    """Micro-units of each order: price x quantity - discount of purchases, less refunds."""
    net: dict[str, int] = defaultdict(int)
    for event in events:
        units = 1 if event["quantity"] is None else event["quantity"]
        amount = (event["price"] or 0) * units - (event["discount"] or 0)
        if event["kind"] in ("purchase", "refund"):
            net[event["order_id"]] += amount if event["kind"] == "purchase" else -amount
    return dict(net)


def total_of_orders(events: list[dict[str, Any]], column: str) -> dict[str, int]:
    """The sum of a money column over the purchases of each order."""
    found: dict[str, int] = defaultdict(int)
    for event in events:
        if event["kind"] != "refund" and event[column] is not None:
            found[event["order_id"]] += event[column]
    return dict(found)
