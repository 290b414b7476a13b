"""Two segmentations of the same customers beside each other: counts, best matches, agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shoal.evaluation.agreement import agreement
from shoal.evaluation.matching import table_of

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One segment of the left side: its size, the right segment that most of its customers are in,
    how many that are, and the Jaccard overlap with it."""

    segment: str
    customers: int
    best: str
    common: int
    overlap: float

    @property
    def share(self) -> float:
        """Share of the left segment's customers that are in the best match."""
        return self.common / self.customers


@dataclass(frozen=True)
class Crosswalk:
    """`counts` (left, right) of customers; `ari` the adjusted Rand index, 0 by chance and 1 for
    equal partitions; `nmi` the normalised mutual information, 0 to 1."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    counts: Counts
    ari: float
    nmi: float

    @property
    def rows(self) -> tuple[Row, ...]:
        """A row a left segment, in order of name."""
        return tuple(self._row(place) for place in range(len(self.left)))

    def _row(self, place: int) -> Row:
        counts = self.counts[place]
        best = int(counts.argmax())
        both = counts.sum() + self.counts[:, best].sum() - counts[best]
        return Row(
            self.left[place], int(counts.sum()), self.right[best], int(counts[best]),
            float(counts[best] / both),
        )  # fmt: skip


def crosswalk(
    left: Sequence[str] | npt.NDArray[Any], right: Sequence[str] | npt.NDArray[Any]
) -> Crosswalk:
    """The crosswalk of two labellings, each of shape (n,).

    Adjusted Rand index of Hubert and Arabie, "Comparing partitions" (1985); mutual information over
    the geometric mean of the entropies, Strehl and Ghosh, "Cluster ensembles" (2002), eq. 2; 1
    where both sides are a single segment.

    Raises:
        ValueError: the labellings differ in length or are empty.

    >>> found = crosswalk(["vip", "vip", "rest"], ["s02", "s02", "s01"])
    >>> found.ari, round(found.nmi, 3), [one.best for one in found.rows]
    (1.0, 1.0, ['s01', 's02'])
    """
    names, others, counts = table_of(left, right)
    found = agreement([str(one) for one in left], [str(one) for one in right])
    return Crosswalk(
        tuple(map(str, names)), tuple(map(str, others)), counts, found.ari, _nmi(counts)
    )


def _nmi(counts: Counts) -> float:
    """Normalised mutual information of a table of counts.

    >>> _nmi(np.array([[1, 1], [1, 1]]))
    0.0
    """
    p = counts / counts.sum()
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    entropies = [-float((one[one > 0] * np.log(one[one > 0])).sum()) for one in (rows, columns)]
    if min(entropies) <= 0:
        return 1.0 if max(entropies) <= 0 else 0.0
    some = p > 0
    mutual = float((p[some] * np.log(p[some] / np.outer(rows, columns)[some])).sum())
    return min(1.0, max(0.0, mutual / float(np.sqrt(entropies[0] * entropies[1]))))
