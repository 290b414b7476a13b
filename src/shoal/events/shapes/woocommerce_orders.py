"""WooCommerce order exports (CSV): a row an order with its lines in a cell, or a row a line.

Source: WooCommerce documentation, "Customer/Order/Coupon Export", formats "Default" and "Default -
One Row per Item". The columns of other exporters that write a row a line are known by their usual
names; the order's own fields may stand on every row of it or on the first only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from shoal.domain.errors import InputError
from shoal.events.chunks import RawChunk, Source, raw_json
from shoal.events.files import compression_of
from shoal.events.mapping import SourceMapping
from shoal.events.reading_csv import CsvSource
from shoal.events.shapes.flat_table import (
    ROWS_AT_A_TIME,
    Rejected,
    ShapedSource,
    Unpacked,
    passed_on,
    text_table,
)
from shoal.events.shapes.order_facts import COLUMNS, fact_rows
from shoal.events.shapes.woocommerce_cells import plain_cell
from shoal.events.shapes.woocommerce_order import order_of

#: Field -> the names its column goes by (lower case, other signs as `_`), surest first.
FIELDS: Final = MappingProxyType(
    {
        "order": "order_id order_number id",
        "number": "order_number_formatted order_number number",
        "date": "date_created_gmt order_date_gmt order_date date date_created created_date",
        "modified": "date_modified modified_date order_modified_date last_modified",
        "paid": "date_paid paid_date order_paid_date date_completed completed_date",
        "status": "status order_status",
        "currency": "order_currency currency currency_code",
        "total": "order_total order_total_amount total",
        "tax": "tax_total order_total_tax_amount total_tax order_tax",
        "shipping": "shipping_total order_shipping_amount shipping_cost order_shipping",
        "fees": "fee_total order_fee_amount total_fee_amount",
        "discount": "discount_total cart_discount_amount cart_discount order_discount",
        "refunded": "refunded_total order_refund_amount total_refunded",
        "payment": "payment_method payment_method_title",
        "customer": "customer_id customer_user_id customer_user user_id",
        "email": "billing_email email_billing customer_email email",
        "phone": "billing_phone phone_billing",
        "country": "shipping_country country_code_shipping billing_country country_code_billing",
        "region": "shipping_state_code state_code_shipping billing_state_code state_code_billing",
        "coupon_items": "coupon_items",
        "coupon": "coupons coupon_code coupon_codes",
        "fee_items": "fee_items",
        "refunds": "refunds",
        "line_items": "line_items",
        "ip": "customer_ip_address ip_address",
        "agent": "customer_user_agent user_agent",
        "item_id": "item_id",
        "item_name": "item_name product_name",
        "item_product": "item_product_id product_id",
        "item_variation": "item_variation_id variation_id",
        "item_sku": "item_sku sku product_sku",
        "item_category": "item_category category product_categories",
        "item_quantity": "item_quantity quantity qty",
        "item_subtotal": "item_subtotal order_line_subtotal line_subtotal",
        "item_total": "item_total order_line_total line_total",
        "item_price": "item_cost item_price price",
        "item_refunded": "item_refunded item_refund_amount",
        "item_refunded_qty": "item_refunded_qty item_refunded_quantity",
    }
)
_NEEDED: Final = ("order", "date")

Row = Mapping[str, str]


def open_shaped(path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
    """The file as a source of flat facts (`order_facts.COLUMNS`).

    Raises:
        InputError: `input_unreadable`, `input_empty`, `unknown_columns`, `duplicate_headers`.
    """
    return WooCommerceOrders(path, mapping, rows_per_chunk)


class WooCommerceOrders(ShapedSource):
    """The orders of an export, in its order."""

    def __init__(self, path: Path, mapping: SourceMapping, rows_per_chunk: int) -> None:
        super().__init__(path, COLUMNS, rows_per_chunk)
        at_a_time = min(rows_per_chunk, ROWS_AT_A_TIME)
        self._csv = CsvSource(path, compression_of(path), at_a_time, mapping)
        plain = {plain_name(name): name for name in reversed(self._csv.columns)}
        self._column = {
            field: next((plain[name] for name in names.split() if name in plain), None)
            for field, names in FIELDS.items()
        }
        lines = [self._column[name] for name in ("line_items", "item_name", "item_quantity")]
        missing = [FIELDS[field].split()[0] for field in _NEEDED if self._column[field] is None]
        missing += [] if any(lines) else ["line_items (or item_name and item_quantity)"]
        if missing:
            raise _no_orders(path, missing, self._csv.columns)

    def unpacked(self) -> Iterator[Unpacked]:
        """A stretch a chunk of the CSV; the order at its end waits for the next chunk."""
        held: list[Row] = []
        held_place = 0
        for chunk in self._csv.chunks():
            rows: list[dict[str, str]] = []
            places: list[int] = []
            rejected = passed_on(chunk.rejected)
            for place, row in self._rows(chunk):
                if not row.get("order"):
                    what = "the column of the order's number is empty"
                    rejected.append((place, "missing_order_id", what, raw_json(row)))
                    continue
                if held and row["order"] != held[0]["order"]:
                    _add(held, held_place, rows, places, rejected)
                    held = []
                held_place = held_place if held else place
                held.append(row)
            yield Unpacked(text_table(rows, COLUMNS), places, rejected, chunk.bytes_read)
        last: list[dict[str, str]] = []
        places, rejected = [], []
        _add(held, held_place, last, places, rejected)
        yield Unpacked(text_table(last, COLUMNS), places, rejected, self.size_bytes)

    def _rows(self, chunk: RawChunk) -> Iterator[tuple[int, dict[str, str]]]:
        fields = [(field, name) for field, name in self._column.items() if name is not None]
        columns = [chunk.table[name].to_pylist() for _, name in fields]
        names = [field for field, _ in fields]
        for place, values in zip(
            chunk.row_places().tolist(), zip(*columns, strict=True), strict=True
        ):
            yield place, {n: plain_cell(v) for n, v in zip(names, values, strict=True) if v}


def plain_name(name: str) -> str:
    """A column's name in lower case, other signs as single underscores.

    >>> plain_name("Email (Billing)"), plain_name("Order Total Amount")
    ('email_billing', 'order_total_amount')
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _add(
    held: list[Row],
    place: int,
    rows: list[dict[str, str]],
    places: list[int],
    rejected: list[Rejected],
) -> None:
    if not held:
        return
    order = order_of(held)
    if order is None:
        what = f"line_items = {held[0].get('line_items', '')[:80]!r}"
        rejected.append((place, "bad_lines", what, raw_json(held[0])))
        return
    found = fact_rows(order)
    rows += found
    places += [place] * len(found)


def _no_orders(path: Path, missing: list[str], found: tuple[str, ...]) -> InputError:
    return InputError(
        "unknown_columns",
        f"this is no order export of WooCommerce: it lacks {', '.join(missing)}; found "
        f"{len(found)} columns: {', '.join(repr(name) for name in found[:40])}",
        where=str(path),
        hint="Export orders as CSV in the format Default or Default - One Row per Item, with the "
        "header row as it is.",
    )
