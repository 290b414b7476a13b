"""What a method found beside its segments, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shoal.cli.console import Console

_FIGURES: Final = ("recall", "precision", "f1")


def show_method(console: Console, document: Mapping[str, Any]) -> None:
    """What a method found beside its segments: levels, known customers found again, agreement."""
    facts = document.get("method_facts") or {}
    name = document["segmentation_id"]
    if facts.get("levels"):
        levels = " > ".join(str(one["k"]) for one in facts["levels"])
        console.say(f"{name}: levels {levels}, each group within one of the level before.")
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
