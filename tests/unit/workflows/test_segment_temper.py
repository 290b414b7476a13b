"""Weights of new segments are made honest by who was where a horizon ago."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shoal.features.matrix import Column
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.soften import fitted_temperature
from shoal.workflows.segment_temper import temper

NOW = datetime(2024, 3, 1, tzinfo=UTC)
COLUMNS = [Column(name, "behaviour", "median") for name in ("x", "y")]


@dataclass
class Told:
    """What is known at a moment, as far as `temper` reads it."""

    as_of: datetime
    features: pa.Table

    def table(self, vocabulary: Any) -> pa.Table:
        return self.features


def told(Z: np.ndarray, as_of: datetime, *, span: float = 200.0, events: int = 9) -> Told:
    names = [f"c{row:04d}" for row in range(len(Z))]
    table = pa.table(
        {"customer_id": names, "events": np.full(len(Z), events, float),
         "tenure_days": np.full(len(Z), span), "x": Z[:, 0], "y": Z[:, 1]}
    )  # fmt: skip
    return Told(as_of, table)


def shop(wobble: float, rows: int = 1_500, **more: Any) -> tuple[ClusterSegmenter, Told, list[Any]]:
    """Customers who lay elsewhere by so much a horizon ago; the moments that were asked for."""
    random = np.random.default_rng(0)
    Z = random.normal(size=(rows, 2)) + np.repeat([[0, 0], [3, 0], [0, 3]], rows // 3, axis=0)
    known, asked = told(Z, NOW, **more), []

    def then(moment: datetime) -> Told:
        asked.append(moment)
        return told(Z + wobble * random.normal(size=Z.shape), moment)

    segmenter = ClusterSegmenter(COLUMNS, 3).fit(told(Z, NOW).features)
    temper(segmenter, known, then, None)  # type: ignore[arg-type]
    return segmenter, known, asked


def test_who_wanders_has_flatter_weights() -> None:
    found = [shop(wobble)[0].temperature for wobble in (0.0, 0.6, 1.5)]
    assert found[0] == 1
    assert 1 < found[1] < found[2]


def test_the_past_is_read_a_horizon_ago() -> None:
    assert shop(0.5)[2] == [NOW - timedelta(days=28)]
    assert shop(0.5, span=60.0)[2] == [NOW - timedelta(days=15)]


def test_a_log_too_short_leaves_weights_as_they_are() -> None:
    segmenter, _, asked = shop(0.5, span=20.0)
    assert (segmenter.temperature, asked) == (1.0, [])


def test_too_few_customers_leave_weights_as_they_are() -> None:
    assert shop(1.0, rows=30)[0].temperature == 1.0


def test_only_who_is_known_at_both_moments_counts() -> None:
    segmenter, known, _ = shop(0.0)
    Z = segmenter.embed(known.features)
    moved = np.random.default_rng(1).normal(size=Z.shape) + Z
    before = told(moved, NOW).features
    kept = before.slice(0, 900)
    barely = pa.array(np.where(np.arange(900) < 300, 1.0, 9.0))  # too little known then
    kept = kept.set_column(1, "events", barely)
    gone = pa.concat_tables([kept, told(moved[:200], NOW).features.set_column(
        0, "customer_id", pa.array([f"gone{row}" for row in range(200)]))])  # fmt: skip
    temper(segmenter, known, lambda moment: Told(moment, gone), None)  # type: ignore[arg-type]
    rows = np.arange(300, 900)
    weights = segmenter.clusterer.weights(segmenter.embed(before.take(rows)))
    places = segmenter.clusterer.weights(Z[rows]).argmax(axis=1)
    assert segmenter.temperature == pytest.approx(fitted_temperature(weights, places), rel=1e-6)
