from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from shoal.segments.judge import Future
from shoal.workflows.adjuster_challenge import foretelling_gain, within_gain
from shoal.workflows.adjuster_looks import LastPeriod
from shoal.workflows.known import Known

Places = npt.NDArray[np.int64]


def _clouds(seed: int = 0, rows: int = 600) -> tuple[npt.NDArray[np.float64], Places]:
    """Three clouds, and who is in which."""
    random = np.random.default_rng(seed)
    places = random.integers(3, size=rows)
    centers = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    return centers[places] + random.normal(size=(rows, 2)), places


def test_a_better_division_leaves_less_and_the_same_one_nothing_less() -> None:
    Z, places = _clouds()
    blurred = places.copy()
    blurred[::4] = (blurred[::4] + 1) % 3
    better = within_gain(Z, blurred, places)
    assert better.share > 0.3
    assert better.share > 5 * better.error
    assert within_gain(Z, places, places).share == 0.0
    assert within_gain(Z, places, blurred).share < 0


def test_names_of_segments_and_order_of_customers_change_no_gain() -> None:
    Z, places = _clouds()
    blurred = np.where(np.arange(len(places)) % 5 == 0, 0, places)
    gain = within_gain(Z, blurred, places)
    assert within_gain(Z, blurred, (places + 1) % 3).share == pytest.approx(gain.share)
    order = np.random.default_rng(1).permutation(len(Z))
    mixed = within_gain(Z[order], blurred[order], places[order])
    assert mixed.share == pytest.approx(gain.share)


def test_a_division_without_meaning_gains_nothing() -> None:
    """Told by the half that did not make the means, chance alone is worth nothing."""
    Z = np.random.default_rng(2).normal(size=(800, 3))
    random = np.random.default_rng(3)
    gain = within_gain(Z, np.zeros(len(Z), np.int64), random.integers(8, size=len(Z)))
    assert gain.share < 2 * gain.error


def test_customers_who_are_all_alike_leave_nothing_to_gain() -> None:
    Z, places = np.ones((20, 2)), np.arange(20) % 2
    assert within_gain(Z, places, 1 - places).share == 0.0


def _period(seed: int = 0, *, varied: bool = True) -> tuple[LastPeriod, Places]:
    """Customers of whom one cloud is active and orders, and the others are not."""
    Z, places = _clouds(seed)
    random = np.random.default_rng([seed, 1])
    active = (random.random(len(Z)) < np.where(places == 0, 0.9, 0.1)).astype(float)
    active = active if varied else np.ones(len(Z))
    orders = random.poisson(np.where(places == 0, 3.0, 0.2)) * (active if varied else 0)
    future = Future(Z, 28, active, orders.astype(float), orders * 10.0)
    nobody = pa.table({"customer_id": pa.array([], pa.string())})
    then = Known(datetime(2024, 1, 1, tzinfo=UTC), nobody, nobody)
    return LastPeriod(then, nobody, future, None, {}), places


def test_a_division_that_foretells_more_gains() -> None:
    period, places = _period()
    nothing = np.arange(len(places)) % 3
    gain = foretelling_gain(period, nothing, places)
    assert gain is not None
    assert gain.share > 0.2
    assert gain.share > 5 * gain.error
    assert set(gain.parts) == {"activity", "orders", "spend"}
    back = foretelling_gain(period, places, nothing)
    assert back is not None
    assert back.share < 0


def test_a_period_in_which_nothing_differs_says_nothing() -> None:
    period, places = _period(varied=False)
    assert foretelling_gain(period, places, places) is None
