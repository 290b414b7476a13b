"""Bulk results whose children do not follow their parents, brought together again.

Since API version 2026-01 bulk operations write nodes in any order unless asked to group them
(changelog "Bulk operations group objects default changed to false"). Such a file is read twice:
once for the nodes within a record that are parents themselves (refunds), once to spread its lines
over parts by their record. Each part then fits into memory. Parts lie in files without a name, and
so go with the process however it ends.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

import xxhash

from shoal.events.files import compression_of
from shoal.events.shapes.flat_table import Rejected
from shoal.events.shapes.json_blocks import json_blocks
from shoal.events.shapes.shopify_copies import Gathered, shared_out
from shoal.events.shapes.shopify_nodes import PARENT, Node, nested_nodes, type_of

#: Lines looked at to see whether a file is grouped.
HEAD_LINES: Final = 10_000
#: Bytes of lines that are brought together in memory at a time, and the most files for it.
PART_BYTES: Final = 16 << 20
_MOST_PARTS: Final = 200
#: What a compressed file grows by, at most, as a rule.
_EXPANDS: Final = 12
#: Types of records: parents of these are records, all others are within one.
_RECORDS: Final = frozenset({"Order", "Customer", "Product"})


def is_grouped(path: Path) -> bool:
    """Whether the children at the file's beginning follow their parents."""
    members: set[str] = set()
    seen = 0
    for block in json_blocks(path):
        for node in block.objects:
            if PARENT not in node:
                members = set()
            elif _parent(node) not in members:
                return False
            members |= {*_ids(node)}
            seen += 1
            if seen >= HEAD_LINES:
                return True
    return True


def gathered(path: Path, rejected: list[Rejected]) -> Iterator[list[Gathered]]:
    """The records of an ungrouped file, some at a time, each part in the file's order.

    Args:
        rejected: takes the lines that are no objects.
    """
    grown = path.stat().st_size * (_EXPANDS if compression_of(path) else 1)
    count = min(max(-(-grown // PART_BYTES), 1), _MOST_PARTS)
    inner = _InnerParents(path)
    with ExitStack() as stack:
        parts = [stack.enter_context(_file()) for _ in range(count)]
        unknown = stack.enter_context(_file())
        for block in json_blocks(path):
            rejected += block.rejected
            for node, place, line in zip(block.objects, block.places, block.lines, strict=True):
                record = inner.record_of(node)
                target = unknown if record is None else parts[_part(record, count)]
                _write(target, record, place, line)
        unknown.seek(0)
        for written in unknown:  # children that came before the parent that names their record
            _, place, line = json.loads(written)
            record = inner.record_of(json.loads(line)) or ""
            _write(parts[_part(record, count)], record, place, line)
        for part in parts:
            part.seek(0)
            yield _together(part)


def _together(part: IO[bytes]) -> list[Gathered]:
    copies: dict[str, list[Gathered]] = {}
    children: dict[str, list[tuple[int, Node]]] = {}
    for written in part:
        record, place, line = json.loads(written)
        node = json.loads(line)
        if PARENT in node:
            children.setdefault(record, []).append((place, node))
        else:
            copies.setdefault(record, []).append(Gathered(node, place))
    found: list[Gathered] = []
    for record in dict.fromkeys([*copies, *children]):
        below = sorted(children.get(record, ()), key=lambda child: child[0])
        one = copies.get(record) or [Gathered()]
        if len(one) == 1 or not record:  # records without an id are as many as they are
            one[0].children = below
        else:
            one = shared_out(one, below)
        for held in one:
            held.children.sort(key=lambda child: (child[1][PARENT] != record, child[0]))
        found += one
    return sorted(found, key=lambda held: held.place)


class _InnerParents:
    """Which record the parents within records belong to (those that are parents, no others)."""

    def __init__(self, path: Path) -> None:
        self.wanted = {
            node[PARENT]
            for block in json_blocks(path)
            for node in block.objects
            if isinstance(node.get(PARENT), str) and type_of({"id": node[PARENT]}) not in _RECORDS
        }
        self.records: dict[str, str] = {}

    def record_of(self, node: Node) -> str | None:
        """The id of the node's record; None where it is not known yet."""
        ids = _ids(node)
        if PARENT not in node:
            record: str | None = ids[0] if ids and ids[0] == node.get("id") else ""
        else:
            parent = _parent(node)
            record = self.records.get(parent) if parent in self.wanted else parent
        if record is not None:
            self.records.update({name: record for name in ids if name in self.wanted})
        return record


def _parent(node: Node) -> str:
    parent = node[PARENT]
    return parent if isinstance(parent, str) else ""


def _ids(node: Node) -> list[str]:
    """The node's own id, and those of the nodes that it holds in lists."""
    own = [node["id"]] if isinstance(node.get("id"), str) else []
    return own + [found["id"] for found in nested_nodes(node)]


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _write(target: IO[bytes], record: str | None, place: int, line: str) -> None:
    target.write(json.dumps([record, place, line]).encode() + b"\n")


def _part(record: str, count: int) -> int:
    return xxhash.xxh64_intdigest(record.encode("utf-8", "surrogatepass")) % count
