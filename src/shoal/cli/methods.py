"""What a method found beside its segments, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.cli.console import Console
from shoal.domain.segment import TIER_NEW

_FIGURES: Final = ("recall", "precision", "f1")


def show_method(console: Console, document: Mapping[str, Any]) -> None:
    """What a method found beside its segments: levels, known customers found again, agreement."""
    facts = document.get("method_facts") or {}
    name = document["segmentation_id"]
    if facts.get("levels"):
        _show_levels(console, document, facts["levels"])
    held = facts.get("held_out")
    if held:
        console.say(
            f"{name}: of {held['customers']:,} known customers, left out in {held['folds']} turns, "
            f"{held['accuracy']:.1%} are found in their own segment (macro recall "
            f"{held['macro_recall']:.1%}, macro F1 {held['macro_f1']:.1%})."
        )
        console.table(
            ["named segment", "known", *_FIGURES],
            [
                [told, f"{one['customers']:,}", *(f"{one[key]:.1%}" for key in _FIGURES)]
                for told, one in held["segments"].items()
            ],
            right=["known", *_FIGURES],
        )
    if facts.get("members"):
        agreement = ", ".join(f"{one['method']} {one['agreement']:.2f}" for one in facts["members"])
        console.say(f"{name}: agreement with its members (adjusted Rand index): {agreement}.")


def _show_levels(
    console: Console, document: Mapping[str, Any], levels: Sequence[Mapping[str, Any]]
) -> None:
    """Where each segment lies in broader levels, and what lies in it in finer ones."""
    told = " > ".join(str(one["k"]) for one in levels)
    console.say(
        f"{document['segmentation_id']}: levels {told}, each group within one of the level before."
    )
    segments = [one["segment_id"] for one in document["segments"] if one["segment_id"] != TIER_NEW]
    sizes = [one["k"] for one in levels]
    if len(segments) not in sizes:  # a segment without members is not listed
        return
    own = sizes.index(len(segments))
    broader: list[list[str]] = []
    places = list(range(len(segments)))
    for level in range(own, 0, -1):
        places = [levels[level]["parents"][place] for place in places]
        broader.insert(0, [str(place + 1) for place in places])
    finer = []
    for level in range(own + 1, len(levels)):
        within = list(range(levels[level]["k"]))
        for step in range(level, own, -1):
            within = [levels[step]["parents"][place] for place in within]
        finer.append([str(within.count(place)) for place in range(len(segments))])
    heads = [f"group of {one['k']}" for one in levels[:own]]
    heads += [f"of {one['k']} in it" for one in levels[own + 1 :]]
    console.table(
        ["segment", *heads],
        [list(row) for row in zip(segments, *broader, *finer, strict=True)],
        right=heads,
    )
