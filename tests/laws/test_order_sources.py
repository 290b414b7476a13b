"""Laws of shaped sources: money adds up on any order, and no input whatever brings them down."""

from __future__ import annotations

import csv
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.flat_events import net_of_orders, read

from shoal.domain.money import micros
from shoal.events import presets
from shoal.events.shapes.order_facts import fact_rows
from shoal.events.shapes.order_lines import UnreadableError
from shoal.events.shapes.segment_calls import Calls
from shoal.events.shapes.segment_orders import Row
from shoal.events.shapes.shopify_order import order_of as shopify_order
from shoal.events.shapes.shopify_records import customer_rows, product_rows
from shoal.events.shapes.woocommerce_order import order_of as woocommerce_order

_CENTS = st.integers(0, 10**6)


def _text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


@st.composite
def _shopify(draw: st.DrawFn) -> tuple[list[dict[str, str]], int]:
    """(rows of an order, cents of its subtotal less what went back for products)."""
    lines = draw(st.lists(st.tuples(st.integers(0, 9), _CENTS), min_size=1, max_size=5))
    gross = sum(units * price for units, price in lines)
    subtotal = gross - draw(st.integers(0, gross))
    tax, shipping = draw(_CENTS), draw(_CENTS)
    total = subtotal + tax + shipping
    back = draw(st.sampled_from([0, total]))
    rows = [
        {"Name": "#1", "Lineitem quantity": str(units), "Lineitem name": "Cup",
         "Lineitem price": _text(price), "Lineitem discount": "0.00"}
        for units, price in lines
    ]  # fmt: skip
    rows[0] |= {"Id": "1", "Financial Status": "paid", "Currency": "EUR", "Taxes": _text(tax),
                "Subtotal": _text(subtotal), "Shipping": _text(shipping), "Total": _text(total),
                "Refunded Amount": _text(back),
                "Created at": "2024-05-01 10:00:00 +0200"}  # fmt: skip
    return rows, 0 if back else subtotal


@settings(max_examples=60)
@given(_shopify())
def test_the_net_of_a_shopify_order_is_its_subtotal_or_nothing(
    order: tuple[list[dict[str, str]], int],
) -> None:
    rows, net = order
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], restval="")
            writer.writeheader()
            writer.writerows(rows)
        found = read("shopify-orders", path, rows_per_chunk=2)
    assert not found.quarantined
    assert net_of_orders(found.events).get("1", 0) == net * 10_000


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 9), _CENTS, st.integers(0, 100)), min_size=1, max_size=5),
    _CENTS,
    _CENTS,
    st.integers(0, 500),
)
def test_the_net_of_a_woocommerce_order_is_what_its_lines_cost(
    lines: list[tuple[int, int, int]], tax: int, shipping: int, fee: int
) -> None:
    cells, net = [], 0
    for number, (units, subtotal, percent) in enumerate(lines):
        total = subtotal * percent // 100
        net += total
        cells.append(f"id:{number}|name:Cup|quantity:{units}|subtotal:{_text(subtotal)}"
                     f"|total:{_text(total)}")  # fmt: skip
    row = {"order": "1", "date": "2024-05-01 10:00:00", "line_items": ";".join(cells),
           "tax": _text(tax), "shipping": _text(shipping), "fees": _text(fee),
           "total": _text(net + tax + shipping + fee)}  # fmt: skip
    order = woocommerce_order([row])
    assert order is not None and order.net == net * 10_000
    rows = fact_rows(order)
    sums = {name: sum(micros(r[name]) for r in rows if r.get(name)) for name in ("tax", "shipping")}
    assert sums == {"tax": tax * 10_000, "shipping": shipping * 10_000}


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
              st.sampled_from(["1", "2024-05-01T00:00:00Z", "Order Completed", "track", "-3"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["id", "quantity", "price", "products", "discount", "shopMoney", "amount", "nodes",
                 "edges", "node", "lineItem", "subtotalSet", "traits", "consent", "name",
                 "categoryPreferences", "currencyCode", "tags", "a"]
            ),
            inner, max_size=4,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


def _holding(names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names.split()), _JSON, max_size=8)


@settings(max_examples=100)
@given(
    _holding("type event userId anonymousId messageId properties traits context timestamp sentAt "
             "receivedAt originalTimestamp previousId groupId name category"),
    st.sampled_from([None, "track", "identify", "page", "screen", "alias", "group"]),
)  # fmt: skip
def test_any_call_is_unpacked_into_rows(call: dict[str, Any], kind: str | None) -> None:
    call |= {"type": kind} if kind else {}
    if kind == "track":
        call["event"] = "Order Completed"
    rows: list[Row] = Calls(presets.load("segment-spec")).rows(call)
    assert rows
    told = call.get("properties")
    for row in rows if told is None or isinstance(told, dict) else ():  # else refused as it is
        assert row[-1] is None or isinstance(json.loads(row[-1]), dict)


@settings(max_examples=100)
@given(
    _holding("id name createdAt processedAt updatedAt cancelledAt test email tags customer refunds "
             "lineItems transactions totalTaxSet subtotalPriceSet totalPriceSet discountCodes "
             "paymentGatewayNames shippingAddress totalTipReceivedSet customerAcceptsMarketing "
             "variants title price sku product emailMarketingConsent defaultAddress"),
    st.lists(_holding("id quantity currentQuantity originalUnitPriceSet discountAllocations "
                      "variant product sku isGiftCard discountedTotalSet"), max_size=3),
    st.lists(_holding("id createdAt totalRefundedSet refundLineItems orderAdjustments "
                      "refundShippingLines"), max_size=2),
)  # fmt: skip
def test_any_record_of_the_admin_api_is_unpacked(
    node: dict[str, Any], lines: list[dict[str, Any]], refunds: list[dict[str, Any]]
) -> None:
    for order in (node, {**node, "lineItems": lines, "refunds": refunds}):
        with suppress(UnreadableError):  # refused whole
            fact_rows(shopify_order(order))
    assert customer_rows(node) and product_rows(node)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(["date", "status", "customer", "tax", "fees", "discount", "refunded",
                         "line_items", "fee_items", "refunds", "coupon_items", "total"]),
        st.one_of(st.text(max_size=8), st.sampled_from(["-3", "1e9", "[1]", "{}", "a:1|b:2"])),
    )
)  # fmt: skip
def test_any_row_of_an_export_is_unpacked_or_refused(row: dict[str, str]) -> None:
    with suppress(UnreadableError):
        order = woocommerce_order([{**row, "order": "1"}])
        assert order is None or isinstance(fact_rows(order), list)
