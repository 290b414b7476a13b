"""What drifts, and what only seems to: recomputed from the events of each world."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.events.worlds.drawn import Drawn, drawn

from shoal.domain import kinds
from shoal.events import worlds
from shoal.events.worlds import truth
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.segments import TOPS
from shoal.events.worlds.spells import PAUSED, shares_on
from shoal.events.worlds.visits import day_factor


def periods(shop: Drawn, family: str) -> tuple[int, int]:
    """First and last day of a family's drifts."""
    days = [one.days(shop.days) for one in shop.world.drifts if one.family == family]
    return min(first for first, _ in days), max(last for _, last in days)


def of_segment(shop: Drawn, rows: np.ndarray, name: str) -> np.ndarray:
    return rows[shop.segment_of(rows) == shop.world.place(name)]


def per_session(shop: Drawn, kind: str, name: str, first: int, last: int) -> float:
    """Events of a kind a session of a segment between two days; customers of one visit apart."""

    def within(rows: np.ndarray) -> np.ndarray:
        day = rows["time_s"] // DAY_S
        rows = rows[(day >= first) & (day < last) & ~shop.people.one_off[rows["customer"]]]
        return of_segment(shop, rows, name)

    return len(within(shop.of(kind))) / len(within(shop.sessions()))


def orders_per_session(shop: Drawn, name: str, first: int, last: int) -> float:
    bought = shop.of(kinds.PURCHASE)
    bought = bought[np.unique(bought["order"], return_index=True)[1]]
    day, visits = bought["time_s"] // DAY_S, shop.sessions()
    regular = ~shop.people.one_off
    bought = bought[(day >= first) & (day < last) & regular[bought["customer"]]]
    day = visits["time_s"] // DAY_S
    visits = visits[(day >= first) & (day < last) & regular[visits["customer"]]]
    return len(of_segment(shop, bought, name)) / len(of_segment(shop, visits, name))


def test_the_mix_of_newcomers_shifts_on_its_day() -> None:
    shop = drawn("drift", blocks=4)
    first, _ = periods(shop, "mix")
    place = shop.world.place("night_readers")
    came = (shop.people.birth_s > 0).nonzero()[0]
    day = shop.people.birth_s[came] // DAY_S
    readers = shop.people.segment[came] == place
    for late in (False, True):
        mine = readers[(day >= first) == late]
        planted = shares_on(shop.world, np.array([first if late else 0]), shop.days)[0, place]
        error = 4 * np.sqrt(planted * (1 - planted) / len(mine))
        assert mine.mean() == pytest.approx(planted, abs=error)
    assert readers[day >= first].mean() > 3 * readers[day < first].mean()


def test_a_segment_drifts_within_and_the_others_do_not() -> None:
    shop = drawn("drift", blocks=4)
    first, last = periods(shop, "within")
    ratios = {}
    for segment in shop.world.segments:
        before = per_session(shop, kinds.VIEW, segment.name, 0, first)
        after = per_session(shop, kinds.VIEW, segment.name, last, shop.days)
        ratios[segment.name] = after / before
    assert ratios.pop("routine_restockers") > 1.6
    assert all(0.9 < ratio < 1.1 for ratio in ratios.values()), ratios
    views = of_segment(shop, shop.of(kinds.VIEW), "young_families")
    day, top = views["time_s"] // DAY_S, shop.goods.top[views["item"]]
    for name, low, high in (("kids", 0.2, 0.62), ("sports", 2.5, 12.0)):
        share = [np.mean(top[mask] == TOPS.index(name)) for mask in (day < first, day >= last)]
        assert low < share[1] / share[0] < high, name


def test_the_response_drifts_while_browsing_stays() -> None:
    shop = drawn("drift", blocks=4)
    first, _ = periods(shop, "response")
    hunters = "bargain_hunters"
    before, after = (
        orders_per_session(shop, hunters, *span) for span in ((0, first), (first, shop.days))
    )
    assert 0.4 < after / before < 0.75
    views = [per_session(shop, kinds.VIEW, hunters, *span) for span in ((0, first), (first, 200))]
    assert views[1] / views[0] == pytest.approx(1.0, abs=0.08)


def test_the_drift_table_says_what_should_be_done() -> None:
    rows = truth.truth_drifts(worlds.load("drift"), 200).to_pylist()
    asked = {(row["family"], row["should_alarm"], row["should_refit"]) for row in rows}
    assert asked == {("mix", True, False), ("within", True, True), ("response", True, True)}
    (season,) = truth.truth_drifts(worlds.load("season"), 200).to_pylist()
    assert (season["should_alarm"], season["should_refit"]) == (False, False)
    festival = truth.truth_drifts(worlds.load("festival"), 200).to_pylist()
    assert {(row["should_alarm"], row["should_refit"]) for row in festival} == {(None, False)}


def test_the_drift_table_says_in_words_what_changes_and_when_it_is_complete() -> None:
    rows = truth.truth_drifts(worlds.load("drift"), 200).to_pylist()
    assert [row["what"] for row in rows[:2]] == [
        "share of night_readers x 5, at once",
        "views of routine_restockers x 2.2, by the week, complete on 2025-06-05",  # day 150
    ]
    (season,) = truth.truth_drifts(worlds.load("season"), 200).to_pylist()
    assert season["what"] == "yearly swing: visits 0.55, categories 0.45"


def visits_a_customer_day(shop: Drawn) -> np.ndarray:
    """(days,) visits of regular customers, divided by how many of them are there and not away."""
    visits = shop.sessions()
    visits = visits[~shop.people.one_off[visits["customer"]]]
    count = np.bincount(visits["time_s"] // DAY_S, minlength=shop.days)
    pieces = shop.pieces
    there = np.zeros(shop.days + 1)
    awake = (pieces.stage != PAUSED) & ~shop.people.one_off[pieces.person]
    np.add.at(there, pieces.since[awake], 1)
    np.add.at(there, pieces.until[awake], -1)
    return count / np.cumsum(there)[:-1]


def test_the_season_turns_visits_and_categories() -> None:
    shop = drawn("season", days=365, blocks=1)
    rate = visits_a_customer_day(shop)
    phase = np.cos(2 * np.pi * (6 + np.arange(shop.days) - 349) / 365.25)
    slope, level = np.polyfit(phase, rate, 1)
    assert slope / level == pytest.approx(shop.world.dials.season, abs=0.08)
    views = shop.of(kinds.VIEW)
    top = shop.goods.top[views["item"]]
    when = 2 * np.pi * (6 + views["time_s"] // DAY_S) / 365.25
    for place in range(len(TOPS)):
        turned = when - 2 * np.pi * place / len(TOPS)
        # A category peaks in its own month: its views lean towards it more than all views do.
        lean = np.mean(np.cos(turned[top == place])) - np.mean(np.cos(turned))
        assert lean > 0.05, TOPS[place]


def test_a_festival_comes_and_goes() -> None:
    shop = drawn("festival")
    first, last = periods(shop, "festival")
    assert last - first <= 10
    rate = visits_a_customer_day(shop) / day_factor(shop.world.dials, shop.days)
    weeks = rate[: first - 1]
    assert rate[first:last].mean() / weeks.mean() > 2.2
    assert rate[last + 7 :].mean() / weeks.mean() == pytest.approx(1.0, abs=0.12)
    born = np.bincount((shop.people.birth_s[shop.people.one_off] // DAY_S).astype(int))
    assert born[first:last].mean() / born[1:first].mean() > 3
    bought = shop.of(kinds.PURCHASE)
    day, reduced = bought["time_s"] // DAY_S, bought["discount"] > 0
    inside = (day >= first) & (day < last)
    assert reduced[inside].mean() > reduced[~inside].mean() + 0.2


def test_sales_raise_the_orders_of_those_who_watch_prices() -> None:
    shop = drawn("steady")
    dials = shop.world.dials
    visits = shop.sessions()
    visits = visits[~shop.people.one_off[visits["customer"]]]
    orders = np.unique(shop.of(kinds.PURCHASE)["order"])
    buys = np.isin(visits["session"], orders)
    day = visits["time_s"] // DAY_S % dials.sale_every_days
    sale = day >= dials.sale_every_days - dials.sale_days
    planted = np.exp(4 * 0.5 * dials.sale_depth)
    odds = [mean / (1 - mean) for mean in (buys[sale].mean(), buys[~sale].mean())]
    assert odds[0] / odds[1] == pytest.approx(planted, rel=0.15)


def test_items_arrive_while_the_log_runs_and_not_before() -> None:
    shop = drawn("steady")
    goods = shop.goods
    late = goods.arrives > 0
    assert late.mean() == pytest.approx(shop.world.dials.arriving_items, abs=0.04)
    seen = shop.rows[shop.rows["item"] >= 0]
    # A visit that began before the arrival does not meet the item; a later refund may.
    assert np.all(seen["time_s"] >= goods.arrives[seen["item"]] * shop.days * DAY_S)
    assert np.isin(np.flatnonzero(late & (goods.arrives < 0.8)), seen["item"]).mean() > 0.9


def test_a_world_is_harder_where_its_dial_says_so() -> None:
    def spread(difficulty: float) -> float:
        """How far customers of one segment lie apart in views a session, on a log scale."""
        people = drawn("steady", blocks=1, days=30, difficulty=difficulty).people
        log = np.log(people.views)
        return float(np.mean([log[people.segment == s].std() for s in range(7)]))

    easy, published, hard = spread(0.0), spread(0.5), spread(1.0)
    assert published / easy == pytest.approx(3, rel=0.05)
    assert hard / published == pytest.approx(3, rel=0.05)
