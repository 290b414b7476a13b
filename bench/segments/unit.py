"""What runs in a process of its own: the labels of one method, or what LightGBM attains, on a log.

Arrays go back as base64 of their bytes, so that a result is one JSON object.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.harness.splits import refuse_later
from bench.peers.base import Inputs, Labels, inputs_of
from bench.peers.shoal_embedded import relearned
from bench.segments.attain import attained
from bench.segments.embedded import ON, Fits
from bench.segments.outcomes import outcomes
from bench.segments.peers import AIMS, METHODS, PLANTED, Method, outcome_matrix
from bench.segments.sets import MOST_CUSTOMERS, Log, Opened

Predict = Callable[[Labels], Labels]


def label(
    peer: str, log: Mapping[str, Any], ks: list[int], main_k: int, bootstraps: int
) -> dict[str, Any]:
    """Labels of everybody at the cut for each k, and the bootstrap ARI of the main k.

    The ARI is the median agreement of the labels with those learned from customers drawn again,
    all of them labelled by both.
    """
    opened, method = opened_log(Log(**log)), METHODS[peer]
    ks = [main_k] if method.environment else ks
    fit = _fits(opened, method)
    n = len(customers_of(opened))
    started = time.perf_counter()
    labels = {k: fit(k, opened.log.seed, None) for k in ([0] if peer == PLANTED else ks)}
    seconds = (time.perf_counter() - started) / len(labels)
    result = {
        "labels": {str(k): packed(found.astype(np.int16)) for k, found in labels.items()},
        "k_found": {str(k): len(np.unique(found)) for k, found in labels.items()},
        "seconds_a_k": round(seconds, 3),
    }
    if isinstance(fit, Fits):
        result["model"] = fit.model
    if isinstance(fit, Learned):
        result["styles"] = {str(k): styles for k, styles in fit.styles.items()}
    drawn = min(bootstraps, method.bootstraps)
    if drawn:
        result["ari"] = _stability(fit, labels[main_k], main_k, n, opened.log.seed, drawn)
    return result


def attain(log: Mapping[str, Any], splits: int) -> dict[str, Any]:
    """LightGBM's forecasts of each outcome in each half, and the rounds it was given."""
    opened = opened_log(Log(**log))
    X, before = inputs(opened), inputs(opened, earlier=True)
    now = outcomes(opened, X.customers, opened.moment, opened.moment + opened.horizon)
    then = outcomes(opened, before.customers, opened.before, opened.moment)
    found = attained(X.values, now, before.values, then, splits=splits, seed=opened.log.seed)
    return {
        name: {"rounds": rounds, "forecasts": [packed(one.astype(np.float32)) for one in forecasts]}
        for name, (rounds, forecasts) in found.items()
    }


@lru_cache(maxsize=1)
def opened_log(log: Log) -> Opened:
    return log.open()


def inputs(opened: Opened, kind: Any = "features", *, earlier: bool = False) -> Inputs:
    """Customers with at least three events at the cut, or a horizon before; at most
    `MOST_CUSTOMERS` of them, drawn by the log's seed."""
    X = inputs_of(opened.source.features(opened.before if earlier else opened.moment), kind)
    drawn = np.random.default_rng([opened.log.seed, earlier]).permutation(len(X))
    return X.rows(np.sort(drawn[:MOST_CUSTOMERS]))


def customers_of(opened: Opened) -> npt.NDArray[Any]:
    """Those whose membership is asked for: with at least three events at the cut."""
    return inputs(opened, "rfm").customers


def packed(values: npt.NDArray[Any]) -> dict[str, Any]:
    """An array as JSON."""
    text = base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
    return {"shape": list(values.shape), "type": values.dtype.str, "bytes": text}


def unpacked(document: Mapping[str, Any]) -> npt.NDArray[Any]:
    """What `packed` wrote."""
    values = np.frombuffer(base64.b64decode(document["bytes"]), dtype=document["type"])
    return values.reshape(document["shape"])


# --- Fits -----------------------------------------------------------------------------------------

#: (k, seed, rows drawn or None for all) -> labels of every customer.
Fit = Callable[[int, int, Labels | None], Labels]


def _fits(opened: Opened, method: Method) -> Fit:
    if method.name in AIMS:
        return Learned(opened, AIMS[method.name])
    if method.name in ON:
        return Fits(opened, ON[method.name], customers_of(opened))
    if method.name == PLANTED:
        return _planted(opened)
    X = inputs(opened, method.inputs)
    learn, y = X, None
    if method.learns_from:
        refuse_later(opened.before, opened.moment, method.name)
        learn = inputs(opened, method.inputs, earlier=True)
        told = outcomes(opened, learn.customers, opened.before, opened.moment)
        values = {one.name: one.values for one in told}
        if method.learns_from not in (*values, "all"):
            raise ValueError(f"this set has no {method.learns_from} to learn from")
        y = outcome_matrix(values, method.learns_from)

    def fit(k: int, seed: int, drawn: Labels | None) -> Labels:
        assert method.make is not None
        rows = np.arange(len(learn)) if drawn is None else drawn % len(learn)
        peer = method.make()
        try:
            if y is None:
                peer.fit(learn.rows(rows), k, seed)
            else:
                peer.fit(learn.rows(rows), k, seed, y[rows])
            return np.asarray(peer.predict(X), np.int64)
        finally:
            if hasattr(peer, "close"):
                peer.close()

    return fit


class Learned:
    """What `shop.segment(until=T, aim=...)` learns at the cut, without a copy of the shop.

    The log is read once; the outlook's head and the number of styles are those of a k, whatever the
    seed or draw of customers that segments are then learned from, in the same way.
    """

    def __init__(self, opened: Opened, aim: str | None) -> None:
        self._opened, self._aim = opened, aim
        self._reader: Any = None
        self._found: dict[int, Any] = {}
        #: Segments that differ by style, by k.
        self.styles: dict[int, int] = {}

    def __call__(self, k: int, seed: int, drawn: Labels | None) -> Labels:
        """(n,) labels, as `Fit`."""
        if k not in self._found:
            self._found[k] = self._learn(k, seed)
        segmenter, table = self._found[k]
        return relearned(segmenter, table, customers_of(self._opened), drawn, k=k, seed=seed)

    def _learn(self, k: int, seed: int) -> Any:
        learner, known = self._read(seed)
        learner.k = k
        vocabulary = learner.vocabulary(known)
        [(segmenter, choice)] = learner.learn(known, vocabulary, ("kmeans",))
        assert choice is not None
        alone = 1 if choice.extra["outlook_alone"] else k
        self.styles[k] = alone if choice.styles is None else choice.styles
        return segmenter, known.table(vocabulary)

    def _read(self, seed: int) -> Any:
        """A learner, and what is known at the cut; read once."""
        import shoal
        from shoal.workflows.segment_learn import Learner

        if self._reader is None:
            moment = self._opened.moment
            shop = shoal.open(self._opened.source.shop_dir)
            parts = shop._parts
            learner = Learner(
                parts.fold, shop.zone, parts.admission, shop.config.segment, 0, seed, aim=self._aim
            )
            known = learner.known(moment, learner.admitted(moment))
            refuse_later(known.as_of, moment, "Shoal")
            self._reader = learner, known
        return self._reader


def _planted(opened: Opened) -> Fit:
    from bench.harness.data import MissingDataError, SimulatedWorld
    from bench.track.truth import Truth

    source = opened.source
    if not isinstance(source, SimulatedWorld) or source.truth("spells") is None:
        raise MissingDataError("no segments are planted here")
    at = Truth(source).at(opened.moment)
    names = [at.get(customer, "(gone)") for customer in customers_of(opened).tolist()]
    labels = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return lambda k, seed, drawn: labels


def _stability(fit: Fit, labels: Labels, k: int, n: int, seed: int, bootstraps: int) -> float:
    from sklearn.metrics import adjusted_rand_score

    random = np.random.default_rng([seed, k])
    found = []
    for number in range(bootstraps):
        again = fit(k, seed + 1 + number, random.integers(n, size=n))
        found.append(adjusted_rand_score(labels, again))
    return float(np.median(found))
