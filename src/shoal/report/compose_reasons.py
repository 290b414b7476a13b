"""From the documents beside a segmentation to why its segments are as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.report.document_reasons import (
    Borderline,
    Candidate,
    Choice,
    CustomerMap,
    Expected,
    Explained,
    Explanation,
    HeadFigure,
    Protected,
    RulePath,
    Trait,
    TraitGap,
    TraitOfSegment,
    TreeTold,
    Tried,
)

Document = Mapping[str, Any]


def in_language(text: Mapping[str, str] | None, lang: str) -> str:
    """A text in one language; empty where there is none."""
    return str(text[lang]) if text else ""


# --- The number of segments -----------------------------------------------------------------------


def choice(document: Document, lang: str) -> Choice | None:
    """How the number of segments was chosen, of a segmentation's document."""
    found = document.get("choice")
    if not found:
        return None
    weighed = found.get("outlook") or {}
    return Choice(
        rule=found["rule"],
        chosen=found["chosen"],
        candidates=tuple(
            Candidate(
                one["k"],
                one.get("score"),
                one.get("score_se"),
                one.get("stability"),
                one.get("smallest_share"),
                one.get("eligible", True),
                in_language(one.get("why_not"), lang),
                one.get("prediction_strength"),
            )
            for one in found.get("candidates") or ()
        ),
        reason=in_language(found.get("reason"), lang),
        horizon_days=found.get("horizon_days"),
        # Scores became shares of the best candidate's when the outlook came.
        relative="aim" in found,
        strengths={int(k): one for k, one in (found.get("prediction_strength") or {}).items()},
        aim=found.get("aim") or "",
        styles=found.get("styles"),
        alone=bool(found.get("outlook_alone")),
        tried=tuple(
            Tried(one["styles"], one["score"], one["score_se"])
            for one in weighed.get("tried") or ()
            if "styles" in one  # older segmentations tried shares
        ),
        head=tuple(_figure(name, one) for name, one in (found.get("head") or {}).items()),
    )


def _figure(outcome: str, one: Document) -> HeadFigure:
    return HeadFigure(
        outcome, one["mean"], one["foretold_mean"], one.get("auroc"), one.get("rank_correlation")
    )


# --- Explanation ----------------------------------------------------------------------------------


def explanation(
    document: Document | None, lang: str, horizon_days: int | None = None
) -> Explanation | None:
    """What a document `shoal.explanation/1` tells; None for a segmentation without one."""
    if not document:
        return None
    tree = document.get("tree")
    recalls = tree["fidelity"]["by_segment"] if tree else {}
    rules = {one["segment_id"]: one for one in document.get("rules") or ()}
    return Explanation(
        {
            one["segment_id"]: _explained(
                one, rules.get(one["segment_id"]), recalls.get(one["segment_id"]), lang
            )
            for one in document["segments"]
        },
        _tree(tree, document) if tree else None,
        horizon_days,
    )


def _explained(
    one: Document, rule: Document | None, recall: float | None, lang: str
) -> Explained:  # fmt: skip
    expected = (one.get("value") or {}).get("next")
    return Explained(
        persona=in_language(one.get("persona"), lang),
        rule=in_language(rule["words"], lang) if rule else "",
        paths=tuple(
            RulePath(in_language(each["words"], lang), each["share"], each["right"])
            for each in (rule["paths"] if rule else ())
        ),
        recall=recall,
        borderline=tuple(
            Borderline(
                each["customer_id"], each["weight"], each["next"]["segment_id"],
                each["next"]["weight"],
            )
            for each in one.get("borderline") or ()
        ),
        expected=Expected(
            expected["customers"],
            expected.get("active"),
            expected.get("orders"),
            expected.get("spend"),
        )
        if expected
        else None,
    )  # fmt: skip


def _tree(tree: Document, document: Document) -> TreeTold:
    fidelity, aside = tree["fidelity"], tree.get("left_out") or {}
    steady = document.get("stability") or {}
    thresholds = steady.get("thresholds") or {}
    return TreeTold(
        leaves=tree["leaves"],
        features=len(tree["features"]),
        balanced=fidelity["balanced"],
        majority=fidelity["majority_balanced"],
        goal=fidelity["goal"],
        looked_at=document["customers"]["looked_at"],
        cost=tree.get("cost_ratio"),
        left_out=len(aside.get("columns") or ()),
        lost=aside.get("fidelity_lost") or 0.0,
        previous=steady.get("previous") or "",
        kept=thresholds.get("kept", 0),
        asked=thresholds.get("of", 0),
        agreement=steady.get("agreement"),
    )


# --- Protected traits -----------------------------------------------------------------------------


def protected(
    document: Document, left_out: Sequence[str], used: Sequence[str], *, ruled: bool
) -> Protected:
    """How segments fall by protected traits, of a document `shoal.protected/1`.

    Args:
        left_out, used: features that tell a protected trait, in words: those that learning left
            out, and those that it did not.
        ruled: segments are made by rules.
    """
    return Protected(
        tuple(document["protected"]),
        tuple(left_out),
        tuple(_trait(one) for one in document["traits"]),
        document["fewest"],
        ruled,
        tuple(used),
    )


def _trait(one: Document) -> Trait:
    gap = one["largest_gap"]
    return Trait(
        name=one["trait"],
        known=one["known"],
        unknown=one["unknown"],
        values=tuple(each["value"] for each in one["values"]),
        shares=tuple(each["share"] for each in one["values"]),
        segments=tuple(
            TraitOfSegment(
                each["segment_id"], each["known"], each["unknown"], tuple(each["shares"])
            )
            for each in one["segments"]
        ),
        gap=TraitGap(gap["segment_id"], gap["value"], gap["share"], gap["share_of_all"])
        if gap
        else None,
        association=one["cramers_v"],
    )


# --- The map --------------------------------------------------------------------------------------


def customer_map(profiles: Document) -> CustomerMap | None:
    """The map of a segmentation's profiles; None where they hold none."""
    found = profiles.get("map")
    if not found or not found.get("points"):
        return None
    points = tuple((float(x), float(y), str(name)) for x, y, name in found["points"])
    placed = sum(one["size"] for one in profiles["segments"] if one.get("tier") != "new")
    return CustomerMap(points, len(points) < placed, found.get("least_of_a_segment") or 0)
