"""The results as one JSON document."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.harness import results
from bench.users import settings
from bench.users.methods import ALONE, METHODS, SHOAL, SMALL, TRAINED, of_unit, ranked
from bench.users.outcomes import ACTIVE
from bench.users.scores import (
    Cell,
    Scored,
    cells,
    counted,
    drawn,
    figures,
    mean,
    ranks,
)
from bench.users.sets import TASKS, Opened, cannot
from shoal.evaluation.bootstrap import interval

#: Of the draws of customers; fixed, so that the same run gives the same intervals.
_DRAW_SEED = 20_26


def document(
    scores: Sequence[Scored],
    units: Sequence[Mapping[str, Any]],
    opened: Sequence[Opened],
    missing: Mapping[str, str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """All that `page.markdown` tells, and more.

    Args:
        units: what the units gave, with peer, label, seed and seconds.
        missing: label of a log that is not there -> why.
    """
    rows = [name for name, one in METHODS.items() if one.unit in options.units]
    contest = [
        name
        for name in ranked(options.units)
        if any(name in task.found for one in scores for task in one.tasks.values())
    ]
    mains = [one for one in scores if one.log.main]
    there = [cell for cell in cells(scores) if counted(scores, cell, contest)]
    differences = _differences(scores, contest)
    of_rank = {"all": ranks(scores, contest, there)} | {
        task: ranks(scores, contest, [cell for cell in there if cell[1] == task])
        for task in TASKS
    }  # fmt: skip
    return {
        **results.header("bench.users/1", "bench.users", options.seeds),
        "budget_s": options.budget, "most_customers": settings.MOST_CUSTOMERS,
        "draws": settings.DRAWS, "tolerance": settings.TOLERANCE,
        "least": {"auroc": settings.LEAST_AUROC, "share": settings.LEAST_SHARE},
        "tasks": {name: {task: cannot(name).get(task, "") for task in TASKS}
                  for name in options.sets},
        "missing": dict(missing),
        "unit_minutes": sum(unit["seconds"] for unit in units) / 60,
        "methods": {name: {"title": METHODS[name].title, "role": METHODS[name].role}
                    for name in rows},
        "cells": [_cell(scores, cell, rows, cell in there) for cell in cells(scores)],
        "ranks": of_rank, "ranked_cells": len(there),
        "differences": differences,
        "goal": _goal(of_rank["all"], differences, scores, contest),
        "controls": _controls(mains),
        "small": _small(mains, options.units),
        "training": [_training(unit) for unit in units
                     if unit["peer"] in TRAINED and "failed" not in unit],
        "logs": [_log(one, score) for one, score in zip(opened, scores, strict=True)],
        "failed": [
            {"unit": unit["peer"], "log": unit["label"], "reason": unit["failed"]}
            for unit in units
            if "failed" in unit
        ],
    }  # fmt: skip


def _cell(
    scores: Sequence[Scored], cell: Cell, rows: Sequence[str], is_counted: bool
) -> dict[str, Any]:
    found = {row: results.spread(figures(scores, cell, row)) for row in rows}
    measure = "auroc" if cell[1] == ACTIVE else "share"
    return {
        "set": cell[0], "task": cell[1], "measure": measure, "counted": is_counted, "rows": found,
    }  # fmt: skip


def _differences(scores: Sequence[Scored], contest: Sequence[str]) -> list[dict[str, Any]]:
    """Shoal's row of the goal beside the best peer of each cell."""
    if SHOAL not in contest:
        return []
    peers = [name for name in contest if METHODS[name].role == "peer"]
    told = []
    for cell, found in drawn(scores, [SHOAL, *peers], settings.DRAWS, _DRAW_SEED).items():
        own = {row: mean(scores, cell, row) for row in found}
        rivals = {row: own[row] for row in peers if row in own and np.isfinite(own[row])}
        if SHOAL not in own or not rivals:
            continue
        best = max(rivals, key=lambda row: rivals[row])
        one = interval(own[SHOAL] - own[best], found[SHOAL] - found[best])
        told.append({"set": cell[0], "task": cell[1], "best_peer": best, **one.as_document()})
    return sorted(told, key=lambda one: TASKS.index(one["task"]))


def _goal(
    of_rank: Mapping[str, float],
    differences: Sequence[Mapping[str, Any]],
    scores: Sequence[Scored],
    contest: Sequence[str],
) -> dict[str, Any] | None:
    """Whether Shoal's row has the best mean rank, and is never worse than the best peer by more
    than the tolerance; None where it gave nothing. Every cell counts, those without rank too."""
    if SHOAL not in of_rank or not differences:
        return None
    lacking = [cell for cell in cells(scores)
               if SHOAL in contest and not np.isfinite(mean(scores, cell, SHOAL))]  # fmt: skip
    others = [of_rank[row] for row in of_rank if METHODS[row].role == "peer"]
    worse = [one for one in differences if one["figure"] < -settings.TOLERANCE]
    return {
        "best_mean_rank": bool(others) and all(of_rank[SHOAL] < one for one in others),
        "never_worse": not worse and not lacking,
        "cells": len(differences),
        "places": [{"set": one["set"], "task": one["task"], "best_peer": one["best_peer"],
                    "figure": one["figure"], "beyond_chance": one["high"] < 0} for one in worse],
        "lacking": [list(cell) for cell in lacking],
    }  # fmt: skip


#: What is compared to say whether order and time add anything: Shoal's row, the control's row.
_PAIRS = {
    "order": (ALONE, "shuffled"), "order beside features": (SHOAL, "shuffled+features"),
    "time": (ALONE, "no-time"), "time beside features": (SHOAL, "no-time+features"),
}  # fmt: skip


def _controls(mains: Sequence[Scored]) -> list[dict[str, Any]]:
    """By cell, what Shoal's embedding gains over one without order or times, on the main seed."""
    told = []
    rows = sorted({row for pair in _PAIRS.values() for row in pair})
    for cell, found in drawn(mains, rows, settings.DRAWS, _DRAW_SEED).items():
        for what, (own, control) in _PAIRS.items():
            if own in found and control in found:
                gain = mean(mains, cell, own) - mean(mains, cell, control)
                one = interval(gain, found[own] - found[control])
                told.append({"set": cell[0], "task": cell[1], "what": what, **one.as_document()})
    return sorted(told, key=lambda one: TASKS.index(one["task"]))


def _small(mains: Sequence[Scored], units: Sequence[str]) -> list[dict[str, Any]]:
    """The small sample, where histories were written out as sentences too; empty without them."""
    if not any("text" in task.found for one in mains for task in one.small.values()):
        return []
    told = []
    rows = [row for row in SMALL if row.split("+")[0] in units]
    for cell, found in drawn(mains, rows, settings.DRAWS, _DRAW_SEED, small=True).items():
        task = next(one.small[cell[1]] for one in mains if one.log.set == cell[0])
        told.append(
            {
                "set": cell[0], "task": cell[1], "customers": len(task.base),
                "rows": {row: interval(task.figure(row), found[row]).as_document()
                         for row in found},
            }
        )  # fmt: skip
    return sorted(told, key=lambda one: TASKS.index(one["task"]))


def _training(unit: Mapping[str, Any]) -> dict[str, Any]:
    more = {key: unit[key] for key in ("steps", "loss", "epochs", "stopped") if key in unit}
    return {
        "unit": unit["peer"], "log": unit["label"], "seconds": unit["seconds"],
        "train_seconds": unit["train_seconds"], "rows": of_unit(unit["peer"]), **more,
    }  # fmt: skip


def _log(one: Opened, score: Scored) -> dict[str, Any]:
    return {
        "set": one.log.set, "seed": one.log.seed, "main": one.log.main,
        "before": f"{one.before:%Y-%m-%d}", "cut": f"{one.moment:%Y-%m-%d}",
        "horizon_days": one.horizon_days, "learners": len(one.customers(one.before)),
        "customers": len(score.customers), "once": one.once,
        "events": one.source.facts["events"], "digest": one.source.digest,
    }  # fmt: skip
