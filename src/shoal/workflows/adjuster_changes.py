"""What an adjustment changes: memberships under the switching rule, and the lineage that tells it.

Segments that are nudged, split, merged or born carry their permanent ids from the start, so nothing
has to be matched; what a refit made is aligned before (`shoal.workflows.segment_identity`). Either
way customers are counted where they are recorded before and where the margin leaves them after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust import transitions
from shoal.adjust.adjustment import MERGE, NUDGE, REFIT, RETRAIN, SPLIT, Adjustment, Proposal
from shoal.adjust.align import Alignment, Change, Noise
from shoal.adjust.lineage import lineage
from shoal.domain.segment import TIER_NEW, VERSION
from shoal.domain.text import Text
from shoal.domain.time import iso
from shoal.segments.base import CUSTOMER
from shoal.workflows.advance import InForce, placed
from shoal.workflows.known import Known

#: Kind of a split without a parent, in its evidence.
BIRTH: Final = "birth"

#: What was done, as a cause of a new version.
_CAUSES: Final[Mapping[str, Text]] = {
    NUDGE: Text("segments followed their customers", "分群随客户移动"),
    SPLIT: Text("segments split", "分群分裂"),
    BIRTH: Text("a segment was born", "产生了新分群"),
    MERGE: Text("segments merged", "分群合并"),
    REFIT: Text("all segments were made anew", "全部分群重新生成"),
    RETRAIN: Text(
        "the behaviour model was trained on, and all segments made anew",
        "行为模型继续训练，全部分群重新生成",
    ),
}

Flows = dict[tuple[str, str], int]


def rearranged(after: InForce, known: Known, recorded: pa.Table) -> tuple[pa.Table, float]:
    """Where everybody belongs after a change, and the share of the placed customers it moved.

    Args:
        after: the changed segmentation, with its margin.
        recorded: `MEMBERSHIPS_SCHEMA`, where everybody was.

    Returns:
        `MEMBERSHIPS_SCHEMA`; who is in another segment is so since now, with the cause `version`.
    """
    table = known.table(after.vocabulary)
    weights = after.segmenter.transform(table)
    memberships, moved = placed(
        table[CUSTOMER], weights, after, recorded, known.as_of, entering=VERSION
    )
    causes = pc.if_else(pa.array(moved), VERSION, memberships["cause"])
    at = memberships.schema.get_field_index("cause")
    memberships = memberships.set_column(at, "cause", causes.cast(pa.string()))
    enough = pc.not_equal(memberships["segment_id"], TIER_NEW).to_numpy()
    share = float(moved[enough].mean()) if enough.any() else 0.0
    return memberships, share


def flows(recorded: pa.Table, memberships: pa.Table) -> tuple[Flows, Flows]:
    """(old id, new id) -> customers: of those whom both place, and of the others."""
    rows = pc.index_in(memberships[CUSTOMER], value_set=recorded[CUSTOMER].combine_chunks())
    before = pc.fill_null(recorded["segment_id"].take(rows), TIER_NEW)
    counted = Counter(zip(before.to_pylist(), memberships["segment_id"].to_pylist(), strict=True))
    between: Flows = {one: n for one, n in counted.items() if TIER_NEW not in one}
    tiers: Flows = {one: n for one, n in counted.items() if TIER_NEW in one}
    return between, tiers


def told_lineage(
    adjustments: Sequence[Adjustment],
    before: Sequence[str],
    after: Sequence[str],
    recorded: pa.Table,
    memberships: pa.Table,
    known: Known,
    *,
    previous_id: str,
    highest: int,
    aligned: Alignment | None = None,
    noise: Noise | None = None,
) -> dict[str, Any]:
    """The lineage document of a change.

    Args:
        adjustments: what was done, in order.
        before, after: permanent ids of the segments.
        highest: the highest number ever used, after the change.
        aligned: of a refit: which segments are the same, and what became of the others.
    """
    between, tiers = flows(recorded, memberships)
    placed_customers = sum(between.values())
    if aligned is None:
        aligned = Alignment(
            ids=tuple(after),
            same={one: _overlap(between, one) for one in after if one in before},
            changes=_changes(adjustments, before, after, between, placed_customers),
            flows=between,
            customers=placed_customers,
            highest=highest,
        )
    else:
        aligned = replace(aligned, flows=between, customers=placed_customers)
    return lineage(
        aligned, noise, previous_id=previous_id, why=causes_of(adjustments),
        date=iso(known.as_of), tiers=tiers,
    )  # fmt: skip


def causes_of(adjustments: Sequence[Adjustment]) -> list[dict[str, Any]]:
    """Rows of `code`, `was`, `is` and the texts `en`, `zh`, as `shoal.adjust.lineage.causes`."""
    found = []
    for one in adjustments:
        kind = kind_of(one.proposal)
        if kind in _CAUSES:
            ids = ", ".join(one.proposal.segments) or None
            row = {"code": kind, "was": ids, "is": None, **_CAUSES[kind].as_document()}
            found += [row] if row not in found else []
    return found


def kind_of(proposal: Proposal) -> str:
    """The action, or `birth`: a split that has no parent."""
    return BIRTH if proposal.evidence.get("kind") == BIRTH else proposal.action


def _changes(
    adjustments: Sequence[Adjustment],
    before: Sequence[str],
    after: Sequence[str],
    between: Flows,
    total: int,
) -> tuple[Change, ...]:
    """What became of segments, those that changed first."""
    fresh = [one for one in after if one not in before]
    found: list[Change] = []
    for one in adjustments:
        kind = kind_of(one.proposal)
        parents = tuple(one.proposal.segments)
        if kind == BIRTH and fresh:
            found.append(_change(transitions.BIRTH, (), (fresh.pop(0),), between, total))
        elif kind == SPLIT and fresh:
            children = tuple(sorted([*(p for p in parents if p in after), fresh.pop(0)]))
            found.append(_change(transitions.SPLIT, parents, children, between, total))
        elif kind == MERGE:
            children = tuple(p for p in parents if p in after)
            found.append(
                _change(transitions.MERGE, tuple(sorted(parents)), children, between, total)
            )
    touched = {name for one in found for name in (*one.parents, *one.children)}
    stay = [one for one in after if one not in touched]
    goes_on = [
        _change(transitions.CONTINUE, (one,), (one,), between, total) for one in sorted(stay)
    ]
    return (*found, *goes_on)


def _change(
    what: str, parents: tuple[str, ...], children: tuple[str, ...], between: Flows, total: int
) -> Change:
    """A change with the customers in a parent and a child; of a birth those who are there."""
    customers = sum(
        n
        for (old, new), n in between.items()
        if new in children and (not parents or old in parents)
    )
    share = customers / total if total else 0.0
    return Change(what, parents, children, customers, share, float("nan"))


def _overlap(between: Flows, name: str) -> float:
    """Jaccard overlap of a segment with itself before."""
    common = between.get((name, name), 0)
    either = sum(n for pair, n in between.items() if name in pair)
    return common / either if either else 1.0


def sizes_of(memberships: pa.Table, ids: Sequence[str]) -> npt.NDArray[np.float64]:
    """(k,) share of the placed customers in each segment."""
    counts = Counter(memberships["segment_id"].to_pylist())
    found = np.array([counts.get(one, 0) for one in ids], np.float64)
    return found / max(found.sum(), 1.0)
