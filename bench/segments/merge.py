"""Add methods to figures that were published by a run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.harness import merging
from bench.segments.peers import METHODS, OWN
from bench.segments.scores import MODES
from shoal.evaluation.foretelling import mean_ranks

_PROTOCOL = ("seeds", "main_k", "splits", "draws", "least_attained", "most_customers", "tasks")
_OF_A_LOG = ("set", "seed", "cut", "horizon_days", "customers", "events", "digest")
_OF_A_CELL = ("set", "task", "mode")
#: What LightGBM attains is the same to this share, or the runs differ in code or data.
_ALIKE = 1e-6


def merged(
    old: Mapping[str, Any], new: Mapping[str, Any], peers: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """Published figures with those of these methods.

    Ranks at the main k are made anew from all shares. Those at another k need shares that are not
    published, so they stay what they were, of the methods that were there. Differences to the best
    peer are taken over where the new run knows every peer.

    Raises:
        MergeError: the runs differ in protocol, logs, or in what LightGBM attains.
    """
    merging.same(old, new, _PROTOCOL)
    logs = [[{key: log[key] for key in _OF_A_LOG} for log in one["logs"]] for one in (old, new)]
    merging.same({"logs": logs[0]}, {"logs": logs[1]}, ("logs",))
    there = {**old["methods"], **new["methods"]}
    methods = {name: there[name] for name in METHODS if name in there}
    cells = _cells(old["cells"], new["cells"], list(methods))
    ranked = [name for name in methods if METHODS[name].ranked]
    return {
        **old,
        merging.ADDED: merging.noted(old, new, peers),
        "failed": [one for one in old["failed"] if one["peer"] not in peers] + new["failed"],
        "methods": methods,
        "cells": cells,
        "ranks": {**old["ranks"], str(old["main_k"]): ranks(cells, old["logs"], ranked)},
        "differences": _differences(old, new),
    }


def _cells(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], methods: Sequence[str]
) -> list[dict[str, Any]]:
    later = {tuple(cell[key] for key in _OF_A_CELL): cell for cell in new}
    if len(later) != len(old):
        raise merging.MergeError(f"{len(old)} outcomes were published, this run has {len(later)}")
    found = []
    for cell in old:
        told = later[tuple(cell[key] for key in _OF_A_CELL)]
        before, now = cell["attained"]["mean"], told["attained"]["mean"]
        if abs(before - now) > _ALIKE * max(abs(before), 1.0):
            raise merging.MergeError(
                f"{cell['set']}, {cell['task']}: LightGBM attained {before:.6f} when it was "
                f"published and {now:.6f} now"
            )
        both = {}
        for key in ("shares", "of_attained"):
            shares = {**cell[key], **told[key]}
            both[key] = {name: shares.get(name) for name in methods}
        found.append({**cell, **both})
    return found


def ranks(
    cells: Sequence[Mapping[str, Any]], logs: Sequence[Mapping[str, Any]], methods: Sequence[str]
) -> dict[str, Any]:
    """Mean ranks from the shares of a document, as `bench.segments.scores.ranks` has them.

    A method that lacks a log of a set has no figure there.
    """
    counted = [cell for cell in cells if cell["counted"]]
    number = {
        name: sum(log["set"] == name for log in logs) for name in {one["set"] for one in logs}
    }

    def share(cell: Mapping[str, Any], method: str) -> float:
        told = cell["shares"].get(method)
        whole = told is not None and told["n"] == number[cell["set"]]
        return float(told["mean"]) if whole else float("nan")

    def of(among: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        if not among:
            return {}
        table = np.array([[share(cell, method) for cell in among] for method in methods])
        return dict(zip(methods, mean_ranks(table).tolist(), strict=True))

    modes = {mode: of([cell for cell in counted if cell["mode"] == mode]) for mode in MODES}
    return {"all": of(counted), **modes, "cells": len(counted)}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    peers = {name for name in old["methods"] if METHODS[name].ranked and name not in OWN}
    if peers - set(new["methods"]):
        return list(old["differences"])
    told = {one["method"] for one in new["differences"]}
    kept = [one for one in old["differences"] if one.get("method", OWN[0]) not in told]
    return kept + list(new["differences"])
