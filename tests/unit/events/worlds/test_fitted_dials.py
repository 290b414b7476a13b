"""Dials that calibration turns: neutral ones change nothing, turned ones do what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.events import worlds
from shoal.events.worlds import sample
from shoal.events.worlds.base import World, with_dials
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.sessions import hour_weights

DAYS = 56


def drawn(world: World, **more: Any) -> sample.Block:
    goods = sample.build_catalogue(world, 3)
    (block,) = sample.blocks(world, goods, customers=1500, days=DAYS, seed=3, **more)
    return block


def count(block: sample.Block, kind: str) -> int:
    return int((block.events["kind"] == CODE[kind]).sum())


def by_day(block: sample.Block) -> npt.NDArray[np.int64]:
    day = block.events["time_s"] // DAY_S
    return np.bincount(day, minlength=DAYS)


@pytest.fixture(scope="module")
def steady() -> World:
    return worlds.load("steady")


@pytest.fixture(scope="module")
def block(steady: World) -> sample.Block:
    return drawn(steady)


def test_neutral_values_are_no_part_of_the_definition(steady: World, block: sample.Block) -> None:
    neutral = {
        "arrivals": (), "established": -1, "price_spread": 1, "cart_scale": 1,
        "favourite_scale": 1, "hours": (1.0,) * 24, "weekdays": (1.0,) * 7,
    }  # fmt: skip
    later = {name: value for name, value in neutral.items() if name not in ("hours", "weekdays")}
    assert with_dials(steady, later).digest() == steady.digest()
    assert not set(later) & set(steady.definition()["dials"])  # type: ignore[call-overload]
    same = drawn(with_dials(steady, {**neutral, "arrivals": (1.0, 1.0)}))
    assert same.events.tobytes() == block.events.tobytes()
    for name, value in {"arrivals": (2.0, 1.0), "established": 0.3, "price_spread": 0.4,
                        "cart_scale": 2, "favourite_scale": 2}.items():  # fmt: skip
        changed = with_dials(steady, {name: value})
        assert changed.digest() != steady.digest(), name
        assert name in changed.definition()["dials"]  # type: ignore[operator]


def test_newcomers_come_when_arrivals_say(steady: World) -> None:
    early = drawn(with_dials(steady, {"arrivals": (3.0, 1.0, 0.0, 0.0), "established": 0}))
    born = early.customers.birth_s / DAY_S
    assert not early.customers.established.any()
    assert np.mean(born < DAYS / 4) == pytest.approx(0.75, abs=0.04)
    assert born.max() < DAYS / 2 + 1e-6


def test_established_is_the_share_of_lasting_customers(steady: World) -> None:
    people = drawn(with_dials(steady, {"established": 0.8})).customers
    assert people.established[~people.one_off].mean() == pytest.approx(0.8, abs=0.05)


def test_hours_are_factors_on_each_segment_s_own(steady: World) -> None:
    open_hours = (0.0,) * 8 + (1.0,) * 12 + (0.0,) * 4
    shop = with_dials(steady, {"hours": open_hours})
    own, cut = (np.array([hour_weights(one, world.dials) for one in shop.segments])
                for world in (steady, shop))  # fmt: skip
    assert np.allclose(cut[:, 8:20], own[:, 8:20] / own[:, 8:20].sum(axis=1, keepdims=True))
    assert cut[:, :8].max() < 1e-6
    assert np.abs(cut[0] - cut[-1]).sum() > 0.1  # what sets segments apart stays


def test_weekdays_are_factors_on_each_segment_s_own(steady: World) -> None:
    shut = drawn(with_dials(steady, {"weekdays": (1, 1, 1, 1, 1, 0, 1)}))
    visits = shut.events[(shut.events["kind"] == CODE[kinds.VIEW])]
    regular = ~shut.customers.one_off[visits["customer"]]
    weekday = (steady.dials.start.weekday() + visits["time_s"] // DAY_S) % 7
    share = np.bincount(weekday[regular], minlength=7) / regular.sum()
    # Newcomers' first visits are on the day they come, whatever day that is.
    assert share[5] < 0.05 < share[6]


def test_price_spread_draws_prices_together(steady: World) -> None:
    def spread(value: float) -> float:
        goods = sample.build_catalogue(with_dials(steady, {"price_spread": value}), 3)
        return float(np.log(goods.price_cents).std())

    assert spread(0.5) == pytest.approx(spread(1.0) / 2, rel=0.06)
    assert spread(0.0) < 0.01


def test_carts_and_favourites_follow_their_scales(steady: World, block: sample.Block) -> None:
    more = drawn(with_dials(steady, {"cart_scale": 3, "favourite_scale": 3}))
    left = [count(one, kinds.CART_ADD) - count(one, kinds.PURCHASE) for one in (block, more)]
    assert left[1] / left[0] == pytest.approx(3, rel=0.25)
    liked = [count(one, kinds.FAVOURITE) / count(one, kinds.VIEW) for one in (block, more)]
    assert 2 < liked[1] / liked[0] < 3.2


def test_another_size_of_block_is_another_draw_of_the_same_world(
    steady: World, block: sample.Block
) -> None:
    small = drawn(steady, block_customers=1500)
    assert len(small.customers.number) == len(block.customers.number) == 1500
    assert small.events.tobytes() != block.events.tobytes()
    assert len(small.events) == pytest.approx(len(block.events), rel=0.12)
    assert by_day(small).sum() == len(small.events)


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"arrivals": (-1.0, 1.0)}, "arrivals"),
        ({"arrivals": (0.0, 0.0)}, "arrivals"),
        ({"arrivals": (1.0,) * 101}, "1 to 100 numbers"),
        ({"hours": (1.0,) * 23}, "24 numbers"),
        ({"established": 1.5}, "from -1 to 1"),
        ({"price_spread": -1}, "from 0 to 5"),
    ],
)
def test_impossible_values_are_refused(steady: World, dials: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as told:
        with_dials(steady, dials)
    assert told.value.code == "bad_dial"
    assert said in str(told.value)


def test_a_start_of_one_s_own_moves_the_log(steady: World, block: sample.Block) -> None:
    later = replace(
        steady, dials=replace(steady.dials, start=steady.dials.start.replace(year=2026))
    )
    assert later.digest() != steady.digest()
    assert len(drawn(later).events) == pytest.approx(len(block.events), rel=0.1)
