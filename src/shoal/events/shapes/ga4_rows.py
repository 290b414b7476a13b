"""Flat rows of GA4, however they were exported, and the columns that the preset `ga4` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.events.properties import pack_properties

_TEXTS: Final = (
    "event_date", "event_timestamp", "event_name", "user_id", "user_pseudo_id", "stream_id",
    "ga_session_id", "page_location", "page_title", "search_term", "currency", "coupon",
    "transaction_id", "payment_type", "device_category", "country", "region", "medium", "source",
    "item_id", "item_name", "item_brand", "item_category", "item_coupon", "item_quantity",
    "property", "property_value",
)  # fmt: skip
_NUMBERS: Final = ("value", "tax", "shipping", "item_price", "line", "items_priced")

#: One row a fact: the columns of the query of `shoal sql ga4`, and of nested rows once flattened.
#: `line` is the place of the row's item, `items_priced` how many items of its event have a price.
FLAT: Final = pa.schema(
    [*((name, pa.string()) for name in _TEXTS), *((name, pa.float64()) for name in _NUMBERS)]
)

#: What the preset reads.
COLUMNS: Final = (
    "event_id", "event_timestamp", "event_name", "user_id", "user_pseudo_id", "session_id",
    "item_id", "item_name", "item_brand", "item_category", "price", "quantity", "currency", "tax",
    "shipping", "coupon", "transaction_id", "payment_type", "search_term", "channel",
    "device_category", "country", "region", "properties", "day",
)  # fmt: skip

#: Events of orders.
_MONEY: Final = ("purchase", "refund")
_ITEM: Final = ("item_id", "item_name", "item_quantity")
#: Words by which GA4 says that it does not know.
UNKNOWN: Final = ("(not set)", "(none)", "(other)", "<Other>", "(data deleted)", "")
_KEPT: Final = ("page_location", "page_title")


def finished(flat: pa.Table) -> pa.Table:
    """The columns that the preset reads (`COLUMNS`), of rows of `FLAT`."""
    n = flat.num_rows
    column = {name: known(flat[name].combine_chunks()) for name in _TEXTS}
    column |= {name: flat[name].combine_chunks() for name in _NUMBERS}
    name = column["event_name"]
    first = pc.equal(pc.fill_null(column["line"], 0.0), 0.0)
    money = pc.fill_null(pc.is_in(name, value_set=pa.array(_MONEY)), False)
    # An order told without its items is one line of its whole value.
    bare = pc.and_(pc.invert(_names_item(column)), pc.equal(column["items_priced"], 0.0))
    # Flat rows of other queries may not say how many items have a price: then the id decides.
    bare = pc.coalesce(bare, pc.is_null(column["item_id"]))
    whole = pc.and_(pc.and_(money, first), pc.and_(bare, pc.is_null(column["item_price"])))
    price = pc.if_else(whole, column["value"], column["item_price"])
    quantity = pc.if_else(whole, pa.scalar("1"), column["item_quantity"])
    ordered = pc.and_(money, first)
    no_text, no_number = pa.scalar(None, pa.string()), pa.scalar(None, pa.float64())
    trait = pc.is_valid(column["property"])
    done = {
        "event_id": _trait_ids(column, trait),
        "session_id": pc.binary_join_element_wise(
            column["user_pseudo_id"], column["ga_session_id"], "."
        ),
        "price": price,
        "quantity": quantity,
        "tax": pc.if_else(ordered, column["tax"], no_number),
        "shipping": pc.if_else(ordered, column["shipping"], no_number),
        "coupon": pc.coalesce(column["item_coupon"], column["coupon"]),
        "channel": pc.coalesce(column["medium"], column["source"]),
        "transaction_id": pc.if_else(money, column["transaction_id"], no_text),
        "day": pc.binary_join_element_wise(
            pc.fill_null(column["stream_id"], ""), column["event_date"], "/"
        ),
        "properties": _properties(column, trait, n),
    }
    arrays = [done[key] if key in done else column[key] for key in COLUMNS]
    return pa.table(arrays, names=list(COLUMNS))


def known(texts: pa.Array) -> pa.Array:
    """Texts without the words by which GA4 says that it does not know."""
    if texts.null_count == len(texts):
        return texts
    unknown = pc.is_in(texts, value_set=pa.array(UNKNOWN))
    return pc.if_else(unknown, pa.scalar(None, pa.string()), texts)


def category_path(levels: Sequence[pa.Array]) -> pa.Array:
    """The known levels of each row joined with `/`; null where none is known."""
    told = [pc.binary_join_element_wise("/", known(level), "") for level in levels]
    # Not null_handling="skip": it drops the rows of which every member is null.
    joined = pc.binary_join_element_wise(*told, "", null_handling="replace", null_replacement="")
    return known(pc.utf8_slice_codeunits(joined, 1))


def with_amounts(flat: pa.Table, places: list[int]) -> tuple[pa.Table, list[int]]:
    """Rows of `FLAT` and their places, a line added for the value of orders without prices.

    Where no item of an order has a price, a line without an item holds the order's value; the
    items stay lines of their own.
    """
    orders = pc.fill_null(pc.is_in(flat["event_name"], value_set=pa.array(_MONEY)), False)
    unpriced = pc.and_(pc.equal(flat["items_priced"], 0.0), pc.equal(flat["line"], 0.0))
    valued = pc.and_(pc.is_valid(flat["value"]), pc.fill_null(unpriced, False))
    wanted = pc.and_(orders, valued)
    if pc.any(wanted).as_py():
        item = {name: known(flat[name].combine_chunks()) for name in _ITEM}
        wanted = pc.and_(wanted, _names_item(item))
    wanted = wanted.to_numpy()
    if not wanted.any():
        return flat, places
    row = np.repeat(np.arange(flat.num_rows), 1 + wanted)
    added = pa.array(np.diff(row, prepend=-1) == 0)
    rows = flat.take(pa.array(row))
    of_line = {"item_price": rows["value"], "item_quantity": pa.scalar("1"), "line": pa.scalar(1.0)}
    columns = [
        pc.if_else(added, of_line.get(f.name, pa.scalar(None, f.type)), rows[f.name])
        if f.name.startswith("item_") or f.name in of_line
        else rows[f.name]
        for f in FLAT
    ]
    return pa.table(columns, schema=FLAT), [places[one] for one in row.tolist()]


def _names_item(column: Mapping[str, pa.Array]) -> pa.Array:
    """Rows that tell which item they are about, or how many."""
    return pc.is_valid(pc.coalesce(*(column[name] for name in _ITEM)))


def _trait_ids(column: dict[str, pa.Array], trait: pa.Array) -> pa.Array:
    """Ids of user properties: GA4 repeats them on every later event of the user."""
    if not pc.any(trait).as_py():
        return pa.nulls(len(trait), pa.string())
    who = pc.coalesce(column["user_pseudo_id"], column["user_id"], pa.scalar(""))
    key = pc.binary_join_element_wise(
        pa.scalar("user_property"), who, column["property"], column["event_timestamp"], "#"
    )
    return pc.if_else(trait, key, pa.scalar(None, pa.string()))


def _properties(column: dict[str, pa.Array], trait: pa.Array, n: int) -> pa.Array:
    """What has no column: the page, the event's own name; of a user property its value."""
    # The ordinary names are kinds already; only the shop's own say more.
    kept = {key: column[key] for key in _KEPT}
    kept["event_name"] = pc.if_else(
        pc.fill_null(pc.is_in(column["event_name"], value_set=pa.array(STANDARD)), True),
        pa.scalar(None, pa.string()),
        column["event_name"],
    )
    packed, _bad = pack_properties(None, kept, [], lambda name: column[name], n)
    packed = pa.nulls(n, pa.string()) if packed is None else packed
    if not pc.any(trait).as_py():
        return packed
    rows = np.flatnonzero(trait.to_numpy(zero_copy_only=False))
    import json

    names = column["property"].take(pa.array(rows)).to_pylist()
    values = column["property_value"].take(pa.array(rows)).to_pylist()
    texts = [
        json.dumps({name: value}, ensure_ascii=False, separators=(",", ":"))
        for name, value in zip(names, values, strict=True)
    ]
    return pc.replace_with_mask(packed, trait, pa.array(texts, pa.string()))


#: Names of Google's own events, automatic and recommended ones.
STANDARD: Final = (
    "page_view", "screen_view", "session_start", "first_visit", "first_open", "user_engagement",
    "scroll", "click", "view_search_results", "search", "file_download", "form_start",
    "form_submit", "video_start", "video_progress", "video_complete", "view_item_list",
    "select_item", "view_item", "add_to_cart", "remove_from_cart", "view_cart", "add_to_wishlist",
    "begin_checkout", "add_shipping_info", "add_payment_info", "purchase", "refund",
    "view_promotion", "select_promotion", "login", "sign_up", "share", "user_property",
)  # fmt: skip
