"""A small tree that says who belongs where, over columns that people can read.

It is one of plain comparisons with a stated side for undefined values, so that SQL gives the same
answers. `shoal.segments.explain.growing` learns it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Node:
    """A question, or an answer where `feature` is empty.

    Whoever has a value of at most `threshold` goes to the node `left`, others to `right`;
    `unknown_left` says where an undefined value goes. `place` is the segment answered.
    """

    feature: str = ""
    threshold: float = 0.0
    unknown_left: bool = True
    left: int = 0
    right: int = 0
    place: int = 0


@dataclass(frozen=True)
class Bounds:
    """What a path asks of one feature: above `low`, up to `high` (None: no bound).

    `unknown` is whether a customer without a value stays on the path.
    """

    feature: str
    low: float | None
    high: float | None
    unknown: bool


@dataclass(frozen=True)
class Tree:
    """A tree as a table of nodes; the first one is its root."""

    nodes: tuple[Node, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """Features asked for, each once, in order of the nodes."""
        return tuple(dict.fromkeys(node.feature for node in self.nodes if node.feature))

    @property
    def leaves(self) -> int:
        """Number of answers."""
        return sum(not node.feature for node in self.nodes)

    def predict(self, columns: Mapping[str, Matrix]) -> Places:
        """(n,) places of the segments answered; `columns` holds (n,) values of each feature."""
        return self._answered(self.apply(columns))

    def apply(self, columns: Mapping[str, Matrix]) -> Rows:
        """(n,) numbers of the leaves in which customers end."""
        size = len(next(iter(columns.values()))) if columns else 0
        at = np.zeros(size, dtype=np.int64)
        for number, node in enumerate(self.nodes):  # parents stand before their children
            if node.feature:
                here = np.flatnonzero(at == number)
                left = goes_left(columns[node.feature][here], node)
                at[here] = np.where(left, node.left, node.right)
        return at

    def _answered(self, leaves: Rows) -> Places:
        return np.array([node.place for node in self.nodes], dtype=np.int64)[leaves]

    def paths(self) -> Iterator[tuple[int, int, tuple[Bounds, ...]]]:
        """(number of the leaf, place, bounds of its path) from left to right."""
        yield from self._paths(0, {})

    def _paths(
        self, number: int, bounds: dict[str, Bounds]
    ) -> Iterator[tuple[int, int, tuple[Bounds, ...]]]:
        node = self.nodes[number]
        if not node.feature:
            yield number, node.place, tuple(bounds.values())
            return
        known = bounds.get(node.feature, Bounds(node.feature, None, None, True))
        low = replace(known, high=node.threshold, unknown=known.unknown and node.unknown_left)
        yield from self._paths(node.left, {**bounds, node.feature: low})
        high = replace(known, low=node.threshold, unknown=known.unknown and not node.unknown_left)
        yield from self._paths(node.right, {**bounds, node.feature: high})

    def to_document(self, segment_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The nodes as JSON, segments by id."""
        return [
            {
                "feature": node.feature, "threshold": node.threshold,
                "unknown": "left" if node.unknown_left else "right",
                "left": node.left, "right": node.right,
            }
            if node.feature
            else {"segment_id": segment_ids[node.place]}
            for node in self.nodes
        ]  # fmt: skip

    @classmethod
    def from_document(cls, nodes: Sequence[Mapping[str, Any]], segment_ids: Sequence[str]) -> Self:
        """What `to_document` wrote.

        Raises:
            ValueError: it answers with a segment that is none of `segment_ids`.
        """
        place = {name: number for number, name in enumerate(segment_ids)}
        return cls(
            tuple(
                Node(
                    one["feature"], float(one["threshold"]), one["unknown"] == "left",
                    one["left"], one["right"],
                )
                if "feature" in one
                else Node(place=_known(place, one["segment_id"]))
                for one in nodes
            )
        )  # fmt: skip


def _known(place: Mapping[str, int], segment_id: str) -> int:
    if segment_id not in place:
        raise ValueError(f"the tree answers with {segment_id!r}, which is no segment here")
    return place[segment_id]


def goes_left(values: Matrix, node: Node) -> npt.NDArray[np.bool_]:
    """(n,) whether values go to the left branch of a question."""
    unknown = np.isnan(values)
    left: npt.NDArray[np.bool_] = np.where(unknown, node.unknown_left, values <= node.threshold)
    return left
