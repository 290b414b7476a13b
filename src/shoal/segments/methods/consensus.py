"""Consensus: what several methods agree on.

Two micro-clusters go together as often as the members put them together (co-association, Fred and
Jain, 2005). Written as products of the members' weights, that is a space of its own, where Ward's
tree over micro-clusters gives the groups. Each group of each member then votes for the groups of
the consensus in which its customers lie; a customer's weights are the mean of the members' votes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.text import Text
from shoal.features.row_order import sample_rows
from shoal.segments.base import Arrays, Weights
from shoal.segments.methods.base import (
    Clusterer,
    Labels,
    Matrix,
    by_size,
    in_blocks,
    means_of,
    notes_as_documents,
    notes_of,
    refuse_too_few,
)
from shoal.segments.methods.deep import Deep
from shoal.segments.methods.density import Density
from shoal.segments.methods.hierarchy import Hierarchy, cut, ward
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.micro import micro_clusters
from shoal.segments.methods.mixture import Mixture

_MEMBERS: Final[Mapping[str, type[Clusterer]]] = {
    one.method: one for one in (KMeansClusterer, Mixture, Hierarchy, Density, Deep)
}
MEMBERS: Final = tuple(_MEMBERS)
DEFAULT: Final = ("kmeans", "mixture", "hierarchy")

_MICRO: Final = 300
#: Customers whose places tell how far the members agree.
_ASKED: Final = 20_000
#: Agreement of members with the consensus below which it is told that they disagree.
_LITTLE: Final = 0.5


class Consensus:
    """Groups that several methods have in common.

    Args:
        of: the members, some of `MEMBERS`; one that is named twice is fitted with two seeds.
    """

    method: ClassVar[str] = "consensus"

    def __init__(self, k: int = 0, of: Sequence[str] = DEFAULT) -> None:
        self.k = k
        self.of = tuple(of)
        self.members: list[Clusterer] = []
        #: A member's groups to those of the consensus: (groups of the member, groups), rows sum to
        #: one.
        self.votes: list[Matrix] = []
        self.centers: Matrix = np.empty((0, 0))
        self.loss: float | None = None
        self.notes: tuple[Text, ...] = ()
        self.facts: Mapping[str, Any] = {}
        self.names: Mapping[int, Text] = {}

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn members and consensus; see `Clusterer.fit`. Nothing is warm: it is no search."""
        refuse_too_few(len(Z), self.k)
        self.members = []
        for turn, name in enumerate(self.of):
            member = _MEMBERS[name]()
            if not isinstance(member, Density):
                member.k = self.k
            self.members.append(member.fit(Z, seed=seed + turn))
        micro = micro_clusters(Z, seed, _MICRO)
        said = [member.weights(micro.centers) for member in self.members]
        together = np.hstack(said) / np.sqrt(len(said))
        groups = min(self.k, len(np.unique(np.round(together, 6), axis=0)))
        labels = cut(ward(together, micro.sizes), len(micro.centers), groups)
        member_of = np.eye(groups)[labels] * micro.sizes[:, None]
        self.votes = [_votes(one, member_of) for one in said]
        self._number(Z, seed)
        return self

    def _number(self, Z: Matrix, seed: int) -> None:
        """Largest first; groups that nobody leans to most are left out, their votes shared out."""
        places = self.weights(Z).argmax(axis=1)
        count = self.votes[0].shape[1]
        sizes = np.bincount(places, minlength=count)
        means = means_of(Z, places, count)
        order = by_size(sizes, means)
        self.votes = [_normalised(one[:, order]) for one in self.votes]
        self.centers = means[order]
        rows = sample_rows(Z, _ASKED, seed)
        self._tell(Z[rows], places[rows])

    def _tell(self, Z: Matrix, places: Labels) -> None:
        from sklearn.metrics import adjusted_rand_score

        agreement = [
            float(adjusted_rand_score(places, member.weights(Z).argmax(axis=1)))
            for member in self.members
        ]
        self.facts = {
            "members": [
                {
                    "method": member.method,
                    "segments": len(member.centers),
                    "agreement": round(one, 4),
                }
                for member, one in zip(self.members, agreement, strict=True)
            ]
        }
        notes = [note for member in self.members for note in member.notes]
        if np.mean(agreement) < _LITTLE:
            notes.append(
                Text(
                    "The methods agree little on who belongs together (mean adjusted Rand index "
                    f"{np.mean(agreement):.2f}): the segments depend on the method.",
                    f"各方法对分群的一致性较低（平均调整兰德指数 {np.mean(agreement):.2f}）："
                    "分群结果取决于方法。",
                )
            )
        self.notes = tuple(dict.fromkeys(notes))

    def weights(self, Z: Matrix) -> Weights:
        """(n, groups) mean of the members' votes."""

        def voted(rows: Matrix) -> Matrix:
            pairs = zip(self.members, self.votes, strict=True)
            total = sum(member.weights(rows) @ votes for member, votes in pairs)
            return np.asarray(total / len(self.members))

        return in_blocks(Z, voted)

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) the largest weight: how far the members agree."""
        return np.asarray(self.weights(Z).max(axis=1))

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """The members' artefacts and their votes."""
        documents, arrays = [], {"centers": self.centers}
        for place, (member, votes) in enumerate(zip(self.members, self.votes, strict=True)):
            document, own = member.to_artefact()
            documents.append({"method": member.method, **document})
            arrays[f"votes.{place}"] = votes
            arrays |= {f"member.{place}.{name}": array for name, array in own.items()}
        return {
            "k": self.k, "of": list(self.of), "members": documents, "facts": dict(self.facts),
            "notes": notes_as_documents(self.notes),
        }, arrays  # fmt: skip

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        self = cls(document["k"], document["of"])
        self.centers = np.array(arrays["centers"])
        for place, told in enumerate(document["members"]):
            head = f"member.{place}."
            own = {
                name.removeprefix(head): array
                for name, array in arrays.items()
                if name.startswith(head)
            }
            self.members.append(_MEMBERS[told["method"]].from_artefact(told, own))
            self.votes.append(np.array(arrays[f"votes.{place}"]))
        self.facts, self.notes = document["facts"], notes_of(document["notes"])
        return self


def _votes(said: Matrix, member_of: Matrix) -> Matrix:
    """(groups of the member, groups) shares of each one's customers; equal where it has none."""
    return _normalised(said.T @ member_of)


def _normalised(votes: Matrix) -> Matrix:
    total = votes.sum(axis=1, keepdims=True)
    return np.where(total > 0, votes / np.maximum(total, 1e-300), 1 / votes.shape[1])
