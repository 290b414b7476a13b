"""Every method on a prepared matrix by name, and what single ones can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from shoal.domain.errors import UsageError
from shoal.segments.methods.base import Clusterer
from shoal.segments.methods.consensus import DEFAULT, MEMBERS, Consensus
from shoal.segments.methods.deep import Deep
from shoal.segments.methods.density import HDBSCAN, KINDS, Density
from shoal.segments.methods.hierarchy import LEVELS, Hierarchy
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture
from shoal.segments.methods.seeded import Anchors, Seeded

#: Every method by name: the class whose `from_artefact` reads it. K-means is the default.
CLUSTERERS: Final[Mapping[str, type[Clusterer]]] = {
    one.method: one
    for one in (KMeansClusterer, Mixture, Hierarchy, Density, Deep, Seeded, Consensus)
}


def clusterer_of(method: str) -> type[Clusterer]:
    """The class of a method.

    Raises:
        KeyError: no such method; `check_methods` refuses it before.
    """
    return CLUSTERERS[method]


@dataclass(frozen=True)
class Options:
    """What single methods can be told.

    Args:
        levels: of `hierarchy`; empty: its usual ones. The finest counts unless k says another.
        density: `hdbscan` or `dbscan`.
        of: the members of `consensus`; empty: its usual ones.

    Raises:
        UsageError: `usage`, `unknown_method`.
    """

    levels: tuple[int, ...] = ()
    density: str = HDBSCAN
    of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(level < 2 for level in self.levels):
            raise UsageError(
                "usage",
                f"levels {', '.join(map(str, self.levels))}",
                hint="Levels are whole numbers of at least 2, such as 3,8,20.",
            )
        if self.density not in KINDS:
            raise UsageError(
                "usage", f"no density method {self.density!r}", hint=f"Allowed: {', '.join(KINDS)}."
            )
        unknown = [name for name in self.of if name not in MEMBERS]
        if unknown:
            raise UsageError(
                "unknown_method",
                f"a consensus cannot be made of {', '.join(map(repr, unknown))}",
                hint=f"Allowed: {', '.join(MEMBERS)}.",
            )


def make(method: str, k: int, options: Options, anchors: Anchors | None = None) -> Clusterer:
    """A method that is to be fitted.

    Args:
        k: groups wanted; density finds its own number.
        anchors: known customers; of `seeded`.
    """
    if method == Hierarchy.method:
        return Hierarchy(k, options.levels or LEVELS)
    if method == Density.method:
        return Density(options.density)
    if method == Seeded.method:
        return Seeded(k, anchors)
    if method == Consensus.method:
        return Consensus(k, options.of or DEFAULT)
    plain: Mapping[str, Callable[[int], Clusterer]] = {
        KMeansClusterer.method: KMeansClusterer, Mixture.method: Mixture, Deep.method: Deep,
    }  # fmt: skip
    return plain[method](k)
