"""The next-period head: what it learns, how it is calibrated, and what it keeps."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from shoal.heads.next_period import (
    ACTIVE,
    COLUMNS,
    ORDERED,
    ORDERS,
    SPEND,
    NextPeriod,
    Period,
    outcomes_between,
)


def period(n=1500, seed=0, level=1.0):
    """Customers whose rate of orders is known but for chance; `level` times as many everywhere."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.8, 0.8, n)
    orders = rng.poisson(level * rate).astype(float)
    features = pa.table(
        {"customer_id": [f"c{i}" for i in range(n)], "rate": rate, "noise": rng.normal(size=n)}
    )
    return Period(
        features,
        {
            ACTIVE: (rng.random(n) < 1 - np.exp(-3 * rate)).astype(float),
            ORDERED: (orders > 0).astype(float),
            ORDERS: orders,
            SPEND: orders * rng.gamma(3, 10, n),
        },
    )


def head(**more):
    return NextPeriod(("rate", "noise"), 28, **more)


def test_it_tells_who_orders_and_how_much():
    found, asked = head().fit([period()]), period(seed=9)
    told = found.predict(asked.features)
    assert found.foretold == COLUMNS
    rate = asked.features["rate"].to_numpy()
    assert np.corrcoef(told[ORDERS], rate)[0, 1] > 0.95
    assert roc_auc_score(asked.outcomes[ORDERED], told[ORDERED]) > 0.98 * roc_auc_score(
        asked.outcomes[ORDERED], rate
    )
    for name in COLUMNS:
        assert told[name].mean() == pytest.approx(asked.outcomes[name].mean(), rel=0.15)


def test_an_earlier_head_calibrates_and_is_measured_on_the_period_it_did_not_know():
    latest = period(seed=2, level=2.0)
    earlier = head().fit([period(seed=3)])
    found = head().fit([latest, period(seed=3)], earlier)
    assert set(found.figures) == set(COLUMNS)
    assert found.figures[ORDERED]["auroc"] > 0.7
    assert found.figures[ORDERS]["mean"] == pytest.approx(latest.outcomes[ORDERS].mean())
    # Orders doubled since the earlier head learned: it told half as many.
    assert found.curves[ORDERS][0] == pytest.approx(2.0, rel=0.15)
    assert earlier.figures == {}


def test_the_order_of_customers_changes_nothing():
    one = period()
    rows = np.random.default_rng(5).permutation(1500)
    asked = period(seed=9).features
    told, again = (head().fit([learned]).predict(asked) for learned in (one, one.take(rows)))
    for name in COLUMNS:
        assert np.array_equal(told[name], again[name])


def test_it_comes_back_from_its_document():
    found = head().fit([period(), period(seed=1)], head().fit([period(seed=1)]))
    again = NextPeriod.from_document(json.loads(json.dumps(found.to_document())))
    asked = period(seed=9).features
    assert again.figures == found.figures
    assert found.table(asked).equals(again.table(asked))


def test_a_shop_without_orders_foretells_activity_alone():
    quiet = period()
    none = np.zeros(1500)
    told = head().fit([Period(quiet.features, {**quiet.outcomes, ORDERED: none, ORDERS: none,
                                              SPEND: none})])  # fmt: skip
    assert told.foretold == (ACTIVE,)
    assert told.table(quiet.features).column_names == ["customer_id", ACTIVE]


def test_nobody_to_ask_about_is_no_error():
    found = head().fit([period()])
    assert found.table(period().features.slice(0, 0)).num_rows == 0


def test_outcomes_are_what_was_added_and_refunds_do_not_make_spend_negative():
    before = {"events": np.array([3.0, 1.0]), "orders": np.array([1.0, np.nan]),
              "spend": np.array([50.0, 20.0])}  # fmt: skip
    after = {"events": np.array([5.0, 1.0]), "orders": np.array([2.0, 0.0]),
             "spend": np.array([30.0, 20.0])}  # fmt: skip
    told = outcomes_between(before, after)
    assert told[ACTIVE].tolist() == [1.0, 0.0]
    assert told[ORDERED].tolist() == [1.0, 0.0]
    assert told[ORDERS].tolist() == [1.0, 0.0]
    assert told[SPEND].tolist() == [0.0, 0.0]
