"""Results of Shopify's bulk operations (JSON Lines): orders, customers and products with children.

Source: Shopify developer documentation, "Perform bulk operations with the GraphQL Admin API": each
line is a node; a node of a nested connection names its parent in `__parentId` and, with
`groupObjects: true`, stands right below it.

Only the record in hand is kept in memory. A child whose parent is not part of it is rejected.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shoal.events.chunks import Source
from shoal.events.files import io_errors
from shoal.events.mapping import SourceMapping
from shoal.events.shapes import SKIP
from shoal.events.shapes.flat_table import (
    Rejected,
    ShapedSource,
    Unpacked,
    one_table,
    text_table,
)
from shoal.events.shapes.json_blocks import head_object, json_blocks
from shoal.events.shapes.order_facts import COLUMNS as ORDER_COLUMNS
from shoal.events.shapes.order_facts import fact_rows, orphan
from shoal.events.shapes.shopify_nodes import CHILDREN, PARENT, Node, type_of
from shoal.events.shapes.shopify_order import order_of
from shoal.events.shapes.shopify_records import customer_rows, product_rows

COLUMNS: Final = (*ORDER_COLUMNS, SKIP)
_UNGROUPED: Final = (
    "its parent {parent!r} is not the record right before it; run the bulk operation with "
    "groupObjects: true"
)


def open_shaped(path: Path, mapping: SourceMapping, rows_per_chunk: int) -> Source:
    """The file as a source of flat facts (`order_facts.COLUMNS` and `_skip`).

    Raises:
        InputError: `input_unreadable`, `input_empty`.
    """
    del mapping
    with io_errors(path):
        head_object(path)
    return ShopifyBulk(path, COLUMNS, rows_per_chunk)


class _Record:
    """A node without a parent, and the nodes below it that came so far."""

    def __init__(self, node: Node, place: int) -> None:
        self.node, self.place = node, place
        self.members: dict[str, Node] = {}
        self._enter(node)

    def _enter(self, node: Node) -> None:
        """Know a node and those that it holds in lists (an order its refunds) as parents."""
        if isinstance(node.get("id"), str):
            self.members[node["id"]] = node
        for value in node.values():
            if isinstance(value, list):
                for inner in value:
                    if isinstance(inner, dict) and isinstance(inner.get("id"), str):
                        self.members[inner["id"]] = inner

    def adopts(self, child: Node) -> bool:
        """Take a child whose parent is here."""
        parent = self.members.get(child[PARENT]) if isinstance(child[PARENT], str) else None
        if parent is None:
            return False
        parent.setdefault(CHILDREN, []).append(child)
        self._enter(child)
        return True


class ShopifyBulk(ShapedSource):
    """The records of a bulk operation's result, in its order."""

    def unpacked(self) -> Iterator[Unpacked]:
        """Stretches of about `rows_per_chunk` flat rows."""
        record: _Record | None = None
        rows: list[dict[str, Any]] = []
        tables: list[pa.Table] = []
        places: list[int] = []
        rejected: list[Rejected] = []
        for block in json_blocks(self.path):
            rejected += block.rejected
            for node, place, line in zip(block.objects, block.places, block.lines, strict=True):
                if PARENT not in node:
                    _add(record, rows, places)
                    record = _Record(node, place) if isinstance(node.get("id"), str) else None
                    if record is None:
                        rejected.append((place, "missing_order_id", "the record has no id", line))
                elif record is None or not record.adopts(node):
                    what = _UNGROUPED.format(parent=node[PARENT])
                    rejected.append(orphan(place, what, line))
            tables.append(text_table(rows, COLUMNS))
            rows = []
            if max(len(places), len(rejected)) >= self.rows_per_chunk:
                yield Unpacked(one_table(tables), places, rejected, block.bytes_read)
                tables, places, rejected = [], [], []
        _add(record, rows, places)
        tables.append(text_table(rows, COLUMNS))
        yield Unpacked(one_table(tables), places, rejected, self.size_bytes)


def _add(record: _Record | None, rows: list[dict[str, Any]], places: list[int]) -> None:
    if record is not None:
        found = _rows(record.node)
        rows += found
        places += [record.place] * len(found)


def _rows(node: Node) -> list[dict[str, Any]]:
    """The flat rows of a record: at least one, if only to be skipped."""
    kind = type_of(node)
    if kind == "Order":
        found = fact_rows(order_of(node))
    elif kind == "Customer":
        found = customer_rows(node)
    elif kind in ("Product", "ProductVariant"):
        found = product_rows(node)
    else:
        return [{SKIP: f"no facts are read from a {kind}"}]
    return found or [{SKIP: f"{kind} without anything in it"}]
