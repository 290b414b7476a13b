"""What went back of a WooCommerce order: units of lines, amounts, or all of it by its status.

Money that went back is for the lines that say so; what is left of `refunded_total` pays back tax,
shipping and fees first, and what is beyond them went back for products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shoal.events.shapes.order_facts import Line, Order, Refund, moment
from shoal.events.shapes.order_lines import (
    amount_text,
    priced,
    refund_parts,
    told_micros,
    told_units,
)
from shoal.events.shapes.woocommerce_cells import Entry, entries

Row = Mapping[str, str]


def amount_of(head: Row, field: str) -> int | None:
    """Micro-units of an amount of the order.

    Raises:
        UnreadableError: it is not a number.
    """
    return told_micros(head.get(field), field)


def add_refunds(order: Order, head: Row, items: Sequence[Entry], charged: int, gone: int) -> None:
    """What went back: of lines that say so, and the rest of the order's refunded amount.

    Args:
        charged: fees.
        gone: what went back for units that the lines do not have any more.

    Raises:
        UnreadableError: an amount or a number of units that went back is no number.
    """
    status = order.shared["order_status"]
    told = entries(head.get("refunds")) or []
    dates = [moment(refund.get("date")) for refund in told]
    last = max((date for date in dates if date), default=None) or moment(head.get("modified"))
    before = order.net
    of_lines = gone
    for line, item in zip(order.products, items, strict=False):
        units = abs(told_units(item.get("refunded_qty"), "item_refunded_qty"))
        amount = _of_line(line, item, units)
        if amount:
            of_lines += amount
            made = priced(amount, units)
            order.refunds.append(
                Refund(f"refund#{line.key}", last, made.price, units or None, made.discount,
                       columns=dict(line.columns))
            )  # fmt: skip
    total = abs(amount_of(head, "refunded") or 0)
    amounts = [abs(told_micros(refund.get("amount"), "refunds") or 0) for refund in told]
    beside = (order.tax or 0) + (order.shipping or 0) + charged
    if of_lines:
        beyond = max(total, sum(amounts)) - of_lines - beside
        if beyond > 0:
            more = max(of_lines - gone + beyond - order.net, 0)
            _amount_back(order, "refund#rest", last, beyond, more=more)
    elif total or sum(amounts):
        if sum(amounts) != total and total:
            amounts, told, dates = [total], [{}], [last]
        _amounts_back(order, amounts, told, dates, charged)
    if status in ("refunded", "cancelled"):
        back = sum(r.price * (r.units or 1) - r.discount for r in order.refunds)
        if before > back:
            _amount_back(order, "refund#status", last, before - back, note=status)


def _of_line(line: Line, item: Entry, units: int) -> int:
    """What went back of a line; its share of the line's price where only units are told."""
    told = told_micros(item.get("refunded"), "item_refunded")
    if told is None and units and line.units > 0:
        return line.net * min(units, line.units) // line.units
    return abs(told or 0)


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
