"""Permanent ids for the segments of a refit, by what became of the old ones.

`shoal.adjust.transitions` says what continued, split, merged, was born or died; here is how far a
refit differs by chance, and which id each new segment takes.

Nothing depends on the order of rows, or on how segments were numbered: rows are put in the order of
customers, and segments in the order in which they first come up there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.adjust.transitions import (
    CONTINUE,
    Counts,
    Floats,
    Rule,
    Transition,
    crossed,
    jaccard,
    pairs,
    transitions,
)

#: Quantile of overlaps among refits that a pair has to reach.
FLOOR_QUANTILE: Final = 0.05


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
