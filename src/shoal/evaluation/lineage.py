"""Splits, merges, births and deaths that were found, against those that were planted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SPLIT, MERGE, BIRTH, DEATH = "split", "merge", "birth", "death"


@dataclass(frozen=True)
class Event:
    """A change of the segments themselves, on a day. A birth has no parents, a death no
    children."""

    day: float
    change: str
    parents: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Counts:
    """Events `right` (a found and a planted one that match), `found` and `planted`."""

    right: int
    found: int
    planted: int

    @property
    def precision(self) -> float:
        """right / found; NaN where none was found."""
        return self.right / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """right / planted; NaN where none was planted."""
        return self.right / self.planted if self.planted else float("nan")

    @property
    def f1(self) -> float:
        """2 right / (found + planted); NaN where there are neither."""
        both = self.found + self.planted
        return 2 * self.right / both if both else float("nan")

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.right + other.right, self.found + other.found, self.planted + other.planted
        )


def compare(
    found: Sequence[Event],
    planted: Sequence[Event],
    *,
    tolerance_days: float,
    early_days: float = 0.0,
    members: bool = True,
) -> Counts:
    """How many found events are planted ones, each used once.

    They match if the change is the same, the found one lies from `early_days` before to
    `tolerance_days` after the planted one, and (with `members`) parents and children are the same
    sets. Of all one-to-one pairings the one with most matches counts.

    >>> compare([Event(40.0, "birth", children=frozenset("c"))],
    ...         [Event(30.0, "birth", children=frozenset("c"))], tolerance_days=14)
    Counts(right=1, found=1, planted=1)
    """
    if not found or not planted:
        return Counts(0, len(found), len(planted))
    from scipy.optimize import linear_sum_assignment

    fits = np.array(
        [
            [_fits(one, other, tolerance_days, early_days, members) for other in planted]
            for one in found
        ],
        dtype=np.int64,
    )
    rows, columns = linear_sum_assignment(-fits)
    return Counts(int(fits[rows, columns].sum()), len(found), len(planted))


def _fits(one: Event, other: Event, tolerance: float, early: float, members: bool) -> bool:
    if one.change != other.change or not -early <= one.day - other.day <= tolerance:
        return False
    return not members or (one.parents == other.parents and one.children == other.children)


@dataclass(frozen=True)
class Interval:
    """A figure with the percentile interval of its bootstrap."""

    value: float
    low: float
    high: float


def over_worlds(
    counts: Sequence[Counts], *, bootstraps: int = 2_000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """`precision`, `recall` and `f1` of the summed counts of independent worlds.

    Intervals are percentiles over worlds drawn again with replacement (Efron, 1979). Draws in
    which a figure is undefined are left out of its interval.

    Raises:
        ValueError: no world.
    """
    if not counts:
        raise ValueError("no world to sum over")
    rows = np.array([[one.right, one.found, one.planted] for one in counts], dtype=np.float64)
    random = np.random.default_rng(seed)
    drawn = rows[random.integers(len(rows), size=(bootstraps, len(rows)))].sum(axis=1)
    whole, many = _figures(rows.sum(axis=0)[None]), _figures(drawn)
    edges = [50 * (1 - level), 50 * (1 + level)]
    found = {}
    for place, name in enumerate(("precision", "recall", "f1")):
        told = many[:, place][~np.isnan(many[:, place])]
        low, high = np.percentile(told, edges) if len(told) else (np.nan, np.nan)
        found[name] = Interval(float(whole[0, place]), float(low), float(high))
    return found


def _figures(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    right, found, planted = rows.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.column_stack([right / found, right / planted, 2 * right / (found + planted)])
