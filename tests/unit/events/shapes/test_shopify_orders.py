"""Shopify's order export: every order's net is that of its own fields, whatever was done to it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.flat_events import FIXTURES, Read, net_of_orders, read, total_of_orders

from shoal.domain.errors import InputError
from shoal.domain.money import micros
from shoal.events import presets
from shoal.events.reading import open_source

ORDERS = FIXTURES / "shopify-orders" / "orders.csv"
BROKEN = FIXTURES / "shopify-orders" / "broken.csv"


@pytest.fixture(scope="module")
def export() -> Read:
    return read("shopify-orders", ORDERS)


def _heads() -> dict[str, dict[str, str]]:
    """The first row of each order, by its id."""
    with ORDERS.open(newline="", encoding="utf-8") as file:
        return {row["Id"]: row for row in csv.DictReader(file) if row["Id"]}


def _id(name: str) -> str:
    return next(key for key, row in _heads().items() if row["Name"] == name)


def _properties(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event["properties"] or "{}")
    return found


#: What was given back of products, worked out by hand; and gift cards within the subtotal.
_BACK = {"#1005": "16", "#1006": "20", "#1007": "20", "#1010": "15.1"}
_GIFT_CARDS = {"#1004": "25"}


def test_the_net_of_every_order_is_that_of_its_own_fields(export: Read) -> None:
    net = net_of_orders(export.events)
    expected = {
        key: micros(row["Subtotal"])
        - micros(_GIFT_CARDS.get(row["Name"], "0"))
        - micros(_BACK.get(row["Name"], "0"))
        for key, row in _heads().items()
    }
    assert net == expected and len(net) == 12


@pytest.mark.parametrize(("column", "field"), [("tax", "Taxes"), ("shipping", "Shipping")])
def test_tax_and_shipping_are_counted_once(export: Read, column: str, field: str) -> None:
    assert total_of_orders(export.events, column) == {
        key: micros(row[field]) for key, row in _heads().items()
    }


def test_whole_orders_given_back_leave_no_tax_and_no_shipping(export: Read) -> None:
    (back,) = export.of(kind="refund", order_id=_id("#1005"))
    assert (back["price"], back["tax"], back["shipping"]) == (16_000_000, 3_970_000, 4_900_000)
    assert back["event_time"].isoformat() == "2024-05-07T06:00:00+00:00"  # when it was cancelled


def test_a_refund_larger_than_the_order_is_kept_and_named(export: Read) -> None:
    (back,) = export.of(kind="refund", order_id=_id("#1010"))
    assert back["price"] + back["shipping"] == 20_000_000
    assert _properties(back)["more_than_order"] == "7.1"


def test_tax_within_the_prices_is_not_taken_off_a_refund(export: Read) -> None:
    (back,) = export.of(kind="refund", order_id=_id("#1006"))
    assert (back["price"], back["tax"], back["currency"]) == (20_000_000, None, "USD")


def test_gift_cards_and_tips_are_no_revenue(export: Read) -> None:
    notes = [(_properties(e), e["price"]) for e in export.of(kind="custom")]
    assert notes == [
        ({"fee": "tip"}, 1_000_000),
        ({"note": "gift_card"}, 25_000_000),
        ({"note": "no_units"}, 20_000_000),  # a line of quantity 0 was not bought
    ]
    paid_by_card = export.of(order_id=_id("#1001"), kind="purchase")
    assert {e["payment"] for e in paid_by_card} == {"Shopify Payments + gift_card"}


def test_people_are_e_mail_addresses_and_say_whether_they_want_mail(export: Read) -> None:
    bought = export.of(order_id=_id("#1001"), kind="purchase")
    assert {e["customer_id"] for e in bought} == {"ada@example.com"}
    assert {e["customer_id"] for e in export.of(order_id=_id("#1003"))} == {None}
    said = {e["order_id"]: _properties(e)["granted"] for e in export.of(kind="consent")}
    assert said[_id("#1001")] is True and said[_id("#1002")] is False
    assert _id("#1003") not in said  # of nobody
    assert all(e["channel"] == "email" and e["currency"] is None for e in export.of(kind="consent"))


def test_test_and_staff_orders_are_marked(export: Read) -> None:
    noise = {e["order_id"]: e["noise"] for e in export.of(kind="purchase") if e["noise"]}
    assert noise == {_id("#1008"): "test_order", _id("#1009"): "staff_order"}


def test_all_facts_of_an_order_share_its_scope_and_have_ids_of_their_own(export: Read) -> None:
    scopes: dict[str, set[int]] = {}
    for event in export.events:
        scopes.setdefault(event["event_id"].split("#")[0], set()).add(event["scope_key"])
    assert all(len(keys) == 1 for keys in scopes.values()) and len(scopes) == 12
    assert len({e["event_id"] for e in export.events}) == len(export.events)


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_orders_may_straddle_chunks(export: Read, rows: int) -> None:
    again = read("shopify-orders", ORDERS, rows_per_chunk=rows)
    assert [e["content_key"] for e in again.events] == [e["content_key"] for e in export.events]
    assert [e["event_id"] for e in again.events] == [e["event_id"] for e in export.events]


def test_a_later_export_keeps_the_ids(tmp_path: Path, export: Read) -> None:
    later = tmp_path / "later.csv"
    text = ORDERS.read_text(encoding="utf-8").splitlines(keepends=True)
    head, rows = text[0], text[1:]
    later.write_text(head + "".join(reversed(rows[3:5])) + "".join(rows[5:6]), encoding="utf-8")
    known = {e["event_id"] for e in export.events}
    assert {e["event_id"] for e in read("shopify-orders", later).events} <= known


def test_broken_rows_are_refused_with_their_reason() -> None:
    found = read("shopify-orders", BROKEN)
    assert found.reasons == {
        "wrong_field_count": 1, "orphan_row": 1, "missing_order_id": 1, "unknown_currency": 1,
        "bad_customer_id": 2, "bad_time": 2, "bad_price": 1, "fractional_quantity": 1,
    }  # fmt: skip
    (orphan,) = [row for row in found.quarantined if row["code"] == "orphan_row"]
    assert "'#900'" in orphan["detail"] and orphan["row"] == 1 and "Cup" in orphan["raw"]
    net = net_of_orders(found.events)
    assert net["#904"] == -5_000_000  # an exchange may leave a total below zero; no id but its name
    (odd,) = [e for e in found.of(kind="purchase") if "#908" in (e["properties"] or "")]
    assert _properties(odd)["unexplained"] == "2"  # a subtotal that its lines do not reach


@pytest.mark.parametrize("rows", [1, 4])
def test_broken_rows_are_the_same_whatever_the_chunks(rows: int) -> None:
    first, again = read("shopify-orders", BROKEN), read("shopify-orders", BROKEN, rows)
    key = lambda row: (row["row"], row["code"], row["raw"])  # noqa: E731
    assert sorted(map(key, again.quarantined)) == sorted(map(key, first.quarantined))


def test_a_header_named_twice_and_another_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    head, rest = ORDERS.read_text(encoding="utf-8").split("\n", 1)
    path.write_text(head.replace("Email", "Name") + "\n" + rest, encoding="utf-8")
    with pytest.raises(InputError, match="more than one column is named 'Name'"):
        open_source(path, presets.load("shopify-orders"))
    path.write_text("Handle,Title\ncup,Cup\n")
    with pytest.raises(InputError, match="no order export of Shopify") as caught:
        open_source(path, presets.load("shopify-orders"))
    assert "Export" in caught.value.hint


def _written(path: Path, *orders: dict[str, str]) -> Path:
    """An export of orders of two cups at 8.00 each, with other values where they are given."""
    usual = {
        "Name": "#1", "Email": "a@example.com", "Financial Status": "paid", "Currency": "EUR",
        "Subtotal": "16.00", "Shipping": "0.00", "Taxes": "0.00", "Total": "16.00",
        "Discount Amount": "0.00", "Created at": "2024-05-01 09:00:00 +0200",
        "Lineitem quantity": "2", "Lineitem name": "Cup", "Lineitem price": "8.00",
        "Lineitem discount": "0.00", "Id": "5621000000001", "Refunded Amount": "0.00",
    }  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, usual)
        writer.writeheader()
        writer.writerows([usual | order for order in orders])
    return path


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("5.62E+12", "5.62E+12", "order '#1' has the Id '5.62E+12'"),
        ("5,62E+12", "5621000000002", "order '#1' has the Id '5,62E+12'"),
        ("5621000000000", "5621000000000", "orders '#1' and '#2' have the Id '5621000000000'"),
    ],
)
def test_ids_that_a_spreadsheet_program_rounded_are_refused(
    tmp_path: Path, first: str, second: str, said: str
) -> None:
    path = _written(
        tmp_path / "orders.csv", {"Name": "#1", "Id": first}, {"Name": "#2", "Id": second}
    )
    with pytest.raises(InputError, match="spreadsheet program rounds") as caught:
        read("shopify-orders", path, rows_per_chunk=1)
    assert said in caught.value.message and "take the column Id out" in caught.value.hint


def test_orders_without_a_usable_id_go_by_their_name(tmp_path: Path) -> None:
    told = ("", "n/a", "gid://shopify/Order/77", "78.0", "79", "79")
    names = ("#1", "#2", "#3", "#4", "#5", "#5")
    path = _written(
        tmp_path / "orders.csv", *({"Name": n, "Id": i} for n, i in zip(names, told, strict=True))
    )
    net = net_of_orders(read("shopify-orders", path).events)
    assert list(net) == ["#1", "#2", "77", "78", "79"]  # the last order is there twice


@pytest.mark.parametrize(
    "column",
    ["Refunded Amount", "Taxes", "Shipping", "Subtotal", "Total", "Discount Amount"],
)
@pytest.mark.parametrize("amount", ["1,000.00", "5,00", "EUR 5", "n/a", "1_0"])
def test_an_order_with_an_amount_that_is_no_number_is_refused_whole(
    tmp_path: Path, column: str, amount: str
) -> None:
    order = {column: amount, "Refunded Amount": "1.00"} | {column: amount}
    path = _written(tmp_path / "orders.csv", order, {"Name": "#2", "Id": "2"})
    found = read("shopify-orders", path)
    (row,) = found.quarantined
    assert (row["code"], row["row"]) == ("bad_price", 1)
    assert f"{column} = {amount!r}" in row["detail"] and "[money]" in row["detail"]
    assert "#1" in row["raw"] and amount in row["raw"]  # what is needed to mend it
    assert list(net_of_orders(found.events)) == ["2"]


@pytest.mark.parametrize(
    ("marks", "price", "refunded"),
    [
        ({"decimal_mark": ",", "thousands_mark": "."}, "1.008,50", "1.000,00"),
        ({"decimal_mark": ","}, "1008,50", "1000,00"),
        ({"thousands_mark": ","}, "1,008.50", "1,000.00"),
    ],
)
def test_amounts_with_other_marks_are_read_as_the_mapping_says(
    tmp_path: Path, marks: dict[str, str], price: str, refunded: str
) -> None:
    order = {"Subtotal": price, "Total": price, "Lineitem quantity": "1", "Lineitem price": price,
             "Refunded Amount": refunded}  # fmt: skip
    zero = "0,00" if "decimal_mark" in marks else "0.00"
    order |= dict.fromkeys(("Shipping", "Taxes", "Discount Amount", "Lineitem discount"), zero)
    path = _written(tmp_path / "orders.csv", order)
    found = read("shopify-orders", path, mapping=replace(presets.load("shopify-orders"), **marks))
    assert not found.quarantined
    assert net_of_orders(found.events) == {"5621000000001": 8_500_000}


def test_a_price_of_blanks_is_no_price_of_zero(tmp_path: Path) -> None:
    (event,) = read(
        "shopify-orders", _written(tmp_path / "orders.csv", {"Lineitem price": " "})
    ).of(kind="purchase")
    assert event["price"] is None


def test_headers_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    path = _written(tmp_path / "orders.csv", {})
    path.write_text(path.read_text().replace("Email", "name"))
    with pytest.raises(InputError, match="more than one column is named 'name'"):
        open_source(path, presets.load("shopify-orders"))
