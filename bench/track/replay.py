"""Drive one peer through the cuts of a log: fit at the first, update and ask at every one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.harness.data import Source
from bench.harness.splits import Cuts, horizon, refuse_unordered
from bench.peers import SPECS, Inputs, inputs_of, make
from bench.peers.base import Columns, Labels, Matrix


@dataclass
class Replay:
    """What a peer said, one entry a cut: customers with enough events, labels, weights or None.

    `seconds` holds fitting once, then updating and predicting of each cut.
    """

    customers: list[npt.NDArray[Any]] = field(default_factory=list)
    labels: list[Labels] = field(default_factory=list)
    weights: list[Matrix | None] = field(default_factory=list)
    fit_seconds: float = 0.0
    step_seconds: list[float] = field(default_factory=list)
    #: What adjustment noticed and did, a row a cut at which it looked.
    adjusted: list[dict[str, Any]] = field(default_factory=list)

    def add(self, customers: npt.NDArray[Any], labels: Labels, weights: Matrix | None) -> None:
        self.customers.append(customers)
        self.labels.append(labels)
        self.weights.append(weights)


def replay(name: str, source: Source, cuts: Cuts, k: int, seed: int, columns: Columns) -> Replay:
    """A peer's labels at every cut; it never sees an event at or after the cut it is asked at."""
    refuse_unordered(cuts.moments)
    if SPECS[name].needs_shop:
        return _through_shop(name, source, cuts, k, seed)
    spec = SPECS[name]
    peer = make(name, columns)
    found = Replay()
    try:
        started = time.perf_counter()
        fit_at(peer, name, source, cuts.first, k, seed)
        found.fit_seconds = time.perf_counter() - started
        for place, moment in enumerate(cuts.moments):
            X = inputs_of(source.features(moment), spec.inputs)
            started = time.perf_counter()
            if place:
                peer.update(X)
            labels = peer.predict(X)
            found.step_seconds.append(time.perf_counter() - started)
            found.add(X.customers, labels, peer.weights(X))
    finally:
        if hasattr(peer, "close"):
            peer.close()
    return found


def fit_at(peer: Any, name: str, source: Source, moment: datetime, k: int, seed: int) -> None:
    """Let a peer learn what was known at a moment; supervised ones from the month before it."""
    if not SPECS[name].supervised:
        peer.fit(inputs_of(source.features(moment), peer.inputs), k, seed)
        return
    days = horizon(source.start, moment, 28)
    X = inputs_of(source.features(moment - timedelta(days=days)), peer.inputs)
    peer.fit(X, k, seed, y=orders_since(X, source, moment))


def orders_since(X: Inputs, source: Source, moment: datetime) -> npt.NDArray[np.float64]:
    """(n,) orders of the customers of `X` between its moment and this one."""
    later = source.features(moment)
    orders = dict(zip(later["customer_id"].to_pylist(), later["orders"].to_pylist(), strict=True))
    after = np.array([orders.get(customer) or 0 for customer in X.customers], dtype=np.float64)
    return np.maximum(after - np.nan_to_num(X.column("orders")), 0.0)


def _through_shop(name: str, source: Source, cuts: Cuts, k: int, seed: int) -> Replay:
    """Learning is part of the steps here: the first step holds all of it."""
    from bench.peers.shoal_ import through_replay

    peer = make(name)
    found = Replay()
    told = through_replay(
        source, cuts, 0 if peer.choose else k, seed, peer.refit, peer.aim, peer=peer,
        told=found.adjusted,
    )  # fmt: skip
    for moment, (customers, labels, weights, seconds) in zip(cuts.moments, told, strict=True):
        wanted = inputs_of(source.features(moment)).customers
        at = np.searchsorted(customers.astype(str), wanted.astype(str))
        found.add(wanted, labels[at], weights[at])
        found.step_seconds.append(seconds)
    return found
