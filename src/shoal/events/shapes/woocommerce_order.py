"""An order of a WooCommerce export with its lines, fees and refunds.

A line's `subtotal` is before, its `total` after coupons, both without tax. So the net of an order
is its total less tax, shipping and fees. A fee below zero is a discount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shoal.domain.money import MICROS
from shoal.events.shapes.order_facts import (
    FEE,
    Line,
    Order,
    also_known_as,
    email_id,
    filled,
    moment,
    order_mark,
)
from shoal.events.shapes.order_lines import (
    amount_text,
    micros_of,
    priced,
    told_micros,
    told_units,
    units_of,
)
from shoal.events.shapes.woocommerce_cells import Entry, entries
from shoal.events.shapes.woocommerce_refunds import Row, add_refunds, amount_of

_HALF_CENT: Final = MICROS // 200
#: Never a sale, as WooCommerce's own reports have it.
_UNPAID: Final = frozenset(
    {"pending", "pending payment", "failed", "draft", "checkout-draft", "auto-draft", "trash"}
)
#: Methods of payment that test plugins offer.
_TEST_METHODS: Final = frozenset({"test", "dummy", "bogus"})
_OF_ITEM: Final = {
    "id": "item_id", "name": "item_name", "product_id": "item_product", "sku": "item_sku",
    "variation_id": "item_variation", "category": "item_category", "quantity": "item_quantity",
    "left": "item_left",
    "subtotal": "item_subtotal", "total": "item_total", "price": "item_price",
    "refunded": "item_refunded", "refunded_qty": "item_refunded_qty",
}  # fmt: skip


def order_of(rows: Sequence[Row]) -> Order | None:
    """The order of its rows; None where its lines cannot be read.

    Raises:
        UnreadableError: an amount of the order as a whole is no number.
    """
    head = {name: value for row in reversed(rows) for name, value in row.items() if value}
    lines, fees = _items(rows, head), entries(head.get("fee_items"))
    if lines is None or fees is None:
        return None
    status = head.get("status", "").lower().removeprefix("wc-")
    paid = status not in _UNPAID and not (status == "cancelled" and not head.get("paid"))
    email = email_id(head.get("email"))
    registered = head.get("customer", "0")
    customer = registered if registered != "0" else email
    order = Order(
        key=head["order"],
        time=moment(head.get("date")),
        shared={
            "customer": customer,
            "email": email,
            "phone": head.get("phone"),
            "currency": head.get("currency"),
            "order_status": status or None,
            "payment": head.get("payment"),
            "coupon": _coupons(head),
            "country": head.get("country"),
            "region": head.get("region"),
            "order_mark": order_mark([], test=head.get("payment", "").lower() in _TEST_METHODS),
            "version": moment(head.get("modified")),
            "ip": head.get("ip"),
            "user_agent": head.get("agent"),
        },
        lines=[_line(item, number) for number, item in enumerate(lines, 1)],
        tax=amount_of(head, "tax"),
        shipping=amount_of(head, "shipping"),
        notes={"order_name": head["number"]} if head.get("number", head["order"]) != head["order"]
        else {},
        paid=paid,
        alias=also_known_as(customer, email),
    )  # fmt: skip
    charged, taken_off = _fees(head, fees)
    products = _products(order, head, charged)
    if not order.lines and products is not None:
        order.lines.append(Line("amount", max(products, 0), 1))
    left_over = any("left" in item and "quantity" not in item for item in lines)
    off = _discount(order, head, lines, products, left_over=left_over)
    order.settle_discounts(off + taken_off, None)
    gone = _units_gone(order, head, products) if left_over else 0
    _compare(order, head, products, gone)
    if charged:
        order.lines.append(Line("fees", charged, 1, is_a=FEE))
    if paid:
        add_refunds(order, head, lines, charged, gone)
    return order


def _items(rows: Sequence[Row], head: Row) -> list[Entry] | None:
    """The lines, from the cell that holds them all or from a row each."""
    if "line_items" in head:
        found = entries(head["line_items"])
        known = {"name", "quantity", "total", "product_id"}
        return found if found and all(known & entry.keys() for entry in found) else None
    return [
        _with_units({name: row[field] for name, field in _OF_ITEM.items() if field in row})
        for row in rows
        if any(name in row for name in ("item_name", "item_quantity", "item_left"))
    ]


def _with_units(item: Entry) -> Entry:
    """A line that tells units without those taken back: those bought and taken back, if told.

    Where it tells what all units cost and what one did, that says how many were bought.
    """
    told = item.get("left")
    if told is None:
        return item
    if "quantity" not in item:
        whole = micros_of(filled([item.get("total"), item.get("subtotal")])) or 0
        price = micros_of(item.get("price")) or 0
        if min(whole, price) <= 0 or whole % price or whole // price < units_of(told):
            return item
        item = item | {"quantity": str(whole // price)}
    back = units_of(item["quantity"]) - told_units(told, "item_left")
    return item | ({"refunded_qty": str(back)} if back > 0 and "refunded_qty" not in item else {})


def _line(item: Entry, number: int) -> Line:
    """A line at its price before coupons; the rounding of a price that does not divide is its
    own discount."""
    quantity = item.get("quantity", item.get("left"))
    units = units_of(quantity)
    subtotal, total = micros_of(item.get("subtotal")), micros_of(item.get("total"))
    before = subtotal if subtotal is not None and units >= 0 else total
    written: dict[str, str | None] = {}
    if before is None:
        price, rounding = micros_of(item.get("price")), 0
        if price is None:
            written["price"] = item.get("subtotal") or item.get("total") or item.get("price")
    else:
        made = priced(abs(before), abs(units))  # a row of units taken back is below zero in both
        price, rounding = made.price, made.discount
    for told, read in (("subtotal", subtotal), ("total", total)):
        if read is None and item.get(told):  # the discount, if not the price, would be a guess
            written["price"] = item[told]
    if str(units) != quantity:
        written["quantity"] = quantity
    off = before - total if before is not None and total is not None else 0
    sku = item.get("sku") if item.get("sku") != "unknown_product" else None
    product = next(
        (item[n] for n in ("variation_id", "product_id") if item.get(n, "0") != "0"), None
    )
    return Line(
        key=item.get("id") or str(number),
        price=price or 0,
        units=units,
        own_discount=max(off, 0) + rounding,
        columns={
            "item": filled([sku, product, item.get("name")]),
            "sku": sku,
            "product": product,
            "title": item.get("name"),
            "category": item.get("category"),
        },
        written=written,
    )


def _fees(head: Row, fees: list[Entry]) -> tuple[int, int]:
    """(fees charged, discounts given as fees below zero)."""
    amounts = [told_micros(fee.get("total"), "fee_items") or 0 for fee in fees]
    if not fees:
        amounts = [amount_of(head, "fees") or 0]
    return sum(a for a in amounts if a > 0), -sum(a for a in amounts if a < 0)


def _products(order: Order, head: Row, charged: int) -> int | None:
    """What the order's total is for products, after discounts; None where there is no total."""
    total = amount_of(head, "total")
    return None if total is None else total - (order.tax or 0) - (order.shipping or 0) - charged


def _discount(
    order: Order, head: Row, items: list[Entry], products: int | None, *, left_over: bool
) -> int:
    """The lines' own where each says what it cost in the end; else the order's, if it is larger.

    Prices may be those after discounts already (as Advanced Order Export, which alone tells the
    units left over, has them): then the lines reach the order's total without its discount.
    """
    own = sum(line.own_discount for line in order.products)
    stated = amount_of(head, "discount") or 0
    if all("total" in item for item in items) or stated <= own:
        return own
    before = sum(line.gross for line in order.products) - own
    if products is not None and abs(before - products) <= _rounding(order):
        return own
    fits = products is not None and abs(before - stated - products) <= _rounding(order)
    return own if left_over and not fits else stated


def _units_gone(order: Order, head: Row, products: int | None) -> int:
    """What went back is worth that is missing from the lines: it is no refund any more."""
    refunded = abs(amount_of(head, "refunded") or 0)
    if products is not None:
        short = products - order.net
        refunded = min(short, refunded) if short > _rounding(order) else 0
    if refunded:
        order.notes["refunded_units_left_out"] = amount_text(refunded) or ""
    return refunded


def _compare(order: Order, head: Row, products: int | None, gone: int) -> None:
    """Name what the order's total and its lines differ by.

    Lines that fall short say nothing where the file may lack the tax or the shipping.
    """
    refused = any(text for line in order.products for text in line.written.values())
    if products is None or refused:
        return
    short = products - order.net - gone
    known = "tax" in head and "shipping" in head
    if (known or short < 0) and abs(short) > _rounding(order):
        order.notes["unexplained"] = amount_text(short) or ""


def _rounding(order: Order) -> int:
    """What rounding to cents may make of the prices of all units, and of a total."""
    return _HALF_CENT * (2 + sum(abs(line.units) for line in order.products))


def _coupons(head: Row) -> str | None:
    found = entries(head.get("coupon_items")) or []
    codes = [code for entry in found if (code := entry.get("code"))]
    return ", ".join(codes) or head.get("coupon")
