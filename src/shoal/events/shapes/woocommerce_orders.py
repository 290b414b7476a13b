"""WooCommerce order exports (CSV): a row an order with its lines in a cell, or a row a line.

Source: WooCommerce documentation, "Customer/Order/Coupon Export", formats "Default" and "Default -
One Row per Item". The columns of other exporters that write a row a line are known by their usual
names; the order's own fields may stand on every row of it or on the first only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from shoal.domain.errors import InputError
from shoal.events.chunks import RawChunk, Source, raw_json
from shoal.events.files import compression_of
from shoal.events.mapping import SourceMapping
from shoal.events.reading_csv import CsvSource
from shoal.events.shapes.amount_marks import Marks
from shoal.events.shapes.flat_table import (
    ROWS_AT_A_TIME,
    ShapedSource,
    Unpacked,
    passed_on,
    text_table,
)
from shoal.events.shapes.order_facts import COLUMNS, fact_rows
from shoal.events.shapes.order_lines import UnreadableError
from shoal.events.shapes.woocommerce_cells import plain_cell
from shoal.events.shapes.woocommerce_order import order_of
from shoal.events.shapes.woocommerce_refunds import Row

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
        "item_left": "quantity_refund item_quantity_refund qty_refund",
        "item_subtotal": "item_subtotal order_line_subtotal line_subtotal",
        "item_total": "item_total order_line_total line_total order_line_w_o_tax",
        "item_price": "item_cost item_price price",
        "item_refunded": "item_refunded item_refund_amount",
        "item_refunded_qty": "item_refunded_qty item_refunded_quantity",
    }
)
_NEEDED: Final = ("order", "date")
#: Of a row a line: any of these says what all its units cost together.
_COUNTED: Final = ("item_quantity", "item_left", "item_total", "item_subtotal")
_AMOUNTS: Final = frozenset(
    {"total", "tax", "shipping", "fees", "discount", "refunded", "item_subtotal", "item_total",
     "item_price", "item_refunded"}
)  # fmt: skip


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
        self._marks = Marks.of(mapping)
        known = {field for field, name in self._column.items() if name is not None}
        missing = [FIELDS[field].split()[0] for field in _NEEDED if field not in known]
        if not known & {"line_items", "item_name", "item_quantity", "item_left"}:
            missing.append("line_items (or item_name and item_quantity)")
        if missing:
            raise _no_orders(path, missing, self._csv.columns)
        if not known & {"line_items", *_COUNTED}:
            raise _not_counted(path, self._csv.columns)

    def unpacked(self) -> Iterator[Unpacked]:
        """A stretch a chunk of the CSV; the order at its end waits for the next chunk."""
        held: list[Row] = []
        held_place = 0
        for chunk in self._csv.chunks():
            part = Unpacked(text_table([], COLUMNS), [], passed_on(chunk.rejected))
            rows: list[dict[str, Any]] = []
            for place, row in self._rows(chunk):
                if not row.get("order"):
                    what = "the column of the order's number is empty"
                    part.rejected.append((place, "missing_order_id", what, raw_json(row)))
                    continue
                if held and row["order"] != held[0]["order"]:
                    rows += self._facts(held, held_place, part)
                    held = []
                held_place = held_place if held else place
                held.append(row)
            self._marks.restored(rows)
            yield replace(part, table=text_table(rows, COLUMNS), bytes_read=chunk.bytes_read)
        part = Unpacked(text_table([], COLUMNS), [], bytes_read=self.size_bytes)
        rows = self._facts(held, held_place, part)
        self._marks.restored(rows)
        yield replace(part, table=text_table(rows, COLUMNS))

    def _facts(self, held: list[Row], place: int, part: Unpacked) -> list[dict[str, Any]]:
        """The facts of an order that is complete; one that cannot be read is rejected whole."""
        if not held:
            return []
        code, what = "bad_lines", ""
        try:
            order = order_of(held)
        except UnreadableError as fault:
            order, code = None, fault.code
            what = fault.said(self._column.get(fault.name) or fault.name)
        if order is None:
            what = what or f"line_items = {held[0].get('line_items', '')[:80]!r}"
            part.rejected.append((place, code, what, "\n".join(map(raw_json, held))))
            return []
        found = fact_rows(order)
        part.places += [place] * len(found)
        return found

    def _rows(self, chunk: RawChunk) -> Iterator[tuple[int, dict[str, str]]]:
        fields = [(field, name) for field, name in self._column.items() if name is not None]
        columns = [chunk.table[name].to_pylist() for _, name in fields]
        names = [field for field, _ in fields]
        for place, values in zip(
            chunk.row_places().tolist(), zip(*columns, strict=True), strict=True
        ):
            row = {n: plain_cell(v) for n, v in zip(names, values, strict=True) if v}
            if not self._marks.usual:
                row = {n: self._marks.plain(v) if n in _AMOUNTS else v for n, v in row.items()}
            yield place, {n: v for n, v in row.items() if v}


def plain_name(name: str) -> str:
    """A column's name in lower case, other signs as single underscores.

    >>> plain_name("Email (Billing)"), plain_name("Order Total Amount")
    ('email_billing', 'order_total_amount')
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _no_orders(path: Path, missing: list[str], found: tuple[str, ...]) -> InputError:
    return InputError(
        "unknown_columns",
        f"this is no order export of WooCommerce: it lacks {', '.join(missing)}; found "
        f"{len(found)} columns: {', '.join(repr(name) for name in found[:40])}",
        where=str(path),
        hint="Export orders as CSV in the format Default or Default - One Row per Item, with the "
        "header row as it is.",
    )


def _not_counted(path: Path, found: tuple[str, ...]) -> InputError:
    return InputError(
        "unknown_columns",
        "no column says how many units a line has, nor what they cost together; found "
        f"{len(found)} columns: {', '.join(repr(name) for name in found[:40])}",
        where=str(path),
        hint="Add the column Quantity, Quantity (- Refund) or Order Line Total to the export; a "
        "column of another name can be renamed to one of these.",
    )
