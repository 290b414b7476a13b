"""What would move a customer into another segment, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shoal.domain.text import Text
from shoal.features.catalog import Catalog
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import column
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.explain.change import Change, Lever, levers, smallest_change
from shoal.segments.wording import Described, amount


@dataclass(frozen=True)
class Asked:
    """A customer, and the segmentation that is asked about them.

    Args:
        told: the explanation of the segmentation.
        features, counts: of the customer alone, one row and a row a name.
        row: the customer as the segmenter reads them.
        margin: by how much another segment has to weigh more before the customer changes.
        segment_id: where the customer is; empty: where they weigh most.
    """

    found: SegmentationArtefact
    told: Mapping[str, Any]
    catalog: Catalog
    features: pa.Table
    counts: pa.Table
    row: pa.Table
    margin: float = 0.0
    segment_id: str = ""


#: A column in words; a segment's name by its id.
Words = Callable[[str], Described]
Names = Callable[[str], Mapping[str, str]]


def change_told(asked: Asked, here: int, words: Words, names: Names) -> dict[str, Any]:
    """The smallest change that was found, or that none was, as JSON.

    Args:
        here: the place where the customer is.
    """
    options = _levers(asked)
    found = smallest_change(asked.found.segmenter, asked.row, here, options, margin=asked.margin)
    if found is None:
        return _none(len(options))
    return _told(found, asked, words, names)


def _levers(asked: Asked) -> list[Lever]:
    """What the customer can change of that which the segmenter looks at."""
    segmenter, vocabulary = asked.found.segmenter, asked.found.vocabulary
    used = set(asked.row.column_names)
    if isinstance(segmenter, ClusterSegmenter):
        used = set(segmenter.used)
        if segmenter.outlook is not None:
            used |= set(segmenter.outlook.head.names)
    quantiles = {name: points for name, points in asked.told["quantiles"].items() if name in used}
    tastes: dict[str, list[str]] = {}
    for name, (facet, _) in zip(vocabulary.columns, vocabulary.names, strict=True):
        tastes.setdefault(facet, []).append(name)
    return levers(asked.row, list(asked.catalog), tastes, quantiles)


def _none(options: int) -> dict[str, Any]:
    text = Text(
        f"No change of one or two of the {options} columns that a customer can change was found "
        "to move them.",
        f"在客户可改变的 {options} 项指标中，未找到一项或两项的改变能使其换群。",
    )
    if not options:
        text = Text(
            "The segments rest on nothing that a customer can change one thing at a time.",
            "分群所依据的内容无法逐项改变。",
        )
    return {"found": False, "columns": options, "sentence": text.as_document()}


def _told(found: Change, asked: Asked, words: Words, names: Names) -> dict[str, Any]:
    segment_id = asked.found.segmenter.segment_ids[found.place]
    english, chinese, changes = [], [], []
    for name, new in found.values.items():
        described, old = words(name), float(column(asked.row, name)[0])
        a, b = amount(old, described.unit), amount(new, described.unit)
        english.append(f"{described.text.en}: from {a} to {b}")
        chinese.append(f"{described.text.zh}：由 {a} 变为 {b}")
        changes.append({"feature": name, "from": old, "to": new})
    called = names(segment_id)
    text = Text(
        f"{'; '.join(english)} would put them into {segment_id} ({called['en']}).",
        f"{'；'.join(chinese)}，即会归入 {segment_id}（{called['zh']}）。",
    )
    return {
        "found": True, "segment_id": segment_id, "weight": found.weight, "size": found.size,
        "margin": asked.margin, "changes": changes, "sentence": text.as_document(),
    }  # fmt: skip
