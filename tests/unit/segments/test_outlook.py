"""The outlook as a place: its units, its share, and what a segmenter keeps of it."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from shoal.features.matrix import MEDIAN, Column
from shoal.heads.next_period import COLUMNS, NextPeriod, Period
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.outlook import Outlook


def customers(n=600, seed=0):
    """Customers whose rate tells what they will do, and whose style tells nothing of it."""
    rng = np.random.default_rng(seed)
    rate, style = rng.gamma(1.5, 1.0, n), rng.integers(0, 2, n) * 6.0 + rng.normal(size=n)
    table = pa.table(
        {"customer_id": [f"c{i}" for i in range(n)], "events": np.full(n, 9.0), "rate": rate,
         "style": style}
    )  # fmt: skip
    orders = rng.poisson(rate).astype(float)
    came = {
        "next_active": (rng.random(n) < 1 - np.exp(-2 * rate)).astype(float),
        "next_ordered": (orders > 0).astype(float),
        "next_orders": orders,
        "next_spend": orders * rng.gamma(4, 5, n),
    }
    return table, came


@pytest.fixture(scope="module")
def head():
    return NextPeriod(("rate", "style"), 28).fit([Period(*customers(seed=1))])


def segmenter(head, share):
    columns = [Column("style", "style", MEDIAN)]
    return ClusterSegmenter(columns, 2, outlook=Outlook(head, share) if share else None)


def test_the_outlook_has_variance_one_in_all(head):
    table, _ = customers()
    outlook = Outlook(head, 0.5).fit(table)
    assert head.foretold == COLUMNS
    places = outlook.transform(table)
    assert places.shape == (600, 4)
    assert places.var(axis=0).sum() == pytest.approx(1.0)
    assert places.var(axis=0) == pytest.approx([0.25] * 4)


def test_a_share_of_nothing_leaves_the_rows_as_they_are(head):
    table, _ = customers()
    told = ClusterSegmenter([Column("style", "style", MEDIAN)], 2, outlook=Outlook(head, 0.0))
    assert np.array_equal(told.prepare(table), segmenter(head, 0.0).prepare(table))
    assert told.fit(table).outlook.head is head


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_a_share_is_that_of_the_variance(head, share):
    table, _ = customers()
    Z = segmenter(head, share).prepare(table)
    told = Z[:, -4:].var(axis=0).sum()
    assert told / Z.var(axis=0).sum() == pytest.approx(share)


def test_segments_follow_style_without_the_outlook_and_rate_with_nothing_else(head):
    table, came = customers()
    style, rate = table["style"].to_numpy() > 3, table["rate"].to_numpy()
    alone = segmenter(head, 0.0).fit(table).predict(table)
    assert max(np.mean(alone == style), np.mean(alone != style)) > 0.95
    told = segmenter(head, 1.0).fit(table).predict(table)
    means = sorted(came["next_orders"][told == one].mean() for one in (0, 1))
    assert means[1] > 2 * means[0]
    assert abs(np.corrcoef(told, rate)[0, 1]) > 0.6
    assert abs(np.corrcoef(told, style)[0, 1]) < 0.2


def test_a_segmenter_with_an_outlook_comes_back_from_its_artefact(head):
    table, _ = customers()
    found = segmenter(head, 0.5).fit(table)
    document, arrays = found.to_artefact()
    again = ClusterSegmenter.from_artefact(json.loads(json.dumps(document)), arrays)
    assert np.array_equal(again.transform(table), found.transform(table))


def test_a_share_outside_zero_and_one_is_refused(head):
    for share in (-0.1, 1.1):
        with pytest.raises(ValueError, match="allowed: 0 to 1"):
            Outlook(head, share)


def test_an_outlook_that_is_the_same_for_all_says_nothing(head):
    table, _ = customers(1)
    many = pa.concat_tables([table] * 50)
    assert np.array_equal(Outlook(head, 1.0).fit(many).transform(many), np.zeros((50, 4)))
