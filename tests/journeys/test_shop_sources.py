"""Segment, Shopify and WooCommerce files through the front door; the account adds up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.flat_events import FIXTURES
from tests.journeys.conftest import Shoal

#: Preset, its files, rows read, stored, quarantined, skipped. A row is a fact: an order of two
#: lines and a refund is three.
SOURCES = [
    ("segment-spec", ["calls.jsonl"], 40, 32, 8, 0),
    ("segment-spec", ["warehouse"], 12, 12, 0, 0),
    ("shopify-orders", ["orders.csv"], 33, 33, 0, 0),
    ("shopify-bulk", ["orders.jsonl", "customers.jsonl", "products.jsonl"], 41, 41, 0, 0),
    ("shopify-bulk", ["broken.jsonl"], 12, 3, 7, 2),
    ("woocommerce-orders", ["default.csv"], 19, 19, 0, 0),
    ("woocommerce-orders", ["flat.csv"], 5, 5, 0, 0),
]


@pytest.mark.parametrize(
    ("preset", "files", "read", "stored", "quarantined", "skipped"),
    SOURCES,
    ids=[f"{entry[0]}-{entry[1][0]}" for entry in SOURCES],
)
def test_a_source_goes_in_and_again_stores_nothing_new(
    shop: Path,
    shoal: Shoal,
    tmp_path: Path,
    preset: str,
    files: list[str],
    read: int,
    stored: int,
    quarantined: int,
    skipped: int,
) -> None:
    paths = [FIXTURES / preset / name for name in files]
    rows = shoal("ingest", shop, *paths, "--preset", preset, "--json").document["rows"]
    assert rows["read"] == read
    assert (rows["stored"], rows["quarantined"], rows["skipped"]) == (stored, quarantined, skipped)
    assert rows["duplicate"] == rows["conflicting"] == 0
    again = shoal("ingest", shop, *paths, "--preset", preset, "--json").document["rows"]
    assert again["stored"] == 0 and again["read"] == read
    copy = tmp_path / "copy"  # other files, the same facts
    copy.mkdir()
    for path in paths:
        if path.is_file():
            longer = copy / path.name
            shutil.copy(path, longer)
            with longer.open("a", encoding="utf-8") as file:
                file.write("\n")
    if any(copy.iterdir()):
        renamed = shoal("ingest", shop, copy, "--preset", preset, "--json").document["rows"]
        assert renamed["stored"] == 0 and renamed["duplicate"] == stored


def test_an_archive_and_the_tables_of_the_same_calls_are_the_same_events(
    shop: Path, shoal: Shoal
) -> None:
    folder = FIXTURES / "segment-spec"
    shoal("ingest", shop, folder / "calls.jsonl", "--preset", "segment-spec", "--json")
    both = shoal("ingest", shop, folder / "warehouse", "--preset", "segment-spec", "--json")
    assert both.document["rows"]["duplicate"] == both.document["rows"]["read"] == 12


def test_mended_rows_of_a_shape_can_be_replayed(shop: Path, shoal: Shoal, tmp_path: Path) -> None:
    calls = tmp_path / "calls.jsonl"
    calls.write_text(
        '{"type":"track","event":"Product Viewed","messageId":"a","userId":"u",'
        '"timestamp":"01.03.2024 10:00","properties":{"product_id":"p"}}\n'
        '{"type":"page","messageId":"b","userId":"u","timestamp":"2024-03-01T10:00:00Z"}\n'
    )
    first = shoal("ingest", shop, calls, "--preset", "segment-spec", "--json").document["rows"]
    assert (first["stored"], first["quarantined"]) == (1, 1)
    preset = Path(__file__).parents[2] / "src/shoal/events/presets/segment-spec.toml"
    mended = tmp_path / "mended.toml"
    text = 'name = "segment-spec"\n' + preset.read_text(encoding="utf-8")
    mended.write_text(text + '[time]\nformats = ["%d.%m.%Y %H:%M"]\n', encoding="utf-8")
    again = shoal("quarantine", shop, "--replay", "--mapping", mended, "--json")
    assert again.document["rows"]["stored"] == 1


def test_a_table_without_calls_is_refused_in_words(
    shop: Path, shoal: Shoal, tmp_path: Path
) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text("id,anonymous_id,event,timestamp\n1,a,order_completed,2024-03-01\n")
    answer = shoal("ingest", shop, path, "--preset", "segment-spec", "--json")
    assert answer.code == 3 and answer.error["code"] == "unknown_columns"
    assert "tracks" in answer.error["message"] and "order_completed" in answer.error["hint"]


def test_orders_whose_lines_are_not_their_total_are_found(
    shop: Path, shoal: Shoal, tmp_path: Path
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "Order Number,Order Date,Order Total Amount,Order Shipping Amount,Order Total Tax Amount,"
        "Item Name,Quantity,Item Cost\n"
        "1,2024-03-01,21,5,0,Cup,2,8\n2,2024-03-02,13,5,0,Cup,1,8\n3,2024-03-03,37,5,0,Cup,1,8\n"
    )
    shoal("ingest", shop, path, "--preset", "woocommerce-orders", "--json")
    answer = shoal("quality", shop, "--json").document
    (found,) = [f for f in answer["findings"] if f["case"] == "unexplained"]
    assert (found["check"], found["count"], found["of"]) == ("orders", 1, 3)
    assert found["figures"]["money"] == 24 and "24 in all" in found["message"]
