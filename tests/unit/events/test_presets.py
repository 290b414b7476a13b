"""Each preset on its real file, with the account worked out by hand, and on small cases."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shoal.domain.time import Zone
from shoal.events import presets
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.reading import open_source

#: file, preset, rows read (the official count), kinds stored, quarantined, customers, guest rows.
#: How the numbers of online-retail follow from its file: 9,288 lines are of an invoice that begins
#: with C, 1,336 more have a negative quantity (together the 10,624 at or below 0); 507 of them are
#: fees, the others refunds: 10,117. The 77 discount lines (code D) are among these. Fees are 2,835
#: lines in all; 2 of them, of code B and without a customer, have a negative price. The rest of the
#: 541,909 lines, 528,957, are purchases. Guests: 135,080 lines without a customer, less those 2.
ACCOUNTS = [
    ("online_retail/transactions", "online-retail", 541_909,
     {"purchase": 528_957, "refund": 10_117, "custom": 2_833}, {"negative_price": 2},
     4_372, 135_078),
    ("cdnow/transactions", "cdnow", 69_659, {"purchase": 69_659}, {}, 23_570, 0),
    ("retailrocket/events", "retailrocket", 46_547,
     {"view": 43_291, "cart_add": 2_505, "purchase": 751}, {}, 13_118, 0),
    ("rees46_sample/events", "rees46", 17_434,
     {"view": 17_055, "purchase": 214, "cart_add": 165}, {}, 4_504, 0),
    ("taobao_2017/events", "taobao", 357_412,
     {"purchase": 167_862, "cart_add": 140_068, "favourite": 49_482}, {}, 31_882, 0),
    ("movielens_100k/ratings", "movielens", 100_000, {"review": 100_000}, {}, 943, 0),
    ("movielens_100k/users", "movielens", 943, {"profile": 943}, {}, 943, 0),
    ("movielens_100k/items", "movielens", 1_682, {"item": 1_682}, {}, 0, 1_682),
    ("amazon_beauty/actions", "amazon-reviews", 198_502, {"review": 198_502}, {}, 22_363, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "preset", "read", "kinds", "quarantine", "customers", "guests"),
    ACCOUNTS,
    ids=[entry[0] for entry in ACCOUNTS],
)
def test_the_account_of_a_real_file(
    real_data: Path,
    file: str,
    preset: str,
    read: int,
    kinds: dict[str, int],
    quarantine: dict[str, int],
    customers: int,
    guests: int,
) -> None:
    path = real_data / f"{file}.parquet"
    mapping = presets.load(preset)
    rows, found, faults, people, nobody = 0, Counter[str](), Counter[str](), set[str](), 0
    for chunk in open_source(path, mapping).chunks():
        cleaned = clean(chunk, mapping, zone=mapping.zone, buckets=16, file=path.name)
        rows += cleaned.read
        found.update(_counts(cleaned.events["kind"]))
        faults.update(_counts(cleaned.quarantined["code"]))
        people.update(pc.unique(cleaned.events["customer_id"]).drop_null().to_pylist())
        nobody += cleaned.events["customer_id"].null_count
        assert cleaned.skipped == 0
    assert (rows, found, faults) == (read, kinds, quarantine)
    assert (len(people), nobody) == (customers, guests)


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(column).to_pylist()}


def test_cdnow_adds_up_to_the_published_totals(real_data: Path) -> None:
    path = real_data / "cdnow" / "transactions.parquet"
    mapping = presets.load("cdnow")
    units = micros = 0
    for chunk in open_source(path, mapping).chunks():
        events = clean(chunk, mapping, zone=Zone(), buckets=4, file="f").events
        units += pc.sum(events["quantity"]).as_py()
        micros += pc.sum(pc.multiply(events["price"], events["quantity"])).as_py()
    assert units == 167_881
    assert micros / 1e6 == pytest.approx(2_500_315.63, abs=0.01)


def _events(preset: str, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    mapping = presets.load(preset)
    cleaned = clean(RawChunk(table), mapping, zone=mapping.zone, buckets=4, file="f")
    assert cleaned.quarantined.num_rows == 0, cleaned.quarantined.to_pylist()
    return cleaned.events.to_pylist()


def test_online_retail_tells_cancellations_fees_and_discounts() -> None:
    line = {"InvoiceNo": "536365", "StockCode": "85123A", "Description": "HEART", "Quantity": 6,
            "InvoiceDate": "7/1/2011 8:26", "UnitPrice": 2.55, "CustomerID": 17850.0,
            "Country": "United Kingdom"}  # fmt: skip
    bought, back, stock, fee, fee_back, off = _events(
        "online-retail",
        [
            line,
            line | {"InvoiceNo": "C536379", "Quantity": -1},
            line | {"Quantity": -20, "UnitPrice": 0.0, "CustomerID": None},
            line | {"StockCode": "POST", "Quantity": 1, "UnitPrice": 18.0},
            line | {"InvoiceNo": "C536380", "StockCode": "M", "Quantity": -1},
            line | {"InvoiceNo": "C536381", "StockCode": "D", "Description": "Discount",
                    "Quantity": -1, "UnitPrice": 27.5},
        ],
    )  # fmt: skip
    assert bought["kind"] == "purchase" and bought["customer_id"] == "17850"
    assert bought["event_time"].isoformat() == "2011-07-01T07:26:00+00:00"  # summer time
    assert (bought["price"], bought["quantity"], bought["currency"]) == (2_550_000, 6, "GBP")
    assert (back["kind"], back["quantity"], back["order_id"]) == ("refund", 1, "C536379")
    assert (stock["kind"], stock["quantity"], stock["customer_id"]) == ("refund", 20, None)
    assert (fee["kind"], fee["item_id"], fee["price"]) == ("custom", None, 18_000_000)
    assert fee["properties"] == '{"fee":"POST"}'
    assert fee_back["kind"] == "custom" and fee_back["quantity"] == 1
    assert fee_back["properties"] == '{"fee":"M","taken_back":"yes"}'
    assert (off["kind"], off["item_id"], off["price"]) == ("refund", None, 27_500_000)
    assert off["properties"] == '{"discount":"Discount"}'


def test_original_layouts_of_the_public_sets() -> None:
    (event,) = _events("retailrocket", [
        {"timestamp": 1433221332117, "visitorid": 257597, "event": "transaction",
         "itemid": 355908, "transactionid": 4000}])  # fmt: skip
    assert (event["kind"], event["order_id"], event["item_id"]) == ("purchase", "4000", "355908")
    assert event["event_time"].isoformat() == "2015-06-02T05:02:12.117000+00:00"
    (event,) = _events("rees46", [
        {"event_time": "2019-10-01 00:00:00 UTC", "event_type": "cart", "product_id": "44600062",
         "category_id": "2103807459595387724", "category_code": "appliances.kitchen.mixer",
         "brand": "", "price": "35.79", "user_id": "541312140", "user_session": "s"}])  # fmt: skip
    assert (event["kind"], event["category"]) == ("cart_add", "appliances/kitchen/mixer")
    assert event["properties"] == '{"category_id":"2103807459595387724"}'
    (event,) = _events("amazon-reviews", [
        {"reviewerID": "A1", "asin": "B0", "overall": "5.0", "unixReviewTime": "1391040000",
         "reviewText": "good"}])  # fmt: skip
    assert (event["kind"], event["rating"], event["text"]) == ("review", 5.0, "good")


def test_headerless_originals_are_read(tmp_path: Path) -> None:
    (tmp_path / "UserBehavior.csv").write_text("1,2268318,2520377,pv,1511544070\n")
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n")
    for name, preset, kind in (
        ("UserBehavior.csv", "taobao", "view"),
        ("u.data", "movielens", "review"),
    ):
        mapping = presets.load(preset)
        (chunk,) = open_source(tmp_path / name, mapping).chunks()
        events = clean(chunk, mapping, zone=Zone(), buckets=4, file=name).events
        assert events["kind"].to_pylist() == [kind]


def test_canonical_files_of_items_and_of_anonymous_visitors_need_no_customer() -> None:
    base = {"event_time": "2024-01-01", "kind": "item", "item_id": "i1"}
    assert _events("shoal", [base])[0]["item_id"] == "i1"
    base = {"event_time": "2024-01-01", "kind": "view", "anonymous_id": "a1"}
    assert _events("shoal", [base])[0]["anonymous_id"] == "a1"
