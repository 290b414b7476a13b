"""An order exported again after an edit or a refund replaces all that was said of it before."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from tests.flat_events import FIXTURES, net_of_orders
from tests.shops import Shop

from shoal.events.presets import load


def _events(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.events().to_pylist()
    return found


def _bulk(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def _order(updated: str, units: list[tuple[str, int, int]], **more: Any) -> list[dict[str, Any]]:
    """An order of lines (key, quantity, current quantity) at 8 euros a unit."""
    order = {"id": "gid://shopify/Order/1", "createdAt": "2024-05-01T00:00:00Z", "email": "a@b.c",
             "updatedAt": updated, "currencyCode": "EUR", **more}  # fmt: skip
    money = {"shopMoney": {"amount": "8.00", "currencyCode": "EUR"}}
    return [order] + [
        {"id": f"gid://shopify/LineItem/{key}", "quantity": quantity, "currentQuantity": current,
         "sku": key, "originalUnitPriceSet": money, "discountAllocations": [],
         "__parentId": order["id"]}
        for key, quantity, current in units
    ]  # fmt: skip


def test_an_edit_and_a_refund_replace_the_order_and_an_older_export_does_not(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path / "shop")
    mapping = load("shopify-bulk")
    first = _bulk(tmp_path / "first.jsonl", _order("2024-05-01T00:00:00Z", [("a", 2, 2)]))
    edited = _bulk(
        tmp_path / "edited.jsonl", _order("2024-05-02T00:00:00Z", [("a", 2, 0), ("b", 3, 3)])
    )
    returned = [{"lineItem": {"id": "gid://shopify/LineItem/b"}, "quantity": 1}]
    refund = {"id": "gid://shopify/Refund/9", "createdAt": "2024-05-03T00:00:00Z",
              "refundLineItems": returned}  # fmt: skip
    refunded = _bulk(
        tmp_path / "refunded.jsonl",
        _order("2024-05-03T00:00:00Z", [("a", 2, 0), ("b", 3, 2)], refunds=[refund]),
    )
    for path, net in ((first, 16), (edited, 24), (refunded, 16), (edited, 16), (first, 16)):
        shop.ingest(path, mapping=mapping)
        assert net_of_orders(_events(shop)) == {"1": net * 1_000_000}, path.name
    kinds = sorted((e["kind"], e["item_id"], e["quantity"]) for e in _events(shop))
    assert kinds == [("custom", "a", 0), ("purchase", "b", 3), ("refund", "b", 1)]
    shop.close()


def test_without_a_version_the_export_that_came_later_counts(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    mapping = load("shopify-orders")
    source = FIXTURES / "shopify-orders" / "orders.csv"
    shop.ingest(source, mapping=mapping)
    before = net_of_orders(_events(shop))
    with source.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["Name"] == "#1006"]
    rows[0] |= {"Refunded Amount": "65.00", "Financial Status": "refunded"}
    later = tmp_path / "later.csv"
    with later.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    shop.ingest(later, mapping=mapping)
    key = rows[0]["Id"]
    assert before[key] == 40_000_000
    assert net_of_orders(_events(shop)) == before | {key: 0}
    shop.close()


def test_an_order_of_woocommerce_follows_its_last_change(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    mapping = load("woocommerce-orders")
    head = "order_id,order_date,date_modified,status,order_total,order_currency,line_items\n"
    line = "1,2024-05-01 10:00:00,{day} 10:00:00,{status},8.00,EUR,{lines}\n"
    lines = "id:1|name:Cup|product_id:5|quantity:1|subtotal:8.00|total:8.00|refunded:{back}"
    files = []
    for day, status, back in (("2024-05-02", "completed", "0"), ("2024-05-03", "refunded", "8.00")):
        path = tmp_path / f"{status}.csv"
        cell = lines.format(back=back)
        path.write_text(head + line.format(day=day, status=status, lines=cell), encoding="utf-8")
        files.append(path)
    for path in (files[1], files[0]):  # the older one comes late
        shop.ingest(path, mapping=mapping)
        assert net_of_orders(_events(shop)) == {"1": 0}
    shop.close()
