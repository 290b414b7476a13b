"""The one face of every method on a prepared matrix, and what several of them share.

A method knows nothing of features: it gets rows of `shoal.segments.clustered.ClusterSegmenter`'s
preparation, where customers that behave alike lie near each other. What it says of a row depends
on what was learned and on that row alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.errors import InputError
from shoal.domain.text import Text
from shoal.segments.base import Arrays, Weights
from shoal.segments.kmeans import plus_plus

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

#: Rows worked on at a time where a row takes many numbers.
_BLOCK_ROWS: Final = 16_384
#: Distances of a block of rows to many cores.
_CELLS: Final = 250_000


class Clusterer(Protocol):
    """Divides rows of a matrix into k groups, largest first.

    Attributes:
        method: its name.
        k: groups wanted; 0 where the method finds their number itself.
        centers: (groups, d) mean place of each group, in the space of the rows.
        loss: what the starts were compared by, less is better; None where nothing was compared.
        notes: what a person should know of what was learned.
        facts: figures of what was learned, as JSON.
        names: place of a group -> the name that somebody gave it.
    """

    k: int
    centers: Matrix
    loss: float | None
    notes: tuple[Text, ...]
    facts: Mapping[str, Any]
    names: Mapping[int, Text]

    @property
    def method(self) -> str: ...

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn from (n, d) rows; itself.

        Args:
            warm: (n,) the group of each row by an earlier version, -1 for none. A further start is
                made from it and taken if it ends better than all others (k-means: or as good, as
                far as the rows can tell), so an earlier version never makes the result worse.

        Raises:
            InputError: `too_little_data`, fewer rows than groups.
        """
        ...

    def weights(self, Z: Matrix) -> Weights:
        """(n, groups) soft weights of any rows; each row sums to one."""
        ...

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) larger is closer to the heart of the own group."""
        ...

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """What was learned, as JSON and named arrays."""
        ...

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        ...


def refuse_too_few(rows: int, k: int) -> None:
    """Refuse more groups than rows, or none.

    Raises:
        InputError: `too_little_data`.
    """
    if rows < max(k, 1):
        raise InputError(
            "too_little_data",
            f"{k} segments were asked for, but there are only {rows} customers to divide",
            hint=f"Ask for at most {rows} segments, or ingest more events."
            if rows > 1
            else "Ingest more events.",
        )


def by_size(sizes: npt.NDArray[Any], centers: Matrix) -> Labels:
    """Numbers of the groups that have rows, largest first; equal ones by their coordinates."""
    order = np.lexsort((*np.round(centers.T[::-1], 9), -sizes))
    return np.asarray(order[sizes[order] > 0])


def means_of(Z: Matrix, labels: Labels, k: int) -> Matrix:
    """(k, d) means of the rows of each label, zeros where it has none; rows of -1 do not count."""
    sums, sizes = np.zeros((k, Z.shape[1])), np.zeros(k)
    for start in range(0, len(Z), _BLOCK_ROWS):
        own = labels[start : start + _BLOCK_ROWS]
        there = np.flatnonzero(own >= 0)
        member = np.zeros((len(own), k))
        member[there, own[there]] = 1
        sums += member.T @ Z[start : start + _BLOCK_ROWS]
        sizes += member.sum(axis=0)
    return sums / np.maximum(sizes, 1)[:, None]


def spread_within(Z: Matrix, labels: Labels, centers: Matrix) -> float:
    """Pooled variance within groups, of one dimension; never 0."""
    total = 0.0
    for start in range(0, len(Z), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        total += float(np.square(Z[rows] - centers[labels[rows]]).sum())
    return max(total / max(Z.size, 1), 1e-12)


def in_blocks(Z: Matrix, work: Callable[[Matrix], Matrix], size: int = _BLOCK_ROWS) -> Matrix:
    """What the work makes of blocks of `size` rows, put together: bounded memory."""
    if len(Z) <= size:
        return work(Z)
    starts = range(0, len(Z), size)
    return np.concatenate([work(Z[start : start + size]) for start in starts])


def softmax(logits: Matrix) -> Weights:
    """Rows that sum to one; a constant added to a row changes nothing."""
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def nearest_cores(Z: Matrix, cores: Matrix, owner: Labels, k: int) -> Matrix:
    """(n, k) squared distance of each row to the nearest core of each group.

    Args:
        cores: (m, d) in any order.
        owner: (m,) group of each core; every group has one at least.
    """
    order = np.argsort(owner, kind="stable")
    begins = np.searchsorted(owner[order], np.arange(k))
    mine = np.asarray(cores)[order]
    half = np.square(mine).sum(axis=1) / 2

    def work(rows: Matrix) -> Matrix:
        score = np.minimum.reduceat(half - rows @ mine.T, begins, axis=1)
        squares = np.square(rows).sum(axis=1)[:, None]
        return np.maximum(squares + 2 * score, 0.0)

    # Blocks that stay in the processor's cache.
    return in_blocks(Z, work, max(_CELLS // max(len(mine), 1), 64))


def warm_centers(Z: Matrix, warm: Labels, k: int, seed: int) -> Matrix | None:
    """(k, d) centres from the groups of an earlier version; None if they tell nothing.

    Of more than k groups the largest stay; fewer are filled up as k-means++ does.
    """
    there = warm >= 0
    if not there.any():
        return None
    count = int(warm.max()) + 1
    sizes = np.bincount(warm[there], minlength=count)
    means = means_of(Z, warm, count)
    means = means[by_size(sizes, means)][:k]
    missing = k - len(means)
    if missing:
        random = np.random.default_rng([seed, missing])
        means = plus_plus(Z, k, random, means)
    return means if len(means) == k else None


def notes_as_documents(notes: Sequence[Text]) -> list[dict[str, str]]:
    """Notes as JSON."""
    return [note.as_document() for note in notes]


def notes_of(documents: Sequence[Mapping[str, str]]) -> tuple[Text, ...]:
    """What `notes_as_documents` wrote."""
    return tuple(Text(**one) for one in documents)
