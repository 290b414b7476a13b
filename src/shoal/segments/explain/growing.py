"""Learn a small tree from a segmentation's own memberships, every segment counting the same.

1. scikit-learn grows a classification tree best-first to `OVERGROWTH` times the wanted leaves.
2. Alternating optimisation (Carreira-Perpiñán and Tavallali, 2018): bottom up, each question is
   asked again, given what the branches under it answer, for the customers whom one of the two
   branches gets right. It never makes the tree worse on what it was learned from.
3. The questions that help least for the leaves they take are given up until the wanted number of
   leaves is left (weakest-link pruning, Breiman et al., 1984), and step 2 is done again.

Thresholds are then the shortest numbers that divide the customers as the learned ones do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.segments.explain.tree import Matrix, Node, Places, Rows, Tree

#: Leaves for each segment.
LEAVES_A_SEGMENT: Final = 2
OVERGROWTH: Final = 2
#: Columns that are asked for at all: those that divide most in a tree of `_LOOK_LEAVES` leaves.
_COLUMNS: Final = 25
_LOOK_LEAVES: Final = 256
#: A leaf holds at least this many of the customers learned from, and this share of them.
_LEAF_CUSTOMERS: Final = 5
_LEAF_SHARE: Final = 0.0005
_DIGITS: Final = 15
_MISPLACED: Final = 0.005


def balanced(places: Places) -> Matrix:
    """(n,) weights by which every segment counts the same; they sum to n."""
    sizes = np.bincount(places).astype(np.float64)
    weights: Matrix = len(places) / (np.count_nonzero(sizes) * sizes[places])
    return weights


def grow(X: Matrix, names: Sequence[str], places: Places, *, leaves: int, seed: int = 0) -> Tree:
    """Learn a tree of at most `leaves` leaves.

    Args:
        X: (n, names) values, NaN where undefined.
        places: (n,) segments of the customers.
    """
    growing = _Growing(X.astype(np.float32), places, seed)  # what scikit-learn splits
    chosen = growing.look()
    growing.X = np.ascontiguousarray(growing.X[:, chosen])
    growing.start(leaves * OVERGROWTH)
    growing.improve()
    growing.prune(leaves)
    growing.improve()
    return _tidied(growing.nodes, X[:, chosen], [names[place] for place in chosen])


@dataclass
class _Raw:
    """A node while learning: the column's number (-1: a leaf) and a split of single precision."""

    column: int = -1
    threshold: float = 0.0
    unknown_left: bool = True
    left: int = 0
    right: int = 0
    place: int = 0


@dataclass(frozen=True)
class _Branch:
    """What a branch of the tree loses and how many leaves it takes, and what it would as a leaf."""

    number: int
    lost: float
    leaves: int
    lost_as_leaf: float
    place: int

    @property
    def price(self) -> float:
        """What each leaf saved would cost."""
        return (self.lost_as_leaf - self.lost) / (self.leaves - 1)


class _Growing:
    """A tree that is being learned."""

    def __init__(self, X: npt.NDArray[np.float32], places: Places, seed: int) -> None:
        self.X = X
        self.places = places
        self.weights = balanced(places)
        self.least = max(_LEAF_CUSTOMERS, int(_LEAF_SHARE * len(X)))
        self.seed = seed
        self.nodes: list[_Raw] = []
        self.everybody = np.arange(len(places))

    # -- step 1 ------------------------------------------------------------------------------------

    def look(self) -> list[int]:
        """Places of the columns worth asking for, in their order."""
        width = self.X.shape[1]
        if width <= _COLUMNS or len(np.unique(self.places)) < 2:
            return list(range(width))
        found = self._fitted(self.everybody, self.places, max_leaf_nodes=_LOOK_LEAVES)
        gains = found.compute_feature_importances(normalize=False)
        return sorted(np.argsort(-gains, kind="stable")[:_COLUMNS].tolist())

    def start(self, leaves: int) -> None:
        """Grow best-first."""
        classes = np.unique(self.places)
        if len(classes) < 2 or leaves < 2 or not self.X.shape[1]:
            self.nodes = [_Raw(place=self._commonest(self.everybody))]
            return
        found = self._fitted(self.everybody, self.places, max_leaf_nodes=leaves)
        self.nodes = [
            _Raw(
                int(found.feature[number]) if found.children_left[number] >= 0 else -1,
                float(found.threshold[number]),
                bool(found.missing_go_to_left[number]),
                int(found.children_left[number]),
                int(found.children_right[number]),
                int(classes[found.value[number, 0].argmax()]),
            )
            for number in range(found.node_count)
        ]

    def _fitted(self, rows: Rows, labels: npt.NDArray[Any], **limits: Any) -> Any:
        from sklearn.tree import DecisionTreeClassifier

        model = DecisionTreeClassifier(
            criterion="entropy", min_samples_leaf=self.least, random_state=self.seed, **limits
        )
        return model.fit(self.X[rows], labels, sample_weight=self.weights[rows]).tree_

    # -- answers -----------------------------------------------------------------------------------

    def loss(self) -> float:
        """Weight of the customers that are put wrong."""
        wrong = self._answers(0, self.everybody) != self.places
        return float(self.weights[wrong].sum())

    def _left(self, node: _Raw, rows: Rows) -> npt.NDArray[np.bool_]:
        values = self.X[rows, node.column]
        left: npt.NDArray[np.bool_] = np.where(
            np.isnan(values), node.unknown_left, values <= np.float64(node.threshold)
        )
        return left

    def _answers(self, number: int, rows: Rows) -> Places:
        node = self.nodes[number]
        if node.column < 0:
            return np.full(len(rows), node.place, dtype=np.int64)
        left = self._left(node, rows)
        found = np.empty(len(rows), dtype=np.int64)
        found[left] = self._answers(node.left, rows[left])
        found[~left] = self._answers(node.right, rows[~left])
        return found

    def _commonest(self, rows: Rows) -> int:
        return int(np.bincount(self.places[rows], self.weights[rows]).argmax())

    # -- step 2 ------------------------------------------------------------------------------------

    def improve(self) -> None:
        """Ask the questions again, once, from the bottom up (more rounds changed no figure)."""
        loss, before = self.loss(), [replace(node) for node in self.nodes]
        self._round(0, self.everybody)
        if self.loss() > loss:
            self.nodes = before

    def _round(self, number: int, rows: Rows) -> None:
        node = self.nodes[number]
        if node.column < 0:
            if len(rows):
                node.place = self._commonest(rows)
            return
        left = self._left(node, rows)
        self._round(node.left, rows[left])
        self._round(node.right, rows[~left])
        if len(rows):
            self._ask_again(node, rows)

    def _ask_again(self, node: _Raw, rows: Rows) -> None:
        right_if_left = self._answers(node.left, rows) == self.places[rows]
        right_if_right = self._answers(node.right, rows) == self.places[rows]
        care = right_if_left != right_if_right
        cared, wanted = rows[care], right_if_left[care]
        if len(cared) < 2 * self.least or wanted.all() or not wanted.any():
            return
        found = self._fitted(cared, wanted, max_depth=1)
        if found.node_count < 3:
            return
        new = replace(
            node,
            column=int(found.feature[0]),
            threshold=float(found.threshold[0]),
            unknown_left=bool(found.missing_go_to_left[0]),
        )
        weights = self.weights[cared]
        loss = weights[self._left(node, cared) != wanted].sum()
        # The one question may be put the other way round: its left need not be the wanted left.
        wrong = self._left(new, cared) != wanted
        as_put, turned = weights[wrong].sum(), weights[~wrong].sum()
        if min(as_put, turned) >= loss:
            return
        node.column, node.threshold = new.column, new.threshold
        node.unknown_left = new.unknown_left
        if turned < as_put:
            node.left, node.right = node.right, node.left

    # -- step 3 ------------------------------------------------------------------------------------

    def prune(self, leaves: int) -> None:
        """Make leaves of the branches that cost least, until no more than `leaves` are left."""
        while True:
            found: list[_Branch] = []
            whole = self._branches(0, self.everybody, found)
            if whole.leaves <= leaves:
                return
            cheapest = min(found, key=lambda one: (one.price, one.number))
            self.nodes[cheapest.number] = _Raw(place=cheapest.place)

    def _branches(self, number: int, rows: Rows, found: list[_Branch]) -> _Branch:
        node = self.nodes[number]
        place = self._commonest(rows) if len(rows) else node.place
        as_leaf = self._lost(rows, place)
        if node.column < 0:
            return _Branch(number, self._lost(rows, node.place), 1, as_leaf, place)
        left = self._left(node, rows)
        a = self._branches(node.left, rows[left], found)
        b = self._branches(node.right, rows[~left], found)
        own = _Branch(number, a.lost + b.lost, a.leaves + b.leaves, as_leaf, place)
        found.append(own)
        return own

    def _lost(self, rows: Rows, place: int) -> float:
        return float(self.weights[rows][self.places[rows] != place].sum())


# --- The tree as it is told -----------------------------------------------------------------------


def _tidied(raw: Sequence[_Raw], X: Matrix, names: Sequence[str]) -> Tree:
    """The tree with short thresholds, without questions that change no answer."""
    nodes: list[Node] = []

    def put(number: int, rows: Rows) -> int:
        one = raw[number]
        own = len(nodes)
        if one.column < 0:
            nodes.append(Node(place=one.place))
            return own
        values = X[rows, one.column]
        unknown = np.isnan(values)
        single = values.astype(np.float32)
        left = np.where(unknown, one.unknown_left, single <= np.float64(one.threshold))
        if left.all() or not left.any():
            return put(one.left if left.all() else one.right, rows)
        nodes.append(Node())
        branches = put(one.left, rows[left]), put(one.right, rows[~left])
        ends = [nodes[branch] for branch in branches]
        if ends[0] == ends[1] and not ends[0].feature:
            del nodes[own + 1 :]
            nodes[own] = ends[0]
        else:
            threshold = short_between(values[left & ~unknown], values[~left & ~unknown])
            nodes[own] = Node(names[one.column], threshold, one.unknown_left, *branches)
        return own

    put(0, np.arange(len(X)))
    return Tree(tuple(nodes))


def short_between(left: Matrix, right: Matrix) -> float:
    """The shortest number that divides left from right, values of at most it going left.

    A shorter one is taken although a few (`_MISPLACED` of all) are then on the other side: a rule
    is to be read. What the tree is worth is measured with the numbers that it tells.

    >>> short_between(np.array([1.0, 3.0]), np.array([4.0, 9.0]))
    3.0
    >>> short_between(np.array([0.1234]), np.array([0.1391]))
    0.13
    """
    if not len(right):
        return float(left.max()) if len(left) else 0.0
    high = float(right.min())
    low = float(left.max()) if len(left) else high - max(abs(high), 1.0)
    if low.is_integer() and high - low == 1.0:
        return low  # of counts: "at most 3"
    middle = low + (high - low) / 2
    most = int(_MISPLACED * (len(left) + len(right)))
    for digits in range(1, _DIGITS + 1):
        short = float(f"{middle:.{digits}g}")
        if np.count_nonzero(left > short) + np.count_nonzero(right <= short) <= most:
            return short
    return low
