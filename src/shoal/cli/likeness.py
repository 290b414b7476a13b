"""What `shoal simulate --like` says to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.cli.console import Console
    from shoal.workflows.calibration_result import Calibration

#: Columns that tell customers apart and are named.
_TELLING = 4


def show_calibration(console: Console, found: Calibration) -> None:
    """Moment by moment how far the simulated log is from the real one, and all in one figure.

    Columns: the log; the world with its dials as declared, and as fitted, and how far that is from
    the log. Shapes are in the JSON document, as is the distance between halves of the log.
    """
    rows, total = found.rows(), found.total
    numbers = ("real", "declared", "fitted", "distance")
    values = ("real", "before", "simulated", "distance")
    console.table(
        ["moment", *numbers, "unit"],
        [
            [one["name"], *(_told(one[name]) for name in values), one["unit"]]
            for one in rows
            if not one["untold"]
        ],
        title=f"World {found.world.name}, fitted to {found.like.where}",
        right=numbers,
    )  # fmt: skip
    console.say(
        f"Total distance: {total['after']:.3f}; with the dials as declared {total['before']:.3f}; "
        f"between two random halves of the log {total['floor']:.3f}."
    )
    console.say(f"It is the {found.as_document()['formula']}.")
    _show_untold(console, rows)
    _show_tests(console, found)
    for note in found.notes():
        console.say(note)
    told = ", ".join(f"{name} {value}" for name, value in found.dials.items()
                     if not isinstance(value, list | tuple))  # fmt: skip
    console.say(f"Dials: {told}; lists of weights are in world.json.")


def _show_untold(console: Console, rows: list[dict[str, Any]]) -> None:
    reasons: dict[str, list[str]] = {}
    for one in rows:
        if one["untold"]:
            reasons.setdefault(one["untold"], []).append(one["name"])
    for reason, names in reasons.items():
        console.say(f"The log cannot tell ({reason}): {', '.join(names)}.")


def _show_tests(console: Console, found: Calibration) -> None:
    """The two-sample test in a sentence each."""
    after, before, null = (found.two_sample[name] for name in ("after", "before", "null"))
    if after is None or before is None or null is None:
        console.say("Too few customers to train a classifier to tell real from simulated ones.")
        return
    console.say(
        f"A classifier tells real from simulated customers with AUC {after.auc:.2f} "
        f"({after.low:.2f} to {after.high:.2f}): {after.verdict}. With the dials as declared "
        f"{before.auc:.2f}; one half of the real customers from the other {null.auc:.2f}."
    )
    names = ", ".join(name for name, lost in after.telling[:_TELLING] if lost > 0)
    if names:
        console.say(f"What gives them away: {names}.")


def _told(value: Any) -> str:
    if value is None:
        return "none"
    return "shape" if isinstance(value, list) else f"{value:,.3g}"
