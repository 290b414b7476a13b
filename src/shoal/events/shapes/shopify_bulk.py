"""Results of Shopify's bulk operations (JSON Lines): orders, customers and products with children.

Source: Shopify developer documentation, "Perform bulk operations with the GraphQL Admin API": each
line is a node; a node of a nested connection names its parent in `__parentId`. With
`groupObjects: true` it stands right below its parent: then only the record in hand is kept in
memory. A file in any other order is brought together first (`shopify_grouping`). A child without
its parent is rejected.
"""

from __future__ import annotations

import json
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
from shoal.events.shapes.order_lines import UnreadableError
from shoal.events.shapes.shopify_grouping import gathered, is_grouped
from shoal.events.shapes.shopify_nodes import CHILDREN, PARENT, Node, nested_nodes, type_of
from shoal.events.shapes.shopify_order import order_of
from shoal.events.shapes.shopify_records import customer_rows, product_rows

COLUMNS: Final = (*ORDER_COLUMNS, SKIP)
_LATE: Final = (
    "its parent {0!r} is not the record right before it, although the file begins in groups; run "
    "the bulk operation again, with groupObjects: true"
)
_AGAIN: Final = "the record stands in the file again, as of the same moment"
_NOWHERE: Final = "its parent {0!r} is nowhere in the file"


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
        """Know a node and those that it holds in lists as parents."""
        if isinstance(node.get("id"), str):
            self.members[node["id"]] = node
        self.members.update({found["id"]: found for found in nested_nodes(node)})

    def adopts(self, child: Node) -> bool:
        """Take a child whose parent is here."""
        parent = self.members.get(child[PARENT]) if isinstance(child[PARENT], str) else None
        if parent is None:
            return False
        parent.setdefault(CHILDREN, []).append(child)
        self._enter(child)
        return True


class ShopifyBulk(ShapedSource):
    """The records of a bulk operation's result."""

    def unpacked(self) -> Iterator[Unpacked]:
        """Stretches of about `rows_per_chunk` flat rows."""
        return self._in_order() if is_grouped(self.path) else self._gathered()

    def _in_order(self) -> Iterator[Unpacked]:
        """A grouped file: a record is complete when the next one begins."""
        record: _Record | None = None
        found = _Found()
        for block in json_blocks(self.path):
            found.rejected += block.rejected
            for node, place, line in zip(block.objects, block.places, block.lines, strict=True):
                if PARENT not in node:
                    found.add(record)
                    record = _Record(node, place) if isinstance(node.get("id"), str) else None
                    if record is None:
                        found.rejected.append(_nameless(place, line))
                elif record is None or not record.adopts(node):
                    found.rejected.append(orphan(place, _LATE.format(node[PARENT]), line))
            found.pack()
            if found.many(self.rows_per_chunk):
                yield found.taken(block.bytes_read)
        found.add(record)
        yield found.taken(self.size_bytes)

    def _gathered(self) -> Iterator[Unpacked]:
        """A file in any order, its records brought together first."""
        found = _Found()
        for records in gathered(self.path, found.rejected):
            for one in records:
                record = None
                if one.node is not None and isinstance(one.node.get("id"), str):
                    record = _Record(one.node, one.place)
                elif one.node is not None:
                    found.rejected.append(_nameless(one.place, _line(one.node)))
                for place, child in one.children:
                    if record is None or not record.adopts(child):
                        what = _NOWHERE.format(child[PARENT])
                        found.rejected.append(orphan(place, what, _line(child)))
                found.add(record)
                found.leave_out(one.again, _AGAIN)
                found.pack(5000)
                if found.many(self.rows_per_chunk):
                    yield found.taken(self.size_bytes)
        yield found.taken(self.size_bytes)


class _Found:
    """Flat rows on their way into tables."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.tables: list[pa.Table] = []
        self.places: list[int] = []
        self.rejected: list[Rejected] = []

    def add(self, record: _Record | None) -> None:
        """The facts of a record that is complete."""
        if record is not None:
            try:
                made = _rows(record.node)
            except UnreadableError as fault:
                whole = json.dumps(record.node, ensure_ascii=False)
                whole = whole.encode("utf-8", "backslashreplace").decode()  # halves of a pair
                self.rejected.append((record.place, fault.code, str(fault), whole))
                return
            self.rows += made
            self.places += [record.place] * len(made)

    def leave_out(self, places: list[int], why: str) -> None:
        """Rows that are read and hold no facts."""
        self.rows += [{SKIP: why}] * len(places)
        self.places += places

    def pack(self, rows: int = 0) -> None:
        """Rows into a table, when there are more than some."""
        if len(self.rows) > rows:
            self.tables.append(text_table(self.rows, COLUMNS))
            self.rows = []

    def many(self, rows: int) -> bool:
        return max(len(self.places), len(self.rejected)) >= rows

    def taken(self, bytes_read: int) -> Unpacked:
        """All so far, to begin anew."""
        self.pack()
        table = one_table(self.tables or [text_table([], COLUMNS)])
        taken = Unpacked(table, self.places, list(self.rejected), bytes_read)
        self.tables, self.places = [], []
        self.rejected.clear()
        return taken


def _nameless(place: int, line: str) -> Rejected:
    return (place, "missing_order_id", "the record has no id", line)


def _line(node: Node) -> str:
    return json.dumps({name: value for name, value in node.items() if name != CHILDREN})


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
