"""Order events of the Segment e-commerce spec as lines: purchases and refunds.

The order's discount is spread over its products, tax and shipping stand on the first line, so that
net revenue is the spec's `subtotal`: the order after discounts, before tax and shipping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from shoal.events.shapes.order_lines import allocated, amount_text, micros_of, units_of

Row: TypeAlias = list[Any]

#: What tells of a product; in an order's own properties it speaks of its only product.
_PRODUCT: Final = (
    "product_id", "sku", "name", "category", "brand", "variant", "price", "quantity", "position",
    "url", "image_url",
)  # fmt: skip
#: What a product gives, besides its own columns: its name is the title.
_OF_PRODUCT: Final = {"name": "title"}


def order_rows(
    base: Row,
    told: Mapping[str, Any],
    products: list[dict[str, Any]] | None,
    at: Mapping[str, int],
    columns: Mapping[str, int],
    packed: Callable[[Mapping[str, Any]], str | None],
) -> list[Row]:
    """A row a product, `#line` added to the call's id; one row for the amount without products.

    Args:
        base: the call's own columns.
        told: the call's properties.
        at: flat column -> its place in a row.
        columns: property -> place, of those that have a column.
        packed: makes the JSON of properties without a column.
    """
    if not products and told.get("price") is not None:  # one product, told without a list
        products = [{name: told[name] for name in _PRODUCT if told.get(name) is not None}]
        told = {name: value for name, value in told.items() if name not in _PRODUCT}
    order: dict[str, Any] = {}
    for name, value in told.items():
        if value is None or (products and name == "products"):
            continue
        if name in columns and name not in _PRODUCT:
            base[columns[name]] = value
        else:
            order[name] = value
    priced = bool(products) and any(product.get("price") is not None for product in products or ())
    rows: list[Row] = []
    for number, product in enumerate(products or (), 1):
        row = base.copy()
        row[at["event_id"]] = _line_id(base, at, str(number))
        left = _take(row, product, at, columns)
        row[at["properties"]] = packed({**order, **left} if number == 1 else left)
        rows.append(row)
    if not rows:
        rows = [_whole(base, order, at, packed)]
    elif not priced and (whole := _amount(told)) is not None:
        rows.append(_unspread(base, whole, at))
    _spread_discount(rows, told.get("discount") if products else None, at)
    for name in ("tax", "shipping"):
        rows[0][at[name]] = told.get(name)
    return rows


def _take(
    row: Row, product: Mapping[str, Any], at: Mapping[str, int], columns: Mapping[str, int]
) -> dict[str, Any]:
    """Put a product's values into its row; what has no column."""
    left: dict[str, Any] = {}
    for name, value in product.items():
        if value is None:
            continue
        place = columns.get(name)
        if place is None and name in _OF_PRODUCT:
            place = at[_OF_PRODUCT[name]]
        if place is None:
            left[name] = value
        else:
            row[place] = value
    if row[at["item_id"]] is None and "sku" in left:
        row[at["item_id"]] = left.pop("sku")
    return left


def _whole(
    base: Row,
    order: dict[str, Any],
    at: Mapping[str, int],
    packed: Callable[[Mapping[str, Any]], str | None],
) -> Row:
    """The one row of an order that names no products (or names them in no readable way)."""
    row = base.copy()
    row[at["event_id"]] = _line_id(base, at, "1")
    row[at["price"]] = _amount(order)
    for name, column in (("product_id", "item_id"), ("category", "category")):
        row[at[column]] = order.pop(name, None)
    row[at["properties"]] = packed(order)
    return row


def _unspread(base: Row, amount: str, at: Mapping[str, int]) -> Row:
    """The amount of an order whose products have no prices."""
    row = base.copy()
    row[at["event_id"]] = _line_id(base, at, "amount")
    row[at["price"]] = amount
    row[at["quantity"]] = "1"
    return row


def _amount(told: Mapping[str, Any]) -> str | None:
    """The net of an order told as a whole: after discounts, without tax and shipping."""
    subtotal = micros_of(told.get("subtotal"))
    if subtotal is not None:
        return amount_text(subtotal)
    revenue = micros_of(told.get("revenue"))
    if revenue is not None:
        return amount_text(revenue - (micros_of(told.get("discount")) or 0))
    total = next((told[name] for name in ("total", "value") if told.get(name) is not None), None)
    whole = micros_of(total)
    if whole is None:
        return None if total is None else str(total)  # let it be refused as it was written
    on_top = (micros_of(told.get("tax")) or 0) + (micros_of(told.get("shipping")) or 0)
    return amount_text(whole - on_top)


def _spread_discount(rows: list[Row], stated: Any, at: Mapping[str, int]) -> None:
    if stated is None:
        return
    off = micros_of(stated)
    if off is None or off < 0:
        rows[0][at["discount"]] = stated  # refused, as it was written
        return
    price, quantity, place = at["price"], at["quantity"], at["discount"]
    gross = [(micros_of(row[price]) or 0) * units_of(row[quantity]) for row in rows]
    for row, part in zip(rows, allocated(off, gross), strict=True):
        row[place] = amount_text(part) if part else None


def _line_id(base: Row, at: Mapping[str, int], line: str) -> str | None:
    own = base[at["event_id"]]
    return None if own is None else f"{own}#{line}"
