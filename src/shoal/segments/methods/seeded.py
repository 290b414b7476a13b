"""Semi-supervised: a few known customers name segments, everybody else is found beside them.

Distances are measured as the known customers teach: directions in which customers of one name vary
count less (the inverse of the scatter within names, shrunk by Ledoit and Wolf, 2004, so that a few
known customers change little). Seeded k-means (Basu, Banerjee and Mooney, 2002) starts at the means
of the names, further groups as k-means++ does; a named centre is held at its known customers the
more of them there are. Of several starts the one counts that fits everybody and takes few known
customers from their name. The figures are those of known customers that were left out in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.features.row_order import canonical_order, sample_rows
from shoal.segments.base import Arrays, Weights
from shoal.segments.kmeans import nearest, plus_plus, soft_weights, squared_distances
from shoal.segments.methods.base import (
    Labels,
    Matrix,
    in_blocks,
    means_of,
    notes_as_documents,
    notes_of,
    refuse_too_few,
    warm_centers,
)

_SAMPLE_ROWS: Final = 20_000
_STARTS: Final = 8
_ITERATIONS: Final = 100
#: Known customers who hold their centre as much as everybody who is placed there.
_HOLD: Final = 20
_FOLDS: Final = 5
#: Share of known customers found again below which it is told that names and behaviour differ.
_POOR: Final = 0.6


@dataclass(frozen=True)
class Anchors:
    """Known customers: (a, d) prepared rows, and the place in `names` of each one's segment."""

    names: tuple[str, ...]
    rows: Matrix
    tags: Labels

    def take(self, own: npt.NDArray[Any]) -> Anchors:
        """Some of them."""
        return Anchors(self.names, self.rows[own], self.tags[own])


@dataclass(frozen=True)
class _Fitted:
    metric: Matrix
    centers: Matrix
    within: float
    loss: float


class Seeded:
    """Named segments around known customers, and further ones.

    Args:
        k: segments in all; 0: as many as are named.
        anchors: the known customers; None only for one that is read from its artefact.
    """

    method: ClassVar[str] = "seeded"

    def __init__(self, k: int = 0, anchors: Anchors | None = None) -> None:
        self.k = k
        self.anchors = anchors
        self.metric: Matrix = np.empty((0, 0))
        self.measured: Matrix = np.empty((0, 0))
        self.centers: Matrix = np.empty((0, 0))
        self.variance = 1.0
        self.loss: float | None = None
        self.notes: tuple[Text, ...] = ()
        self.facts: Mapping[str, Any] = {}
        self.names: Mapping[int, Text] = {}

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn the segments; see `Clusterer.fit`. The loss is the mean squared distance to the
        nearest centre, and what known customers lie nearer to another centre than to their own.

        Raises:
            InputError: `too_little_data`, no known customer, or fewer rows than segments.
            UsageError: `usage`, fewer segments than names.
        """
        anchors = self._checked()
        k = self.k or len(anchors.names)
        refuse_too_few(len(Z), k)
        rows = sample_rows(Z, _SAMPLE_ROWS, seed)
        sample = np.asarray(Z[rows], np.float64)
        found = _best(sample, anchors, k, seed, None if warm is None else warm[rows])
        self._number(Z, found)
        self.variance = max(found.within / len(found.metric), 1e-12)
        self.loss = found.loss
        self._judge(sample, anchors, k, seed)
        return self

    def _checked(self) -> Anchors:
        anchors = self.anchors
        if anchors is None or not len(anchors.rows):
            raise InputError(
                "too_little_data",
                "no known customer has events enough to teach a segment",
                hint="Give labels of customers of this shop: --labels FILE with customer_id, "
                "segment.",
            )
        if self.k and self.k < len(anchors.names):
            raise UsageError(
                "usage",
                f"{self.k} segments were asked for, but the labels name {len(anchors.names)}: "
                f"{', '.join(anchors.names)}",
                hint=f"Ask for at least {len(anchors.names)} segments (--k), or name fewer.",
            )
        order = canonical_order(np.column_stack([anchors.rows, anchors.tags]))
        return anchors.take(order)

    def _number(self, Z: Matrix, found: _Fitted) -> None:
        """Largest first; one that is named stays even if nobody but its teachers is in it."""
        assert self.anchors is not None
        names = self.anchors.names
        labels, _ = nearest(Z @ found.metric, found.centers)
        sizes = np.bincount(labels, minlength=len(found.centers))
        order = np.lexsort((np.arange(len(sizes)), -sizes))
        order = order[(sizes[order] > 0) | (order < len(names))]
        self.metric, self.measured = found.metric, found.centers[order]
        self.centers = means_of(Z, labels, len(sizes))[order]
        alone = np.flatnonzero(sizes[order] == 0)
        for place in alone:
            own = self.anchors.rows[self.anchors.tags == order[place]]
            self.centers[place] = own.mean(axis=0)
        self.names = {
            place: Text(names[group], names[group])
            for place, group in enumerate(order)
            if group < len(names)
        }

    def _judge(self, sample: Matrix, anchors: Anchors, k: int, seed: int) -> None:
        held = _held_out(sample, anchors, k, seed)
        counts = np.bincount(anchors.tags, minlength=len(anchors.names)).tolist()
        self.facts = {
            "known_customers": dict(zip(anchors.names, counts, strict=True)), "held_out": held,
        }  # fmt: skip
        notes = []
        if held is None:
            notes.append(
                Text(
                    "A name has a single known customer: how well names are found again cannot be "
                    "told.",
                    "有名称仅有一位已知客户，无法评估其识别效果。",
                )
            )
        elif held["accuracy"] < _POOR:
            notes.append(
                Text(
                    f"Of known customers that were left out, {held['accuracy']:.0%} are found in "
                    "their own segment: the names follow behaviour little.",
                    f"留出的已知客户中仅 {held['accuracy']:.0%} 被归入其原有分群："
                    "名称与行为关系较弱。",
                )
            )
        self.notes = tuple(notes)

    def weights(self, Z: Matrix) -> Weights:
        """(n, groups) posterior of equal spherical Gaussians in the taught distances."""
        return in_blocks(
            Z, lambda rows: soft_weights(rows @ self.metric, self.measured, self.variance)
        )

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) minus the squared taught distance to the nearest centre."""
        return np.asarray(-nearest(Z @ self.metric, self.measured)[1])

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """Metric, centres, names and figures; the known customers themselves are left out."""
        document = {
            "k": self.k, "variance": self.variance, "loss": self.loss, "facts": dict(self.facts),
            "notes": notes_as_documents(self.notes),
            "names": {str(place): name.as_document() for place, name in self.names.items()},
        }  # fmt: skip
        arrays = {"metric": self.metric, "measured": self.measured, "centers": self.centers}
        return document, arrays

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        self = cls(document["k"])
        self.metric, self.measured = np.array(arrays["metric"]), np.array(arrays["measured"])
        self.centers = np.array(arrays["centers"])
        self.variance, self.loss = document["variance"], document["loss"]
        self.facts, self.notes = document["facts"], notes_of(document["notes"])
        self.names = {int(place): Text(**name) for place, name in document["names"].items()}
        return self


def _best(
    sample: Matrix, anchors: Anchors, k: int, seed: int, warm: Labels | None = None
) -> _Fitted:
    """The start that ends best; a warm one only differs in the groups that are not named."""
    metric = _metric(anchors)
    Y, taught = sample @ metric, Anchors(anchors.names, anchors.rows @ metric, anchors.tags)
    named = means_of(taught.rows, taught.tags, len(taught.names))
    starts = [
        plus_plus(Y, k, np.random.default_rng([seed, turn]), named) for turn in range(_STARTS)
    ]
    if warm is not None and k > len(named):
        old = warm_centers(Y, warm, k, seed)
        if old is not None:
            apart = squared_distances(old, named).min(axis=1)
            starts.append(np.vstack([named, old[np.argsort(-apart)[: k - len(named)]]]))
    tries = (_constrained(Y, start, taught) for start in starts)
    centers, within, loss = min(tries, key=lambda one: one[2])
    return _Fitted(metric, centers, within, loss)


def _metric(anchors: Anchors) -> Matrix:
    """(d, d) root of the inverse scatter within names, shrunk to equal variances."""
    from sklearn.covariance import ledoit_wolf

    means = means_of(anchors.rows, anchors.tags, len(anchors.names))
    apart = anchors.rows - means[anchors.tags]
    if len(apart) <= len(anchors.names) or not np.square(apart).sum() > 1e-12:
        return np.eye(anchors.rows.shape[1])
    scatter = ledoit_wolf(apart, assume_centered=True)[0]
    values, vectors = np.linalg.eigh(scatter)
    # A direction in which no known customer varies must not count without bound.
    values = np.maximum(values, 1e-2 * values.mean())
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _constrained(Y: Matrix, centers: Matrix, anchors: Anchors) -> tuple[Matrix, float, float]:
    """Lloyd's iterations with named centres held.

    Returns centres, the mean squared distance to the nearest one, and the same plus what known
    customers lie nearer to another centre than to their own, in the mean.
    """
    known = np.bincount(anchors.tags, minlength=len(anchors.names)).astype(np.float64)
    taught = means_of(anchors.rows, anchors.tags, len(anchors.names))
    hold = (known / (known + _HOLD))[:, None]
    named, labels = len(anchors.names), None
    for _ in range(_ITERATIONS):
        again, distances = nearest(Y, centers)
        if labels is not None and np.array_equal(again, labels):
            break
        labels = again
        sizes = np.bincount(labels, minlength=len(centers))[:, None]
        means = np.where(sizes > 0, means_of(Y, labels, len(centers)), centers)
        means[:named] = hold * taught + (1 - hold) * means[:named]
        centers = means
    own = np.square(anchors.rows - centers[anchors.tags]).sum(axis=1)
    strayed = own - nearest(anchors.rows, centers)[1]
    within = float(distances.mean())
    return centers, within, within + float(np.maximum(strayed, 0.0).mean())


def _held_out(sample: Matrix, anchors: Anchors, k: int, seed: int) -> dict[str, Any] | None:
    """Figures of known customers left out in turn; None where a name has a single one."""
    counts = np.bincount(anchors.tags, minlength=len(anchors.names))
    folds = min(_FOLDS, int(counts.min()))
    if folds < 2:
        return None
    fold = np.empty(len(anchors.tags), np.int64)
    for tag in range(len(anchors.names)):
        own = np.flatnonzero(anchors.tags == tag)
        fold[own] = np.arange(len(own)) % folds
    found = np.empty(len(anchors.tags), np.int64)
    for left_out in range(folds):
        fitted = _best(sample, anchors.take(fold != left_out), k, seed)
        asked = anchors.rows[fold == left_out] @ fitted.metric
        found[fold == left_out] = nearest(asked, fitted.centers)[0]
    return figures(anchors.names, anchors.tags, found) | {"folds": folds}


def figures(names: tuple[str, ...], truth: Labels, found: Labels) -> dict[str, Any]:
    """Accuracy, macro recall and F1 of places found; a place beyond the names is a miss.

    >>> figures(("a", "b"), np.array([0, 0, 1, 1]), np.array([0, 5, 1, 1]))["macro_recall"]
    0.75
    """
    each = {}
    for tag, name in enumerate(names):
        hits = int(((truth == tag) & (found == tag)).sum())
        own, told = int((truth == tag).sum()), int((found == tag).sum())
        recall, precision = hits / max(own, 1), hits / max(told, 1)
        f1 = 2 * recall * precision / (recall + precision) if hits else 0.0
        each[name] = {"customers": own, "recall": recall, "precision": precision, "f1": f1}
    return {
        "customers": len(truth),
        "accuracy": float((truth == found).mean()),
        "macro_recall": float(np.mean([one["recall"] for one in each.values()])),
        "macro_f1": float(np.mean([one["f1"] for one in each.values()])),
        "segments": each,
    }
