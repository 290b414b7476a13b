"""Which segments of a refit are which: permanent ids, and what split, merged, was born or died.

Old and new segmentation are asked about the same customers, and counted is how many are in old
segment x and new segment y. With f the share of x that is in y, g the share of y that was in x, and
J their Jaccard overlap (common / all of both):

1. Pairs are the one-to-one matching with most common customers (Kuhn, 1955). A pair is the *same*
   segment where J is at least `Rule.same`, or where J is no less than what refits of the very same
   customers reach among themselves (`Noise`): overlap lost to chance is no change.
2. x *splits* where two or more y hold at least `Rule.part` of it each and had more than `Rule.most`
   of their members there. Whoever left x for segments that live of others makes no split.
3. Two or more x *merge* in y where each gave more than `Rule.most` of its members to y and is at
   least `Rule.part` of it. Whoever died into segments that live on makes no merge.
4. A y that is neither the same as an old one nor of a split or merge is *born*; such an x *died*.

The shares forward are those of MONIC's external transitions (Spiliopoulou et al., KDD 2006); asked
backward as well, deaths are told from splits and births from the splits of whom they come from.

Nothing depends on the order of rows, or on how segments were numbered: rows are put in the order of
customers, and segments in the order in which they first come up there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

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
class Noise:
    """What refits of the same customers reach among themselves.

    Args:
        floor: (new segments,) low quantile of the Jaccard overlap of a segment's counterparts in
            two refits: a pair of old and new with as much may be the same segment.
        stability: (new segments,) their mean overlap with the segment itself (Hennig,
            "Cluster-wise assessment of cluster stability", 2007).
        rows: (m,) which of the customers were asked about.
        labels: (refits, m) what each refit says of them, for the confidence of changes.
    """

    floor: Floats
    stability: Floats
    rows: Counts
    labels: Counts


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


# --- Noise ----------------------------------------------------------------------------------------

#: Quantile of overlaps among refits that a pair has to reach.
FLOOR_QUANTILE: Final = 0.05


def noise_of(labels: Counts, refits: Sequence[Counts], segments: int, rows: Counts) -> Noise:
    """The noise level of a fit, from refits of the same customers drawn again.

    Args:
        labels: (m,) places by the fit itself.
        refits: what each refit says of the same m customers, in places of its own; one at least.
        segments: how many places the fit has.
        rows: (m,) which of the customers that are aligned these are.

    A segment that a refit has no counterpart of overlaps with it by 0.
    """
    own: list[list[float]] = []
    between: list[list[float]] = []
    masks: list[list[npt.NDArray[np.bool_] | None]] = []
    for other in refits:
        wide = int(other.max(initial=0)) + 1
        partner = dict(pairs(crossed(labels, other, segments, wide)))
        masks.append([other == partner[y] if y in partner else None for y in range(segments)])
        own.append([_overlap(labels == y, mask) for y, mask in enumerate(masks[-1])])
    for place, one in enumerate(masks):
        between += [
            [_overlap(a, b) for a, b in zip(one, other, strict=True)] for other in masks[:place]
        ]
    seen = np.array(own + between, dtype=np.float64)
    return Noise(
        np.quantile(seen, FLOOR_QUANTILE, axis=0), np.mean(own, axis=0), rows,
        np.stack([np.asarray(one, dtype=np.int64) for one in refits]),
    )  # fmt: skip


def _overlap(one: npt.NDArray[np.bool_] | None, other: npt.NDArray[np.bool_] | None) -> float:
    if one is None or other is None:
        return 0.0
    both = (one | other).sum()
    return float((one & other).sum() / both) if both else 0.0


# --- Alignment ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What became of segments, in permanent ids.

    Args:
        customers: of a death those who were there, of a birth those who are, else those who are in
            a parent and a child.
        share: of all common customers.
        confidence: share of the refits in which the same change is found; NaN without refits.
    """

    change: str
    parents: tuple[str, ...]
    children: tuple[str, ...]
    customers: int
    share: float
    confidence: float


@dataclass(frozen=True)
class Alignment:
    """Ids for the places of a refit, and how they came about.

    Args:
        ids: (new places,) permanent ids.
        same: new id -> its Jaccard overlap with the old segment of this id.
        changes: splits, merges, births and deaths first, then continuations.
        flows: (old id, new id) -> common customers; sums to `customers`.
        customers: placed by both.
        highest: the highest number ever used on the line.
    """

    ids: tuple[str, ...]
    same: dict[str, float]
    changes: tuple[Change, ...]
    flows: dict[tuple[str, str], int]
    customers: int
    highest: int

    @property
    def altered(self) -> tuple[Change, ...]:
        """The changes that are no continuation."""
        return tuple(one for one in self.changes if one.change != CONTINUE)


def numbered(number: int) -> str:
    """The id of a number.

    >>> numbered(7), numbered(123)
    ('s07', 's123')
    """
    return f"s{number:02d}"


def number_of(segment_id: str) -> int:
    """The number of an id; 0 where it is of another form.

    >>> number_of("s07"), number_of("new"), number_of("r01")
    (7, 0, 0)
    """
    digits = segment_id[1:]
    return int(digits) if segment_id[:1] == "s" and digits.isascii() and digits.isdigit() else 0


def align(
    customers: Sequence[str] | npt.NDArray[Any],
    before: npt.NDArray[Any],
    after: Counts,
    places: int,
    *,
    highest: int = 0,
    rule: Rule | None = None,
    noise: Noise | None = None,
) -> Alignment:
    """Permanent ids for the segments of a refit.

    Args:
        customers: (n,) ids of those that both segmentations place.
        before: (n,) old segment ids.
        after: (n,) new places.
        places: how many new places there are.
        highest: the highest number ever used; newborn segments take the next ones, the largest
            first.
        noise: see `noise_of`; None: none is known.

    >>> found = align(["a", "b", "c"], np.array(["s01", "s01", "s02"]), np.array([1, 1, 0]), 2)
    >>> found.ids, found.flows
    (('s02', 's01'), {('s01', 's01'): 2, ('s02', 's02'): 1})
    """
    order = np.argsort(np.asarray(customers, dtype=str), kind="stable")
    old_ids, old = _first_seen(np.asarray(before, dtype=str)[order])
    new_places, new = _first_seen(np.asarray(after, dtype=np.int64)[order])
    counts = crossed(old, new, len(old_ids), len(new_places))
    floor = None if noise is None else noise.floor[new_places]
    found = transitions(counts, rule, floor)
    heirs = {one.heir: str(old_ids[one.of]) for one in found if one.heir >= 0}
    highest = max([highest, *(number_of(str(one)) for one in old_ids)])
    ids, highest = _given(heirs, new_places, counts, places, highest)
    names = [ids[place] for place in new_places.tolist()]
    sure = _confidence(found, old, new, counts, _in_order(noise, order), floor, rule)
    overlap = jaccard(counts)
    total = len(order)
    return Alignment(
        ids=tuple(ids),
        same={names[one.heir]: float(overlap[one.of, one.heir]) for one in found if one.heir >= 0},
        changes=tuple(
            Change(
                one.change,
                tuple(sorted(str(old_ids[x]) for x in one.parents)),
                tuple(sorted(names[y] for y in one.children)),
                one.customers,
                one.customers / total if total else 0.0,
                confidence,
            )
            for one, confidence in zip(found, sure, strict=True)
        ),
        flows={
            (str(old_ids[x]), names[y]): int(counts[x, y])
            for x, y in sorted(np.argwhere(counts).tolist(),
                               key=lambda xy: (str(old_ids[xy[0]]), names[xy[1]]))
        },
        customers=total,
        highest=highest,
    )  # fmt: skip


def _first_seen(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Counts]:
    """Different labels in the order in which they first come up, and (n,) their places there."""
    names, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return names[order], place[inverse.ravel()]


def _given(
    heirs: dict[int, str],
    new_places: npt.NDArray[Any],
    counts: Counts,
    places: int,
    highest: int,
) -> tuple[list[str], int]:
    """An id for every place: inherited ones, then new numbers from the largest segment down;
    places of nobody come last."""
    ids = [""] * places
    for column, name in heirs.items():
        ids[int(new_places[column])] = name
    sizes = counts.sum(axis=0)
    newborn = [int(new_places[column]) for column in np.argsort(-sizes, kind="stable")]
    for place in [*newborn, *range(places)]:
        if not ids[place]:
            highest += 1
            ids[place] = numbered(highest)
    return ids, highest


def _in_order(noise: Noise | None, order: npt.NDArray[np.int64]) -> list[tuple[Counts, Counts]]:
    """Of each refit (rows, labels) in the order of customers."""
    if noise is None:
        return []
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    rows = rank[noise.rows]
    asked = np.argsort(rows)
    return [(rows[asked], _first_seen(labels[asked])[1]) for labels in noise.labels]


def _confidence(
    found: Sequence[Transition],
    old: Counts,
    new: Counts,
    counts: Counts,
    refits: Sequence[tuple[Counts, Counts]],
    floor: Floats | None,
    rule: Rule | None,
) -> list[float]:
    """Share of refits that tell each transition too, their segments matched to the fit's."""
    if not refits:
        return [float("nan")] * len(found)
    told = []
    for rows, labels in refits:
        wide = int(labels.max(initial=0)) + 1
        partner = {z: y for y, z in pairs(crossed(new[rows], labels, counts.shape[1], wide))}
        floors = None
        if floor is not None:
            floors = np.array([floor[partner[z]] if z in partner else np.inf for z in range(wide)])
        again = transitions(crossed(old[rows], labels, counts.shape[0], wide), rule, floors)
        told.append(
            {
                (one.change, one.parents, tuple(sorted(partner.get(z, -1) for z in one.children)))
                for one in again
            }
        )
    return [float(np.mean([one.key in refit for refit in told])) for one in found]
