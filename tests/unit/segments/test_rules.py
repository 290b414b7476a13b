"""RFM: the grid, its thresholds, shops without prices."""

from __future__ import annotations

import pyarrow as pa
import pytest

from shoal.domain.errors import InputError
from shoal.segments.rules import GRID, NAMES, NO_PURCHASE, Rfm, rule_in_words


def features(rows):
    names = ("customer_id", "order_recency_days", "orders", "spend")
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})


SHOP = [(f"c{i}", float(10 * i), 11 - i, 100.0 * (11 - i)) for i in range(1, 11)]


def names_of(model, table):
    return [NAMES[model.segment_ids[place]].en for place in model.predict(table)]


def test_every_segment_of_the_grid_has_cells_and_a_name():
    used = {segment for row in GRID for segment in row}
    assert used | {NO_PURCHASE} == set(NAMES)
    assert len({text.zh for text in NAMES.values()}) == len(NAMES)


def test_the_best_are_champions_and_the_worst_are_lost():
    model = Rfm().fit(features(SHOP))
    assert model.scores(features(SHOP))[[0, 9]].tolist() == [[5, 5], [1, 1]]
    names = names_of(model, features(SHOP))
    assert (names[0], names[-1]) == ("Champions", "Lost")


def test_recent_first_orders_are_new_and_old_big_ones_cannot_be_lost():
    model = Rfm().fit(features(SHOP))
    others = features([("n", 1.0, 1, 5.0), ("b", 99.0, 40, 9000.0), ("v", None, 0, 0.0)])
    assert names_of(model, others) == ["New", "Can't Lose", "No purchase yet"]


def test_a_shop_without_prices_is_scored_by_frequency_alone():
    table = features([(name, days, orders, None) for name, days, orders, _ in SHOP])
    model = Rfm().fit(table)
    assert model.thresholds.revenue is None
    assert names_of(model, table)[0] == "Champions"
    assert "revenue" not in rule_in_words("r01", model.thresholds).en


def test_weights_are_zero_or_one():
    weights = Rfm().fit(features(SHOP)).transform(features(SHOP))
    assert weights.shape == (10, 12)
    assert (weights.sum(axis=1) == 1).all()


def test_rules_survive_their_artefact():
    model = Rfm().fit(features(SHOP))
    again = Rfm.from_artefact(*model.to_artefact())
    assert again.thresholds == model.thresholds


def test_too_few_buyers_are_counted():
    with pytest.raises(InputError, match="at least 5 customers with an order; there are 2 among 3"):
        Rfm().fit(features([("a", 1.0, 1, 5.0), ("b", 1.0, 1, 5.0), ("c", None, 0, 0.0)]))
