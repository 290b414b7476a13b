"""Runs of a panel: which day each method told of drift."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench.drift import peers
from bench.drift.panel import NONE, Panel
from shoal.adjust.drift.detect import Monitors, detect
from shoal.adjust.drift.look import Look
from shoal.adjust.settings import AdjustSettings

SHOAL: Final = "Shoal, told"
ASKS: Final = "Shoal, asks for an answer"
#: Days of history: of a young shop, and of one with a year to compare with.
YOUNG_DAYS, OLD_DAYS = 154, 504
#: Weeks before a look at which it is compared, as `shoal.adjust.drift.windows.wanted` has it.
_WEEKS: Final = (1, 2, 3, 4, 6, 8)
_YEAR_WEEKS: Final = (52, 53, 56, 60)


def run(
    customers: int, seeds: Sequence[int], season: bool, shift: str, watched: int,
    every: Sequence[int], river: int, daily: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Each seed's panel, watched at each cadence; days count from the first watched one.

    Args:
        every: cadences in days. Every day a panel with a shift is shown to Shoal alone, until the
            first alarm.
        river: how many of the seeds, at most, the stream detectors of river see too.
        daily: of how many of the seeds, at most, a cadence of one day is looked at; 0: all.
    """
    found = []
    for place, seed in enumerate(seeds):
        panel = Panel(
            customers, OLD_DAYS if season else YOUNG_DAYS, watched, seed, season, shift
        )  # fmt: skip
        looks: dict[int, Look] = {}

        def look(day: int, panel: Panel = panel, looks: dict[int, Look] = looks) -> Look:
            if day not in looks:
                looks[day] = panel.look(day)
            return looks[day]

        row: dict[str, Any] = {"seed": seed, "season": season, "shift": shift}
        for step in every:
            if step == 1 and daily and place >= daily:
                continue
            row[f"every_{step}"] = _watched(panel, look, step)
        if place < river:
            row["river"] = peers.river_days(panel, seed)
        found.append(row)
    return {"rows": found}


def _watched(panel: Panel, look: Callable[[int], Look], step: int) -> dict[str, Any]:
    """Days on which each method told of drift, what Shoal told, and seconds of its looks."""
    settings = AdjustSettings(cadence_days=float(step))
    days: dict[str, list[int]] = {name: [] for name in (SHOAL, ASKS, *peers.TESTS)}
    monitors: Monitors | None = None
    alarms, seconds, count = [], 0.0, 0
    for after in range(1 if step == 1 else step, panel.watched + 1, step):
        day = panel.days + after
        now = look(day)
        weeks = (*_WEEKS, *_YEAR_WEEKS) if panel.season else _WEEKS
        references = [look(day - 7 * week) for week in weeks]
        started = time.process_time()
        found = detect(now, references, monitors=monitors, settings=settings)
        seconds += time.process_time() - started
        count += 1
        monitors = found.monitors
        if found.alarms:
            days[SHOAL].append(after)
        if any(one.harmful for one in found.alarms):
            days[ASKS].append(after)
        alarms += [
            [after, one.subject, one.what, round(one.size, 3), one.p_value,
             bool(one.evidence.get("over_looks"))]
            for one in found.alarms
        ]  # fmt: skip
        if panel.shift != NONE and step == 1:
            if found.alarms:
                break
            continue
        for name in peers.tests(now, look(day - 28)):
            days[name].append(after)
    return {"days": days, "alarms": alarms[:12], "looks": count, "seconds": round(seconds, 2)}
