"""Guessing a mapping, and showing it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from shoal.domain.errors import InputError
from shoal.domain.time import Zone
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.guess import describe, guess


def test_a_log_of_clicks_is_guessed_and_can_be_cleaned() -> None:
    table = pa.table({
        "ts": [1709287200 + i for i in range(30)], "uid": [f"u{i % 3}" for i in range(30)],
        "action": ["pv", "buy", "addtocart"] * 10, "sku": list(range(30)),
        "productCategory": ["a > b"] * 30, "campaign": ["x"] * 30})  # fmt: skip
    mapping = guess(table)
    assert mapping.columns == {
        "event_time": ("ts",), "customer_id": ("uid",), "kind": ("action",)}  # fmt: skip
    assert mapping.kinds == {"pv": "view", "buy": "purchase", "addtocart": "cart_add"}
    assert mapping.properties == ("campaign",)
    events = clean(RawChunk(table), mapping, zone=Zone(), buckets=4, file="f").events
    assert events.num_rows == 30 and events["category"][0].as_py() == "a/b"
    text = describe(mapping)
    assert "event_time   <- ts" in text and "addtocart = cart_add" in text
    assert "kept in properties: campaign" in text


def test_a_list_of_orders_is_purchases_with_totals_and_its_own_dates() -> None:
    table = pa.table({"Order Date": ["13/02/2024", "28/02/2024"], "Client": ["Ann B", "Bo C"],
                      "Amount": ["10.5", "7"], "Qty": ["2", "1"]})  # fmt: skip
    mapping = guess(table)
    assert mapping.constants == {"kind": "purchase"} and mapping.price_is == "total"
    assert mapping.time_formats == ("%d/%m/%Y",)
    events = clean(RawChunk(table), mapping, zone=Zone(), buckets=4, file="f").events
    assert events["price"].to_pylist() == [5_250_000, 7_000_000]
    assert "price is price x quantity together" in describe(mapping)


def test_ratings_are_reviews() -> None:
    table = pa.table({"userId": [1, 2], "movieId": [3, 4], "rating": [3.5, 4.0],
                      "timestamp": [964982703, 964982704]})  # fmt: skip
    assert guess(table).value_event == "review"


def test_content_decides_where_names_do_not() -> None:
    table = pa.table({"a": [f"2024-01-{i % 28 + 1:02d}" for i in range(60)],
                      "b": [f"x{i:04d}" for i in range(60)]})  # fmt: skip
    assert guess(table).columns == {"event_time": ("a",), "customer_id": ("b",)}


def test_a_file_that_cannot_be_events_says_what_is_missing() -> None:
    table = pa.table({"colour": ["red"] * 3, "weight": [1.5, 2.5, 3.5]})
    with pytest.raises(InputError) as e:
        guess(table)
    assert e.value.code == "unknown_columns"
    assert "no column tells when it happened (event_time) and who did it" in e.value.message
    assert "found 2 columns: 'colour', 'weight'" in e.value.message
    assert "[columns] event_time" in e.value.hint
    with pytest.raises(InputError) as e:
        guess(pa.table({"a;b;c": ["1;2;3"]}))
    assert '[csv] delimiter = ";"' in e.value.hint
