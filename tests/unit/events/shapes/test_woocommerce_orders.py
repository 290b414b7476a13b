"""WooCommerce's order exports: every layout gives the same facts, every order its own net."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
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
from shoal.events.shapes.woocommerce_cells import entries

FOLDER = FIXTURES / "woocommerce-orders"

#: Of products: what went back, worked out by hand; orders that were never paid count nothing.
_BACK = {"502": "20", "506": "10", "507": "8", "510": "15.1"}
_UNPAID = {"508", "509"}


@pytest.fixture(scope="module")
def export() -> Read:
    return read("woocommerce-orders", FOLDER / "default.csv")


def _heads() -> dict[str, dict[str, str]]:
    with (FOLDER / "default.csv").open(newline="", encoding="utf-8") as file:
        return {row["order_id"]: row for row in csv.DictReader(file)}


def _properties(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event["properties"] or "{}")
    return found


def test_the_net_of_every_order_is_its_total_without_tax_shipping_and_fees(export: Read) -> None:
    expected = {
        key: micros(row["order_total"])
        - micros(row["tax_total"])
        - micros(row["shipping_total"])
        - max(micros(row["fee_total"]), 0)
        - micros(_BACK.get(key, "0"))
        for key, row in _heads().items()
        if key not in _UNPAID
    }
    assert net_of_orders(export.events) == expected and len(expected) == 10


@pytest.mark.parametrize(
    ("column", "field"), [("tax", "tax_total"), ("shipping", "shipping_total")]
)
def test_tax_and_shipping_are_counted_once(export: Read, column: str, field: str) -> None:
    expected = {key: micros(row[field]) for key, row in _heads().items()}
    assert total_of_orders(export.events, column) == expected


@pytest.mark.parametrize("layout", ["json", "row_per_item"])
def test_every_layout_gives_the_same_facts(export: Read, layout: str) -> None:
    other = read("woocommerce-orders", FOLDER / f"{layout}.csv")
    assert [(e["event_id"], e["content_key"]) for e in other.events] == [
        (e["event_id"], e["content_key"]) for e in export.events
    ]


def test_a_row_a_line_of_another_exporter() -> None:
    found = read("woocommerce-orders", FOLDER / "flat.csv")
    assert net_of_orders(found.events) == {"601": 37_300_000, "602": 8_000_000}
    assert total_of_orders(found.events, "tax")["601"] == 3_860_000
    assert [e["item_id"] for e in found.of(order_id="601")] == ["TEA-1", "CUP-1", "Spoon"]
    assert {e["customer_id"] for e in found.events} == {"ada@example.com"}


def test_refunds_of_lines_and_of_amounts(export: Read) -> None:
    facts = {e["event_id"]: e for e in export.events}
    line = facts["502#refund#3"]
    assert (line["item_id"], line["quantity"], line["price"]) == ("13", 1, 20_000_000)
    assert line["event_time"].isoformat().startswith("2024-05-09")
    times = [facts[f"506#refund#{n}"]["event_time"].day for n in (702, 703)]
    assert times == [10, 11]
    assert _properties(facts["510#refund#1"])["more_than_order"] == "7.1"
    assert _properties(facts["507#refund#status"]) == {"note": "refunded"}


def test_people_fees_and_orders_that_were_no_sale(export: Read) -> None:
    facts = {e["event_id"]: e for e in export.events}
    assert facts["501#1"]["customer_id"] == "7"
    assert facts["501#1"]["anonymous_id"] == "ada@example.com"  # joins orders made as a guest
    assert _properties(facts["501#1"])["alias"] is True
    assert facts["503#4"]["customer_id"] == "bo@example.com"
    assert facts["501#1"]["title"] == "Green tea: 100 g | fine"
    assert (facts["504#fees"]["kind"], facts["504#fees"]["price"]) == ("custom", 1_500_000)
    assert facts["505#6"]["discount"] == 3_000_000  # a fee below zero
    for key in ("508#9", "509#10"):
        assert facts[key]["kind"] == "custom" and _properties(facts[key])["note"] == "not_paid"
    assert facts["512#13"]["noise"] == "test_order" and facts["512#13"]["currency"] == "USD"
    assert facts["501#2"]["coupon"] == "SPRING"


def test_an_order_is_one_scope_with_the_version_of_its_last_change(export: Read) -> None:
    assert len({e["scope_key"] for e in export.events}) == 12
    assert {e["scope_version"] for e in export.events} == {1_716_192_000_000_000}


@pytest.mark.parametrize("layout", ["default", "row_per_item", "flat", "broken"])
@pytest.mark.parametrize("rows", [1, 3])
def test_orders_may_straddle_chunks(layout: str, rows: int) -> None:
    path = FOLDER / f"{layout}.csv"
    one, many = read("woocommerce-orders", path), read("woocommerce-orders", path, rows)
    assert [e["content_key"] for e in many.events] == [e["content_key"] for e in one.events]
    assert many.reasons == one.reasons


def test_broken_rows_are_refused_with_their_reason() -> None:
    found = read("woocommerce-orders", FOLDER / "broken.csv")
    assert found.reasons == {
        "wrong_field_count": 1, "bad_lines": 1, "missing_order_id": 1, "missing_time": 1,
        "fractional_quantity": 1, "bad_price": 1, "unknown_currency": 1, "bad_customer_id": 1,
    }  # fmt: skip
    (lines,) = [row for row in found.quarantined if row["code"] == "bad_lines"]
    assert "Cup x 1" in lines["detail"] and lines["row"] == 1
    assert net_of_orders(found.events) == {"502": 8_000_000}  # without lines: its total


def test_a_row_of_units_taken_back_is_a_refund(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "order_id,order_date,order_currency,item_name,item_quantity,item_total\n"
        "1,2024-05-01 10:00:00,EUR,Cup,2,16.00\n2,2024-05-02 10:00:00,EUR,Cup,-1,-8.00\n"
    )
    bought, back = read("woocommerce-orders", path).events
    assert (bought["kind"], back["kind"], back["quantity"]) == ("purchase", "refund", 1)
    assert net_of_orders([bought, back]) == {"1": 16_000_000, "2": -8_000_000}


#: Columns that Advanced Order Export has unless others are chosen, of those that matter here.
_ADVANCED = (
    "Order Number,Order Status,Order Date,Email (Billing),Cart Discount Amount,"
    "Order Shipping Amount,Order Refund Amount,Order Total Amount,Order Total Tax Amount,"
    "SKU,Item #,Item Name,Quantity (- Refund),Item Cost"
)


def _advanced(
    path: Path, order: str, *lines: str, more: str = "", status: str = "Completed"
) -> list[dict[str, Any]]:
    """The events of order 101: `order` has discount, shipping, refund, total, tax."""
    rows = [f"101,{status},2024-03-01 10:00,a@example.com,{order},{line}" for line in lines]
    path.write_text("\n".join([_ADVANCED + more, *rows, ""]), encoding="utf-8")
    found = read("woocommerce-orders", path)
    assert not found.quarantined
    return found.events


def _money(events: list[dict[str, Any]]) -> tuple[int, int, int]:
    """(units bought, gross, refunds) in whole units of currency."""
    bought = [e for e in events if e["kind"] == "purchase"]
    back = [e for e in events if e["kind"] == "refund"]
    gross = sum(e["price"] * e["quantity"] for e in bought)
    refunds = sum(e["price"] * (e["quantity"] or 1) - (e["discount"] or 0) for e in back)
    return sum(e["quantity"] for e in bought), gross, refunds


def _noted(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {k: v for e in events for k, v in _properties(e).items() if k != "note"}


_CUPS, _POT = "CUP-1,1,Cup,4,8", "POT-1,2,Pot,1,10.5"


def test_quantities_without_refunded_units_are_quantities(tmp_path: Path) -> None:
    events = _advanced(tmp_path / "o.csv", "0,5,0,47.5,0", _CUPS, _POT)
    assert _money(events) == (5, 42_500_000, 0) and not _noted(events)


def test_units_that_are_left_out_are_not_refunded_again(tmp_path: Path) -> None:
    events = _advanced(tmp_path / "o.csv", "0,5,8,47.5,0", "CUP-1,1,Cup,3,8", _POT)
    assert _money(events) == (4, 34_500_000, 0)
    assert _noted(events) == {"refunded_units_left_out": "8"}


def test_an_amount_given_back_beside_the_units_is_a_refund(tmp_path: Path) -> None:
    events = _advanced(tmp_path / "a.csv", "0,5,3,47.5,0", _CUPS, _POT)
    assert _money(events) == (5, 42_500_000, 3_000_000) and not _noted(events)
    both = _advanced(tmp_path / "b.csv", "0,5,16,47.5,0", "CUP-1,1,Cup,3,8", _POT)
    assert _money(both) == (4, 34_500_000, 3_000_000)  # 8 of units, 5 of shipping first, then 3


def test_an_order_wholly_given_back_has_no_units_and_no_refund(tmp_path: Path) -> None:
    events = _advanced(
        tmp_path / "o.csv", "0,5,47.5,47.5,0", "CUP-1,1,Cup,0,8", "POT-1,2,Pot,0,10.5",
        status="Refunded",
    )  # fmt: skip
    assert _money(events) == (0, 0, 0) and {e["kind"] for e in events} == {"custom"}


def test_costs_after_discounts_are_not_discounted_again(tmp_path: Path) -> None:
    events = _advanced(tmp_path / "o.csv", "7.5,5,0,47.5,0", _CUPS, _POT)
    assert net_of_orders(events) == {"101": 42_500_000} and not _noted(events)


@pytest.mark.parametrize(
    ("more", "cups"),
    [(",Quantity", "CUP-1,1,Cup,3,8,4"), (",Order Line (w/o tax)", "CUP-1,1,Cup,3,8,32")],
)
def test_where_both_numbers_of_units_are_told_the_line_is_refunded(
    tmp_path: Path, more: str, cups: str
) -> None:
    pot = _POT + (",1" if more == ",Quantity" else ",10.5")
    events = _advanced(tmp_path / "o.csv", "0,5,8,47.5,0", cups, pot, more=more)
    assert _money(events) == (5, 42_500_000, 8_000_000)
    (back,) = [e for e in events if e["kind"] == "refund"]
    assert (back["item_id"], back["quantity"]) == ("CUP-1", 1)


@pytest.mark.parametrize(("total", "differs"), [("57.5", "10"), ("40", "-7.5"), ("47.52", None)])
def test_an_order_whose_lines_are_not_its_total_says_so(
    tmp_path: Path, total: str, differs: str | None
) -> None:
    events = _advanced(tmp_path / "o.csv", f"0,5,0,{total},0", _CUPS, _POT)
    assert net_of_orders(events) == {"101": 42_500_000}
    assert _noted(events).get("unexplained") == differs  # cents may come of rounding


def test_rows_without_units_and_without_totals_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("Order Number,Order Date,Item Name,Stk.,Item Cost\n1,2024-03-01,Cup,4,8\n")
    with pytest.raises(InputError, match="how many units") as caught:
        open_source(path, presets.load("woocommerce-orders"))
    assert "'Stk.'" in caught.value.message and "Quantity (- Refund)" in caught.value.hint


@pytest.mark.parametrize(
    "column", ["refunded_total", "tax_total", "shipping_total", "order_total", "fee_total"]
)
@pytest.mark.parametrize("amount", ["5,00", "1,000.00", "EUR 5", "1_0"])
def test_an_order_with_an_amount_that_is_no_number_is_refused_whole(
    tmp_path: Path, column: str, amount: str
) -> None:
    path = tmp_path / "orders.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, next(iter(_heads().values())))
        writer.writeheader()
        writer.writerows([_heads()["501"] | {column: amount}, _heads()["503"]])
    found = read("woocommerce-orders", path)
    (row,) = found.quarantined
    assert row["code"] == "bad_price" and f"{column} = {amount!r}" in row["detail"]
    assert amount in row["raw"] and list(net_of_orders(found.events)) == ["503"]


@pytest.mark.parametrize("column", ["item_subtotal", "item_total"])
def test_a_line_with_one_of_its_amounts_that_is_no_number_is_refused(
    tmp_path: Path, column: str
) -> None:
    with (FOLDER / "row_per_item.csv").open(newline="", encoding="utf-8") as file:
        first, second, *_ = csv.DictReader(file)
    path = tmp_path / "orders.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, first)
        writer.writeheader()
        writer.writerows([first | {column: "10,00"}, second])
    found = read("woocommerce-orders", path)
    assert found.reasons == {"bad_price": 1} and "'10,00'" in found.quarantined[0]["detail"]
    assert [e["event_id"] for e in found.events] == ["501#2"]


def test_amounts_with_other_marks_are_read_as_the_mapping_says(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "Order Number;Order Date;Order Total Amount;Order Refund Amount;Item Name;Quantity;"
        "Item Cost\n1;2024-03-01;2.469,00;1.000,50;Cup;2;1.234,50\n"
    )
    preset = presets.load("woocommerce-orders")
    mapping = replace(preset, decimal_mark=",", thousands_mark=".")
    found = read("woocommerce-orders", path, mapping=mapping)
    assert not found.quarantined and net_of_orders(found.events) == {"1": 1_468_500_000}


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text("ID,Type,SKU,Name\n1,simple,CUP-1,Cup\n")
    with pytest.raises(InputError, match="no order export of WooCommerce") as caught:
        open_source(path, presets.load("woocommerce-orders"))
    assert "One Row per Item" in caught.value.hint


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\\"), min_size=1, max_size=9)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), _TEXT, min_size=1), min_size=1, max_size=4))
def test_entries_are_read_as_they_were_written(told: list[dict[str, str]]) -> None:
    def escaped(text: str) -> str:
        for sign in ":|;":
            text = text.replace(sign, f"\\{sign}")
        return text

    cell = ";".join("|".join(f"{k}:{escaped(v)}" for k, v in entry.items()) for entry in told)
    assert entries(cell) == told
