"""An order of Shopify's Admin API with its lines and refunds.

Source: Shopify developer documentation, GraphQL Admin API: Order, LineItem, Refund, RefundLineItem,
OrderAdjustment, RefundShippingLine.

The rule, for every line: `quantity` counts all units ever ordered, `currentQuantity` those that
were neither refunded nor removed. What refunds name as returned was bought and is refunded; what no
refund names was removed by an edit of the order and was never bought. So purchases less refunds are
`currentQuantity` units, which is what Shopify reports as net sales. Where refunds are exported
without their lines (or the order was cancelled), all units that are gone count as refunded.
"""

from __future__ import annotations

from typing import Any, Final

from shoal.domain import kinds
from shoal.events.shapes.order_facts import (
    GIFT_CARD,
    PRODUCT,
    TIP,
    Line,
    Order,
    Refund,
    also_known_as,
    email_id,
    filled,
    order_mark,
)
from shoal.events.shapes.order_lines import (
    allocated,
    amount_text,
    micros_of,
    priced,
    told_units,
    units_of,
)
from shoal.events.shapes.shopify_nodes import (
    Node,
    below,
    currency_of,
    has,
    inner,
    money,
    short_id,
    text,
    texts,
    told_amount,
)
from shoal.events.texts import raw_text

_MONEY: Final = ("totalPriceSet", "currentTotalPriceSet", "subtotalPriceSet",
                 "currentSubtotalPriceSet")  # fmt: skip


def order_of(node: Node) -> Order:
    """The order of a node and its children; amounts are those in the shop's currency.

    Raises:
        UnreadableError: an amount or a number of units, other than a line's own, is no number.
    """
    customer = inner(node, "customer")
    email = email_id(text(node, "email") or text(customer, "email"))
    lines = below(node, "lineItems", "LineItem")
    known_as = short_id(customer.get("id")) or email
    order = Order(
        key=short_id(node.get("id")) or "",
        time=text(node, "processedAt") or text(node, "createdAt"),
        shared=_shared(node, known_as, email),
        alias=also_known_as(known_as, email),
        lines=[],
        tax=money(node, "totalTaxSet"),
        shipping=money(node, "totalShippingPriceSet"),
        notes={"order_name": text(node, "name") or ""} if node.get("name") else {},
        consent=_consent(node, customer, email),
    )
    _Lines(node, order, lines).fill()
    tip = money(node, "totalTipReceivedSet")
    if tip:
        order.lines.append(Line("tip", tip, 1, is_a=TIP))
    return order


def _shared(node: Node, customer: str | None, email: str | None) -> dict[str, str | None]:
    """What all facts of the order have."""
    address, billing = inner(node, "shippingAddress"), inner(node, "billingAddress")
    gateways, codes = texts(node.get("paymentGatewayNames")), texts(node.get("discountCodes"))
    payments = below(node, "transactions", "OrderTransaction")
    status = text(node, "displayFinancialStatus")
    currencies = [currency_of(node.get(name)) for name in _MONEY]
    return {
        "customer": customer,
        "email": email,
        "phone": text(node, "phone"),
        "currency": filled([*currencies, text(node, "currencyCode")]),
        "order_status": "cancelled" if node.get("cancelledAt") else status and status.lower(),
        "payment": " + ".join(gateways) or None,
        "coupon": ", ".join(codes) or text(node, "discountCode"),
        "channel": text(node, "sourceName"),
        "country": filled([text(a, "countryCodeV2") or text(a, "countryCode")
                           for a in (address, billing)]),
        "region": filled([text(a, "provinceCode") for a in (address, billing)]),
        "order_mark": order_mark(
            texts(node.get("tags")),
            test=node.get("test") is True or any(t.get("test") is True for t in payments),
        ),
        "version": text(node, "updatedAt"),
    }  # fmt: skip


def _consent(node: Node, customer: Node, email: str | None) -> dict[str, bool]:
    said = node.get("customerAcceptsMarketing")
    return {"email": said} if isinstance(said, bool) and (email or customer) else {}


class _Lines:
    """Fills an order's lines and refunds."""

    def __init__(self, node: Node, order: Order, lines: list[Node]) -> None:
        self.node, self.order = node, order
        self.lines = sorted(lines, key=lambda line: _in_order(short_id(line.get("id"))))
        self.refunds = [*below(node, "refunds", "Refund")]
        self.returned = {
            id(refund): sorted(
                below(refund, "refundLineItems", "RefundLineItem"),
                key=lambda line: _in_order(_line_key(line)),
            )
            for refund in self.refunds
        }
        named = any(self.returned.values())
        gone_is_refunded = bool(node.get("cancelledAt")) or (bool(self.refunds) and not named)
        self.by_quantity = gone_is_refunded and not named
        self.units_back: dict[str, int] = {}
        for found in self.returned.values():
            for line in found:
                key = _line_key(line)
                self.units_back[key] = self.units_back.get(key, 0) + _units_back(line)
        self.known: dict[str, Line] = {}

    def fill(self) -> None:
        for number, line in enumerate(self.lines, 1):
            self._add_line(line, number)
        if not self.lines:
            self._add_amount()
        for refund in self.refunds:
            self._add_refund(refund)
        if self.by_quantity:
            self._name_excess()

    def _add_line(self, line: Node, number: int) -> None:
        key = short_id(line.get("id")) or str(number)
        units = units_of(line.get("quantity"))
        current = told_units(line.get("currentQuantity"), "currentQuantity", missing=units)
        gone = max(units - current, 0)
        removed = 0 if self.by_quantity else max(gone - self.units_back.get(key, 0), 0)
        price, written = _price_and_oddities(line)
        off = _discount(line, price * units)
        bought = units - removed
        product, variant = inner(line, "product"), inner(line, "variant")
        sku = text(line, "sku") or text(variant, "sku")
        made = Line(
            key=key,
            price=price,
            units=bought,
            is_a=GIFT_CARD if line.get("isGiftCard") is True else PRODUCT,
            columns={
                "item": sku or short_id(variant.get("id")) or short_id(product.get("id"))
                or text(line, "title") or text(line, "name"),
                "sku": sku,
                "product": short_id(product.get("id")),
                "variant": short_id(variant.get("id")),
                "title": text(line, "name") or text(line, "title"),
                "brand": text(line, "vendor") or text(product, "vendor"),
                "category": text(product, "productType"),
            },
            notes={"removed_by_edit": str(removed)} if removed else {},
            discount=off if bought == units or not units else off * bought // units,
            written=written,
        )  # fmt: skip
        self.order.lines.append(made)
        self.known[key] = made
        if self.by_quantity and gone:
            kept = price * current - (off * current // units if units else 0)
            self._give_back(f"gone#{key}", made, made.net - kept, gone, self._last_time(), {
                "note": "by_current_quantity"})  # fmt: skip

    def _last_time(self) -> str | None:
        """When units that no refund names went back: at the last refund, else the cancellation."""
        times = [found for refund in self.refunds if (found := text(refund, "createdAt"))]
        return max(times, default=None) or text(self.node, "cancelledAt")

    def _add_amount(self) -> None:
        """An order exported without lines: its subtotal is one line."""
        subtotal = money(self.node, "subtotalPriceSet")
        if subtotal is None:
            subtotal = money(self.node, "currentSubtotalPriceSet")
        if subtotal is not None:
            self.order.lines.append(Line("amount", subtotal, 1))

    def _add_refund(self, refund: Node) -> None:
        key = f"refund{short_id(refund.get('id')) or ''}"
        time = text(refund, "createdAt") or text(refund, "processedAt")
        first = len(self.order.refunds)
        tax = 0
        for number, line in enumerate(self.returned[id(refund)], 1):
            bought = self.known.get(_line_key(line))
            units = _units_back(line)
            amount = money(line, "subtotalSet")
            if amount is None:
                amount = bought.net * units // bought.units if bought and bought.units else 0
            tax += money(line, "totalTaxSet") or 0
            self._give_back(f"{key}#{_line_key(line) or number}", bought, amount, units, time, {})
        shipped = self._shipping_back(refund, key, time)
        self._adjust(refund, key, time, first, tax, shipped)

    def _give_back(
        self, key: str, bought: Line | None, amount: int, units: int, time: str | None,
        notes: dict[str, str],
    ) -> None:  # fmt: skip
        found = priced(amount, units)
        gift_card = bought is not None and bought.is_a == GIFT_CARD
        self.order.refunds.append(
            Refund(
                key, time, found.price, units if units > 0 else None, found.discount,
                kind=kinds.CUSTOM if gift_card else kinds.REFUND,
                columns=dict(bought.columns) if bought else {},
                notes=notes | ({"note": "gift_card_refund"} if gift_card else {}),
            )
        )  # fmt: skip

    def _shipping_back(self, refund: Node, key: str, time: str | None) -> int:
        """Shipping that went back is no product's: a fact of its own. The amount, tax included."""
        found = below(refund, "refundShippingLines", "RefundShippingLine")
        amount = sum(money(line, "subtotalAmountSet") or 0 for line in found)
        if amount:
            self.order.refunds.append(
                Refund(f"{key}#shipping", time, amount, kind=kinds.CUSTOM,
                       notes={"note": "shipping_refund"})
            )  # fmt: skip
        return amount + sum(money(line, "taxAmountSet") or 0 for line in found)

    def _adjust(
        self, refund: Node, key: str, time: str | None, first: int, tax: int, shipped: int
    ) -> None:
        """What went back besides the lines, or was kept back of them (`OrderAdjustment`).

        Below zero more went back than the lines are worth, above zero less. Where adjustments are
        not exported, what a refund's total exceeds its parts by went back besides.
        """
        if has(refund, "orderAdjustments", "OrderAdjustment"):
            kept = sum(
                money(found, "amountSet") or 0
                for found in below(refund, "orderAdjustments", "OrderAdjustment")
                if found.get("kind") != "SHIPPING_REFUND"
            )
        else:
            kept = min(-self._beyond_lines(refund, first, tax, shipped), 0)
        made = [r for r in self.order.refunds[first:] if r.kind == kinds.REFUND]
        if kept < 0:
            self.order.refunds.append(
                Refund(f"{key}#adjustment", time, -kept, notes={"note": "adjustment"})
            )
        elif kept > 0 and made:
            values = [r.price * (r.units or 1) - r.discount for r in made]
            for one, part in zip(made, allocated(min(kept, sum(values)), values), strict=True):
                one.discount += part

    def _beyond_lines(self, refund: Node, first: int, tax: int, shipped: int) -> int:
        total = money(refund, "totalRefundedSet")
        if total is None or self.by_quantity:
            return 0
        lines = sum(
            r.price * (r.units or 1) - r.discount
            for r in self.order.refunds[first:]
            if not r.key.endswith("#shipping")
        )
        return total - lines - shipped - (0 if self.node.get("taxesIncluded") else tax)

    def _name_excess(self) -> None:
        """Refunds without lines that are more than the whole order: the rest is kept and named."""
        paid = money(self.node, "totalPriceSet")
        back = sum(money(refund, "totalRefundedSet") or 0 for refund in self.refunds)
        gone = sum(r.price * (r.units or 1) - r.discount for r in self.order.refunds)
        nothing_named = not gone and back > 0
        beyond = back if nothing_named else back - paid if paid is not None else 0
        if beyond > 0:
            notes = {"note": "adjustment", "refunded": amount_text(back) or ""}
            self.order.refunds.append(Refund("excess", self._last_time(), beyond, notes=notes))


def _in_order(key: str | None) -> tuple[int, str]:
    """Ids are numbers: in their order, whatever order the file has them in."""
    return len(key or ""), key or ""


def _line_key(line: Node) -> str:
    """Of a refunded line: the id of the line that was bought."""
    return short_id(inner(line, "lineItem").get("id")) or ""


def _units_back(line: Node) -> int:
    return told_units(line.get("quantity"), "quantity", missing=1)


def _price_and_oddities(line: Node) -> tuple[int, dict[str, str | None]]:
    """The price of a unit (0 where there is none), and what is to go on as it was written."""
    told = line.get("originalUnitPriceSet") or line.get("discountedUnitPriceSet")
    amount = told_amount(told)
    price, written = micros_of(amount), dict[str, str | None]()
    if price is None:
        written["price"] = raw_text(amount)
    quantity = line.get("quantity")
    if quantity is None or (units_of(quantity) == 0 and raw_text(quantity) != "0"):
        written["quantity"] = raw_text(quantity)
    return price or 0, written


def _discount(line: Node, gross: int) -> int:
    """All that was taken off the line's ordered units, order discounts included."""
    allocations: Any = line.get("discountAllocations")
    if isinstance(allocations, list):
        return sum(
            money(found, "allocatedAmountSet") or 0
            for found in allocations
            if isinstance(found, dict)
        )
    discounted = money(line, "discountedTotalSet")
    if discounted is None:  # a query that asks for the line's own discounts alone
        return money(line, "totalDiscountSet") or 0
    return max(gross - discounted, 0)
