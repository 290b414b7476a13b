"""The two-sample test: chance on one population, certain on two, AUC as scikit-learn's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.evaluation.small_logs import log, shoppers

from shoal.evaluation.log_tally import contents_of, tally
from shoal.evaluation.two_sample import LEAST, TwoSample, aggregates, auc, two_sample_test


def sample(seed: int, rows: int = 800, shift: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(3.0, rows)
    gaps[rng.random(rows) < 0.3] = np.nan
    return {"counts": rng.standard_normal(rows) + shift, "gaps": gaps, "noise": rng.random(rows)}


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(4)
    scores, labels = rng.integers(0, 20, 500).astype(float), rng.random(500) < 0.3
    assert auc(scores, labels)[0] == pytest.approx(roc_auc_score(labels, scores))


def test_the_error_of_the_area_is_its_spread_over_samples() -> None:
    areas, errors = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        scores = np.append(rng.normal(0, 1, 60), rng.normal(0.7, 1, 90))
        area, error = auc(scores, np.repeat([False, True], [60, 90]))
        areas.append(area)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)


def test_one_population_is_at_chance() -> None:
    found = two_sample_test(sample(1), sample(2), seed=0)
    assert found is not None
    assert found.low < 0.5 < found.high or abs(found.auc - 0.5) < 0.04
    assert found.auc < 0.56


def test_two_populations_are_told_apart_by_what_differs() -> None:
    found = two_sample_test(sample(1), sample(2, shift=3.0), seed=0)
    assert found is not None
    assert found.auc > 0.95
    assert found.verdict == "far apart"
    assert found.telling[0][0] == "counts"
    assert found.telling[0][1] > 10 * abs(found.telling[1][1])


def test_samples_of_unlike_size_are_compared_in_equal_numbers() -> None:
    found = two_sample_test(sample(1, rows=120), sample(2, rows=900), seed=0, telling=False)
    assert found is not None
    assert found.rows == 120 and found.telling == ()


def test_a_column_without_values_tells_nothing_and_breaks_nothing() -> None:
    empty = {"gaps": np.full(200, np.nan)}
    one, other = sample(1, rows=200, shift=2.0) | empty, sample(2, rows=200) | empty
    found = two_sample_test(one, other, seed=0)
    assert found is not None
    assert found.auc > 0.85
    assert dict(found.telling)["gaps"] == 0.0


def test_the_same_seed_gives_the_same_figure() -> None:
    one, other = sample(5, rows=300), sample(6, rows=300, shift=0.4)
    assert two_sample_test(one, other, seed=3) == two_sample_test(one, other, seed=3)


def test_too_few_rows_give_no_figure_and_unlike_columns_are_refused() -> None:
    assert two_sample_test(sample(1, rows=LEAST - 1), sample(2), seed=0) is None
    with pytest.raises(ValueError, match="not the same"):
        two_sample_test(sample(1), {"counts": np.zeros(800)}, seed=0)


@pytest.mark.parametrize(
    ("auc_", "low", "verdict"),
    [(0.52, 0.49, "alike"), (0.55, 0.52, "close"), (0.7, 0.68, "apart"), (0.93, 0.92, "far apart")],
)
def test_the_verdict_is_in_words(auc_: float, low: float, verdict: str) -> None:
    assert TwoSample(auc_, low, 2 * auc_ - low, 1000).verdict == verdict


def test_the_order_of_rows_changes_no_aggregate() -> None:
    rows = shoppers(40, orders=3)
    table = log(*rows)
    mixed = table.take(pa.array(np.random.default_rng(3).permutation(len(rows))))
    contents = contents_of(table)
    one, other = (aggregates(tally(each, contents)) for each in (table, mixed))
    for name, values in one.items():
        assert np.array_equal(values, other[name], equal_nan=True), name


def test_aggregates_have_a_value_a_customer_and_leave_out_what_cannot_be_told() -> None:
    table = log(*shoppers(30, orders=3, gap_days=2.0))
    found = aggregates(tally(table, contents_of(table)))
    assert {len(values) for values in found.values()} == {30}
    assert found["orders"] == pytest.approx(np.log(4.0))
    assert found["order_gap_mean"] == pytest.approx(np.log(3.0))
    assert found["order_gap_spread"] == pytest.approx(0.0, abs=1e-9)
    assert found["share_of_purchase"] == pytest.approx(0.5)
    assert found["paid_per_order"] == pytest.approx(np.log(41.0))
    assert found["weekend_share"] == pytest.approx(0.0)
    dates = log(*({"customer": "a", "kind": "purchase", "local_us": 0} for _ in range(3)))
    only = aggregates(tally(dates, contents_of(dates)))
    assert not {"hour", "paid_per_order", "units_per_order", "share_of_purchase"} & set(only)
    assert np.isnan(only["order_gap_mean"]).all()
