"""What the shop knows of its items: listed, told of one, written to a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.domain.errors import UsageError
from shoal.domain.money import MICROS
from shoal.domain.time import from_us, iso
from shoal.features.admission import NEVER_US
from shoal.features.items import ATTRIBUTES, facts_at, facts_history
from shoal.ports import EventTable

SCHEMA: Final = "shoal.items/1"

_MOMENT: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class WrittenItems:
    """A written table: `rows` items as of a moment (None: by all that is known)."""

    path: Path
    rows: int
    as_of: datetime | None

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.items/1` of a file."""
        return {
            "schema": SCHEMA,
            "path": str(self.path),
            "items": self.rows,
            "as_of": None if self.as_of is None else iso(self.as_of),
        }


def overview(
    *, warehouse: EventTable, as_of: datetime | None = None, most: int = 20
) -> dict[str, Any]:
    """How many items are known, what of them, and the first ones, as `shoal.items/1`."""
    facts = facts_at(warehouse.engine, warehouse.events(), as_of)
    known = {name: facts.num_rows - facts[name].null_count for name in ATTRIBUTES}
    return {
        "schema": SCHEMA,
        "as_of": None if as_of is None else iso(as_of),
        "items": facts.num_rows,
        "known": known,
        "first": [_plain(row) for row in facts.slice(0, most).to_pylist()],
    }


def item(*, warehouse: EventTable, item_id: str, as_of: datetime | None = None) -> dict[str, Any]:
    """One item: what is known of it, and every change, as `shoal.items/1`.

    Raises:
        UsageError: `unknown_item`, no fact of it (before the moment).
    """
    history = facts_history(warehouse.engine, warehouse.events(), as_of)
    own = history.filter(pc.equal(history["item_id"], item_id)).to_pylist()
    if not own:
        raise UsageError(
            "unknown_item",
            f"the shop knows no facts of an item {item_id!r}"
            + ("" if as_of is None else f" dated before {iso(as_of)}"),
            where=item_id,
            hint="Ids are case-sensitive texts; bring facts in with "
            "shoal ingest SHOP FILE --preset items.",
        )
    return {
        "schema": SCHEMA,
        "as_of": None if as_of is None else iso(as_of),
        "item": _plain(own[-1]),
        "history": [_plain(row) for row in own],
    }


def write_items(*, warehouse: EventTable, out: Path, as_of: datetime | None = None) -> WrittenItems:
    """Write one Parquet row an item, sorted by item; amounts are micro-units, as in the events.

    Raises:
        UsageError: `unknown_format`, the file's name does not end in `.parquet`.
        OperationError: `no_permission` or `disk_full`.
    """
    if out.suffix != ".parquet":
        raise UsageError(
            "unknown_format",
            f"items are written as Parquet, not as {out.suffix or 'a file without ending'}",
            where=str(out),
            hint="Give --out a name that ends in .parquet.",
        )
    facts = facts_at(warehouse.engine, warehouse.events(), as_of)
    moments = facts["valid_from_us"].cast(_MOMENT)
    columns = {"item_id": facts["item_id"], "valid_from": moments}
    table = pa.table(columns | {name: facts[name] for name in ATTRIBUTES})
    table = table.replace_schema_metadata({b"shoal.money": b"micro"})
    pq.write_table(table, out, compression="zstd")
    return WrittenItems(out, table.num_rows, as_of)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of facts as JSON: times in ISO 8601, the price in currency units."""
    upto = row["valid_to_us"]
    return {
        "item_id": row["item_id"],
        "valid_from": iso(from_us(row["valid_from_us"])),
        "valid_to": None if upto == NEVER_US else iso(from_us(upto)),
        **{name: row[name] for name in ATTRIBUTES},
        "price": None if row["price"] is None else row["price"] / MICROS,
    }
