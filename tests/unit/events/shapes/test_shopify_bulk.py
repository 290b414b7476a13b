"""Shopify's bulk operations: nets are those that Shopify reports, refunds and edits included."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.flat_events import FIXTURES, Read, net_of_orders, read, total_of_orders

from shoal.domain.errors import InputError
from shoal.domain.money import micros
from shoal.events import presets
from shoal.events.reading import open_source
from shoal.events.shapes import shopify_grouping
from shoal.events.shapes.order_facts import fact_rows
from shoal.events.shapes.order_lines import micros_of
from shoal.events.shapes.shopify_order import order_of

FOLDER = FIXTURES / "shopify-bulk"

#: Of products: gift cards are within Shopify's subtotal, adjustments are beside it.
_BESIDE = {"2006": "-25", "2010": "-3", "2011": "5", "2012": "-4"}


@pytest.fixture(scope="module")
def orders() -> Read:
    return read("shopify-bulk", FOLDER / "orders.jsonl")


def _nodes() -> dict[str, dict[str, Any]]:
    lines = (FOLDER / "orders.jsonl").read_text(encoding="utf-8").splitlines()
    nodes = [json.loads(line) for line in lines]
    return {n["id"].rsplit("/", 1)[-1]: n for n in nodes if "subtotalPriceSet" in n}


def _properties(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event["properties"] or "{}")
    return found


def _amount(node: dict[str, Any], field: str) -> int:
    return micros(node[field]["shopMoney"]["amount"])


def test_the_net_of_every_order_is_what_shopify_reports(orders: Read) -> None:
    expected = {
        key: _amount(node, "currentSubtotalPriceSet") + micros(_BESIDE.get(key, "0"))
        for key, node in _nodes().items()
    }
    assert net_of_orders(orders.events) == expected and len(expected) == 16
    assert not orders.quarantined


@pytest.mark.parametrize(
    ("column", "field"), [("tax", "totalTaxSet"), ("shipping", "totalShippingPriceSet")]
)
def test_tax_and_shipping_are_counted_once(orders: Read, column: str, field: str) -> None:
    expected = {key: _amount(node, field) for key, node in _nodes().items()}
    assert total_of_orders(orders.events, column) == expected


def test_lines_refunds_and_edits_become_facts_of_their_own(orders: Read) -> None:
    facts = {e["event_id"]: e for e in orders.events}
    back = facts["2002#refund31#21"]
    assert (back["kind"], back["item_id"], back["quantity"]) == ("refund", "POT-1", 2)
    assert back["event_time"].isoformat() == "2024-05-09T08:00:00+00:00"
    assert facts["2002#refund31#shipping"]["kind"] == "custom"  # no refund of a product
    assert facts["2003#23"]["kind"] == "custom"  # removed by an edit: never bought
    assert _properties(facts["2003#22"])["removed_by_edit"] == "1"
    gone = facts["2004#gone#24"]  # refunds without lines: dated by the last of them
    assert gone["quantity"] == 2 and gone["event_time"].isoformat().startswith("2024-05-07")
    assert (facts["2013#34"]["quantity"], facts["2013#refund37#34"]["quantity"]) == (2, 1)
    assert facts["2005#gone#25"]["event_time"].isoformat().startswith("2024-05-05T09")
    assert facts["2012#refund36#adjustment"]["price"] == 4_000_000
    assert _properties(facts["2006#26"]) == {"note": "gift_card"}
    assert _properties(facts["2006#tip"]) == {"fee": "tip"}


def test_marks_currencies_and_people(orders: Read) -> None:
    noise = {e["order_id"]: e["noise"] for e in orders.events if e["noise"]}
    assert noise == {"2007": "test_order", "2008": "staff_order"}
    (dollars,) = orders.of(order_id="2009")
    assert (dollars["currency"], dollars["customer_id"]) == ("USD", "bo@example.com")
    assert dollars["anonymous_id"] is None
    known = [(e["customer_id"], e["anonymous_id"]) for e in orders.of(order_id="2001")]
    # The first fact joins the customer to orders that know the e-mail address only.
    assert known == [("7001", "ada@example.com"), ("7001", None), ("7001", None)]
    assert {e["currency"] for e in orders.of(order_id="2006")} == {"EUR"}  # the shop's own


def test_an_order_is_one_scope_with_the_version_of_its_last_change(orders: Read) -> None:
    scopes = {(e["order_id"], e["scope_key"]) for e in orders.events}
    assert len(scopes) == 16
    (version,) = {e["scope_version"] for e in orders.of(order_id="2002")}
    assert version == 1_715_241_600_000_000  # 2024-05-09T08:00:00Z


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_records_may_straddle_chunks(orders: Read, rows: int) -> None:
    again = read("shopify-bulk", FOLDER / "orders.jsonl", rows)
    assert [(e["event_id"], e["content_key"]) for e in again.events] == [
        (e["event_id"], e["content_key"]) for e in orders.events
    ]


def test_customers_are_profiles_and_dated_consents() -> None:
    found = read("shopify-bulk", FOLDER / "customers.jsonl")
    ada, bo = [e for e in found.of(kind="profile") if not e["anonymous_id"]]
    aliases = [(e["customer_id"], e["anonymous_id"]) for e in found.events if e["anonymous_id"]]
    assert aliases == [("7001", "ada@example.com"), ("7002", "bo@example.com")]
    traits = _properties(ada)
    assert traits["firstName"] == "Ada" and traits["defaultAddress_city"] == "Berlin"
    assert not {"amountSpent", "numberOfOrders"} & set(traits)  # as of the export, not of a date
    assert ada["event_time"].isoformat().startswith("2024-05-02") and bo["customer_id"] == "7002"
    consents = [
        (e["customer_id"], e["channel"], _properties(e)["granted"], str(e["event_time"])[:10])
        for e in found.of(kind="consent")
    ]
    assert consents == [
        ("7001", "email", True, "2023-02-01"),
        ("7002", "email", False, "2024-01-01"),
    ]


def test_products_are_item_facts_valid_from_their_last_change() -> None:
    found = read("shopify-bulk", FOLDER / "products.jsonl").of(kind="item")
    assert [(e["item_id"], e["title"], e["price"], str(e["event_time"])[:10]) for e in found] == [
        ("CUP-1", "Cup - Blue", 8_000_000, "2024-04-03"),
        ("913", "Cup - Red", 8_500_000, "2024-04-01"),
        ("82", "Voucher for a course", None, "2024-04-01"),
        ("POT-1", "Pot", 20_000_000, "2024-04-05"),
    ]
    assert _properties(found[0])["product"] == "81" and found[0]["brand"] == "Leaf"


def test_broken_records_are_refused_with_their_reason() -> None:
    found = read("shopify-bulk", FOLDER / "broken.jsonl")
    assert found.reasons == {
        "orphan_row": 2, "missing_order_id": 1, "bad_json": 1, "missing_time": 1,
        "unknown_currency": 1, "bad_quantity": 1,
    }  # fmt: skip
    assert found.skipped == 2  # a collection, and an order with nothing in it
    lost = [row for row in found.quarantined if row["code"] == "orphan_row"]
    assert [(row["row"], "nowhere in the file" in row["detail"]) for row in lost] == [
        (1, True), (8, True)
    ]  # fmt: skip
    assert "LineItem/50" in lost[0]["raw"]
    # A line long after its order is brought to it.
    assert net_of_orders(found.events) == {"3001": 16_000_000, "3002": 8_000_000}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_result_in_any_order_gives_the_same_facts(
    tmp_path: Path, orders: Read, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    lines = (FOLDER / "orders.jsonl").read_text(encoding="utf-8").splitlines()
    random.Random(seed).shuffle(lines)
    path = tmp_path / "bulk.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(shopify_grouping, "PART_BYTES", 2000)  # many parts
    found = read("shopify-bulk", path, rows_per_chunk=7)
    assert not found.quarantined

    def facts(of: Read) -> set[tuple[object, object]]:
        return {(e["event_id"], e["content_key"]) for e in of.events}

    assert facts(found) == facts(orders)


def _money(amount: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount, "currencyCode": "EUR"}}


def _order(changed: str, subtotal: str, **more: Any) -> dict[str, Any]:
    return {"id": "gid://shopify/Order/1", "createdAt": "2024-05-01T00:00:00Z", "refunds": [],
            "updatedAt": changed, "subtotalPriceSet": _money(subtotal), **more}  # fmt: skip


def _line(number: int, units: int, price: str, current: int | None = None) -> dict[str, Any]:
    return {"id": f"gid://shopify/LineItem/{number}", "sku": f"S{number}", "quantity": units,
            "currentQuantity": units if current is None else current, "discountAllocations": [],
            "originalUnitPriceSet": _money(price),
            "__parentId": "gid://shopify/Order/1"}  # fmt: skip


def _bulk(path: Path, nodes: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(node) + "\n" for node in nodes), encoding="utf-8")
    return path


@pytest.mark.parametrize("times", [2, 3])
def test_an_order_that_stands_there_again_counts_once(tmp_path: Path, times: int) -> None:
    export = [_line(1, 2, "10.0"), _order("2024-05-01T00:00:00Z", "20.0")]
    found = read("shopify-bulk", _bulk(tmp_path / "bulk.jsonl", export * times))
    assert [(e["item_id"], e["quantity"]) for e in found.events] == [("S1", 2)]
    assert found.skipped == times - 1  # each further copy is a row read


@pytest.mark.parametrize("later_first", [False, True])
def test_an_order_at_two_moments_has_the_lines_of_each(tmp_path: Path, later_first: bool) -> None:
    early = [_line(1, 2, "10.0"), _order("2024-05-01T00:00:00Z", "20.0")]
    late = [_line(1, 2, "10.0", 1), _line(3, 1, "7.0"), _order("2024-05-03T00:00:00Z", "17.0")]
    nodes = [*late, *early] if later_first else [*early, *late]
    found = read("shopify-bulk", _bulk(tmp_path / "bulk.jsonl", nodes)).events
    versions = sorted({event["scope_version"] for event in found})
    told = [
        [(e["item_id"], e["quantity"]) for e in found if e["scope_version"] == version]
        for version in versions
    ]
    assert told == [[("S1", 2)], [("S1", 1), ("S3", 1)]]


def test_lines_of_refunds_that_stand_there_again_count_once(tmp_path: Path) -> None:
    refund = {"id": "gid://shopify/Refund/5", "createdAt": "2024-05-02T00:00:00Z"}
    back = {"lineItem": {"id": "gid://shopify/LineItem/1"}, "quantity": 1,
            "subtotalSet": _money("10.0"), "__parentId": refund["id"]}  # fmt: skip
    order = _order("2024-05-02T00:00:00Z", "10.0", refunds=[refund])
    nodes = [back, _line(1, 2, "10.0", 1), order] * 2
    found = read("shopify-bulk", _bulk(tmp_path / "bulk.jsonl", nodes))
    assert not found.quarantined and net_of_orders(found.events) == {"1": 10_000_000}


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(
    ("order", "line", "code"),
    [
        ({"totalTaxSet": _money("1,90")}, {}, "bad_price"),
        ({"totalShippingPriceSet": {"shopMoney": {"amount": "n/a"}}}, {}, "bad_price"),
        ({"refunds": [{"id": "r", "totalRefundedSet": _money("1,000.00")}]}, {}, "bad_price"),
        ({"refunds": [{"id": "r", "refundLineItems": [
            {"lineItem": {"id": "gid://shopify/LineItem/1"}, "quantity": "x"}]}]}, {},
         "bad_quantity"),
        ({}, {"currentQuantity": "none"}, "bad_quantity"),
        ({"totalTaxSet": _money("1,90"), "note": "\ud800"}, {}, "bad_price"),  # half of a pair
        ({}, {"discountAllocations": [{"allocatedAmountSet": _money("-")}]}, "bad_price"),
    ],
)  # fmt: skip
def test_an_order_with_a_value_that_is_no_number_is_refused_whole(
    tmp_path: Path, order: dict[str, Any], line: dict[str, Any], code: str, grouped: bool
) -> None:
    nodes = [_order("2024-05-01T00:00:00Z", "20.0", **order), _line(1, 2, "10.0") | line]
    other = {"id": "gid://shopify/Order/2", "createdAt": "2024-05-01T00:00:00Z",
             "lineItems": [_line(9, 1, "5.0")]}  # fmt: skip
    nodes = nodes if grouped else nodes[::-1]
    found = read("shopify-bulk", _bulk(tmp_path / "bulk.jsonl", [*nodes, other]))
    assert found.reasons == {code: 1}
    assert "LineItem/1" in found.quarantined[0]["raw"]  # what is needed to mend it
    assert net_of_orders(found.events) == {"2": 5_000_000}


def test_a_price_of_a_product_that_is_no_number_is_refused(tmp_path: Path) -> None:
    product = {"id": "gid://shopify/Product/1", "title": "Cup", "updatedAt": "2024-05-01T00:00:00Z",
               "variants": [{"id": "gid://shopify/ProductVariant/2", "price": "8,00"}]}  # fmt: skip
    assert read("shopify-bulk", _bulk(tmp_path / "bulk.jsonl", [product])).reasons == {
        "bad_price": 1
    }


def test_a_child_far_below_in_a_file_that_begins_in_groups_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shopify_grouping, "HEAD_LINES", 4)
    lines = (FOLDER / "orders.jsonl").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "bulk.jsonl"
    path.write_text("\n".join([*lines, lines[1].replace("LineItem/11", "LineItem/99")]))
    found = read("shopify-bulk", path)
    (late,) = found.quarantined
    assert late["code"] == "orphan_row" and "groupObjects: true" in late["detail"]
    assert late["row"] == len(lines) + 1 and "LineItem/99" in late["raw"]


def test_a_file_that_is_no_json_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bulk.jsonl"
    path.write_text("Name,Email\n")
    with pytest.raises(InputError, match="not JSON Lines"):
        open_source(path, presets.load("shopify-bulk"))


_CENTS = st.integers(0, 10**6).map(lambda cents: f"{cents / 100:.2f}")
_UNITS = st.integers(1, 9)


@st.composite
def _orders(draw: st.DrawFn) -> dict[str, Any]:
    """An order with lines, discounts, and units that were returned or removed."""
    lines, returned = [], []
    for number in range(draw(st.integers(1, 4))):
        quantity = draw(_UNITS)
        back = draw(st.integers(0, quantity))
        removed = draw(st.integers(0, quantity - back))
        price = draw(_CENTS)
        gross = micros(price) * quantity
        off = draw(st.integers(0, gross // 10_000)) * 10_000
        gid = f"gid://shopify/LineItem/{number}"
        lines.append(
            {"id": gid, "quantity": quantity, "currentQuantity": quantity - back - removed,
             "originalUnitPriceSet": {"shopMoney": {"amount": price, "currencyCode": "EUR"}},
             "discountAllocations": [{"allocatedAmountSet": {"amount": str(off / 1e6)}}]}
        )  # fmt: skip
        if back:
            returned.append({"lineItem": {"id": gid}, "quantity": back})
    refunds = [{"id": "gid://shopify/Refund/1", "refundLineItems": returned}] if returned else []
    return {"id": "gid://shopify/Order/1", "lineItems": lines, "refunds": refunds,
            "createdAt": "2024-01-01T00:00:00Z"}  # fmt: skip


@given(_orders(), st.booleans())
def test_law_purchases_less_refunds_are_the_current_units(
    order: dict[str, Any], named: bool
) -> None:
    if not named:  # refunds exported without their lines
        order["refunds"] = [{"id": "gid://shopify/Refund/1"}] if order["refunds"] else []
    rows = fact_rows(order_of(order))
    units, net = 0, 0
    for row in rows:
        sign = {"purchase": 1, "refund": -1}.get(row["kind"], 0)
        units += sign * int(row["quantity"])
        amount = (micros_of(row["price"]) or 0) * int(row["quantity"])
        net += sign * (amount - (micros_of(row["discount"]) or 0))
    assert units == sum(line["currentQuantity"] for line in order["lineItems"])
    kept = 0.0
    for line in order["lineItems"]:
        price = micros(line["originalUnitPriceSet"]["shopMoney"]["amount"])
        off = micros(line["discountAllocations"][0]["allocatedAmountSet"]["amount"])
        kept += line["currentQuantity"] * (price - off / line["quantity"])
    assert abs(net - kept) <= 2 * len(order["lineItems"])  # a discount may not divide by units


def test_a_query_that_asks_for_the_lines_own_discounts_alone_keeps_them() -> None:
    from shoal.events.shapes.shopify_order import _discount

    told = {"shopMoney": {"amount": "2.50", "currencyCode": "EUR"}}
    assert _discount({"totalDiscountSet": told}, 10_000_000) == 2_500_000
    assert _discount({"totalDiscountSet": told, "discountAllocations": []}, 10_000_000) == 0
