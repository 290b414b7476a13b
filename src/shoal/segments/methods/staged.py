"""Styles by any method, and stages of each: what customers are expected to do next.

`shoal.segments.staging` says how. Rows are [style (w columns) | outlook (m columns)]; the weight of
a leaf is that of its style times that of its stage among the stages of the style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.text import Text
from shoal.features.row_order import canonical_order
from shoal.segments.base import Arrays, Weights
from shoal.segments.methods.base import (
    Clusterer,
    Labels,
    Matrix,
    by_size,
    in_blocks,
    means_of,
    refuse_too_few,
    softmax,
)
from shoal.segments.staging import Leaves, as_good, going_on, leaves_of

#: Marks an artefact of this class; its method is that of the styles.
STAGES: Final = "stages"
_ARRAYS: Final = "style."


class Staged:
    """Styles by a method, divided into stages by the outlook.

    Args:
        base: makes the styles; its k is their number.
        k: leaves wanted; fewer are made where no cut is left.
        width: columns of style, w.
        before: (groups of an earlier version,) the style of each, to start from; None: not told.
    """

    def __init__(
        self, base: Clusterer, k: int, width: int, before: Sequence[int] | None = None
    ) -> None:
        self.method = base.method
        self.base = base
        self.k = k
        self.width = width
        self.before = before
        self.owner: Labels = np.empty(0, np.int64)
        self.stages: Matrix = np.empty((0, 0))
        self.centers: Matrix = np.empty((0, 0))
        self.variance = 1.0
        self.loss: float | None = None
        self.notes: tuple[Text, ...] = ()
        self.facts: Mapping[str, Any] = {}
        self.names: Mapping[int, Text] = {}

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn styles, then stages; see `Clusterer.fit`."""
        refuse_too_few(len(Z), self.k)
        X, outlook = Z[:, : self.width], Z[:, self.width :]
        while True:
            self.base.fit(X, seed=seed, warm=self._styles_before(warm))
            style = self.base.weights(X).argmax(axis=1)
            there, style = np.unique(style, return_inverse=True)
            k = max(self.k, len(there))
            leaves = leaves_of(outlook, style, len(there), (k,), seed=seed)[k]
            missing = self.k - len(leaves.owner)
            if missing <= 0 or len(there) < self.base.k:
                break
            self.base.k += missing  # no cut is left: more styles, if there are any
        # Between cuts that may be as good, customers would be relabelled for nothing.
        before = None if warm is None else self._leaves_before(outlook, style, len(there), warm)
        if before is not None and as_good(outlook, style, leaves, before):
            leaves = before
        labels = leaves.labels(style, outlook)
        self._settle(Z, labels, Leaves(there[leaves.owner], leaves.stages))
        self.notes = self.base.notes
        stages = np.bincount(self.owner, minlength=len(self.base.centers))
        self.facts = {**self.base.facts, "styles": len(there), STAGES: stages.tolist()}
        return self

    def _leaves_before(
        self, outlook: Matrix, style: Labels, styles: int, warm: Labels
    ) -> Leaves | None:
        """The leaves of the earlier version, where they are as many."""
        order = canonical_order(outlook)  # sums do not depend on the order of customers
        found = going_on(outlook[order], style[order], styles, warm[order])
        return found if found is not None and len(found.owner) == self.k else None

    def _styles_before(self, warm: Labels | None) -> Labels | None:
        """(n,) the style of each row in an earlier version, -1 for none."""
        if warm is None or self.before is None:
            return warm
        owner = np.asarray(self.before, np.int64)
        told = (warm >= 0) & (warm < len(owner))
        return np.where(told, owner[np.where(told, warm, 0)], -1)

    def _settle(self, Z: Matrix, labels: Labels, leaves: Leaves) -> None:
        """Leaves in the order of their size, with their means."""
        sizes = np.bincount(labels, minlength=len(leaves.owner))
        means = means_of(Z, labels, len(leaves.owner))
        order = by_size(sizes, means)
        self.owner, self.stages = leaves.owner[order], leaves.stages[order]
        self.centers = means[order]
        off = Z[:, self.width :] - leaves.stages[labels]
        self.variance = max(float(np.square(off).mean()), 1e-12)
        spread = float(np.square(off).sum(axis=1).mean())
        self.loss = None if self.base.loss is None else self.base.loss + spread

    def weights(self, Z: Matrix) -> Weights:
        """(n, leaves), each row sums to one."""
        return in_blocks(Z, self._weights)

    def _weights(self, Z: Matrix) -> Weights:
        style = self.base.weights(Z[:, : self.width])
        outlook = np.asarray(Z[:, self.width :], dtype=np.float64)
        found = np.zeros((len(Z), len(self.owner)))
        for one in np.unique(self.owner):
            leaves = np.flatnonzero(self.owner == one)
            stages = self.stages[leaves]
            off = np.square(outlook).sum(axis=1)[:, None] - 2 * outlook @ stages.T
            logits = -(off + np.square(stages).sum(axis=1)) / (2 * self.variance)
            found[:, leaves] = style[:, [one]] * softmax(logits)
        # A style without a leaf (nobody was there) has its weight shared by the others.
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) minus the squared distance to the centre of the own leaf."""

        def own(rows: Matrix) -> Matrix:
            places = self._weights(rows).argmax(axis=1)
            return np.asarray(-np.square(rows - self.centers[places]).sum(axis=1))

        return in_blocks(Z, own)

    # -- adjustment --------------------------------------------------------------------------------

    def moved(
        self, centers: Matrix, *, mass: Matrix | None = None, covariances: Matrix | None = None
    ) -> Staged | None:
        """The same groups around other centres; None where the styles' method cannot.

        Args:
            centers: (k, d) of the leaves; a style's is the mean of its leaves'.
            mass: (k,) customers of each leaf; None: all the same.
        """
        shift = getattr(self.base, "moved", None)
        if shift is None:
            return None
        counts = np.ones(len(self.owner)) if mass is None else np.maximum(mass, 1e-12)
        styles = np.array(self.base.centers, dtype=np.float64)
        for one in np.unique(self.owner):
            leaves = self.owner == one
            styles[one] = np.average(centers[leaves, : self.width], axis=0, weights=counts[leaves])
        return self._with(shift(styles), self.owner, centers[:, self.width :], centers)

    def split(self, place: int, centers: Matrix) -> Staged | None:
        """A leaf in two, by the stage or, where it is all of its style, by style; None: cannot."""
        apart = np.square(centers[1] - centers[0])
        owner = np.append(self.owner, self.owner[place])
        stages = np.vstack([self.stages, centers[1, self.width :]])
        stages[place] = centers[0, self.width :]
        means = np.vstack([self.centers, centers[1]])
        means[place] = centers[0]
        base = self.base
        if apart[self.width :].sum() < apart[: self.width].sum():
            cut = getattr(base, "split", None)
            if cut is None or np.sum(self.owner == self.owner[place]) > 1:
                return None
            made = cut(int(self.owner[place]), centers[:, : self.width])
            if made is None:
                return None
            base, owner[-1] = made, len(self.base.centers)
        return self._with(base, owner, stages, means)

    def merged(self, place: int, other: int) -> Staged | None:
        """Two leaves in one: of the same style, or two that are all of theirs; None: cannot."""
        first, second = sorted((place, other))
        keep = np.arange(len(self.owner)) != second
        stages, means = self.stages.copy(), self.centers.copy()
        stages[first] = stages[[first, second]].mean(axis=0)
        means[first] = means[[first, second]].mean(axis=0)
        base, owner = self.base, self.owner.copy()
        styles = owner[[first, second]]
        if styles[0] != styles[1]:
            join = getattr(base, "merged", None)
            if join is None or np.isin(owner, styles).sum() > 2:
                return None
            low, high = sorted(int(one) for one in styles)
            made = join(low, high)
            if made is None:
                return None
            base, owner[first] = made, low
            owner = np.where(owner > high, owner - 1, owner)
        return self._with(base, owner[keep], stages[keep], means[keep])

    def born(self, center: Matrix) -> Staged | None:
        """A further style of one stage; None where the styles' method cannot."""
        add = getattr(self.base, "born", None)
        made = None if add is None else add(center[: self.width])
        if made is None:
            return None
        owner = np.append(self.owner, len(self.base.centers))
        stages = np.vstack([self.stages, center[self.width :]])
        return self._with(made, owner, stages, np.vstack([self.centers, center]))

    def _with(self, base: Clusterer, owner: Labels, stages: Matrix, centers: Matrix) -> Staged:
        other = Staged(base, len(owner), self.width)
        other.owner, other.stages, other.centers = owner, np.array(stages), np.array(centers)
        other.variance, other.loss = self.variance, self.loss
        counted = np.bincount(owner, minlength=len(base.centers))
        other.facts = {**base.facts, "styles": int((counted > 0).sum()), STAGES: counted.tolist()}
        return other

    # -- artefact ----------------------------------------------------------------------------------

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """The styles' method, and the stages."""
        learned, arrays = self.base.to_artefact()
        told = {_ARRAYS + name: array for name, array in arrays.items()}
        told |= {"owner": self.owner, "stages": self.stages, "centers": self.centers}
        document = {
            STAGES: {"method": self.base.method, **learned}, "k": self.k, "width": self.width,
            "variance": self.variance, "loss": self.loss, "facts": dict(self.facts),
        }  # fmt: skip
        return document, told

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        from shoal.segments.methods.registry import clusterer_of

        learned = document[STAGES]
        own = {
            name.removeprefix(_ARRAYS): array
            for name, array in arrays.items()
            if name.startswith(_ARRAYS)
        }
        base = clusterer_of(learned["method"]).from_artefact(learned, own)
        self = cls(base, document["k"], document["width"])
        self.owner, self.stages = np.array(arrays["owner"]), np.array(arrays["stages"])
        self.centers = np.array(arrays["centers"])
        self.variance, self.loss = document["variance"], document["loss"]
        self.facts = document["facts"]
        self.notes = base.notes
        return self
