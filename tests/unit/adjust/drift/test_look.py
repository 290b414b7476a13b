"""A look through a fitted segmenter: who is placed, how far, how sure, and which columns stay."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from shoal.adjust.drift.look import Look
from shoal.features.matrix import Column
from shoal.segments.clustered import ClusterSegmenter

MOMENT = datetime(2024, 5, 1, tzinfo=UTC)


def table(n: int = 120, **more: object) -> pa.Table:
    random = np.random.default_rng(0)
    side = np.arange(n) % 2 * 6.0
    return pa.table(
        {
            "customer_id": [f"c{place}" for place in range(n)],
            "events": np.where(np.arange(n) < 10, 1, 9),
            "spend": side + random.normal(size=n),
            "share": side + random.normal(size=n),
            "tenure_days": np.arange(n, dtype=float),
            "recency_days": np.ones(n),
            "unread": np.ones(n),
            "main_device": ["app"] * n,
            "e0": random.normal(size=n),
            "e1": random.normal(size=n),
            **more,
        }
    )


def fitted(k: int = 2) -> ClusterSegmenter:
    columns = [Column("spend", "a", "zero"), Column("share", "b", "zero")]
    return ClusterSegmenter(columns, k).fit(table())


def test_a_look_holds_placed_customers_and_what_segments_read():
    segmenter = fitted()
    seen = Look.of(segmenter, table(), None, MOMENT)
    assert seen.customers == 110
    assert seen.names == ("spend", "share", "tenure_days", "recency_days")
    assert seen.Z.shape == (110, segmenter.centers.shape[1])
    assert seen.embeddings.shape == (110, 2)
    assert (seen.places == segmenter.predict(table())[10:]).all()
    # spherical groups: the residual is that of the variance within segments
    assert seen.residual.mean() == pytest.approx(1, abs=0.3)
    assert (seen.entropy >= 0).all()
    assert (seen.entropy <= 1).all()


def test_recorded_places_count_and_those_of_nobody_do_not():
    segmenter = fitted()
    usual = Look.of(segmenter, table(), None, MOMENT)
    recorded = np.full(120, -1)
    recorded[10], recorded[11] = 1 - usual.places[0], 2
    seen = Look.of(segmenter, table(), recorded, MOMENT)
    assert seen.places[0] == 1 - usual.places[0]
    assert seen.residual[0] > usual.residual[0]
    assert (seen.places[1:] == usual.places[1:]).all()


def test_one_segment_leaves_no_doubt():
    assert (Look.of(fitted(1), table(), None, MOMENT).entropy == 0).all()


def test_nobody_known_well_enough():
    seen = Look.of(fitted(), table(events=np.ones(120)), None, MOMENT)
    assert (seen.customers, len(seen.Z), len(seen.residual), seen.embeddings) == (0, 0, 0, None)


def test_a_column_is_nan_where_it_is_null_infinite_or_not_there():
    held = pa.array([1.0, None, np.inf, np.nan] * 30, from_pandas=False)
    seen = Look.of(fitted(), table(recency_days=held), None, MOMENT)
    assert np.isnan(seen.feature("recency_days")[1:4]).all()
    assert seen.feature("recency_days")[0] == 1
    assert np.isnan(seen.feature("nowhere")).all()
