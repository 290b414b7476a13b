"""Worlds `awkward` and `noise`: counts cannot part the segments, order, timing and shape can."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.events.worlds.drawn import Drawn, drawn

from shoal.domain import kinds
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.segments import TOPS

#: Segments that have the same means of everything.
ALIKE = (
    "by_chance", "clockwork", "in_bursts", "after_payday", "round_the_shop",
    "the_other_way_round", "search_last",
)  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Drawn:
    return drawn("awkward", blocks=3, days=180)


def named(shop: Drawn, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The events of regular customers, by segment."""
    rows = rows[~shop.people.one_off[rows["customer"]]]
    segment = shop.people.segment[rows["customer"]]
    return {one.name: rows[segment == place] for place, one in enumerate(shop.world.segments)}


def life_days(shop: Drawn) -> dict[str, float]:
    people = shop.people
    days = (np.minimum(people.end_s, shop.days * DAY_S) - people.birth_s) / DAY_S
    days = np.where(people.one_off, 0.0, days)
    return {
        one.name: float(days[people.segment == place].sum())
        for place, one in enumerate(shop.world.segments)
    }


def test_alike_segments_do_not_differ_in_counts(shop: Drawn) -> None:
    """Visits a day, and the shares of kinds of events and of categories, are the same for all."""
    visits, life = named(shop, shop.sessions()), life_days(shop)
    rates = np.array([len(visits[name]) / life[name] for name in ALIKE])
    assert np.abs(rates / rates.mean() - 1).max() < 0.12
    events = named(shop, shop.rows)
    shares = np.array(
        [np.bincount(events[name]["kind"], minlength=22) / len(events[name]) for name in ALIKE]
    )
    assert np.abs(shares - shares.mean(axis=0)).max() < 0.02
    tops = []
    for name in ALIKE:
        views = events[name][events[name]["kind"] == CODE[kinds.VIEW]]
        tops.append(np.bincount(shop.goods.top[views["item"]], minlength=8) / len(views))
    assert np.abs(np.array(tops) - 1 / 8).max() < 0.03


def gaps(visits: np.ndarray) -> np.ndarray:
    """Coefficient of variation of the days between visits, of customers with 12 visits or more."""
    order = np.lexsort((visits["time_s"], visits["customer"]))
    who, when = visits["customer"][order], visits["time_s"][order] / DAY_S
    found = []
    for times in np.split(when, np.flatnonzero(who[1:] != who[:-1]) + 1):
        if len(times) >= 12:
            gap = np.diff(times)
            found.append(gap.std() / gap.mean())
    return np.array(found)


def test_timing_parts_clockwork_bursts_and_chance(shop: Drawn) -> None:
    visits = named(shop, shop.sessions())
    clock, chance, bursts = (
        np.median(gaps(visits[name])) for name in ("clockwork", "by_chance", "in_bursts")
    )
    assert clock < 0.4
    assert 0.9 < chance < 1.3
    assert bursts > 1.35


def test_payday_is_when_some_come(shop: Drawn) -> None:
    visits = named(shop, shop.sessions())
    start = np.datetime64(shop.world.dials.start.date())

    def late(rows: np.ndarray) -> float:
        dates = start + (rows["time_s"] // DAY_S).astype("timedelta64[D]")
        day = (dates - dates.astype("datetime64[M]")).astype(int) + 1
        return float(np.mean(day >= 25))

    planted = 8 * 6.4 / (8 * 6.4 + 24)
    assert late(visits["after_payday"]) == pytest.approx(planted, abs=0.08)
    assert late(visits["by_chance"]) == pytest.approx(6.4 / 30.4, abs=0.03)


def test_order_of_categories_parts_the_two_ways_round(shop: Drawn) -> None:
    """The step from one visit's first viewed category to the next one's."""

    def steps(rows: np.ndarray) -> np.ndarray:
        views = rows[(rows["kind"] == CODE[kinds.VIEW]) & (rows["session"] >= 0)]
        views = views[np.unique(views["session"], return_index=True)[1]]
        views = views[np.lexsort((views["time_s"], views["customer"]))]
        same = views["customer"][1:] == views["customer"][:-1]
        top = shop.goods.top[views["item"]]
        step = (top[1:] - top[:-1])[same] % len(TOPS)
        return np.bincount(step, minlength=len(TOPS)) / len(step)

    events = named(shop, shop.rows)
    there, back = steps(events["round_the_shop"]), steps(events["the_other_way_round"])
    plain = steps(events["by_chance"])
    assert there[1] > 3 * plain[1]
    assert back[-1] > 3 * plain[-1]
    assert there[-1] < 1.5 * plain[-1]


def test_order_within_a_visit_parts_those_who_search_last(shop: Drawn) -> None:
    def after_views(rows: np.ndarray) -> float:
        """Share of visits' searches that come after at least two views of the visit."""
        rows = rows[rows["session"] >= 0]
        rows = rows[np.lexsort((rows["step"], rows["session"]))]
        view = rows["kind"] == CODE[kinds.VIEW]
        before = np.cumsum(view) - view
        first = np.unique(rows["session"], return_index=True)[1]
        before = before - np.repeat(before[first], np.diff(np.append(first, len(rows))))
        return float(np.mean(before[rows["kind"] == CODE[kinds.SEARCH]] >= 2))

    events = named(shop, shop.rows)
    assert after_views(events["search_last"]) > after_views(events["by_chance"]) + 0.25


def test_crescents_are_parted_by_neighbours_and_not_by_a_plane(shop: Drawn) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    people, world = shop.people, shop.world
    sides = [world.place("upper_crescent"), world.place("lower_crescent")]
    mine = np.isin(people.segment, sides)
    X = np.column_stack([np.log(people.views), 2 * people.price_level])[mine]
    side = people.segment[mine] == sides[0]
    plane = cross_val_score(LogisticRegression(), X, side, cv=5).mean()
    neighbours = cross_val_score(KNeighborsClassifier(15), X, side, cv=5).mean()
    assert neighbours > 0.9
    assert plane < neighbours - 0.04


def test_noise_is_one_population() -> None:
    shop = drawn("noise", blocks=1, days=90)
    assert [one.name for one in shop.world.segments] == ["everyone"]
    assert set(shop.spells()["segment"].to_pylist()) == {"everyone"}
    # Differences by degrees: what customers are like has one hump, on a log scale.
    log = np.log(shop.people.views)
    z = (log - log.mean()) / log.std()
    assert abs(np.mean(z**4) - 3) < 0.4
    assert abs(np.mean(z**3)) < 0.15
