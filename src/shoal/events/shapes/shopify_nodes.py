"""Nodes of Shopify's GraphQL Admin API: types, ids, money and connections as it writes them."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from shoal.events.shapes.order_lines import told_micros

Node: TypeAlias = dict[str, Any]

#: Names the parent of a node of a nested connection.
PARENT: Final = "__parentId"
#: Where a node's children from further lines are kept.
CHILDREN: Final = "__children"

_GID: Final = "gid://shopify/"


def type_of(node: Node) -> str:
    """The node's type, by its id or `__typename`; told by its fields where it has neither."""
    told = node.get("__typename") or node.get("id")
    if isinstance(told, str):
        return told.removeprefix(_GID).split("/")[0]
    if "lineItem" in node:
        return "RefundLineItem"
    return "LineItem" if "originalUnitPriceSet" in node else ""


def short_id(gid: Any) -> str | None:
    """The last part of a global id.

    >>> short_id("gid://shopify/Order/123?key=1"), short_id(None)
    ('123', None)
    """
    return str(gid).split("?")[0].rsplit("/", 1)[-1] if gid else None


def told_amount(bag: Any) -> Any:
    """The amount of a MoneyBag (in the shop's currency), of a MoneyV2, or a bare one, as told."""
    if not isinstance(bag, dict):
        return bag
    inner = bag.get("shopMoney", bag)
    return inner.get("amount") if isinstance(inner, dict) else inner


def money(node: Node, name: str) -> int | None:
    """Micro-units of an amount of a node; None where there is none.

    Raises:
        UnreadableError: it is not a number.
    """
    return told_micros(told_amount(node.get(name)), name)


def currency_of(bag: Any) -> str | None:
    """The currency of a MoneyBag in the shop's currency."""
    inner = bag.get("shopMoney", bag) if isinstance(bag, dict) else None
    return inner.get("currencyCode") if isinstance(inner, dict) else None


def below(node: Node, connection: str, kind: str) -> list[Node]:
    """The nodes of a connection: within the node itself (a list, edges or nodes), and of the
    further lines that name the node as their parent."""
    inner = node.get(connection)
    if isinstance(inner, dict):
        edges = inner.get("edges")
        inner = inner.get("nodes") or [
            edge.get("node") for edge in (edges if isinstance(edges, list) else ())
            if isinstance(edge, dict)
        ]  # fmt: skip
    own = [found for found in inner if isinstance(found, dict)] if isinstance(inner, list) else []
    return own + [child for child in node.get(CHILDREN, ()) if type_of(child) == kind]


def nested_nodes(node: Node) -> list[Node]:
    """The nodes with an id that a node holds in lists (an order its refunds)."""
    return [
        found
        for value in node.values()
        if isinstance(value, list)
        for found in value
        if isinstance(found, dict) and isinstance(found.get("id"), str)
    ]


def has(node: Node, connection: str, kind: str) -> bool:
    """Whether the export holds a connection at all, be it empty."""
    return connection in node or any(type_of(child) == kind for child in node.get(CHILDREN, ()))


def texts(value: Any) -> list[str]:
    """The texts of a list, or of a text with commas; none of anything else."""
    if isinstance(value, str):
        return value.split(",")
    return [found for found in value if isinstance(found, str)] if isinstance(value, list) else []


def inner(node: Node, name: str) -> Node:
    """An object within a node, an empty one where there is none."""
    value = node.get(name)
    return value if isinstance(value, dict) else {}


def text(node: Node, name: str) -> str | None:
    """A text of a node; None for anything else."""
    value = node.get(name)
    return value if isinstance(value, str) and value else None
