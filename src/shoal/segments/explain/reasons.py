"""Why a customer is in one segment and not in another: what each column speaks for.

Where the nearest centre decides, the difference of the squared distances to two centres is taken
apart exactly: prepared columns enter it linearly, so every column has its part and the parts add up
to the difference. Elsewhere the question is asked of the segmenter itself: each column in turn is
given the value typical of the other segment, and what the logarithm of the ratio of both weights
loses is what the column spoke for; these parts need not add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from shoal.features.matrix import matrix
from shoal.segments.base import Segmenter, Weights, column
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.inputs import EMBEDDING, is_embedding

#: Methods that put a customer where the centre is nearest.
CENTRED: Final = frozenset({"kmeans"})
#: The theme of what a customer is expected to do next.
OUTLOOK: Final = "outlook"
DISTANCE: Final = "distance"
SWAPPING: Final = "swapping"
_SMALLEST: Final = 1e-12


@dataclass(frozen=True)
class Part:
    """What a column speaks for: above 0 the segment where the customer is, below 0 the other one.

    `theme` is the group of columns that share a say.
    """

    feature: str
    theme: str
    size: float


@dataclass(frozen=True)
class Reasons:
    """The parts of a decision between two segments, largest first.

    `how` is `distance` (parts add up to `total`, the squared distance to the other centre less that
    to the own one) or `swapping` (`total` is the logarithm of the ratio of both weights).
    """

    how: str
    total: float
    parts: tuple[Part, ...]


def reasons(
    segmenter: Segmenter,
    row: pa.Table,
    here: int,
    there: int,
    typical: Mapping[str, float],
) -> Reasons:
    """Why a customer is at the place `here` rather than `there`.

    Args:
        row: the customer's features, tastes and embedding, as the segmenter reads them.
        typical: value of each column that is typical of the segment `there`.
    """
    centred = isinstance(segmenter, ClusterSegmenter) and segmenter.method in CENTRED
    # Stages of styles are told by two distances, one after the other.
    if isinstance(segmenter, ClusterSegmenter) and centred and not segmenter.styles:
        return _by_distance(segmenter, row, here, there)
    return _by_swapping(segmenter, row, here, there, typical)


def _by_distance(segmenter: ClusterSegmenter, row: pa.Table, here: int, there: int) -> Reasons:
    """With z = s C (y - m), q = (a + b) / 2 and rows of C that are orthonormal,

        |z - b|^2 - |z - a|^2 = sum_j 2 s [C'(a - b)]_j (y_j - m_j - [C'q]_j / s)

    where s is the scale beside an outlook, whose dimensions follow in z as they are.
    """
    a, b = segmenter.centers[here], segmenter.centers[there]
    z, middle = segmenter.embed(row)[0], (a + b) / 2
    scale = _scale(segmenter)
    own = int(segmenter.parts[-1].n_components_) if scale else 0
    parts = []
    if own:
        y = matrix(row, [one.name for one in segmenter.columns])
        for part in segmenter.parts[:-1]:
            y = part.transform(y)
        rotation = segmenter.parts[-1]
        slope = 2 * scale * (a - b)[:own] @ rotation.components_
        centre = rotation.mean_ + middle[:own] @ rotation.components_ / scale
        groups = {one.name: one.group for one in segmenter.columns}
        parts = [
            Part(name, groups[name], float(size))
            for name, size in zip(segmenter.used, slope * (y[0] - centre), strict=True)
        ]
    if segmenter.outlook is not None and segmenter.outlook.share:
        sizes = (2 * (a - b) * (z - middle))[own:]
        told = segmenter.outlook.head.foretold
        parts += [Part(name, OUTLOOK, float(size)) for name, size in zip(told, sizes, strict=True)]
    return Reasons(DISTANCE, sum(one.size for one in parts), _together(parts))


def _scale(segmenter: ClusterSegmenter) -> float:
    """What prepared features are multiplied by to stand beside an outlook; 0: it stands alone."""
    if segmenter.outlook is None:
        return 1.0
    return float(np.sqrt(1 - segmenter.outlook.share) / segmenter.spread)


def _by_swapping(
    segmenter: Segmenter, row: pa.Table, here: int, there: int, typical: Mapping[str, float]
) -> Reasons:
    themes = {}
    if isinstance(segmenter, ClusterSegmenter):
        themes = {one.name: one.group for one in segmenter.columns}
        names: Sequence[str] = segmenter.used
    else:
        names = [name for name in row.column_names if name in typical]
    names = [name for name in names if name in typical and not is_embedding(name)]
    odds = _odds(segmenter.transform(row), here, there)[0]
    if not names:
        return Reasons(SWAPPING, float(odds), ())
    swapped = changed(row, [{name: typical[name]} for name in names])
    left = _odds(segmenter.transform(swapped), here, there)
    parts = [
        Part(name, themes.get(name, name), float(odds - after))
        for name, after in zip(names, left, strict=True)
    ]
    return Reasons(SWAPPING, float(odds), _together(parts))


def _odds(weights: Weights, here: int, there: int) -> Weights:
    """(n,) logarithm of the ratio of two weights."""
    kept = np.maximum(weights, _SMALLEST)
    ratio: Weights = np.log(kept[:, here] / kept[:, there])
    return ratio


def _together(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Parts by size; the dimensions of an embedding mean nothing alone and become one."""
    kept = [one for one in parts if not is_embedding(one.feature)]
    embedded = [one.size for one in parts if is_embedding(one.feature)]
    if embedded:
        kept.append(Part(EMBEDDING, EMBEDDING, float(sum(embedded))))
    return tuple(sorted(kept, key=lambda one: (-abs(one.size), one.feature)))


def changed(row: pa.Table, changes: Sequence[Mapping[str, float]]) -> pa.Table:
    """One row for each change: the customer with other values in some columns."""
    table = pa.concat_tables([row] * len(changes)).combine_chunks()
    for name in dict.fromkeys(name for one in changes for name in one):
        if name in table.column_names:
            old = float(column(row, name)[0])
            values = pa.array(
                [one.get(name, old) for one in changes], pa.float64(), from_pandas=True
            )
            place = table.column_names.index(name)
            table = table.set_column(place, name, values)
    return table
