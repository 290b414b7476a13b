"""Small logs and tokenizers for tests of tokens and sequences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from tests.laws.logs import to_table

from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.memory import MemoryWarehouse
from shoal.domain.event import Event
from shoal.domain.sequence import DTYPES, EventSequences
from shoal.events.identity import bucket_of
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.algebra import CUSTOMER
from shoal.features.ngrams import NGrams
from shoal.features.queries import Rules
from shoal.features.tokens import Tokenizer, TokenSettings
from shoal.ports import Warehouse

START = datetime(2024, 3, 1, 9, 30, tzinfo=UTC)
END = START + timedelta(days=400)
TEXT = NGrams(buckets=500, width=8)
#: Vocabularies that small logs outgrow.
SMALL = TokenSettings(
    items=2, item_buckets=3, categories=2, category_buckets=2, brands=1, brand_buckets=2,
    channels=1, devices=1, price_buckets=3, least=1,
)  # fmt: skip
BUCKETS = 3

W = TypeVar("W", bound=Warehouse)


@lru_cache
def engine() -> DuckEngine:
    return DuckEngine(threads=2)


def event(number: int, day: float = 0, **told: Any) -> Event:
    """A view by ann unless something else is told; facts of items belong to nobody."""
    whose = None if told.get("kind") == "item" else "ann"
    known = {"kind": "view", "customer_id": whose, "source": "web", "sequence": number, **told}
    return Event(event_id=f"e{number}", event_time=START + timedelta(days=day), **known)


def table(events: Sequence[Event], zone: str = "UTC", noise: Sequence[str | None] = ()) -> pa.Table:
    """Events as rows of the event table."""
    known = to_table(events, zone, noise)
    columns = {name: known[name] for name in known.column_names}
    columns["bucket"] = pa.array(
        [-1 if one.customer_id is None else bucket_of(one.customer_id, BUCKETS) for one in events],
        pa.int32(),
    )
    return pa.table(
        [columns.get(field.name, pa.nulls(len(events), field.type)) for field in TABLE_SCHEMA],
        schema=TABLE_SCHEMA,
    )


def keyed(rows: pa.Table) -> pa.Table:
    """Rows with the keys by which a warehouse knows them."""
    keys = pa.array(np.arange(rows.num_rows, dtype=np.int64))
    for name in ("event_key", "content_key"):
        rows = rows.set_column(rows.schema.get_field_index(name), TABLE_SCHEMA.field(name), keys)
    return rows


def filled(made: W, *units: Sequence[Event]) -> W:
    """An event table after some commits."""
    rows = keyed(table([one for unit in units for one in unit]))
    rows = rows.append_column("generated_id", pa.array([False] * rows.num_rows))
    start = 0
    for n, unit in enumerate(units):
        writer = made.unit(f"u{n}")
        writer.append(rows.slice(start, len(unit)))
        writer.resolve()
        writer.commit({})
        start += len(unit)
    return made


def warehouse(*units: Sequence[Event]) -> MemoryWarehouse:
    """An event table in memory after some commits."""
    return filled(MemoryWarehouse(engine()), *units)


def learn(events: Sequence[Event], until: datetime = END, **given: Any) -> Tokenizer:
    settings = given.pop("settings", SMALL)
    return Tokenizer.learn(
        engine(), table(events), until=until, rules=given.pop("rules", Rules()), text=TEXT,
        settings=settings,
    )  # fmt: skip


def encode(tokenizer: Tokenizer, events: Sequence[Event], zone: str = "UTC") -> EventSequences:
    """Sequences of rows in the order of events."""
    rows = table(events, zone).sort_by(
        [(name, "ascending") for name in (CUSTOMER, "event_time", "sequence", "event_id")]
    )
    return tokenizer.encode(rows)


def told(sequences: EventSequences) -> dict[str, list[dict[str, Any]]]:
    """What is told of each customer's events, texts spelt out; NaN is None."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row, customer in enumerate(sequences.customers):
        first, last = sequences.offsets[row], sequences.offsets[row + 1]
        found[customer] = [
            {
                name: tuple(sequences.texts[value].tolist()) if name == "text" else plain(value)
                for name, value in ((name, sequences.fields[name][place]) for name in DTYPES)
            }
            for place in range(first, last)
        ]
    return found


def plain(value: Any) -> Any:
    number = value.item()
    return None if number != number else number
