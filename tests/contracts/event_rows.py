"""Events made by hand for the adapters' suites: every column of the table, real keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoal.events.identity import bucket_column, content_keys, content_texts, event_keys
from shoal.events.identity import generated_ids as ids_of
from shoal.events.schema import TABLE_SCHEMA

BUCKETS = 4
START = datetime(2024, 3, 1, tzinfo=UTC)


def row(number: int, **values: Any) -> dict[str, Any]:
    """A purchase, its columns varying with the number."""
    return {
        "event_id": f"e{number}",
        "customer_id": f"c{number % 7}",
        "kind": "purchase",
        "event_time": START + timedelta(minutes=number),
        "sequence": number,
        "item_id": f"i{number % 5}",
        "price": 1_000_000 * (number % 11),
        "quantity": 1,
        "source": "till",
        **values,
    }


def rows(numbers: Sequence[int], **values: Any) -> list[dict[str, Any]]:
    return [row(number, **values) for number in numbers]


def events(
    given: Sequence[dict[str, Any]], *, generated: bool = False, keys: Sequence[int] | None = None
) -> pa.Table:
    """Rows as a unit takes them: `generated` without ids of their own, `keys` forced event keys."""
    canonical = pa.Table.from_pylist(list(given), schema=TABLE_SCHEMA)
    texts = content_texts(canonical)
    ids = canonical["event_id"].combine_chunks()
    if generated:
        ids = pa.array(ids_of(texts, canonical["source"].to_pylist()), pa.string())
    computed = {
        "event_id": ids,
        "event_key": pa.array(
            event_keys(canonical["source"].combine_chunks(), ids) if keys is None else keys,
            pa.int64(),
        ),
        "content_key": pa.array(content_keys(texts), pa.int64()),
        "utc_offset_s": pa.array([0] * len(given), pa.int32()),
        "bucket": bucket_column(
            pc.coalesce(canonical["customer_id"], canonical["anonymous_id"]).combine_chunks(),
            BUCKETS,
        ),
    }
    columns = [computed.get(name, canonical[name]) for name in TABLE_SCHEMA.names]
    table = pa.table(columns, schema=TABLE_SCHEMA)
    return table.append_column("generated_id", pa.array([generated] * len(given)))


def stored(warehouse: Any, version: int | None = None) -> list[dict[str, Any]]:
    """All rows of the table, in order of identity."""
    files = warehouse.events(version=version)
    query = "SELECT * FROM events ORDER BY source, event_id"
    return warehouse.engine.run(query, {"events": files}).to_pylist()


def ingest(warehouse: Any, unit: str, *chunks: pa.Table) -> dict[str, int]:
    """Append chunks as one unit and commit; returns the counts."""
    writer = warehouse.unit(unit)
    for chunk in chunks:
        writer.append(chunk)
    counts = dict(writer.resolve())
    writer.commit({"file": f"{unit}.csv"})
    return counts
