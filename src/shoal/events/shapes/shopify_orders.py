"""Shopify's order export (CSV): several rows an order, its own fields on the first of them only.

Source: Shopify Help Center, "Exporting orders to a CSV file" and its glossary of columns.

An order begins with a row that holds order fields (financial status, currency, subtotal, total);
the rows after it with the same `Name` are its further lines. It may straddle chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
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
from shoal.events.shapes.order_facts import (
    COLUMNS,
    GIFT_CARD,
    PRODUCT,
    TIP,
    Line,
    Order,
    Refund,
    email_id,
    fact_rows,
    filled,
    moment,
    order_mark,
    orphan,
)
from shoal.events.shapes.order_lines import amount_text, micros_of, refund_parts, units_of

#: Without these there are no orders in the file.
_NEEDED: Final = ("name", "created at", "lineitem quantity", "lineitem name", "lineitem price")
#: Any of these filled: the row is the first of an order.
_OF_ORDER: Final = ("financial status", "currency", "subtotal", "total")
#: Columns by another name, in exports of other years.
_OTHER_NAMES: Final = {"canceled at": "cancelled at"}
#: Never paid, and never to be.
_VOID: Final = frozenset({"voided", "expired"})
_UNPAID: Final = frozenset({"pending", "authorized", "unpaid", ""})
_GIFT_CARD: Final = re.compile(r"\b(e-?)?gift ?(card|voucher)\b", re.IGNORECASE)

Row = Mapping[str, str]


def open_shaped(path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
    """The file as a source of flat facts (`order_facts.COLUMNS`).

    Raises:
        InputError: `input_unreadable`, `input_empty`, `unknown_columns`, `duplicate_headers`.
    """
    return ShopifyOrders(path, mapping, rows_per_chunk)


class ShopifyOrders(ShapedSource):
    """The orders of an export, in its order."""

    def __init__(self, path: Path, mapping: SourceMapping, rows_per_chunk: int) -> None:
        super().__init__(path, COLUMNS, rows_per_chunk)
        at_a_time = min(rows_per_chunk, ROWS_AT_A_TIME)
        self._csv = CsvSource(path, compression_of(path), at_a_time, mapping)
        plain = {name.strip().lower(): name for name in self._csv.columns}
        self._plain = {name: _OTHER_NAMES.get(key, key) for key, name in plain.items()}
        known = set(self._plain.values())
        missing = [name for name in _NEEDED if name not in known]
        if missing:
            raise _no_orders(path, missing, self._csv.columns)
        self._heads = [name for name in _OF_ORDER if name in known]

    def unpacked(self) -> Iterator[Unpacked]:
        """A stretch a chunk of the CSV; the order at its end waits for the next chunk."""
        held: list[Row] = []
        held_place = 0
        for chunk in self._csv.chunks():
            rows: list[dict[str, str]] = []
            places: list[int] = []
            rejected = passed_on(chunk.rejected)
            for place, row in self._rows(chunk):
                name = row.get("name", "")
                if not name:
                    rejected.append((place, "missing_order_id", "Name is empty", raw_json(row)))
                elif self._begins(row, held):
                    _add(held, held_place, rows, places)
                    held, held_place = [row], place
                elif held and held[0]["name"] == name:
                    held.append(row)
                else:
                    rejected.append(_lost(place, row))
            yield Unpacked(text_table(rows, COLUMNS), places, rejected, chunk.bytes_read)
        last: list[dict[str, str]] = []
        places = []
        _add(held, held_place, last, places)
        yield Unpacked(text_table(last, COLUMNS), places, [], self.size_bytes)

    def _begins(self, row: Row, held: list[Row]) -> bool:
        if self._heads:
            return any(row.get(name) for name in self._heads)
        return not held or held[0]["name"] != row["name"]

    def _rows(self, chunk: RawChunk) -> Iterator[tuple[int, dict[str, str]]]:
        names = [self._plain[name] for name in chunk.table.column_names]
        columns = [column.to_pylist() for column in chunk.table.columns]
        for place, values in zip(
            chunk.row_places().tolist(), zip(*columns, strict=True), strict=True
        ):
            yield place, {n: v.strip() for n, v in zip(names, values, strict=True) if v}


def _add(held: list[Row], place: int, rows: list[dict[str, str]], places: list[int]) -> None:
    if held:
        found = fact_rows(_order(held))
        rows += found
        places += [place] * len(found)


def _order(rows: list[Row]) -> Order:
    """The order of its rows, the first of which holds what concerns it as a whole."""
    head = rows[0]
    email = email_id(head.get("email"))
    status = head.get("financial status", "")
    order = Order(
        key=head.get("id") or head["name"],
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
        tax=micros_of(head.get("taxes")),
        shipping=micros_of(head.get("shipping")),
        consent=_consent(head, email),
        notes={"order_name": head["name"]},
    )
    gift_cards = sum(line.gross for line in order.lines if line.is_a == GIFT_CARD)
    subtotal = micros_of(head.get("subtotal"))
    order.settle_discounts(
        micros_of(head.get("discount amount")), None if subtotal is None else subtotal - gift_cards
    )
    _refund(order, head)
    return order


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
    amount = micros_of(head.get("refunded amount")) or 0
    products = order.net
    given_back = 0
    if amount > 0:
        total = micros_of(head.get("total"))
        subtotal, shipping = micros_of(head.get("subtotal")), order.shipping or 0
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


def _lost(place: int, row: Row) -> Rejected:
    what = f"a further line of order {row['name']!r}, whose first row does not stand before it"
    return orphan(place, what, raw_json(row))


def _no_orders(path: Path, missing: list[str], found: tuple[str, ...]) -> InputError:
    return InputError(
        "unknown_columns",
        f"this is no order export of Shopify: it lacks {', '.join(map(repr, missing))}; found "
        f"{len(found)} columns: {', '.join(repr(name) for name in found[:40])}",
        where=str(path),
        hint="In Shopify: Orders, Export, as CSV (plain or for spreadsheet programs), with all "
        "columns and the header row as it is.",
    )
