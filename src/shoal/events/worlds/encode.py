"""From compact records to Arrow tables in canonical columns."""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain import kinds
from shoal.domain.time import SECOND_US, to_us
from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import AGE_GROUPS, DAY_S, REGIONS
from shoal.events.worlds.funnel import BLANKS, CODE, PROMOTIONS
from shoal.events.worlds.segments import CHANNELS, DEVICES, PAYMENTS

Ints = npt.NDArray[np.int64]

#: The `source` of simulated events, by code; the first is that of plain worlds.
SOURCES: Final = ("simulated", "web", "app", "campaigns")
SOURCE: Final = SOURCES[0]
_TIME = pa.timestamp("us", tz="UTC")
_REVIEWS: Final = (
    "Broke within a week.", "质量很差，不推荐。", "Not what I expected.", "有点失望。",
    "It does the job.", "一般般。", "Good value, would buy again.", "不错，物有所值。",
    "Excellent, exactly right.", "非常满意！",
)  # fmt: skip

#: Columns of `events.parquet`, in canonical order; money in currency units.
EVENTS_SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string()), pa.field("customer_id", pa.string()),
        pa.field("anonymous_id", pa.string()), pa.field("kind", pa.string()),
        pa.field("event_time", _TIME),
        pa.field("sequence", pa.int64()), pa.field("item_id", pa.string()),
        pa.field("category", pa.string()), pa.field("brand", pa.string()),
        pa.field("price", pa.float64()), pa.field("discount", pa.float64()),
        pa.field("tax", pa.float64()), pa.field("shipping", pa.float64()),
        pa.field("currency", pa.string()), pa.field("quantity", pa.int64()),
        pa.field("order_id", pa.string()), pa.field("order_status", pa.string()),
        pa.field("payment", pa.string()), pa.field("coupon", pa.string()),
        pa.field("session_id", pa.string()), pa.field("query", pa.string()),
        pa.field("rating", pa.float64()), pa.field("text", pa.string()),
        pa.field("channel", pa.string()), pa.field("device", pa.string()),
        pa.field("country", pa.string()), pa.field("region", pa.string()),
        pa.field("source", pa.string()), pa.field("action_id", pa.string()),
        pa.field("properties", pa.string()),
    ]
)  # fmt: skip


def encode_events(
    world: World, catalogue: Catalogue, rows: npt.NDArray[np.void], first_number: int, prefix: str
) -> pa.Table:
    """Events (`funnel.RECORD`) as `EVENTS_SCHEMA`, numbered from `first_number` in their order.

    Texts that repeat are dictionary arrays, which Parquet stores as plain text columns.
    """
    n, kind, item = len(rows), rows["kind"], rows["item"].astype(np.int64)
    number = np.arange(first_number, first_number + n)
    leaf = np.where(item >= 0, catalogue.leaf[item], -1)
    brand = np.where(item >= 0, catalogue.brand[item], -1)
    searching = kind == CODE[kinds.SEARCH]
    code = rows["code"].astype(np.int64)
    gone = {name: rows["blank"] >> place & 1 for place, name in enumerate(BLANKS)}
    bought, refunded = kind == CODE[kinds.PURCHASE], kind == CODE[kinds.REFUND]
    columns: dict[str, pa.Array] = {
        "event_id": numbered(f"{prefix}e", number, 10),
        "customer_id": numbered("c", np.where(rows["told"] == 1, rows["customer"], -1), 8),
        "anonymous_id": numbered(f"{prefix}v", rows["visitor"], 10),
        "kind": texts(kinds.KINDS, kind),
        "event_time": moments(world, rows["time_s"]),
        "sequence": pa.array(number),
        "item_id": texts(item_ids(len(catalogue.leaf)), item),
        "category": texts(catalogue.leaf_names, leaf),
        "brand": texts(catalogue.brand_names, brand),
        "currency": texts((world.dials.currency,), np.where(rows["price"] >= 0, 0, -1)),
        "quantity": pa.array(rows["quantity"].astype(np.int64), mask=rows["quantity"] < 0),
        "order_id": numbered(f"{prefix}o", rows["order"], 9),
        "order_status": texts(("completed", "refunded"), np.where(bought, 0, -1) + 2 * refunded),
        "payment": texts(PAYMENTS, rows["payment"]),
        "coupon": texts(coupon_names(), np.where(bought, code, -1)),
        "session_id": numbered(f"{prefix}s", rows["session"], 9),
        "query": texts(catalogue.queries, np.where(searching, code, -1)),
        "rating": pa.array(rows["rating"].astype(np.float64), mask=rows["rating"] < 0),
        "text": texts(_REVIEWS, np.where(kind == CODE[kinds.REVIEW], code, -1)),
        "channel": texts(CHANNELS, rows["channel"]),
        "device": texts(DEVICES, rows["device"]),
        "country": texts(tuple(country for country, _ in REGIONS), rows["region"]),
        "region": texts(tuple(region for _, region in REGIONS), rows["region"]),
        "source": texts(SOURCES, rows["source"].astype(np.int64)),
        "action_id": numbered(f"{prefix}a", rows["action"], 9),
        "properties": _properties(rows),
    }
    for name in ("price", "discount", "tax", "shipping"):
        columns[name] = pa.array(rows[name] / 100.0, mask=rows[name] < 0)
    for name, flags in gone.items():
        if flags.any():
            kept = pa.array(flags == 0)
            columns[name] = pc.if_else(kept, columns[name], pa.scalar(None, columns[name].type))
    return pa.table([columns[name] for name in EVENTS_SCHEMA.names], names=EVENTS_SCHEMA.names)


def _properties(rows: npt.NDArray[np.void]) -> pa.Array:
    """The JSON of events that say more: traits, consent, mailings, cards, chargebacks."""
    kind, code = rows["kind"], rows["code"].astype(np.int64)
    said = (*traits(), *consents(), *mailings(), '{"reason": "chargeback"}')
    offset = np.full(len(rows), -1)
    for kinds_of, before in (
        ((kinds.PROFILE,), 0),
        ((kinds.CONSENT,), len(traits())),
        ((kinds.EXPOSURE, kinds.OPEN, kinds.RESPONSE), len(traits()) + len(consents())),
        ((kinds.REFUND,), len(said) - 1),
    ):
        mine = np.isin(kind, [CODE[one] for one in kinds_of]) & (code >= 0)
        offset = np.where(mine, before + code, offset)
    found = texts(said, offset)
    if not (rows["card"] >= 0).any():
        return found
    carded = pc.binary_join_element_wise(
        '{"card": "', numbered("k", rows["card"], 10), '"}', "", null_handling="emit_null"
    )
    return pc.coalesce(found.cast(pa.string()), carded)


def consents() -> tuple[str, ...]:
    """The JSON of consent events; code 0: taken back, 1: given."""
    return tuple(json.dumps({"granted": granted}) for granted in (False, True))


def mailings() -> tuple[str, ...]:
    """The JSON of events about campaigns; code = campaign x 2 + arm (content, discount)."""
    return tuple(
        json.dumps({"campaign": f"campaign{number:02d}", "arm": arm})
        for number in range(16)
        for arm in ("content", "discount")
    )


def coupon_names() -> tuple[str, ...]:
    """Coupon codes, one a promotion."""
    return tuple(f"SAVE{round(share * 100)}" for share in PROMOTIONS)


def traits() -> tuple[str, ...]:
    """The JSON of profile events; code = age group x 2 + newsletter."""
    return tuple(
        json.dumps({"age_group": age, "newsletter": letter})
        for age in AGE_GROUPS
        for letter in (False, True)
    )


def item_ids(items: int) -> tuple[str, ...]:
    """Ids of a catalogue's items."""
    return tuple(f"i{number:06d}" for number in range(items))


def items_table(world: World, catalogue: Catalogue, prefix: str, span_days: int) -> pa.Table:
    """The facts of every item as `item` events at its arrival, ready to be ingested."""
    n = len(catalogue.leaf)
    everywhere = np.zeros(n, np.int64)
    return pa.table(
        {
            "event_id": numbered(f"{prefix}i", np.arange(n), 6),
            "kind": texts((kinds.ITEM,), everywhere),
            "event_time": arrivals(world, catalogue, span_days),
            "item_id": pa.array(item_ids(n)),
            "category": texts(catalogue.leaf_names, catalogue.leaf),
            "brand": texts(catalogue.brand_names, catalogue.brand),
            "title": pa.array(catalogue.titles),
            "price": pa.array(catalogue.price_cents / 100.0),
            "currency": texts((world.dials.currency,), everywhere),
            "source": texts((SOURCE,), everywhere),
        }
    )


def arrivals(world: World, catalogue: Catalogue, span_days: int) -> pa.Array:
    return moments(world, (catalogue.arrives * span_days * DAY_S).astype(np.int64))


def numbered(prefix: str, number: Ints, width: int) -> pa.StringArray:
    """Texts `prefix` + zero-padded number; negative numbers are null.

    >>> numbered("c", np.array([7, -1]), 3).to_pylist()
    ['c007', None]
    """
    head = np.frombuffer(prefix.encode(), np.uint8)
    size = len(head) + width
    text = np.empty((len(number), size), np.uint8)
    text[:, : len(head)] = head
    rest = np.maximum(number, 0).astype(np.int64)
    for place in range(size - 1, len(head) - 1, -1):
        rest, digit = np.divmod(rest, 10)
        text[:, place] = digit + ord("0")
    offsets = np.arange(len(number) + 1, dtype=np.int32) * size
    known = np.packbits(number >= 0, bitorder="little")
    return pa.StringArray.from_buffers(
        len(number), pa.py_buffer(offsets), pa.py_buffer(text), pa.py_buffer(known)
    )


def texts(values: tuple[str, ...], code: Ints) -> pa.DictionaryArray:
    """Texts by code; negative codes are null.

    The dictionary holds each text once: of one with repeats the Parquet writer makes plain pages
    whose bytes differ from run to run.
    """
    places = {text: place for place, text in enumerate(dict.fromkeys(values))}
    place_of = np.array([places[text] for text in values], np.int32)
    indices = pa.array(place_of[np.maximum(code, 0)], mask=np.asarray(code) < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(places), pa.string()))


def moments(world: World, seconds: Ints) -> pa.Array:
    """UTC timestamps of seconds since the world's start."""
    return pa.array(seconds.astype(np.int64) * SECOND_US + to_us(world.dials.start)).cast(_TIME)
