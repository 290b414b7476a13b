"""The lineage of segments as documents: what each version made of the one before, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from shoal.adjust.align import Alignment, Change, Noise
from shoal.adjust.transitions import BIRTH, CONTINUE, DEATH, MERGE, SPLIT
from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text

#: Parents of a birth and heirs of a death that hold less than this are not told.
_TOLD_SHARE: Final = 0.1

#: What of a segmentation's document decides where segments lie, and how a change of it is told.
_CAUSES: Final[Mapping[str, Text]] = {
    "method": Text("another method", "换了方法"),
    "on": Text("made on something else", "换了输入"),
    "model_id": Text("another behaviour model", "换了行为模型"),
    "k": Text("another number of segments", "分群数量变了"),
    "minimum_events": Text("another minimum of events", "最少事件数变了"),
    "fold_fingerprint": Text("other definitions of features", "特征定义变了"),
    "seed": Text("another seed", "随机种子变了"),
    "as_of": Text("later data", "数据更新了"),
}


def causes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What differs between two segmentations' documents that may move segments.

    Rows of `code`, `was`, `is` and the texts `en`, `zh`, in the order of what weighs most.
    """
    return [
        {"code": code, "was": before.get(code), "is": after.get(code), **text.as_document()}
        for code, text in _CAUSES.items()
        if before.get(code) != after.get(code)
    ]


def beginning(highest: int) -> dict[str, Any]:
    """The lineage of the first version of a line."""
    return {
        "previous_id": None, "customers": None, "causes": [], "segments": [], "changes": [],
        "flows": [], "highest_number": highest, "refits": 0,
    }  # fmt: skip


def lineage(
    aligned: Alignment,
    noise: Noise | None,
    *,
    previous_id: str,
    why: Sequence[Mapping[str, Any]],
    date: str,
    tiers: Mapping[tuple[str, str], int],
) -> dict[str, Any]:
    """The document `lineage.json` of a version (schema and id come when it is written).

    Args:
        previous_id: the version before.
        why: see `causes`.
        date: moment of the states that both versions were asked about.
        tiers: (old id, new id) -> customers whom one of both has in the tier of the unknown. With
            `aligned.flows` these are all customers.
    """
    flows = {**aligned.flows, **tiers}
    sizes: dict[str, int] = {}
    for (_, new), customers in flows.items():
        sizes[new] = sizes.get(new, 0) + customers
    return {
        "previous_id": previous_id,
        "as_of": date,
        "customers": {
            "total": sum(flows.values()),
            "compared": aligned.customers,
            "too_little_known": sum(tiers.values()),
        },
        "causes": [dict(one) for one in why],
        "segments": [
            {
                "segment_id": name,
                "customers": sizes.get(name, 0),
                "continues": name in aligned.same,
                "overlap": aligned.same.get(name),
                "noise_floor": _number(noise.floor[place]) if noise else None,
                "stability": _number(noise.stability[place]) if noise else None,
            }
            for place, name in enumerate(aligned.ids)
        ],
        "changes": [_change(one, aligned, date) for one in aligned.changes],
        "flows": [
            {"from": old, "to": new, "customers": customers}
            for (old, new), customers in sorted(flows.items())
        ],
        "highest_number": aligned.highest,
        "refits": len(noise.labels) if noise else 0,
    }


def _change(one: Change, aligned: Alignment, date: str) -> dict[str, Any]:
    return {
        "change": one.change,
        "parents": list(one.parents),
        "children": list(one.children),
        "customers": one.customers,
        "share": one.share,
        "confidence": _number(one.confidence),
        "date": date,
        "drawn_from": _ends(aligned, one.children, 1) if one.change == BIRTH else [],
        "gone_to": _ends(aligned, one.parents, 0) if one.change == DEATH else [],
        "sentence": sentence(one).as_document(),
    }


def _ends(aligned: Alignment, names: Sequence[str], side: int) -> list[dict[str, Any]]:
    """Where those of a birth were, or those of a death are, the most first."""
    found: dict[str, int] = {}
    for pair, customers in aligned.flows.items():
        if pair[side] in names:
            found[pair[1 - side]] = found.get(pair[1 - side], 0) + customers
    total = sum(found.values())
    return [
        {"segment_id": name, "customers": customers, "share": customers / total}
        for name, customers in sorted(found.items(), key=lambda one: (-one[1], one[0]))
        if customers >= _TOLD_SHARE * total
    ]


def sentence(one: Change) -> Text:
    """A change in words.

    >>> sentence(Change("split", ("s01",), ("s01", "s05"), 1200, 0.4, 1.0)).en
    's01 split into s01 and s05 (1,200 customers)'
    """
    old, new = _listed(one.parents), _listed(one.children)
    count = f"({one.customers:,} customers)", f"（{one.customers:,} 位客户）"
    told = {
        CONTINUE: (f"{new.en} goes on", f"{new.zh} 延续"),
        SPLIT: (f"{old.en} split into {new.en}", f"{old.zh} 分裂为 {new.zh}"),
        MERGE: (f"{old.en} merged into {new.en}", f"{old.zh} 合并为 {new.zh}"),
        BIRTH: (f"{new.en} was born", f"{new.zh} 新生"),
        DEATH: (f"{old.en} died", f"{old.zh} 消失"),
    }[one.change]
    return Text(f"{told[0]} {count[0]}", f"{told[1]}{count[1]}")


def _listed(names: Sequence[str]) -> Text:
    if len(names) < 2:
        return Text("".join(names), "".join(names))
    return Text(f"{', '.join(names[:-1])} and {names[-1]}", "、".join(names))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def adds_up(document: Mapping[str, Any]) -> bool:
    """Whether a lineage's flows and its segments' sizes sum to its customers."""
    if document["customers"] is None:
        return not document["flows"]
    total = document["customers"]["total"]
    flows = sum(one["customers"] for one in document["flows"])
    tier = sum(one["customers"] for one in document["flows"] if one["to"] == TIER_NEW)
    placed = sum(one["customers"] for one in document["segments"])
    return bool(flows == total == placed + tier)
