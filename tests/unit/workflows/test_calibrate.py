"""Calibration finds dials that are known, the same ones again, and refuses what tells nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shoal.domain.time import DAY_US
from shoal.evaluation.log_tally import BEHAVIOUR, LOG_SCHEMA, contents_of
from shoal.events import worlds
from shoal.events.worlds.base import World, with_dials
from shoal.features.behaviour_log import BehaviourLog
from shoal.workflows import calibrate as calibrating
from shoal.workflows import fit_dials as fitting
from shoal.workflows.calibrate import calibrate, some_customers
from shoal.workflows.calibration_result import Calibration
from shoal.workflows.dial_turns import TURNS, Turn
from shoal.workflows.fit_dials import Fit, fit_dials
from shoal.workflows.likeness import Likeness
from shoal.workflows.simulated_log import simulated_log

CUSTOMERS, DAYS = 1200, 40
#: Dials of the log to be like, and the factor (odds for shares) within which they must come back:
#: what 1,200 customers of 40 days tell, of whom more items look like items less concentrated.
TURNED: dict[str, tuple[float, float]] = {
    "one_off": (0.25, 1.3), "rate_scale": (2.0, 1.25), "views_scale": (1.6, 1.2),
    "conversion_scale": (0.5, 1.4), "lines_scale": (1.5, 1.25), "units_scale": (1.4, 1.25),
    "price_scale": (3.0, 1.3), "item_concentration": (1.1, 1.3), "items": (1500, 1.5),
}  # fmt: skip


def likeness(log: pa.Table, days: int = DAYS) -> Likeness:
    customers = len(log["customer"].unique())
    first = int(log["local_us"].to_numpy().min() // DAY_US)
    whole = BehaviourLog(log, customers, len(log), customers)
    return Likeness("a log", "UTC", "USD", whole, contents_of(log), first, days)


def log_of(world: World, seed: int, kinds: tuple[str, ...] = BEHAVIOUR) -> pa.Table:
    return simulated_log(world, customers=CUSTOMERS, days=DAYS, seed=seed, kinds=kinds)


@pytest.fixture(scope="module")
def turned() -> World:
    values = {name: value for name, (value, _) in TURNED.items()}
    return with_dials(worlds.load("steady"), values)


@pytest.fixture(scope="module")
def found(turned: World) -> Calibration:
    return calibrate(likeness(log_of(turned, seed=501)), worlds.load("steady"), seed=1)


@pytest.mark.parametrize("dial", sorted(TURNED))
def test_known_dials_come_back(found: Calibration, dial: str) -> None:
    wanted, factor = TURNED[dial]
    got = found.dials[dial]
    if dial == "one_off":
        wanted, got = wanted / (1 - wanted), got / (1 - got)
    assert abs(math.log(got / wanted)) < math.log(factor), f"{dial}: {found.dials[dial]}"


def test_the_fitted_world_is_as_near_as_another_part_of_the_log(found: Calibration) -> None:
    total = found.total
    assert total["after"] < 0.35 * total["before"]
    assert total["after"] < 1.5 * total["floor"]


def test_a_classifier_is_told_less_after_fitting(found: Calibration) -> None:
    before, after, null = (found.two_sample[name] for name in ("before", "after", "null"))
    assert before is not None and after is not None and null is not None
    assert before.auc > 0.7
    assert after.auc < before.auc - 0.1
    assert null.low - 0.03 < 0.5 < null.high + 0.03


def test_the_world_says_what_was_fitted(found: Calibration) -> None:
    document = found.as_document()
    assert found.world.digest() != found.own.digest()
    assert document["world"]["digest"] == found.world.digest()
    for name, value in found.dials.items():
        assert getattr(found.world.dials, name) == value, name
    assert found.world.dials.currency == "USD"
    assert found.checked.seed == 1 != found.fit_seed
    assert document["fit"]["samples"] == len(document["fit"]["distances"]) > 10
    assert document["notes"] == []


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting in few samples and no classifier, where it does not matter how near it comes."""
    monkeypatch.setattr(fitting, "DIRECT_ROUNDS", 2)
    monkeypatch.setattr(fitting, "JOINT_STEPS", 1)
    monkeypatch.setattr(calibrating, "two_sample_test", lambda *_, **__: None)


def small_fit(seed: int) -> Fit:
    """Two dials of three that move four moments of a line and a curve, with noise of their own."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.002, 3)

    def sample(dials: dict[str, Any]) -> dict[str, Any]:
        rate, views = dials.get("rate_scale", 1.0), dials.get("views_scale", 1.0)
        return {
            "visits_per_customer": 1 + rate * math.exp(noise[0]),
            "views_per_visit": 2 * views * math.exp(noise[1]),
            "events_per_visit": 1 + 2 * views + 0.3 * rate,
            "repeat_rate": 0.3 + noise[2],
        }

    real = {"visits_per_customer": 4.0, "views_per_visit": 8.0, "events_per_visit": 9.9,
            "repeat_rate": 0.3}  # fmt: skip
    contents = contents_of(
        pa.Table.from_pylist([{"customer": "a", "kind": "view", "local_us": 1}], schema=LOG_SCHEMA)
    )
    own = {"rate_scale": 1.0, "views_scale": 1.0}
    return fit_dials(real, contents, sample, own)  # type: ignore[arg-type]


def test_fitting_finds_the_dials_of_a_shop_made_of_formulas() -> None:
    fit = small_fit(3)
    assert fit.dials["rate_scale"] == pytest.approx(3.0, rel=0.02)
    assert fit.dials["views_scale"] == pytest.approx(4.0, rel=0.02)
    assert fit.distance < 0.005 < fit.rounds[0]
    assert fit.distance == min(fit.rounds)


def test_the_same_log_and_seed_give_the_same_dials(brief: None) -> None:
    assert small_fit(3) == small_fit(3)
    log = some_customers(log_of(worlds.load("steady"), seed=502), 300)
    like = likeness(log)
    fixed = {turn.dial for turn in TURNS} - {"rate_scale"}
    one, again = (calibrate(like, worlds.load("steady"), seed=4, fixed=fixed) for _ in range(2))
    assert one.dials == again.dials
    assert one.rounds == again.rounds
    assert one.as_document() == again.as_document()
    assert set(one.dials) & {turn.dial for turn in TURNS} == {"rate_scale"}


def test_a_log_of_purchases_is_compared_on_purchases(turned: World, brief: None) -> None:
    log = log_of(turned, seed=503, kinds=("purchase",))
    like = likeness(log)
    fixed = {turn.dial for turn in TURNS}
    result = calibrate(like, worlds.load("steady"), seed=2, fixed=fixed)
    assert result.after["views_per_visit"] is None
    assert result.like.contents.kinds == ("purchase",)
    untold = {row["name"]: row["untold"] for row in result.rows() if row["untold"]}
    assert untold["conversion_per_visit"] == "no views"
    assert any("compared on purchase alone" in note for note in result.notes())


def test_a_simulated_log_is_what_simulate_writes(tmp_path: Any) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from shoal.workflows.simulate import simulate

    world = worlds.load("steady")
    simulate(tmp_path, customers=200, days=20, world=world, seed=9)
    events = pq.read_table(tmp_path / "events.parquet")
    events = events.filter(pc.is_in(events["kind"], pa.array(["view", "purchase"])))
    log = simulated_log(world, customers=200, days=20, seed=9, kinds=("view", "purchase"))
    assert len(log) == len(events)
    bought = pc.equal(events["kind"], "purchase")
    spent = pc.sum(
        pc.subtract(
            pc.multiply(events["price"], events["quantity"]), pc.fill_null(events["discount"], 0.0)
        ).filter(bought)
    )
    ours = pc.sum(log.filter(pc.equal(log["kind"], "purchase"))["paid"])
    assert ours.as_py() == pytest.approx(spent.as_py())
    assert sorted(log["local_us"].to_pylist()) == sorted(
        events["event_time"].cast(pa.int64()).to_pylist()
    )
    assert sorted(log["customer"].unique().to_pylist()) == sorted(
        events["customer_id"].unique().to_pylist()
    )


def test_halves_of_a_log_share_no_customer_and_lose_none() -> None:
    log = log_of(worlds.load("steady"), seed=504)
    names = set(log["customer"].unique().to_pylist())
    half = len(names) // 2
    one, other = (set(some_customers(log, half, part=part)["customer"].unique().to_pylist())
                  for part in (0, 1))  # fmt: skip
    assert not one & other
    assert len(one | other) == 2 * half


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.dial)
def test_a_turn_goes_there_and_back_and_keeps_its_limits(turn: Turn) -> None:
    middle = math.sqrt(turn.low * turn.high)
    assert turn.outer(turn.inner(middle)) == pytest.approx(middle)
    assert turn.outer(turn.inner(turn.high * 3)) == pytest.approx(turn.high)
    assert turn.outer(turn.inner(turn.low / 3)) == pytest.approx(turn.low)
    world = worlds.load("steady")
    assert with_dials(world, {turn.dial: max(round(turn.low), 1) if turn.dial == "items" else
                              turn.low})  # fmt: skip
    assert with_dials(world, {turn.dial: turn.high})


def test_dials_that_were_set_stay(turned: World, brief: None) -> None:
    log = some_customers(log_of(turned, seed=505), 400)
    fixed = {turn.dial for turn in TURNS} - {"views_scale"}
    world = with_dials(worlds.load("steady"), {"rate_scale": 0.7})
    result = calibrate(likeness(log), world, seed=3, fixed=fixed | {"hours", "weekdays"})
    assert result.world.dials.rate_scale == 0.7
    assert not {"rate_scale", "hours", "weekdays"} & set(result.dials)
    assert replace(result, written=None).as_document()["simulated"] is None
