"""An order of Shopify's order export, of its rows: lines, discounts, what went back, consent.

Source: Shopify Help Center, "Exporting orders to a CSV file" and its glossary of columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from shoal.events.shapes.order_facts import (
    GIFT_CARD,
    PRODUCT,
    TIP,
    Line,
    Order,
    Refund,
    email_id,
    filled,
    moment,
    order_mark,
)
from shoal.events.shapes.order_lines import (
    amount_text,
    micros_of,
    refund_parts,
    told_micros,
    units_of,
)

Row = Mapping[str, str]

#: Never paid, and never to be.
_VOID: Final = frozenset({"voided", "expired"})
_UNPAID: Final = frozenset({"pending", "authorized", "unpaid", ""})
_GIFT_CARD: Final = re.compile(r"\b(e-?)?gift ?(card|voucher)\b", re.IGNORECASE)

#: The columns that hold amounts.
AMOUNTS: Final = frozenset(
    {"subtotal", "shipping", "taxes", "total", "discount amount", "refunded amount",
     "lineitem price", "lineitem discount"}
)  # fmt: skip


def order_of(rows: Sequence[Row], key: str) -> Order:
    """The order of its rows, the first of which holds what concerns it as a whole.

    Raises:
        UnreadableError: an amount of the order as a whole is no number.
    """
    head = rows[0]
    email = email_id(head.get("email"))
    status = head.get("financial status", "")
    order = Order(
        key=key,
        time=moment(head.get("created at")),
        shared={
            "customer": email,
            "email": email,
            "phone": head.get("phone"),
            "currency": head.get("currency"),
            "order_status": "cancelled" if head.get("cancelled at") else status or None,
            "payment": head.get("payment method"),
            "coupon": head.get("discount code"),
            "channel": head.get("source"),
            "country": filled([head.get("shipping country"), head.get("billing country")]),
            "region": filled([head.get("shipping province"), head.get("billing province")]),
            "order_mark": order_mark(
                head.get("tags", "").split(","),
                test=status == "test" or "bogus" in head.get("payment method", "").lower(),
            ),
        },
        lines=[_line(row, number) for number, row in enumerate(rows, 1)],
        tax=_amount(head, "taxes"),
        shipping=_amount(head, "shipping"),
        consent=_consent(head, email),
        notes={"order_name": head["name"]},
    )
    gift_cards = sum(line.gross for line in order.lines if line.is_a == GIFT_CARD)
    subtotal = _amount(head, "subtotal")
    order.settle_discounts(
        _amount(head, "discount amount"), None if subtotal is None else subtotal - gift_cards
    )
    _refund(order, head)
    return order


def _amount(head: Row, name: str) -> int | None:
    return told_micros(head.get(name), name)


def _line(row: Row, number: int) -> Line:
    name, sku = row.get("lineitem name"), row.get("lineitem sku")
    price, off = micros_of(row.get("lineitem price")), micros_of(row.get("lineitem discount"))
    written: dict[str, str | None] = {
        column: row[raw]
        for column, raw, read in (("price", "lineitem price", price),
                                  ("discount", "lineitem discount", off))
        if read is None and row.get(raw)
    }  # fmt: skip
    quantity = row.get("lineitem quantity")
    units = units_of(quantity)
    if str(units) != quantity:
        written["quantity"] = quantity
    if "lineitem price" not in row:
        written["price"] = None
    return Line(
        key=str(number),
        price=price or 0,
        units=units,
        own_discount=off or 0,
        is_a=_sort_of(row),
        columns={"item": sku or name, "sku": sku, "title": name, "brand": row.get("vendor")},
        written=written,
    )


def _sort_of(row: Row) -> str:
    """Product, gift card or tip: the export has no column for it, so the name decides."""
    name = row.get("lineitem name", "")
    shipped = row.get("lineitem requires shipping", "").lower() == "true"
    if name.lower() == "tip" and not shipped and not row.get("lineitem sku"):
        return TIP
    return GIFT_CARD if _GIFT_CARD.search(name) and not shipped else PRODUCT


def _consent(head: Row, email: str | None) -> dict[str, bool]:
    said = head.get("accepts marketing", "").lower()
    return {"email": said in ("yes", "true")} if email and said else {}


def _refund(order: Order, head: Row) -> None:
    """What the export tells of money that went back: one amount, and whether the order was void."""
    status = head.get("financial status", "").lower()
    cancelled = moment(head.get("cancelled at"))
    amount = abs(_amount(head, "refunded amount") or 0)
    products = order.net
    given_back = 0
    if amount > 0:
        total = _amount(head, "total")
        subtotal, shipping = _amount(head, "subtotal"), order.shipping or 0
        tips = sum(line.gross for line in order.lines if line.is_a == TIP)
        total = products if total is None else total
        on_top = total - (products if subtotal is None else subtotal) - shipping - tips
        tax = min(max(on_top, 0), order.tax or 0)
        parts = refund_parts(amount, max(products, 0), tax, max(total - products - tax, 0))
        given_back = parts.products
        notes = {"note": "refunded_amount", "refunded": amount_text(amount) or ""}
        if parts.beyond:
            notes["more_than_order"] = amount_text(parts.beyond) or ""
        order.refunds.append(
            Refund("refund", cancelled, parts.products, tax=parts.tax,
                   shipping=min(parts.rest, shipping), notes=notes)
        )  # fmt: skip
    if (status in _VOID or (cancelled and status in _UNPAID)) and products > given_back:
        order.refunds.append(
            Refund("void", cancelled, products - given_back, notes={"note": "never_paid"})
        )
