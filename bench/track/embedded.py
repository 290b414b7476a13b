"""Shoal on the embedding, at every cut of a log: one model, trained before the first cut.

Entries of one world share the model and what is read at a cut, so that a unit costs little beside
the first one of its world. `bench.track.newcomers` takes the same entries through the shop's verbs.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness.data import Source, WorldSpec, world
from bench.harness.splits import Cuts, refuse_unordered
from bench.peers import inputs_of, make
from bench.peers.shoal_embedded import Lab
from bench.track.replay import Replay
from bench.track.scores import figures
from bench.track.unit import cuts_of, planted_at, prepare, spec_of

__all__ = ["prepare", "replayed", "run"]


def run(
    peer: str, spec: dict[str, Any], settings: dict[str, Any], cache: str, columns: str
) -> dict[str, Any]:
    """The figures of an entry on a world, and its model."""
    chosen = spec_of(dict(spec))
    source = world(chosen, Path(cache))
    replayed_at = cuts_of(source, settings)
    timed = _timed(chosen, Path(cache), replayed_at.first)
    k = planted_at(source, replayed_at)
    said = replayed(timed, peer, source, replayed_at, k, chosen.seed)
    return {
        **figures(said, source, replayed_at), "model": dict(timed.lab.made.facts),
        "seconds": round(said.fit_seconds + sum(said.step_seconds), 3),
    }  # fmt: skip


class Timed:
    """A lab that remembers how long reading a moment took: every entry pays for it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._seconds: dict[datetime, float] = {}

    def known(self, moment: datetime) -> tuple[Any, float]:
        """What is known at a moment, and the seconds of reading it and embedding everybody."""
        started = time.perf_counter()
        known = self.lab.known(moment)
        self._seconds.setdefault(moment, time.perf_counter() - started)
        return known, self._seconds[moment]


@lru_cache(maxsize=1)
def _timed(spec: WorldSpec, cache: Path, first: datetime) -> Timed:
    return Timed(Lab(world(spec, cache), first, spec.seed))


def replayed(timed: Timed, peer: str, source: Source, cuts: Cuts, k: int, seed: int) -> Replay:
    """An entry's labels at every cut; learning is part of the step that learns.

    A segment is told by its id, as in `bench.peers.shoal_.through_replay`.

    Raises:
        LeakError: the model was trained on events at or after a cut.
    """
    refuse_unordered(cuts.moments)
    entry = make(peer)
    span = timedelta(days=int(entry.refit.removesuffix("d"))) if entry.refit != "first" else None
    found, names = Replay(), dict[str, int]()
    learned_at, model = cuts.first, None
    for moment in cuts.moments:
        known, seconds = timed.known(moment)
        started = time.perf_counter()
        if model is None or (span is not None and moment - learned_at >= span):
            model = timed.lab.learned(entry.on, 0 if entry.choose else k, seed, moment)
            learned_at = moment
        segmenter, vocabulary = model
        weights = segmenter.transform(known.table(vocabulary))
        found.step_seconds.append(seconds + time.perf_counter() - started)
        places = [names.setdefault(one, len(names)) for one in segmenter.segment_ids]
        wide = np.zeros((len(weights), len(names)))
        wide[:, places] = weights
        customers = np.asarray(known.features["customer_id"].to_pylist(), dtype=object)
        wanted = inputs_of(source.features(moment)).customers
        at = np.searchsorted(customers.astype(str), wanted.astype(str))
        found.add(wanted, wide[at].argmax(axis=1).astype(np.int64), wide[at])
    return found
