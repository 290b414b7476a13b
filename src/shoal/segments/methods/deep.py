"""Deep: an autoencoder and prototypes in its codes, learned together (`shoal.model.prototypes`).

Training can draw all customers to a few prototypes. So the effective number of groups, the
exponential of the entropy of their shares, may not fall below a share of what it was before; where
it does, the groups from before the joint training (k-means on the codes) are kept, and it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.text import Text
from shoal.features.row_order import sample_rows
from shoal.segments.base import Arrays, Weights
from shoal.segments.kmeans import KMeans
from shoal.segments.methods.base import (
    Labels,
    Matrix,
    by_size,
    in_blocks,
    means_of,
    notes_as_documents,
    notes_of,
    refuse_too_few,
    warm_centers,
)

if TYPE_CHECKING:
    from shoal.model.prototypes import Prototypes

_SAMPLE_ROWS: Final = 20_000
_WIDTH: Final = 10
_HIDDEN: Final = (64, 32)
_STEPS: Final = 800
_EPOCHS: Final = 20
_BATCH: Final = 256
#: Of the effective groups before the joint training, the share that must be left.
_LEAST_LEFT: Final = 0.75


class Deep:
    """Prototypes in a space that is learned with them.

    Args:
        epochs: of the autoencoder alone, over a sample of customers; 0: as many as take
            `_STEPS` steps, `_EPOCHS` at least.
        joint_epochs: of both together; 0: half as many.
    """

    method: ClassVar[str] = "deep"

    def __init__(self, k: int = 0, *, epochs: int = 0, joint_epochs: int = 0) -> None:
        self.k = k
        self.epochs, self.joint_epochs = epochs, joint_epochs
        self.centers: Matrix = np.empty((0, 0))
        self.loss: float | None = None
        self.notes: tuple[Text, ...] = ()
        self.facts: Mapping[str, Any] = {}
        self.names: Mapping[int, Text] = {}
        self._learned: Prototypes | None = None
        self._arrays: Mapping[str, Any] = {}

    @property
    def prototypes(self) -> Prototypes:
        """What was learned; made of its arrays when it is first asked for, as torch is slow."""
        if self._learned is None:
            from shoal.model.prototypes import Prototypes

            self._learned = Prototypes.from_arrays(self._arrays)
        return self._learned

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn codes and prototypes; see `Clusterer.fit`. The loss is that of `Prototypes`."""
        from shoal.model.autoencoder import Autoencoder
        from shoal.model.prototypes import Prototypes

        refuse_too_few(len(Z), self.k)
        rows = sample_rows(Z, _SAMPLE_ROWS, seed)
        sample = np.asarray(Z[rows], np.float64)
        epochs = max(_EPOCHS, -(-_STEPS // -(-len(sample) // _BATCH)))
        plain = Autoencoder.fit(
            sample, width=min(_WIDTH, Z.shape[1]), hidden=_HIDDEN, seed=seed,
            epochs=self.epochs or epochs, standardised=False,
        )  # fmt: skip
        codes = plain.encode(sample).astype(np.float64)
        model = KMeans(self.k, random_state=seed).fit(codes)
        cold, unit = model.cluster_centers_, model.inertia_ / len(codes)
        starts = [cold]
        if warm is not None:
            init = warm_centers(codes, warm[rows], len(cold), seed)
            starts += [] if init is None else [init]
        before = Prototypes(plain, cold.astype(np.float32), unit)
        made = [
            Prototypes(plain, start.astype(np.float32), unit).trained(
                sample, seed=seed, epochs=self.joint_epochs or epochs // 2
            )
            for start in starts
        ]
        left, wanted = [_effective(one, sample) for one in made], _effective(before, sample)
        # One that collapsed loses to any that did not; else the smaller loss counts.
        kept = [one for one, groups in zip(made, left, strict=True)
                if groups >= _LEAST_LEFT * wanted]  # fmt: skip
        best = min(kept, key=lambda one: one.loss) if kept else before
        self._learned = self._ordered(best, Z)
        self.loss = float(best.loss) if kept else None
        self._tell(wanted, max(left), plain.losses[-1], collapsed=not kept)
        return self

    def _ordered(self, found: Prototypes, Z: Matrix) -> Prototypes:
        """Largest group first; prototypes nobody leans to most are left out."""
        from shoal.model.prototypes import Prototypes

        places = in_blocks(Z, found.leaning).argmax(axis=1)
        groups = len(found.places)
        order = by_size(np.bincount(places, minlength=groups), found.places.astype(np.float64))
        self.centers = means_of(Z, places, groups)[order]
        return Prototypes(found.autoencoder, found.places[order], found.unit, found.loss)

    def _tell(self, wanted: float, left: float, error: float, *, collapsed: bool) -> None:
        self.facts = {
            "effective_groups_before": wanted, "effective_groups": wanted if collapsed else left,
            "reconstruction_error": float(error), "collapsed": collapsed,
        }  # fmt: skip
        if collapsed:
            self.notes = (
                Text(
                    f"Deep clustering drew the customers to {left:.1f} groups in effect, of "
                    f"{wanted:.1f} before: the groups from before (k-means on the codes) were "
                    "kept.",
                    f"深度聚类将客户集中到约 {left:.1f} 个有效群体（此前为 {wanted:.1f} 个）："
                    "已保留此前的分群（对编码做 k-means）。",
                ),
            )

    def weights(self, Z: Matrix) -> Weights:
        """(n, groups) by Student's t of the distance to each prototype."""
        return in_blocks(Z, self.prototypes.leaning)

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) the largest weight."""
        return np.asarray(self.weights(Z).max(axis=1))

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """The networks and prototypes as arrays."""
        document = {
            "k": self.k, "loss": self.loss, "facts": dict(self.facts),
            "notes": notes_as_documents(self.notes),
        }  # fmt: skip
        return document, {"centers": self.centers, **self.prototypes.to_arrays()}

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        self = cls(document["k"])
        self.centers = np.array(arrays["centers"])
        self._arrays = {name: array for name, array in arrays.items() if name != "centers"}
        self.loss, self.facts = document["loss"], document["facts"]
        self.notes = notes_of(document["notes"])
        return self


def _effective(found: Prototypes, Z: Matrix) -> float:
    """Exponential of the entropy of the groups' shares: k for equal ones, 1 for a single one."""
    sizes = np.bincount(in_blocks(Z, found.leaning).argmax(axis=1))
    shares = sizes[sizes > 0] / len(Z)
    return float(np.exp(-(shares * np.log(shares)).sum()))
