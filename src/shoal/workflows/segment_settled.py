"""What a version of the segments had, that the next one keeps where it is as good as anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.segments.base import Segmenter
from shoal.segments.choose import Choice, Standing
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.weigh import doubtful


@dataclass(frozen=True)
class Settled:
    """Number of segments and of styles among them of a version; None where it does not say.

    Args:
        owner: the style of each of its segments, by id; empty where all are styles.
        standing: its number as the evidence of then has it; None where no number was chosen.
        doubted: whether another number of styles foretold clearly more.
    """

    k: int | None
    styles: int | None
    owner: Mapping[str, int] = field(default_factory=dict)
    standing: Standing | None = None
    doubted: bool = True

    @classmethod
    def of(cls, document: Mapping[str, Any], segmenter: Segmenter) -> Settled:
        """Of a published segmentation."""
        choice = document.get("choice") or {}
        return cls(
            document.get("k"), choice.get("styles"), _owners(segmenter),
            _standing(document.get("k"), choice.get("candidates") or ()),
            _doubted(choice, choice.get("styles")),
        )  # fmt: skip

    @classmethod
    def after(cls, choice: Choice, segmenter: Segmenter) -> Settled:
        """Of one that was just learned; its segments have their permanent ids."""
        return cls(
            choice.chosen, choice.styles, _owners(segmenter),
            _standing(choice.chosen, [one.as_document() for one in choice.candidates]),
            _doubted(choice.extra, choice.styles),
        )  # fmt: skip


def _owners(segmenter: Segmenter) -> dict[str, int]:
    """The style of each segment; empty where segments are not stages of styles."""
    return segmenter.styles if isinstance(segmenter, ClusterSegmenter) else {}


def _doubted(evidence: Mapping[str, Any], styles: int | None) -> bool:
    return doubtful((evidence.get("outlook") or {}).get("tried") or (), styles)


def _standing(k: int | None, candidates: Sequence[Mapping[str, Any]]) -> Standing:
    """Versions before `redrawn` was kept apart say it as stability."""
    told = {one["k"]: one.get("redrawn", one["stability"]) for one in candidates}
    redrawn = {number: value for number, value in told.items() if value is not None}
    return Standing(k, redrawn, doubtful(candidates, k, "k"))
