"""An order of a WooCommerce export with its lines, fees and refunds.

A line's `subtotal` is before, its `total` after coupons, both without tax. So the net of an order
is its total less tax, shipping and fees. A fee below zero is a discount. Money that went back is
for the lines that say so; what is left of `refunded_total` pays back tax, shipping and fees first,
and what is beyond them went back for products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from shoal.events.shapes.order_facts import (
    FEE,
    Line,
    Order,
    Refund,
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
    refund_parts,
    units_of,
)
from shoal.events.shapes.woocommerce_cells import Entry, entries

Row = Mapping[str, str]

#: Never a sale, as WooCommerce's own reports have it.
_UNPAID: Final = frozenset(
    {"pending", "pending payment", "failed", "draft", "checkout-draft", "auto-draft", "trash"}
)
#: Methods of payment that test plugins offer.
_TEST_METHODS: Final = frozenset({"test", "dummy", "bogus"})
_OF_ITEM: Final = {
    "id": "item_id", "name": "item_name", "product_id": "item_product", "sku": "item_sku",
    "variation_id": "item_variation", "category": "item_category", "quantity": "item_quantity",
    "subtotal": "item_subtotal", "total": "item_total", "price": "item_price",
    "refunded": "item_refunded", "refunded_qty": "item_refunded_qty",
}  # fmt: skip


def order_of(rows: Sequence[Row]) -> Order | None:
    """The order of its rows; None where its lines cannot be read."""
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
        tax=micros_of(head.get("tax")),
        shipping=micros_of(head.get("shipping")),
        notes={"order_name": head["number"]} if head.get("number", head["order"]) != head["order"]
        else {},
        paid=paid,
        alias=also_known_as(customer, email),
    )  # fmt: skip
    charged, taken_off = _fees(head, fees)
    if not order.lines:
        _add_amount(order, head, charged)
    _discounts(order, head, lines, taken_off)
    if charged:
        order.lines.append(Line("fees", charged, 1, is_a=FEE))
    if paid:
        _refund(order, head, lines, charged, status)
    return order


def _items(rows: Sequence[Row], head: Row) -> list[Entry] | None:
    """The lines, from the cell that holds them all or from a row each."""
    if "line_items" in head:
        found = entries(head["line_items"])
        known = {"name", "quantity", "total", "product_id"}
        return found if found and all(known & entry.keys() for entry in found) else None
    return [
        {name: row[field] for name, field in _OF_ITEM.items() if field in row}
        for row in rows
        if "item_name" in row or "item_quantity" in row
    ]


def _line(item: Entry, number: int) -> Line:
    """A line at its price before coupons; the rounding of a price that does not divide is its
    own discount."""
    quantity = item.get("quantity")
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
    amounts = [micros_of(fee.get("total")) or 0 for fee in fees]
    if not fees:
        amounts = [micros_of(head.get("fees")) or 0]
    return sum(a for a in amounts if a > 0), -sum(a for a in amounts if a < 0)


def _add_amount(order: Order, head: Row, charged: int) -> None:
    """An order without lines: what its total is for products is one line."""
    total = micros_of(head.get("total"))
    if total is not None:
        net = total - (order.tax or 0) - (order.shipping or 0) - charged
        order.lines.append(Line("amount", max(net, 0), 1))


def _discounts(order: Order, head: Row, items: list[Entry], taken_off: int) -> None:
    """The lines' own where each says what it cost in the end; else the order's, if it is larger."""
    off = sum(line.own_discount for line in order.products)
    if not all("total" in item for item in items):
        off = max(off, micros_of(head.get("discount")) or 0)
    order.settle_discounts(off + taken_off, None)


def _coupons(head: Row) -> str | None:
    found = entries(head.get("coupon_items")) or []
    codes = [code for entry in found if (code := entry.get("code"))]
    return ", ".join(codes) or head.get("coupon")


def _refund(order: Order, head: Row, items: list[Entry], charged: int, status: str) -> None:
    """What went back: of lines that say so, and the rest of the order's refunded amount."""
    told = entries(head.get("refunds")) or []
    dates = [moment(refund.get("date")) for refund in told]
    last = max((date for date in dates if date), default=None) or moment(head.get("modified"))
    before = order.net
    of_lines = 0
    for line, item in zip(order.products, items, strict=False):
        amount = abs(micros_of(item.get("refunded")) or 0)
        units = abs(units_of(item.get("refunded_qty"), missing=0))
        if amount:
            of_lines += amount
            made = priced(amount, units)
            order.refunds.append(
                Refund(f"refund#{line.key}", last, made.price, units or None, made.discount,
                       columns=dict(line.columns))
            )  # fmt: skip
    total = abs(micros_of(head.get("refunded")) or 0)
    amounts = [abs(micros_of(refund.get("amount")) or 0) for refund in told]
    beside = (order.tax or 0) + (order.shipping or 0) + charged
    if of_lines:
        beyond = max(total, sum(amounts)) - of_lines - beside
        if beyond > 0:
            more = max(of_lines + beyond - order.net, 0)
            _amount_back(order, "refund#rest", last, beyond, more=more)
    elif total or sum(amounts):
        if sum(amounts) != total and total:
            amounts, told, dates = [total], [{}], [last]
        _amounts_back(order, amounts, told, dates, charged)
    if status in ("refunded", "cancelled"):
        back = sum(r.price * (r.units or 1) - r.discount for r in order.refunds)
        if before > back:
            _amount_back(order, "refund#status", last, before - back, note=status)


def _amounts_back(
    order: Order, amounts: list[int], told: list[Entry], dates: list[str | None], charged: int
) -> None:
    """Refunds that name no line, in their order: products and their tax first, then the rest."""
    tax, rest = order.tax or 0, (order.shipping or 0) + charged
    reached, done = 0, refund_parts(0, max(order.net, 0), tax, rest)
    for number, (amount, refund, date) in enumerate(zip(amounts, told, dates, strict=True), 1):
        reached += amount
        parts = refund_parts(reached, max(order.net, 0), tax, rest)
        key = f"refund#{refund.get('id') or number}"
        if amount:
            _amount_back(
                order, key, date, parts.products - done.products,
                more=parts.beyond - done.beyond, tax=parts.tax - done.tax,
            )  # fmt: skip
        done = parts


def _amount_back(
    order: Order, key: str, time: str | None, amount: int, *, more: int = 0, tax: int = 0,
    note: str = "refunded_amount",
) -> None:  # fmt: skip
    notes = {"note": note} | ({"more_than_order": amount_text(more) or ""} if more else {})
    order.refunds.append(Refund(key, time, amount, tax=tax, notes=notes))
