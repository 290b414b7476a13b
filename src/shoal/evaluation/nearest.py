"""Which rows lie nearest to a row by the cosine, and whether neighbours share a label."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]

#: Rows whose cosines to all others are in memory at once.
_AT_ONCE: Final = 64


def unit(vectors: Values) -> Values:
    """(n, d) of length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Values = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return found


def nearest(vectors: Values, row: int, most: int) -> tuple[Rows, Values]:
    """The other rows that lie nearest, at most that many, and their cosines; ties by place.

    >>> nearest(np.array([[1.0, 0], [0, 1], [1, 1]]), 0, 1)[0].tolist()
    [2]
    """
    units = unit(vectors)
    cosines = np.clip(units @ units[row], -1, 1)
    cosines[row] = -np.inf
    order = np.argsort(-cosines, kind="stable")[: min(most, len(vectors) - 1)]
    return order.astype(np.int64), cosines[order]


@dataclass(frozen=True)
class Alike:
    """How often the nearest rows share a row's label.

    `share` of the `most` nearest labelled rows of the `asked` ones have its label; `chance` of all
    other labelled rows do.
    """

    most: int
    asked: int
    share: float
    chance: float

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def alike(vectors: Values, labels: Rows, most: int, asked: int, seed: int) -> Alike | None:
    """Whether neighbours share a label; None where fewer than two labelled rows or labels.

    Args:
        labels: (n,), 0 for rows without one: they are neither asked nor neighbours.
        most: neighbours of each.
        asked: rows that are asked at most, drawn by the seed.
    """
    labelled = np.flatnonzero(labels)
    names, counts = np.unique(labels[labelled], return_counts=True)
    if len(labelled) <= most or len(names) < 2:
        return None
    units, own = unit(vectors[labelled]), labels[labelled]
    drawn = np.random.default_rng(seed).permutation(len(labelled))[:asked]
    same = 0
    for start in range(0, len(drawn), _AT_ONCE):
        rows = drawn[start : start + _AT_ONCE]
        cosines = units[rows] @ units.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        near = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        same += int((own[near] == own[rows, None]).sum())
    of_label = dict(zip(names.tolist(), counts.tolist(), strict=True))
    others = [(of_label[int(one)] - 1) / (len(own) - 1) for one in own[drawn]]
    return Alike(most, len(drawn), same / (len(drawn) * most), float(np.mean(others)))
