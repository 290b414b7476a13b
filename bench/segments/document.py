"""The results as one JSON document."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.harness import results
from bench.harness.environment import versions_of
from bench.segments.peers import METHODS, OWN
from bench.segments.scores import (
    ATTAINED,
    DRAWS,
    LEAST_ATTAINED,
    MODES,
    Cell,
    Scored,
    cells,
    counted,
    differences,
    of_attained,
    ranks,
    shares,
)
from bench.segments.sets import CANNOT, MOST_CUSTOMERS, TASKS, Opened

#: Of the draws of customers; fixed, so that the same run gives the same intervals.
_DRAW_SEED = 20_26


def document(
    by_k: Mapping[int, Sequence[Scored]],
    found: Mapping[str, Any],
    opened: Sequence[Opened],
    missing: Mapping[str, str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """All that `page.markdown` tells, and more."""
    main = next(iter(by_k))
    scores = by_k[main]
    methods = [name for name in options.peers if METHODS[name].ranked]
    told = cells(scores)
    river = versions_of("river", options.cache) if "river-kmeans" in options.peers else {}
    return {
        **results.header("bench.segments/1", "bench.segments", options.seeds),
        "river": river.get("river"),
        "main_k": main, "splits": options.splits, "draws": DRAWS,
        "least_attained": LEAST_ATTAINED, "most_customers": MOST_CUSTOMERS,
        "tasks": {
            name: {task: why.get(task, "") for task in TASKS}
            for name, why in {**{key: {} for key in options.data}, **CANNOT}.items()
        },
        "missing": dict(missing),
        "unit_minutes": sum(
            unit["seconds"] for units in found.values() for unit in units.values()
        ) / 60,
        "logs": [_log(one, score) for one, score in zip(opened, scores, strict=True)],
        "failed": [
            {"peer": peer, "log": label, "reason": unit["failed"]}
            for peer, units in found.items()
            for label, unit in units.items()
            if "failed" in unit
        ],
        "methods": {name: _method(found.get(name, {}), name) for name in options.peers},
        "cells": [_cell(scores, one, options.peers) for one in told],
        "ranks": {str(k): _ranks(of_k, _given(methods, of_k)) for k, of_k in by_k.items()},
        "differences": _differences(scores, methods),
    }  # fmt: skip


def _given(methods: Sequence[str], scores: Sequence[Scored]) -> list[str]:
    """The methods that gave labels for this k at all."""
    there = {who for one in scores for told in one.found.values() for who in told}
    return [name for name in methods if name in there]


def _log(one: Opened, score: Scored) -> dict[str, Any]:
    return {
        "set": one.log.set, "seed": one.log.seed, "cut": score.moment,
        "horizon_days": one.horizon_days, "customers": len(score.customers),
        "events": one.source.facts["events"], "digest": one.source.digest,
    }  # fmt: skip


def _method(units: Mapping[str, Any], name: str) -> dict[str, Any]:
    there = [unit for unit in units.values() if "failed" not in unit]
    by_set: dict[str, list[float]] = {}
    for unit in there:
        if "ari" in unit:
            by_set.setdefault(unit["label"].rpartition("-")[0], []).append(unit["ari"])
    return {
        "title": METHODS[name].title,
        "ari": results.spread(unit.get("ari") for unit in there),
        "ari_by_set": {key: float(np.mean(values)) for key, values in by_set.items()},
        "k_found": results.spread(
            next(iter(unit["k_found"].values()), None) for unit in there
        ),
        "seconds": results.spread(unit["seconds_a_k"] for unit in there),
        **_styles(there),
        **_model([unit["model"] for unit in there if "model" in unit]),
    }  # fmt: skip


def _styles(units: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of Shoal's entries: segments that differ by style on each log, by k."""
    told = {one["label"]: one["styles"] for one in units if "styles" in one}
    return {"styles": told} if told else {}


def _model(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of methods that stand on a behaviour model: how it was trained."""
    if not models:
        return {}
    numbers = ("steps", "best_step", "seconds", "parameters")
    return {
        "model": {
            "recipe": models[0]["recipe"],
            **{name: results.spread(one[name] for one in models) for name in numbers},
        }
    }


def _cell(scores: Sequence[Scored], cell: Cell, methods: Sequence[str]) -> dict[str, Any]:
    name, task, mode = cell
    return {
        "set": name, "task": task, "mode": mode,
        "attained": results.spread(shares(scores, cell, ATTAINED)),
        "counted": counted(scores, cell),
        "shares": {who: results.spread(shares(scores, cell, who)) for who in methods},
        "of_attained": {who: results.spread(of_attained(scores, cell, who)) for who in methods},
    }  # fmt: skip


def _ranks(scores: Sequence[Scored], methods: Sequence[str]) -> dict[str, Any]:
    there = [one for one in cells(scores) if counted(scores, one)]
    return {
        "all": ranks(scores, methods, there),
        **{
            mode: ranks(scores, methods, [one for one in there if one[2] == mode]) for mode in MODES
        },
        "cells": len(there),
    }


def _differences(scores: Sequence[Scored], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Each of Shoal's entries beside the peer that is best in each cell, and beside each."""
    peers = [name for name in methods if name not in OWN]
    if not peers:
        return []
    rows = []
    for own in (name for name in OWN if name in methods):
        for cell, found in differences(scores, own, peers, _DRAW_SEED).items():
            best = min(found, key=lambda peer: found[peer].figure, default=None)
            if best is None:
                continue
            rows.append(
                {
                    "method": own, "set": cell[0], "task": cell[1], "mode": cell[2],
                    "counted": counted(scores, cell),
                    "best_peer": best, **found[best].as_document(),
                    "to_each": {peer: one.as_document() for peer, one in found.items()},
                }
            )  # fmt: skip
    return rows
