"""The bench of segments: outcomes by hand, its own peers, scores that cannot be told wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bench.harness.data import MissingDataError
from bench.peers.base import RFM, Inputs
from bench.segments import page
from bench.segments.__main__ import main
from bench.segments.attain import attained
from bench.segments.outcomes import Outcome, outcomes, recent_strata
from bench.segments.peers import (
    METHODS,
    OWN,
    PLANTED,
    CartOfAll,
    RfmCells,
    ScoreBins,
    outcome_matrix,
)
from bench.segments.scores import (
    ALONE,
    ATTAINED,
    BASE,
    GIVEN,
    Scored,
    cells,
    counted,
    differences,
    of_attained,
    ranks,
    scored,
)
from bench.segments.sets import REPORTED, TUNING, Log, logs
from bench.segments.unit import packed, unpacked
from deltalake import write_deltalake

from shoal.evaluation.foretelling import halves

T = datetime(2024, 3, 1, tzinfo=UTC)
CUSTOMERS = np.array(["a", "b", "c", "d"], dtype=object)


def event(customer: str | None, day: float, **more: Any) -> dict[str, Any]:
    return {
        "customer_id": customer, "event_time": T + timedelta(days=day), "kind": "purchase",
        "order_id": None, "price": 2_000_000, "quantity": 1, "discount": None, "category": None,
        **more,
    }  # fmt: skip


EVENTS = [
    event("a", -3, order_id="o0"),
    event("a", 0.5, order_id="o1", quantity=3),
    event("a", 0.5, order_id="o1", discount=500_000),
    event("a", 9, order_id="o2", price=None),
    event("b", 28, order_id="o3"),  # the period is half-open
    event("b", 1, kind="view", category="x"),
    event("c", 20, order_id=None),
    event("c", 20, order_id=None),
    event("c", 21, order_id=None, quantity=2, category="y"),
    event("c", 2, kind="view", category="x"),
    event("c", 3, kind="view", category="y"),
    event("c", 4, kind="view", category="not told of"),
    event(None, 5, order_id="guest"),
    event("d", -1, order_id="o4"),
    event("d", -20, order_id="o5"),
]
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()), ("event_time", pa.timestamp("us", tz="UTC")),
        ("kind", pa.string()), ("order_id", pa.string()), ("price", pa.int64()),
        ("quantity", pa.int64()), ("discount", pa.int64()), ("category", pa.string()),
    ]
)  # fmt: skip


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """A log of four customers, cut at T, of which 28 days are foretold."""
    table = pa.Table.from_pylist(EVENTS, schema=SCHEMA)
    write_deltalake(str(tmp_path / "events"), table)
    known = table.filter(pa.array([row["customer_id"] is not None for row in EVENTS]))
    recency = pa.table({"customer_id": list("abcd"), "recency_days": [3.0, 40.0, 80.0, 1.0]})
    source = SimpleNamespace(
        shop_dir=tmp_path, events=known.sort_by("event_time"), features=lambda moment: recency,
        facts={"names": {"category": ["x", "y"]}},
    )  # fmt: skip
    return SimpleNamespace(
        log=Log("steady", 1), source=source, moment=T, horizon_days=28,
        horizon=timedelta(days=28), before=T - timedelta(days=28),
    )  # fmt: skip


def test_outcomes_by_hand(opened: Any) -> None:
    found = {one.name: one for one in outcomes(opened, CUSTOMERS, T, T + timedelta(days=28))}
    assert found["orders"].values[:, 0].tolist() == [2, 0, 2, 0]
    # a: 3 x 2 + 2 - 0.5, and an order without a price; c: 2 + 2 + 2 x 2 (micro-units)
    assert found["spend"].values[:, 0].tolist() == [7.5e6, 0, 8e6, 0]
    assert found["days"].values.argmax(axis=1).tolist() == [0, 4, 2, 4]
    assert found["mix"].values[:3] == pytest.approx(np.array([[0, 0], [1, 0], [1 / 3, 2 / 3]]))
    assert found["mix"].known.tolist() == [False, True, True, False]
    for name in ("orders", "spend", "days"):
        assert found[name].known.all()


def test_strata_of_recent_activity_by_hand(opened: Any) -> None:
    # orders before: a 1, b 0, c 0, d 2; quarters of recency 3, 40, 80, 1: 1, 2, 3, 0
    strata = recent_strata(opened, CUSTOMERS)
    assert len(set(strata.tolist())) == 4
    first = recent_strata(opened, CUSTOMERS[:1])
    assert first.tolist() == [0]


def test_what_is_not_asked_has_no_deviance() -> None:
    one = Outcome("orders", np.array([[1.0], [5.0]]), np.array([True, False]))
    assert one.deviance(np.array([[2.0], [1.0]]))[1] == 0


# --- Peers ----------------------------------------------------------------------------------------


def rfm(recency: list[float], orders: list[float], spend: list[float]) -> Inputs:
    values = np.column_stack([recency, orders, spend])
    return Inputs(np.arange(len(values)).astype(object), RFM, ("largest", "zero", "zero"), values)


def test_rfm_cells_by_hand() -> None:
    X = rfm([1, 1, 9, 9], [1, 5, 1, 5], [1, 50, 1, 50])
    labels = RfmCells().fit(X, 8, 0).predict(X)
    assert len(set(labels.tolist())) == 4
    one = RfmCells().fit(X, 4, 0)
    later = one.predict(rfm([np.nan, 0.5], [np.nan, 9], [np.nan, 99]))
    assert later[0] != later[1]
    assert later[0] == one.predict(rfm([9], [0], [0]))[0]


@pytest.mark.parametrize("k", [4, 8, 12])
def test_rfm_cells_are_as_many_as_asked_for(k: int) -> None:
    random = np.random.default_rng(1)
    X = rfm(*random.exponential(5, (3, 2000)).tolist())
    assert len(np.unique(RfmCells().fit(X, k, 0).predict(X))) == k


def test_a_tree_of_all_outcomes_finds_what_either_tells() -> None:
    random = np.random.default_rng(5)
    values = random.normal(size=(800, 3))
    X = Inputs(np.arange(800).astype(object), RFM, ("median",) * 3, values)
    y = np.column_stack([(values[:, 0] > 0) * 100.0, values[:, 1] > 0])
    labels = CartOfAll().fit(X, 4, 0, y).predict(X)
    kinds = 2 * (values[:, 0] > 0) + (values[:, 1] > 0)
    assert len(np.unique(labels)) == 4
    for label in np.unique(labels):
        counts = np.bincount(kinds[labels == label])
        assert counts.max() / counts.sum() > 0.9


@pytest.mark.parametrize("objective", ["poisson", "tweedie"])
def test_bins_of_a_score_are_in_the_order_of_what_it_foretells(objective: str) -> None:
    random = np.random.default_rng(6)
    values = random.normal(size=(1000, 3))
    y = random.poisson(np.exp(values[:, 0])) * 1e6
    X = Inputs(np.arange(1000).astype(object), RFM, ("median",) * 3, values)
    labels = ScoreBins(objective, 100).fit(X, 4, 0, y).predict(X)
    assert np.bincount(labels).tolist() == pytest.approx([250] * 4, abs=15)
    means = [values[labels == label, 0].mean() for label in range(4)]
    assert means == sorted(means)


def test_outcomes_given_to_supervised_peers() -> None:
    told = {"orders": np.array([[0.0], [3.0]]), "spend": np.array([[0.0], [5.0]])}
    assert outcome_matrix(told, "spend").tolist() == [0.0, 5.0]
    assert outcome_matrix(told, "all") == pytest.approx(np.array([[0, 0], [np.log(4), np.log(2)]]))


def test_every_method_that_is_ranked_can_be_made_but_shoal() -> None:
    for name, method in METHODS.items():
        assert (method.make is None) == (name in (*OWN, PLANTED))


# --- Scores ---------------------------------------------------------------------------------------


def score(log: Log, customers: list[str], found: dict[str, list[float]]) -> Scored:
    told = {name: np.array(values) for name, values in found.items()}
    return Scored(
        log, np.array(customers, dtype=object), 28, "2024-03-01", {("orders", ALONE): told}
    )


def some(seed: int, shift: float = 0.0) -> Scored:
    names = [f"c{number}" for number in range(40)]
    random = np.random.default_rng(seed)
    base = random.gamma(2, 1, 40)
    found = {BASE: base, ATTAINED: base * 0.5, "good": base * 0.6, "bad": base * (0.9 + shift)}
    return score(Log("steady", seed), names, {key: value.tolist() for key, value in found.items()})


def test_shares_and_ranks_by_hand() -> None:
    both = [some(1), some(2)]
    cell = ("steady", "orders", ALONE)
    assert cells(both) == [cell]
    assert of_attained(both, cell, "good") == pytest.approx([0.8, 0.8])
    assert of_attained(both, cell, "bad") == pytest.approx([0.2, 0.2])
    assert np.isnan(of_attained(both, cell, "absent")).all()
    assert ranks(both, ["good", "bad", "absent"], [cell]) == {"good": 1, "bad": 2, "absent": 3}
    assert counted(both, cell)


def test_too_little_to_foretell_is_not_counted() -> None:
    one = some(1)
    one.found["orders", ALONE][ATTAINED] = one.found["orders", ALONE][BASE] * 0.99
    assert not counted([one], ("steady", "orders", ALONE))


def test_differences_are_paired_over_customers() -> None:
    """Deviances in proportion differ by the same share in every draw."""
    both = [some(1), some(2)]
    found = differences(both, "good", ["bad"], 3)["steady", "orders", ALONE]["bad"]
    assert found.figure == pytest.approx(0.6)
    assert (found.low, found.high) == pytest.approx((0.6, 0.6))


def test_a_difference_by_a_few_customers_is_uncertain() -> None:
    one = some(1)
    told = one.found["orders", ALONE]
    told["bad"] = told["good"].copy()
    told["bad"][0] += 5
    found = differences([one], "good", ["bad"], 3)["steady", "orders", ALONE]["bad"]
    assert found.low <= 0 < found.figure < found.high


def test_labels_that_are_the_outcome_win_and_chance_does_not(opened: Any) -> None:
    """A whole log by hand is too small; the four customers are taken a hundred times."""
    random = np.random.default_rng(8)
    many = np.tile(CUSTOMERS, 100)
    opened.source.events, rows = None, []
    for place in range(400):
        name = f"{CUSTOMERS[place % 4]}{place}"
        many[place] = name
        rows += [{**row, "customer_id": name} for row in EVENTS
                 if row["customer_id"] == CUSTOMERS[place % 4]]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    write_deltalake(str(opened.source.shop_dir / "many" / "events"), table)
    opened.source.shop_dir = opened.source.shop_dir / "many"
    opened.source.events = table.sort_by("event_time")
    recency = pa.table({"customer_id": many.tolist(), "recency_days": [5.0] * 400})
    opened.source.features = lambda moment: recency
    labels = {"truth": np.tile(np.arange(4), 100), "chance": random.integers(4, size=400)}

    def customers_of(_: Any) -> Any:
        return many

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.segments.scores.customers_of", customers_of)
        found = scored(opened, labels, {}, 2)
    for task in ("orders", "spend", "days"):
        assert found.share(task, ALONE, "truth") > 0.8
        assert abs(found.share(task, ALONE, "chance")) < 0.05
        assert found.share(task, GIVEN, "truth") > found.share(task, GIVEN, "chance")


# --- What is attainable ---------------------------------------------------------------------------


def test_lightgbm_attains_most_of_what_a_feature_tells() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(1200, 4))
    rate = np.exp(0.8 * X[:, 0])
    orders = random.poisson(rate).astype(float)
    kind = (X[:, 1] > 0).astype(int)
    everybody = np.ones(1200, dtype=bool)
    told = [
        Outcome("orders", orders[:, None], everybody),
        Outcome("days", np.eye(3)[np.where(orders > 1, 0, np.where(orders > 0, 1, 2))], everybody),
        Outcome("mix", np.eye(3)[kind], everybody),
    ]
    found = attained(X, told, X, told, splits=1, seed=1)
    for outcome in told:
        rounds, forecasts = found[outcome.name]
        assert rounds > 0
        assert len(forecasts) == 2
        for forecast in forecasts:
            assert forecast.shape == outcome.values.shape
            if outcome.name != "orders":
                assert forecast.sum(axis=1) == pytest.approx(np.ones(1200))
    # what the true rates explain, beside what half of the customers teach of them
    base = told[0].deviance(np.full((1200, 1), orders.mean())).sum()
    ceiling = 1 - told[0].deviance(rate[:, None]).sum() / base
    asked = np.where(
        next(halves(1200, 1, 1)), found["orders"][1][1][:, 0], found["orders"][1][0][:, 0]
    )
    own = 1 - told[0].deviance(asked[:, None]).sum() / base
    assert 0.75 * ceiling < own < ceiling + 0.05
    assert (found["mix"][1][0].argmax(axis=1) == kind).mean() > 0.98


# --- The whole ------------------------------------------------------------------------------------


def test_arrays_come_back_from_json() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    again = unpacked(json.loads(json.dumps(packed(values))))
    assert (again == values).all()
    assert again.dtype == values.dtype


def test_seeds_for_tuning_see_no_reported_cut() -> None:
    reported = {(one.set, one.back) for one in logs(["cdnow"], REPORTED)}
    tuned = {(one.set, one.back) for one in logs(["cdnow"], TUNING)}
    assert len(reported) == 3
    assert not reported & tuned
    assert not set(REPORTED) & set(TUNING)


def test_a_quick_run_tells_of_a_set_that_is_missing_and_a_peer_that_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    units_here: None,
) -> None:
    def nowhere(name: str, cache: Path | None = None) -> None:
        raise MissingDataError(f"{name}: no such file")

    monkeypatch.setattr("bench.harness.data.public", nowhere)
    monkeypatch.setattr("bench.harness.data.CACHE", tmp_path)
    monkeypatch.setattr("bench.harness.environment.CACHE", tmp_path)
    call = ["--quick", "--data", "steady", "cdnow", "--cache", str(tmp_path), "--peers", "shoal",
            "rfm-cells", "river-denstream"]  # fmt: skip
    # no environment can be made here: pip is given nothing that exists
    (tmp_path / "environments").write_text("in the way")
    assert main(call) == 0
    told = json.loads((tmp_path / "segments.json").read_text())
    assert told["schema"] == "bench.segments/1"
    assert told["missing"] == {"cdnow": "cdnow: no such file"}
    assert [one["peer"] for one in told["failed"]] == ["river-denstream"]
    [log] = told["logs"]
    assert (log["set"], log["seed"]) == ("steady", 1)
    assert {one["task"] for one in told["cells"]} == {"orders", "spend", "days", "mix"}
    for one in told["cells"]:
        assert one["shares"]["shoal"] is not None
        assert one["shares"]["river-denstream"] is None
    text = (tmp_path / "segments.md").read_text()
    assert text == page.markdown(told)
    assert "| cdnow | not there |" in text
    assert "river-denstream" in text.partition("## What failed")[2]
    assert all(len(line) < 4000 for line in text.splitlines())
    assert capsys.readouterr().out.startswith("# What segments foretell")
