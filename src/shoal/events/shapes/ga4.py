"""GA4 as BigQuery exports it: nested rows (JSON Lines, Parquet), or the query of `shoal sql ga4`.

One fact a row: an event is one row; one about items (a view, the cart, a purchase, a refund) is one
for each item. Tax and shipping of an order stand on its first line alone. The item's price is what
GA4 calls `price`: that of one unit, after its discount. A user property is a fact of its own, dated
to when it was set. Source: Google, "[GA4] BigQuery Export schema" (support.google.com/analytics/
answer/7029846) and "Measure ecommerce" (developers.google.com/analytics/devguides/collection/ga4).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.domain.errors import InputError
from shoal.events.chunks import Source
from shoal.events.files import compression_of, expanded, head_of, io_errors
from shoal.events.mapping import SourceMapping
from shoal.events.shapes.flat_table import ShapedSource, Unpacked, passed_on
from shoal.events.shapes.ga4_rows import (
    COLUMNS,
    FLAT,
    category_path,
    finished,
    known,
    with_amounts,
)
from shoal.events.shapes.nested import (
    Elements,
    Nested,
    as_doubles,
    as_texts,
    elements,
    json_rows,
    member,
    parquet_rows,
)

_VALUE: Final = pa.struct(
    [
        ("string_value", pa.string()), ("int_value", pa.string()),
        ("float_value", pa.float64()), ("double_value", pa.float64()),
    ]
)  # fmt: skip
_ITEM_CATEGORIES: Final = (
    "item_category", "item_category2", "item_category3", "item_category4", "item_category5",
)  # fmt: skip
_ITEM: Final = pa.struct(
    [
        *((name, pa.string()) for name in ("item_id", "item_name", "item_brand", "coupon")),
        *((name, pa.string()) for name in _ITEM_CATEGORIES),
        ("price", pa.float64()), ("quantity", pa.string()),
    ]
)  # fmt: skip

#: What is read of a row; BigQuery writes 64-bit integers to JSON as texts.
SCHEMA: Final = pa.schema(
    [
        ("event_date", pa.string()),
        ("event_timestamp", pa.string()),
        ("event_name", pa.string()),
        ("user_id", pa.string()),
        ("user_pseudo_id", pa.string()),
        ("stream_id", pa.string()),
        ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", _VALUE)]))),
        (
            "user_properties",
            pa.list_(
                pa.struct(
                    [
                        ("key", pa.string()),
                        (
                            "value",
                            pa.struct([*_VALUE, ("set_timestamp_micros", pa.string())]),
                        ),
                    ]
                )
            ),
        ),
        ("device", pa.struct([("category", pa.string())])),
        ("geo", pa.struct([("country", pa.string()), ("region", pa.string())])),
        ("traffic_source", pa.struct([("medium", pa.string()), ("source", pa.string())])),
        (
            "ecommerce",
            pa.struct(
                [
                    ("transaction_id", pa.string()),
                    *((name, pa.float64()) for name in
                      ("purchase_revenue", "refund_value", "shipping_value", "tax_value")),
                ]
            ),
        ),
        ("items", pa.list_(_ITEM)),
    ]
)  # fmt: skip

#: Parameters of events that become columns.
_PARAMETERS: Final = (
    "ga_session_id", "page_location", "page_title", "search_term", "currency", "coupon",
    "transaction_id", "payment_type",
)  # fmt: skip
_AMOUNTS: Final = ("value", "tax", "shipping")

#: Events whose items are facts of their own; lists shown and steps of the checkout are one fact.
ITEM_EVENTS: Final = (
    "view_item", "select_item", "add_to_cart", "remove_from_cart", "add_to_wishlist", "purchase",
    "refund",
)  # fmt: skip


def open_shaped(path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
    """The file as a source of flat rows (`COLUMNS`).

    Raises:
        InputError: `input_unreadable`, `input_empty`, `unknown_columns`.
    """
    from shoal.events.reading import open_source

    with io_errors(path):
        head = expanded(head_of(path, 1 << 16), compression_of(path), 1 << 14)
        if head.startswith(b"PAR1"):
            names = pq.read_schema(path).names
        else:
            start = head.lstrip(b"\xef\xbb\xbf \r\n\t")
            names = list(SCHEMA.names) if b'"event_params"' in start else []
    if "event_params" in names and "event_name" in names:
        return NestedSource(path, rows_per_chunk, parquet=head.startswith(b"PAR1"))
    flat = open_source(path, rows_per_chunk=rows_per_chunk)
    needed = ("event_timestamp", "event_name", "user_pseudo_id")
    missing = [name for name in needed if name not in flat.columns]
    if missing:
        raise InputError(
            "unknown_columns",
            f"this is no export of GA4: it lacks {', '.join(missing)}; found "
            f"{len(flat.columns)} columns: {', '.join(map(repr, flat.columns[:40]))}",
            where=str(path),
            hint="Export the table events_YYYYMMDD as Parquet or newline-delimited JSON, or the "
            "query that `shoal sql ga4` prints.",
        )
    return FlatSource(path, flat, rows_per_chunk)


class NestedSource(ShapedSource):
    """A shard as BigQuery exports the table."""

    def __init__(self, path: Path, rows_per_chunk: int, *, parquet: bool) -> None:
        super().__init__(path, COLUMNS, rows_per_chunk)
        self._parquet = parquet

    def unpacked(self) -> Iterator[Unpacked]:
        """A stretch for each block of the file."""
        rows = (
            parquet_rows(self.path, tuple(SCHEMA.names))
            if self._parquet
            else json_rows(self.path, SCHEMA)
        )
        for nested in rows:
            flat, places = with_amounts(*flattened(nested))
            traits, their_places = _properties_set(nested)
            table = finished(pa.concat_tables([flat, traits]).combine_chunks())
            yield Unpacked(table, [*places, *their_places], nested.rejected, nested.bytes_read)


class FlatSource(ShapedSource):
    """What the query of `shoal sql ga4` gives, as CSV, JSON Lines or Parquet."""

    def __init__(self, path: Path, flat: Source, rows_per_chunk: int) -> None:
        super().__init__(path, COLUMNS, rows_per_chunk)
        self._flat = flat

    def unpacked(self) -> Iterator[Unpacked]:
        """A stretch for each chunk of the file."""
        for chunk in self._flat.chunks():
            rows = chunk.table.num_rows
            columns = []
            for wanted in FLAT:
                own = chunk.table[wanted.name] if wanted.name in chunk.table.column_names else None
                column = None if own is None else own.combine_chunks()
                as_wanted = as_texts if pa.types.is_string(wanted.type) else as_doubles
                filled = as_wanted(column, rows)
                if pa.types.is_string(wanted.type):
                    filled = pc.if_else(pc.equal(filled, ""), pa.scalar(None, pa.string()), filled)
                columns.append(filled.cast(wanted.type))
            flat = pa.table(columns, schema=FLAT)
            flat, places = with_amounts(flat, chunk.row_places().tolist())
            yield Unpacked(finished(flat), places, passed_on(chunk.rejected), chunk.bytes_read)


def flattened(nested: Nested) -> tuple[pa.Table, list[int]]:
    """(rows of `FLAT`, the place in the file of each): one a fact."""
    table, n = nested.table, nested.table.num_rows
    column = {name: _one(table, name) for name in SCHEMA.names}
    items = elements(column["items"], n)
    named = as_texts(column["event_name"], n)
    about_items = pc.is_in(named, value_set=pa.array(ITEM_EVENTS)).to_numpy(zero_copy_only=False)
    counts = np.where(about_items, np.maximum(items.lengths, 1), 1)
    row = np.repeat(np.arange(n), counts)
    line = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = np.cumsum(items.lengths) - items.lengths
    has_item = (about_items & (items.lengths > 0))[row]
    of_item = pa.array(begins[row] + line, mask=~has_item)
    events = pa.array(row)
    found: dict[str, pa.Array] = {}
    for name in ("event_date", "event_timestamp", "event_name", "user_id", "user_pseudo_id",
                 "stream_id"):  # fmt: skip
        found[name] = as_texts(column[name], n).take(events)
    found |= {
        name: own.take(events) for name, own in _parameters(column["event_params"], n).items()
    }
    found |= {name: own.take(events) for name, own in _groups(column, n).items()}
    ecommerce = {
        name: member(column["ecommerce"], name)
        for name in ("transaction_id", "purchase_revenue", "refund_value", "shipping_value",
                     "tax_value")
    }  # fmt: skip
    order = as_texts(ecommerce.pop("transaction_id"), n).take(events)
    found["transaction_id"] = pc.coalesce(known(found["transaction_id"]), known(order))
    amounts = {name: as_doubles(own, n).take(events) for name, own in ecommerce.items()}
    found["tax"] = pc.coalesce(found["tax"], amounts["tax_value"])
    found["shipping"] = pc.coalesce(found["shipping"], amounts["shipping_value"])
    found["value"] = pc.coalesce(
        found["value"], amounts["purchase_revenue"], amounts["refund_value"]
    )
    found |= _items(items, of_item)
    found["line"] = pa.array(line.astype(np.float64))
    priced = as_doubles(member(items.values, "price"), len(items.row)).is_valid().to_numpy(False)
    found["items_priced"] = pa.array(np.bincount(items.row, priced, n)[row])
    arrays = [found.get(f.name, pa.nulls(len(row), f.type)).cast(f.type) for f in FLAT]
    return pa.table(arrays, schema=FLAT), nested.places[row].tolist()


def _groups(column: dict[str, pa.Array | None], n: int) -> dict[str, pa.Array]:
    return {
        "device_category": as_texts(member(column["device"], "category"), n),
        "country": as_texts(member(column["geo"], "country"), n),
        "region": as_texts(member(column["geo"], "region"), n),
        "medium": as_texts(member(column["traffic_source"], "medium"), n),
        "source": as_texts(member(column["traffic_source"], "source"), n),
    }


def _parameters(column: pa.Array | None, n: int) -> dict[str, pa.Array]:
    """Wanted parameters of each event; of one told twice the first."""
    told = elements(column, n)
    if told.values is None:
        texts = {name: pa.nulls(n, pa.string()) for name in _PARAMETERS}
        return texts | {name: pa.nulls(n, pa.float64()) for name in _AMOUNTS}
    keys = as_texts(member(told.values, "key"), len(told.row)).dictionary_encode()
    code = keys.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    known = {name: place for place, name in enumerate(keys.dictionary.to_pylist())}
    value = member(told.values, "value")
    texts = _text_of(value, len(told.row))
    found = {}
    for name in (*_PARAMETERS, *_AMOUNTS):
        mine = np.flatnonzero(code == known.get(name, -2))
        where = np.full(n, -1, np.int64)
        where[told.row[mine[::-1]]] = mine[::-1]
        taken = texts.take(pa.array(where, mask=where < 0))
        found[name] = as_doubles(taken, n) if name in _AMOUNTS else taken
    return found


def _text_of(value: pa.Array | None, n: int) -> pa.Array:
    """What a parameter holds, as text, whatever its type."""
    return pc.coalesce(
        as_texts(member(value, "string_value"), n),
        as_texts(member(value, "int_value"), n),
        as_texts(member(value, "double_value"), n),
        as_texts(member(value, "float_value"), n),
    )


def _items(items: Elements, of_item: pa.Array) -> dict[str, pa.Array]:
    """What each row's item is."""
    n = len(items.row)
    path = [as_texts(member(items.values, name), n) for name in _ITEM_CATEGORIES]
    columns = {
        "item_id": as_texts(member(items.values, "item_id"), n),
        "item_name": as_texts(member(items.values, "item_name"), n),
        "item_brand": as_texts(member(items.values, "item_brand"), n),
        "item_category": category_path(path),
        "item_coupon": as_texts(member(items.values, "coupon"), n),
        "item_price": as_doubles(member(items.values, "price"), n),
        "item_quantity": as_texts(member(items.values, "quantity"), n),
    }
    return {name: column.take(of_item) for name, column in columns.items()}


def _properties_set(nested: Nested) -> tuple[pa.Table, list[int]]:
    """User properties as rows of `FLAT`, each once a stretch: those set on the event's day."""
    table, n = nested.table, nested.table.num_rows
    told = elements(_one(table, "user_properties"), n)
    moment = as_texts(member(told.values, "value", "set_timestamp_micros"), len(told.row))
    if told.values is None or moment.null_count == len(moment):
        return FLAT.empty_table(), []
    event = pa.array(told.row)
    columns = {
        name: as_texts(_one(table, name), n).take(event)
        for name in ("event_date", "event_timestamp", "user_id", "user_pseudo_id", "stream_id")
    }
    age = pc.subtract(as_doubles(columns["event_timestamp"], n), as_doubles(moment, n))
    fresh = pc.and_(pc.greater_equal(age, 0.0), pc.less(age, 86_400e6))
    columns["event_timestamp"] = moment
    columns["event_name"] = pa.array(np.full(len(told.row), "user_property", dtype=object))
    columns["property"] = as_texts(member(told.values, "key"), n)
    columns["property_value"] = _text_of(member(told.values, "value"), len(told.row))
    arrays = [columns.get(f.name, pa.nulls(len(told.row), f.type)).cast(f.type) for f in FLAT]
    rows = pa.table(arrays, schema=FLAT).append_column("place", pa.array(nested.places[told.row]))
    rows = rows.filter(pc.fill_null(fresh, False))
    keys = ["user_id", "user_pseudo_id", "property", "event_timestamp", "event_date", "stream_id"]
    first = rows.append_column("at", pa.array(np.arange(rows.num_rows)))
    first = first.group_by(keys).aggregate([("at", "min")])["at_min"].sort()
    rows = rows.take(first)
    return rows.drop_columns(["place"]), rows["place"].to_pylist()


def _one(table: pa.Table, name: str) -> pa.Array | None:
    if name not in table.column_names:
        return None
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
