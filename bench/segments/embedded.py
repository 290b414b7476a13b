"""Shoal on the embedding at the cut: a model trained until T, and k-means on what it says at T."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from bench.harness.splits import refuse_later
from bench.peers.base import Labels
from bench.peers.shoal_embedded import Lab, relearned
from bench.segments.sets import Opened

#: Names of methods, and what their k-means is made on.
ON: Mapping[str, str] = {"shoal-embedding": "embedding", "shoal-both": "both"}


class Fits:
    """Labels of customers for any k, seed and draw; the model stays the same.

    So the stability that they show is that of the segments on a given embedding.
    """

    def __init__(self, opened: Opened, on: str, customers: npt.NDArray[Any]) -> None:
        self._moment, self._on, self._customers = opened.moment, on, customers
        self._lab = Lab(opened.source, opened.moment, opened.log.seed)
        refuse_later(self._lab.made.trained_until, opened.moment, f"Shoal on {on}")
        self._learned: Any = None

    @property
    def model(self) -> dict[str, Any]:
        """How the model was trained."""
        return dict(self._lab.made.facts)

    def __call__(self, k: int, seed: int, drawn: Labels | None) -> Labels:
        """(n,) labels, as `bench.segments.unit.Fit`."""
        if self._learned is None:
            segmenter, vocabulary = self._lab.learned(self._on, k, seed, self._moment)
            self._learned = segmenter, self._lab.known(self._moment).table(vocabulary)
        segmenter, table = self._learned
        return relearned(segmenter, table, self._customers, drawn, k=k, seed=seed)
