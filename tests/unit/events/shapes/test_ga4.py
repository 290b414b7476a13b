"""GA4: whatever the format, the same facts; money once; bad lines kept apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from tests.fixtures.ga4 import shards

from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import Zone
from shoal.events.clean import clean
from shoal.events.presets import load
from shoal.events.reading import open_source
from shoal.events.shapes import ga4_sql
from shoal.events.shapes.ga4_rows import FLAT

MICRO = 1_000_000


def cleaned(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int, int]:
    """(events, quarantined, read, skipped) of a file."""
    mapping = load("ga4")
    events, bad, read, skipped = [], [], 0, 0
    for chunk in open_source(path, mapping).chunks():
        found = clean(chunk, mapping, zone=Zone("UTC"), buckets=4, file=path.name)
        events += found.events.to_pylist()
        bad += found.quarantined.to_pylist()
        read += found.read
        skipped += found.skipped
    return events, bad, read, skipped


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in events if one["kind"] == kind]


@pytest.fixture
def day(tmp_path: Path) -> list[dict[str, Any]]:
    events, _, read, skipped = cleaned(
        shards.write_json(tmp_path / "events_20240301.json", shards.FIRST_DAY)
    )
    assert (read, skipped) == (18, 1)
    return events


def test_every_format_gives_the_same_events(tmp_path: Path, day: list[dict[str, Any]]) -> None:
    for path in (
        shards.write_json(tmp_path / "numbers.json", shards.FIRST_DAY, numbers=True),
        shards.write_json(tmp_path / "packed.json.gz", shards.FIRST_DAY),
        shards.write_parquet(tmp_path / "day.parquet", shards.FIRST_DAY),
    ):
        assert cleaned(path)[0] == day, path.name


def test_an_order_is_a_line_an_item_and_its_tax_counts_once(day: list[dict[str, Any]]) -> None:
    lines = [one for one in of_kind(day, "purchase") if one["order_id"] == "T-1"]
    assert [(one["item_id"], one["price"], one["quantity"]) for one in lines] == [
        ("a", 5 * MICRO, 2), ("b", 6_500_000, 1),
    ]  # fmt: skip
    assert sum(one["price"] * one["quantity"] for one in lines) == 16_500_000
    assert [one["tax"] for one in lines] == [3 * MICRO, None]
    assert [one["shipping"] for one in lines] == [2_900_000, None]
    assert {one["coupon"] for one in lines} == {"MAY"}
    assert {(one["customer_id"], one["anonymous_id"]) for one in lines} == {("C1", "u.1")}


def test_orders_and_refunds_without_items_have_their_value(day: list[dict[str, Any]]) -> None:
    bare = [one for one in of_kind(day, "purchase") if one["order_id"] == "T-3"]
    assert [(one["price"], one["quantity"], one["currency"]) for one in bare] == [
        (9_990_000, 1, "USD")
    ]
    refunds = of_kind(day, "refund")
    assert [(one["order_id"], one["item_id"], one["price"]) for one in refunds] == [
        ("T-1", "b", 6_500_000), ("T-2", None, 40 * MICRO),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["json", "parquet", "flat"])
def test_an_order_without_prices_has_its_value_once(tmp_path: Path, form: str) -> None:
    events = shards.UNPRICED_ORDERS
    if form == "json":
        path = shards.write_json(tmp_path / "d.json", events)
    elif form == "parquet":
        path = shards.write_parquet(tmp_path / "d.parquet", events)
    else:
        path = write_flat(tmp_path / "flat.parquet", events)
    found, bad, read, _ = cleaned(path)
    assert (bad, read) == ([], len(found))
    told: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for one in found:
        line = (one["item_id"], one["title"], one["price"], one["quantity"], one["tax"])
        told.setdefault((one["kind"], one["order_id"]), []).append(line)
    lines = {order: sorted(these, key=repr) for order, these in told.items()}
    assert lines == {
        ("purchase", "T-5"): [
            ("a", None, None, 2, 8 * MICRO), ("b", None, None, 1, None),
            (None, None, 50 * MICRO, 1, None),
        ],
        ("purchase", "T-6"): [("a", None, None, 1, None), ("b", None, 7_500_000, 1, None)],
        ("refund", "T-5"): [("a", None, None, 1, None), (None, None, 20 * MICRO, 1, None)],
        ("purchase", "T-7"): [("a", None, None, 1, None)],
        ("purchase", "T-8"): [
            (None, "Thing a", None, 3, None), (None, "Thing b", None, None, None),
            (None, None, 12 * MICRO, 1, None),
        ],
        ("purchase", "T-9"): [
            ("b", None, 6 * MICRO, 2, None), (None, "Thing a", None, 3, None),
        ],
    }  # fmt: skip


def test_a_flat_export_that_does_not_count_prices(tmp_path: Path) -> None:
    path = write_flat(tmp_path / "flat.parquet", shards.UNPRICED_ORDERS[4:5])
    pq.write_table(pq.read_table(path).drop_columns(["items_priced"]), path)
    found, bad, _, _ = cleaned(path)
    lines = [(one["title"], one["price"], one["quantity"]) for one in found]
    assert (lines, bad) == ([("Thing a", 12 * MICRO, 1), ("Thing b", None, None)], [])


@pytest.mark.parametrize("form", ["json", "parquet"])
@pytest.mark.parametrize("listed", [False, True])
def test_categories_that_are_not_told_move_nothing(tmp_path: Path, form: str, listed: bool) -> None:
    unset = ("(not set)",) * 4
    items = [
        shards.bare_item("shirt", "clothes"),
        shards.bare_item("voucher"),
        shards.bare_item("lamp", "(not set)", "lighting"),
        shards.bare_item("pan", "kitchen", *unset),
        shards.bare_item("rake", "(not set)", *unset),
        shards.bare_item("slash", "/a", "", "b/"),
    ]
    events = [shards.event("view_item", second, items=[one]) for second, one in enumerate(items)]
    if listed:
        events.append(shards.event("view_item_list", 90, items=[shards.bare_item("x", "garden")]))
    write = shards.write_json if form == "json" else shards.write_parquet
    found, bad, _, _ = cleaned(write(tmp_path / f"d.{form}", events))
    assert bad == []
    assert {one["item_id"]: one["category"] for one in found if one["item_id"]} == {
        "shirt": "clothes", "voucher": None, "lamp": "lighting", "pan": "kitchen", "rake": None,
        "slash": "/a/b/",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_shard_in_which_no_item_has_a_category(tmp_path: Path, form: str) -> None:
    events = [shards.event("view_item", n, items=[shards.bare_item(f"i{n}")]) for n in range(3)]
    write = shards.write_json if form == "json" else shards.write_parquet
    found, bad, _, _ = cleaned(write(tmp_path / f"d.{form}", events))
    assert bad == []
    assert [(one["item_id"], one["category"]) for one in found] == [
        ("i0", None), ("i1", None), ("i2", None),
    ]  # fmt: skip


def test_who_and_where(day: list[dict[str, Any]]) -> None:
    view = of_kind(day, "view")
    assert view[0]["session_id"] == "u.1.77"
    assert json.loads(view[0]["properties"]) == {
        "page_location": "https://shop.example/", "page_title": "Start"
    }  # fmt: skip
    assert view[2]["category"] == "home/lamps"
    assert (view[2]["channel"], view[2]["device"], view[2]["country"]) == (
        "organic", "mobile", "Germany",
    )  # fmt: skip
    assert of_kind(day, "search")[0]["query"] == "red lamp"
    guest = [one for one in view if one["anonymous_id"] is None]
    assert [one["customer_id"] for one in guest] == [None]


def test_a_user_property_is_one_fact(day: list[dict[str, Any]]) -> None:
    told = of_kind(day, "profile")
    assert [(one["customer_id"], one["properties"]) for one in told] == [("C1", '{"plan":"gold"}')]
    assert told[0]["event_id"].startswith("user_property#u.1#plan#")


def test_names_that_nobody_agreed_on_are_kept(day: list[dict[str, Any]]) -> None:
    assert [one["properties"] for one in of_kind(day, "custom")] == ['{"event_name":"quiz_done"}']


def test_a_literal_no_id_is_quarantined(tmp_path: Path) -> None:
    _, bad, _, _ = cleaned(shards.write_parquet(tmp_path / "d.parquet", shards.FIRST_DAY))
    assert [one["code"] for one in bad] == ["bad_customer_id"]
    assert "'undefined'" in bad[0]["detail"]


def test_a_bad_line_costs_itself_alone(tmp_path: Path, day: list[dict[str, Any]]) -> None:
    path = shards.write_json(tmp_path / "cut.json", shards.FIRST_DAY)
    lines = path.read_text().splitlines()
    odd = json.loads(lines[4]) | {"items": "none"}
    path.write_text("\n".join([*lines, "[1]", json.dumps(odd), '{"event_name": "pur']))
    events, bad, read, skipped = cleaned(path)
    assert [one | {"sequence": 0} for one in events] == [one | {"sequence": 0} for one in day]
    assert (read, skipped) == (21, 1)
    rejected = [one for one in bad if one["code"] == "bad_json"]
    assert [one["row"] for one in rejected] == [16, 17, 18]
    assert "items is 'none', not a list" in rejected[1]["detail"]


def test_a_truncated_parquet_shard_is_told(tmp_path: Path) -> None:
    path = shards.write_parquet(tmp_path / "events_20240301.parquet", shards.FIRST_DAY)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError) as caught:
        cleaned(path)
    assert caught.value.code == "input_unreadable"


def test_another_file_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order,amount\n1,2\n")
    with pytest.raises(InputError, match="no export of GA4: it lacks event_timestamp") as caught:
        open_source(path, load("ga4"))
    assert "shoal sql ga4" in caught.value.hint


def test_missing_names_and_times_have_a_reason(tmp_path: Path) -> None:
    events = [
        {**shards.FIRST_DAY[1], "event_name": None},
        {**shards.FIRST_DAY[1], "event_timestamp": 0},
        {**shards.FIRST_DAY[1], "event_timestamp": None},
    ]
    _, bad, _, _ = cleaned(shards.write_json(tmp_path / "d.json", events))
    assert [one["code"] for one in bad] == ["missing_kind", "absurd_time", "missing_time"]


def test_the_query_selects_what_is_read() -> None:
    text = ga4_sql.query(first="20240301", last="20240331", table="p.analytics_1.events_*")
    tree = sqlglot.parse_one(text, read="bigquery")
    assert set(tree.named_selects) == set(FLAT.names) - {"property", "property_value"}
    assert "_TABLE_SUFFIX BETWEEN '20240301' AND '20240331'" in text


def test_the_query_reads_whole_days_unless_it_is_told_which() -> None:
    filtered = "REGEXP_CONTAINS(_TABLE_SUFFIX, r'^[0-9]+$')"
    for text in (ga4_sql.query(), ga4_sql.query(table="p.analytics_1.events_*")):
        sqlglot.parse_one(text, read="bigquery")
        assert filtered in text, "events_* also matches events_intraday_* and events_fresh_*"
    assert filtered not in ga4_sql.query(first="20240301", last="20240331")
    for table in ("p.analytics_1.events_20240301", "p.analytics_1.events_intraday_*"):
        assert "_TABLE_SUFFIX" not in ga4_sql.query(table=table)


def test_the_query_leaves_out_what_ga4_does_not_know() -> None:
    text = " ".join(ga4_sql.query().split())
    assert "level NOT IN ('(not set)', '(none)'" in text
    assert "''), '(not set)'), ecommerce.transaction_id) AS transaction_id" in text


def test_the_query_takes_no_foreign_words() -> None:
    with pytest.raises(UsageError, match="no name of a table"):
        ga4_sql.query(table="x` UNION ALL SELECT 1 --")
    with pytest.raises(UsageError, match="the days are"):
        ga4_sql.query(first="20240301")
    with pytest.raises(UsageError, match="not written in the dialect 'oracle'"):
        ga4_sql.query("oracle")


def flat_rows(events: list[shards.Event]) -> list[dict[str, Any]]:
    """The rows that the query gives for some events, by a reading of its own."""
    rows = []
    for one in events:
        if one["event_name"] == "session_start":
            continue
        told = {p["key"]: next(iter(p["value"].values())) for p in one["event_params"]}
        order = one.get("ecommerce", {})
        base = {
            **{key: one.get(key) for key in ("event_date", "event_name", "user_id",
                                             "user_pseudo_id", "stream_id")},
            **{key: told.get(key) for key in ("page_location", "page_title", "search_term",
                                              "currency", "coupon")},
            "event_timestamp": str(one["event_timestamp"]),
            "ga_session_id": str(told["ga_session_id"]),
            "transaction_id": (
                order.get("transaction_id")
                if told.get("transaction_id") in (None, "", "(not set)")
                else told["transaction_id"]
            ),
            "value": told.get("value", order.get("purchase_revenue")),
            "items_priced": float(sum("price" in thing for thing in one.get("items", []))),
            "tax": order.get("tax_value"), "shipping": order.get("shipping_value"),
            "device_category": "mobile", "country": "Germany", "region": "Berlin",
            "medium": "organic", "source": "google",
        }  # fmt: skip
        own = one.get("items", []) if one["event_name"] in ga4_sql.ITEM_EVENTS else []
        for line, thing in enumerate(own or [{}]):
            path = [thing[key] for key in ("item_category", "item_category2") if key in thing]
            rows.append(
                {
                    **base, "item_id": thing.get("item_id"), "item_name": thing.get("item_name"),
                    "item_category": "/".join(path), "item_price": thing.get("price"),
                    "item_quantity": str(thing["quantity"]) if "quantity" in thing else None,
                    "line": float(line),
                }
            )  # fmt: skip
    return rows


def write_flat(path: Path, events: list[shards.Event]) -> Path:
    """What the query gives, as Parquet."""
    table = pa.Table.from_pylist(flat_rows(events), schema=FLAT)
    pq.write_table(table.drop_columns(["property", "property_value"]), path)
    return path


def test_the_flat_export_gives_the_same_events(tmp_path: Path, day: list[dict[str, Any]]) -> None:
    events, bad, _, _ = cleaned(write_flat(tmp_path / "flat.parquet", shards.FIRST_DAY))
    expected = [one | {"sequence": 0} for one in day if one["kind"] != "profile"]
    assert [one | {"sequence": 0} for one in events] == expected
    assert [one["code"] for one in bad] == ["bad_customer_id"]
