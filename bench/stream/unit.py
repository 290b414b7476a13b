"""One method on one stream: what a child process of the bench does."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from bench.stream import oracle
from bench.stream.peers import BATCH, ENTRIES
from bench.stream.planted import Plan, Stream, planted
from bench.stream.scores import Said, figures

#: A stream of this share is the quick one.
QUICK_SHARE = 0.25


def stream_of(seed: int, quick: bool) -> Stream:
    """The stream of a seed; the quick one has fewer users and sightings."""
    plan = Plan()
    if quick:
        plan = replace(
            plan, users=int(plan.users * QUICK_SHARE), events=int(plan.events * QUICK_SHARE)
        )
    return planted(seed, plan)


def run(peer: str, seed: int, quick: bool = False) -> dict[str, Any]:
    """The figures of a method on the stream of a seed."""
    stream = stream_of(seed, quick)
    if peer in oracle.NAMES:
        labels = oracle.look(stream) if peer == oracle.NAMES[0] else oracle.memory(stream)
        return figures(Said(labels[stream.of_epoch(2).start :]), stream)
    return figures(follow(ENTRIES[peer].make(), stream, seed), stream)


def follow(method: Any, stream: Stream, seed: int) -> Said:
    """Test, then learn: labels of every sighting from the second epoch on."""
    first = stream.of_epoch(1)
    labels, weights = [], list[Any]()
    try:
        told: dict[str, Any] = {}
        if getattr(method, "knows_users", False):
            told = {"users": stream.users[first], "plan": stream.plan}
        method.fit(stream.X[first], seed, **told)
        started = time.perf_counter()
        for epoch in range(2, stream.plan.epochs + 1):
            rows = stream.of_epoch(epoch)
            for begin in range(rows.start, rows.stop, BATCH):
                some = slice(begin, min(begin + BATCH, rows.stop))
                X, users = stream.X[some], stream.users[some]
                labels.append(method.predict(X, users))
                weights.append(method.weights(X))
                method.learn(X, users)
            method.epoch()
        seconds = time.perf_counter() - started
    finally:
        if hasattr(method, "close"):
            method.close()
    found = np.concatenate(labels)
    return Said(
        found, _wide(weights), round(1e6 * seconds / len(found), 2), getattr(method, "told", None)
    )


def _wide(weights: list[Any]) -> Any:
    """(n, m) of blocks that may know of more and more labels; None where one has none."""
    if any(one is None for one in weights):
        return None
    width = max(one.shape[1] for one in weights)
    return np.concatenate([np.pad(one, ((0, 0), (0, width - one.shape[1]))) for one in weights])
