"""What became of segments between two segmentations: continued, split, merged, born or died.

Old and new segmentation are asked about the same customers, and counted is how many are in old
segment x and new segment y. With f the share of x that is in y, g the share of y that was in x, and
J their Jaccard overlap (common / all of both):

1. Pairs are the one-to-one matching with most common customers (Kuhn, 1955). A pair is the *same*
   segment where J is at least `Rule.same`, or where J is no less than what refits of the very same
   customers reach among themselves (`shoal.adjust.align.Noise`): overlap lost to chance is no
   change.
2. x *splits* where two or more y hold at least `Rule.part` of it each and had more than `Rule.most`
   of their members there. Whoever left x for segments that live of others makes no split.
3. Two or more x *merge* in y where each gave more than `Rule.most` of its members to y and is at
   least `Rule.part` of it. Whoever died into segments that live on makes no merge.
4. A y that is neither the same as an old one nor of a split or merge is *born*; such an x *died*.

The shares forward are those of MONIC's external transitions (Spiliopoulou et al., KDD 2006); asked
backward as well, deaths are told from splits and births from the splits of whom they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CONTINUE: Final = "continue"
SPLIT: Final = "split"
MERGE: Final = "merge"
BIRTH: Final = "birth"
DEATH: Final = "death"
CHANGES: Final = (CONTINUE, SPLIT, MERGE, BIRTH, DEATH)


@dataclass(frozen=True)
class Rule:
    """Thresholds, shares from 0 to 1; see the module. `part` and `most` were set on the true
    segments of simulated worlds (`bench.identity`)."""

    same: float = 0.5
    part: float = 0.2
    most: float = 0.5


@dataclass(frozen=True)
class Transition:
    """One change in places of segments: `parents` of the old, `children` of the new ones.

    Of a continuation, split or merge `heir` is the place of the new segment that keeps an id, and
    `of` the old place whose id it keeps; -1 where none does.
    """

    change: str
    parents: tuple[int, ...]
    children: tuple[int, ...]
    customers: int
    of: int = -1
    heir: int = -1

    @property
    def key(self) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        return self.change, self.parents, self.children


def crossed(before: Counts, after: Counts, old: int, new: int) -> Counts:
    """(old, new) how many customers are in each old and new place.

    >>> crossed(np.array([0, 0, 1]), np.array([1, 1, 0]), 2, 2).tolist()
    [[0, 2], [1, 0]]
    """
    counts = np.zeros((old, new), dtype=np.int64)
    np.add.at(counts, (before, after), 1)
    return counts


def jaccard(counts: Counts) -> Floats:
    """(old, new) common customers over all of both; 0 where there are none."""
    both = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0, keepdims=True) - counts
    found: Floats = np.divide(counts, both, out=np.zeros(counts.shape), where=both > 0)
    return found


def pairs(counts: Counts) -> list[tuple[int, int]]:
    """The one-to-one matching with most common customers; of equal ones that with most overlap.

    Pairs without a common customer are none.
    """
    from scipy.optimize import linear_sum_assignment

    if not counts.size:
        return []
    # Overlaps sum to less than one customer, so they decide between equals alone.
    weight = counts + jaccard(counts) / (2 * min(counts.shape))
    rows, columns = linear_sum_assignment(-weight)
    return [(int(x), int(y)) for x, y in zip(rows, columns, strict=True) if counts[x, y]]


def transitions(
    counts: Counts, rule: Rule | None = None, floor: Floats | None = None
) -> list[Transition]:
    """What became of every old segment and where every new one comes from.

    Args:
        counts: (old, new) common customers. Segments of nobody are left out.
        floor: (new,) see `Noise`; None: no noise is known.

    Every old and every new segment with customers stands in exactly one transition, except that a
    segment may both come of a merge and split, or of a split and merge.

    >>> found = transitions(np.array([[40, 30, 0], [0, 0, 50]]))
    >>> [(one.change, one.parents, one.children) for one in found]
    [('split', (0,), (0, 1)), ('continue', (1,), (2,))]
    """
    rule = rule or Rule()
    shares = _Shares.of(counts, rule)
    floors = np.full(counts.shape[1], rule.same) if floor is None else floor
    limits = np.minimum(floors, rule.same)
    same = {x: y for x, y in pairs(counts) if shares.overlap[x, y] >= limits[y]}
    changed = [*_splits(counts, shares, same), *_merges(counts, shares, same)]
    told_old = {x for one in changed for x in one.parents}
    told_new = {y for one in changed for y in one.children}
    stay = [
        _told(CONTINUE, {x}, {y}, counts, x, y)
        for x, y in same.items()
        if x not in told_old and y not in told_new
    ]
    told_old |= same.keys()
    told_new |= set(same.values())
    dead = [_told(DEATH, {x}, set(), counts) for x in shares.old if x not in told_old]
    born = [_told(BIRTH, set(), {y}, counts) for y in shares.new if y not in told_new]
    return [*sorted([*changed, *dead, *born], key=_key), *sorted(stay, key=_key)]


def _key(one: Transition) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return one.key


def _splits(counts: Counts, shares: _Shares, same: dict[int, int]) -> Iterator[Transition]:
    was = {y: x for x, y in same.items()}
    for x in shares.old:
        # A part that is another old segment still, as far as noise allows, is no child.
        children = {y for y in shares.children(x) if was.get(y, x) == x}
        if x in same and children - {same[x]}:
            children.add(same[x])
        if len(children) > 1:
            yield _told(SPLIT, {x}, children, counts, x, same.get(x, -1))


def _merges(counts: Counts, shares: _Shares, same: dict[int, int]) -> Iterator[Transition]:
    was = {y: x for x, y in same.items()}
    for y in shares.new:
        parents = {x for x in shares.parents(y) if same.get(x, y) == y}
        if y in was and parents - {was[y]}:
            parents.add(was[y])
        if len(parents) > 1:
            yield _told(MERGE, parents, {y}, counts, was.get(y, -1), y)


@dataclass(frozen=True)
class _Shares:
    """Shares both ways of a table of counts, and who is a part of whom by a rule.

    Args:
        old, new: places with customers.
    """

    old: list[int]
    new: list[int]
    forward: Floats
    backward: Floats
    overlap: Floats
    rule: Rule

    @classmethod
    def of(cls, counts: Counts, rule: Rule) -> _Shares:
        rows, columns = counts.sum(axis=1), counts.sum(axis=0)
        return cls(
            np.flatnonzero(rows).tolist(), np.flatnonzero(columns).tolist(),
            counts / np.maximum(rows, 1)[:, None], counts / np.maximum(columns, 1),
            jaccard(counts), rule,
        )  # fmt: skip

    def children(self, x: int) -> list[int]:
        part = (self.forward[x] >= self.rule.part) & (self.backward[x] > self.rule.most)
        found: list[int] = np.flatnonzero(part).tolist()
        return found

    def parents(self, y: int) -> list[int]:
        part = (self.backward[:, y] >= self.rule.part) & (self.forward[:, y] > self.rule.most)
        found: list[int] = np.flatnonzero(part).tolist()
        return found


def _told(
    change: str, parents: set[int], children: set[int], counts: Counts, of: int = -1, heir: int = -1
) -> Transition:
    """The transition with the customers that it concerns: of a death those who were there, of a
    birth those who are, else those who are in a parent and a child."""
    old, new = sorted(parents), sorted(children)
    if not new:
        customers = counts[old].sum()
    elif not old:
        customers = counts[:, new].sum()
    else:
        customers = counts[np.ix_(old, new)].sum()
    kept = (of, heir) if of >= 0 and heir >= 0 else (-1, -1)
    return Transition(change, tuple(old), tuple(new), int(customers), *kept)
