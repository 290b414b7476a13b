"""What adjustment did in each world: alarms, steps, and looks at what was broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.harness.results import table
from bench.track.summing import of, peers_of, titled

_STEPS = ("nudge", "split", "merge", "refit")


def adjustment(
    rows: Sequence[Mapping[str, Any]], heading: str = "## What adjustment did"
) -> list[str]:
    """A row a peer and world: means over seeds; empty where nobody adjusts."""
    lines = []
    for peer in peers_of(rows):
        for world in dict.fromkeys(row["world"] for row in rows):
            mine = [row["adjusted"] for row in of(rows, peer, world=world) if row.get("adjusted")]
            if mine:
                lines.append([titled(rows, peer), world, *_cells(mine)])
    if not lines:
        return []
    intro = (
        "Means over seeds of a run of some three months. Alarms: told, and in brackets those that "
        "segments or forecasts were worse for; broken: looks at which something was taken for "
        "broken, at which nothing is learned. Steps: looks at which one was taken."
    )
    head = ["method", "world", "looks", "alarms (harmful)", "broken", *_STEPS,
            "moved by it, a look"]  # fmt: skip
    return [heading, intro, table(head, lines)]


def _cells(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    n = len(runs)
    looks = [one for run in runs for one in run]
    alarms = [alarm for one in looks for alarm in one["alarms"]]
    harmful = [one for one in alarms if one[2]]
    steps = [sum(step in one["actions"] and one["changed"] for one in looks) / n for step in _STEPS]
    moved = sum(one["moved"] for one in looks) / max(len(looks), 1)
    return [
        f"{len(looks) / n:.0f}", f"{len(alarms) / n:.1f} ({len(harmful) / n:.1f})",
        f"{sum(bool(one['blocked']) for one in looks) / n:.1f}", *(f"{one:.1f}" for one in steps),
        f"{moved:.1%}",
    ]  # fmt: skip
