"""What a version of the segments had, that the next one keeps where it is as good as anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.segments.base import Segmenter
from shoal.segments.choose import Choice
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.weigh import doubtful


@dataclass(frozen=True)
class Settled:
    """Number of segments and of styles among them of a version; None where it does not say.

    Args:
        owner: the style of each of its segments, by id; empty where all are styles.
        redrawn: how well segments came back when customers were drawn again, by their number; empty
            where no number was chosen.
        doubted: whether another number of styles foretold clearly more.
    """

    k: int | None
    styles: int | None
    owner: Mapping[str, int] = field(default_factory=dict)
    redrawn: Mapping[int, float] = field(default_factory=dict)
    doubted: bool = True

    @classmethod
    def of(cls, document: Mapping[str, Any], segmenter: Segmenter) -> Settled:
        """Of a published segmentation."""
        choice = document.get("choice") or {}
        return cls(
            document.get("k"), choice.get("styles"), _owners(segmenter),
            _redrawn(choice.get("candidates") or ()), _doubted(choice, choice.get("styles")),
        )  # fmt: skip

    @classmethod
    def after(cls, choice: Choice, segmenter: Segmenter) -> Settled:
        """Of one that was just learned; its segments have their permanent ids."""
        return cls(
            choice.chosen, choice.styles, _owners(segmenter),
            _redrawn([one.as_document() for one in choice.candidates]),
            _doubted(choice.extra, choice.styles),
        )  # fmt: skip


def _owners(segmenter: Segmenter) -> dict[str, int]:
    """The style of each segment; empty where segments are not stages of styles."""
    return segmenter.styles if isinstance(segmenter, ClusterSegmenter) else {}


def _doubted(evidence: Mapping[str, Any], styles: int | None) -> bool:
    tried = (evidence.get("outlook") or {}).get("tried")
    return styles is None or not tried or doubtful(tried, styles)


def _redrawn(candidates: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """What was found of each number; versions before this was kept apart say it as stability."""
    told = {one["k"]: one.get("redrawn", one["stability"]) for one in candidates}
    return {k: value for k, value in told.items() if value is not None}
