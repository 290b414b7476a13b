"""Rows of units summed up: by method, over seeds and worlds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.harness.results import spread
from bench.peers import SPECS
from bench.track.unit import CEILING
from shoal.evaluation.tracking import dominated

Rows = Sequence[Mapping[str, Any]]


def title(peer: str) -> str:
    """A peer as tables name it."""
    if peer == CEILING:
        return "*ceiling: LightGBM given the true labels*"
    name, _, columns = peer.partition(":")
    return SPECS[name].title + (f", {columns} columns" if columns else "")


def titled(rows: Rows, peer: str) -> str:
    """A peer as a table of these rows names it: with its seeds, where others have more."""
    mine = {row["seed"] for row in rows if row["peer"] == peer}
    if mine == {row["seed"] for row in rows}:
        return title(peer)
    return f"{title(peer)} (seeds {', '.join(map(str, sorted(mine)))} alone)"


def peers_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Methods in order of their first row."""
    return list(dict.fromkeys(row["peer"] for row in rows))


def of(rows: Rows, peer: str, **wanted: Any) -> list[Mapping[str, Any]]:
    """A method's rows that did not fail, of a world or seed."""
    return [
        row
        for row in rows
        if row["peer"] == peer
        and "failed" not in row
        and all(row[name] == value for name, value in wanted.items())
    ]


def mean_over_worlds(rows: Rows, peer: str, name: str) -> dict[str, float] | None:
    """Spread over its seeds of a figure's mean over worlds; None unless every world has it.

    A method that failed in a world would else be compared on the others alone. Of one that was not
    run on some seeds `titled` says so.
    """
    means = _by_seed(rows, peer, name)
    return spread(means.values()) if means else None


def share_of_ceiling(rows: Rows, peer: str, name: str) -> dict[str, float] | None:
    """Spread over seeds of a figure's mean over worlds divided by the ceiling's.

    A ratio of means and no mean of ratios: in a world where even the ceiling knows little, its
    figure is near 0 and a ratio to it says nothing.
    """
    mine, tops = _by_seed(rows, peer, name), _by_seed(rows, CEILING, name)
    if not mine or not tops:
        return None
    return spread(mine[seed] / tops[seed] for seed in mine if tops[seed] > 0)


def _by_seed(rows: Rows, peer: str, name: str) -> dict[int, float]:
    """Mean over worlds of each of its seeds; empty unless every world of each has the figure."""
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    means = {}
    for seed in dict.fromkeys(row["seed"] for row in rows if row["peer"] == peer):
        mine = {row["world"]: row.get(name) for row in of(rows, peer, seed=seed)}
        there = [value for world in worlds if (value := mine.get(world)) is not None]
        if len(there) < len(worlds):
            return {}
        means[seed] = sum(there) / len(there)
    return means


def ranked(rows: Rows) -> list[str]:
    """The ceiling, then methods by accuracy."""

    def key(peer: str) -> tuple[bool, float]:
        figure = mean_over_worlds(rows, peer, "accuracy")
        return (peer != CEILING, -figure["mean"] if figure else 1.0)

    return sorted(peers_of(rows), key=key)


def front_share(rows: Rows, peer: str) -> float | None:
    """Share of logs in which the peer has a point of flicker and days gained that no other method
    beats; the ceiling is no method, and points that gain nothing do not count."""
    logs = [row["label"] for row in of(rows, peer)]
    on_front = 0
    for label in logs:
        points = {
            row["peer"]: [
                (one["flicker"], -one["gained_days"])
                for one in row["curve"]
                if one["gained_days"] is not None and one["gained_days"] > 0
            ]
            for row in rows
            if row["label"] == label and "failed" not in row and row["peer"] != CEILING
        }
        others = [point for name, own in points.items() if name != peer for point in own]
        on_front += any(not dominated(point, others) for point in points.get(peer, []))
    return on_front / len(logs) if logs and peer != CEILING else None
