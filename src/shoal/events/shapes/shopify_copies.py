"""A record that stands several times in a bulk result of any order: which child is of which copy.

Results that were put one below the other tell an order as often as it was exported, perhaps as it
was at different moments. In a grouped file each copy has its children below it, and restatement
decides (the later `updatedAt` counts). In a file of any order only the places tell.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from shoal.events.shapes.shopify_nodes import PARENT, Node


@dataclass
class Gathered:
    """A record and the nodes below it, parents before their children; `node` is None where the
    record itself is missing. `again` has the places where it stands word for word the same, or as
    it was at the same moment."""

    node: Node | None = None
    place: int = -1
    children: list[tuple[int, Node]] = field(default_factory=list)
    again: list[int] = field(default_factory=list)


Child = tuple[int, Node]


def shared_out(copies: Sequence[Gathered], children: Sequence[Child]) -> list[Gathered]:
    """The copies of a record with the children of each, one for each moment of its last change.

    A child that is there as often as the record is, in the file's order, one of each copy; one that
    is there less often is of the newest ones. Of what one copy has twice the last counts.

    Args:
        copies: of one record, in any order.
        children: all nodes below it, in the file's order.
    """
    ordered = sorted(copies, key=lambda copy: copy.place)
    newest = sorted(ordered, key=lambda copy: (_changed(copy), copy.place))
    places: dict[str, list[Child]] = {}
    for child in children:
        places.setdefault(_name(child[1]), []).append(child)
    own: dict[int, dict[str, Child]] = {copy.place: {} for copy in ordered}
    for name, same in places.items():
        first = max(len(ordered) - len(same), 0)
        among = sorted(newest[first:], key=lambda copy: copy.place)
        for number, child in enumerate(same):
            own[among[number * len(among) // len(same)].place][name] = child
    kept: dict[str, Gathered] = {}
    for copy in newest:
        last = kept.get(_changed(copy))
        again = [*last.again, last.place] if last else []
        before = {_name(node): (place, node) for place, node in last.children} if last else {}
        merged = Gathered(copy.node, copy.place, [*(before | own[copy.place]).values()], again)
        kept[_changed(copy)] = merged
    return list(kept.values())


def _changed(copy: Gathered) -> str:
    """When the record was last changed, as the file has it."""
    return str((copy.node or {}).get("updatedAt") or "")


def _name(node: Node) -> str:
    """What a child is told by: its id, else all that it holds."""
    told = node.get("id")
    return told if isinstance(told, str) else json.dumps([node[PARENT], node], sort_keys=True)
