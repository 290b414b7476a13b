"""World `steady`: what is planted is there, and recomputing it from the events finds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.events import worlds
from shoal.events.worlds import sample
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.funnel import CODE, PROMOTIONS
from shoal.events.worlds.segments import TOPS
from shoal.events.worlds.sessions import hour_weights
from shoal.events.worlds.visits import day_factor

DAYS = 200
CUSTOMERS = 3 * sample.BLOCK_CUSTOMERS


@dataclass(frozen=True)
class Shop:
    """A sampled shop: events, and the truth of their customers by customer number."""

    catalogue: Catalogue
    rows: np.ndarray
    segment: np.ndarray
    one_off: np.ndarray
    birth_s: np.ndarray

    def of(self, *names: str) -> np.ndarray:
        return self.rows[np.isin(self.rows["kind"], [CODE[name] for name in names])]

    def by_segment(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        segment = self.segment[rows["customer"]]
        return np.bincount(segment, values) / np.bincount(segment)


@pytest.fixture(scope="module")
def shop() -> Shop:
    world = worlds.load("steady")
    goods = sample.build_catalogue(world, 3)
    drawn = list(sample.blocks(world, goods, customers=CUSTOMERS, days=DAYS, seed=3))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(block.customers, name) for block in drawn])

    rows = np.concatenate([block.events for block in drawn])
    return Shop(goods, rows, joined("segment"), joined("one_off"), joined("birth_s"))


def test_an_unknown_world_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no world named 'stedy'") as caught:
        worlds.load("stedy")
    assert caught.value.code == "unknown_world"
    assert caught.value.hint == f"Known worlds: {', '.join(worlds.names())}."


def test_a_customer_is_the_same_in_a_larger_shop() -> None:
    world = worlds.load("steady")
    goods = sample.build_catalogue(world, 1)
    (small,) = sample.blocks(world, goods, customers=40, days=30, seed=1)
    large = next(sample.blocks(world, goods, customers=5_000, days=30, seed=1))
    mine = large.events[large.events["customer"] < 40]
    assert small.events.tobytes() == mine.tobytes()


def test_another_seed_is_another_shop() -> None:
    world = worlds.load("steady")
    one, two = (
        next(sample.blocks(world, sample.build_catalogue(world, s), customers=40, days=30, seed=s))
        for s in (1, 2)
    )
    assert one.events.tobytes() != two.events.tobytes()


def test_every_customer_leaves_something_and_half_leave_one_or_two_events(shop: Shop) -> None:
    events = np.bincount(shop.rows["customer"], minlength=CUSTOMERS)
    assert events.min() >= 1
    assert events[shop.one_off].max() <= 2
    assert 0.44 <= np.mean(events <= 2) <= 0.56


def test_activity_has_a_heavy_tail(shop: Shop) -> None:
    events = np.sort(np.bincount(shop.rows["customer"]))
    top_tenth = events[-len(events) // 10 :].sum() / events.sum()
    assert 0.45 <= top_tenth <= 0.75


def test_segments_have_their_shares(shop: Shop) -> None:
    segments = worlds.load("steady").segments
    expected = np.array([segment.share for segment in segments])
    assert expected.sum() == pytest.approx(1)
    seen = np.bincount(shop.segment) / CUSTOMERS
    assert np.abs(seen - expected).max() < 4 * np.sqrt(0.25 / CUSTOMERS)


def test_nothing_happens_before_birth_or_outside_the_log(shop: Shop) -> None:
    assert shop.rows["time_s"].min() >= 0
    assert shop.rows["time_s"].max() < DAYS * DAY_S
    born = shop.birth_s[shop.rows["customer"]] // DAY_S
    assert np.all(shop.rows["time_s"] // DAY_S >= born)


def test_the_number_of_customers_alive_stays_level(shop: Shop) -> None:
    """The season alone moves the total: with it divided out, halves of the log are alike."""
    world = worlds.load("steady")
    visits = shop.of(kinds.VIEW)
    a_day = np.bincount(visits["time_s"] // DAY_S, minlength=DAYS) / day_factor(world.dials, DAYS)
    weeks = a_day[: DAYS // 7 * 7].reshape(-1, 7).sum(axis=1)
    half = len(weeks) // 2
    assert weeks[:half].mean() == pytest.approx(weeks[-half:].mean(), rel=0.06)


def test_the_season_swings_as_declared(shop: Shop) -> None:
    season = worlds.load("steady").dials.season
    visits = shop.of(kinds.VIEW)
    a_day = np.bincount(visits["time_s"] // DAY_S, minlength=DAYS).astype(float)
    phase = np.cos(2 * np.pi * (6 + np.arange(DAYS) - 349) / 365.25)
    slope, level = np.polyfit(phase, a_day, 1)
    assert slope / level == pytest.approx(season, abs=0.06)


def test_weekends_are_as_much_likelier_as_planted(shop: Shop) -> None:
    world = worlds.load("steady")
    rows = shop.rows[shop.rows["session"] >= 0]
    rows = rows[np.unique(rows["session"], return_index=True)[1]]
    # A newcomer's first day is the day of their arrival, which is any day.
    rows = rows[rows["time_s"] // DAY_S != shop.birth_s[rows["customer"]] // DAY_S]
    weekday = (rows["time_s"] // DAY_S + world.dials.start.weekday()) % 7
    share = shop.by_segment(rows, (weekday >= 5).astype(float))
    planted = np.array([2 * s.weekend / (5 + 2 * s.weekend) for s in world.segments])
    assert np.abs(share - planted).max() < 0.02


def test_hours_follow_the_planted_peaks(shop: Shop) -> None:
    rows = shop.rows[shop.rows["session"] >= 0]
    rows = rows[np.unique(rows["session"], return_index=True)[1]]
    for number, segment in enumerate(worlds.load("steady").segments):
        mine = rows[shop.segment[rows["customer"]] == number]
        hour = np.bincount(mine["time_s"] % DAY_S // 3600, minlength=24) / len(mine)
        assert np.abs(hour - hour_weights(segment)).sum() / 2 < 0.04, segment.name


def test_price_levels_within_a_leaf_are_ordered_as_planted(shop: Shop) -> None:
    """Mean price quantile of the items viewed, among the items of the same leaf category."""
    goods = shop.catalogue
    place = np.empty(len(goods.leaf))
    for leaf in range(len(goods.leaf_names)):
        mine = np.flatnonzero(goods.leaf == leaf)
        mine = mine[np.argsort(goods.price_cents[mine], kind="stable")]
        weight = goods.popularity[mine] / goods.popularity[mine].sum()
        place[mine] = np.cumsum(weight) - weight / 2
    views = shop.of(kinds.VIEW)
    seen = shop.by_segment(views, place[views["item"]])
    planted = [segment.price_level for segment in worlds.load("steady").segments]
    assert np.corrcoef(seen, planted)[0, 1] > 0.97
    assert seen.max() - seen.min() > 0.3


def test_tastes_are_those_of_the_segment(shop: Shop) -> None:
    views = shop.of(kinds.VIEW)
    for number, segment in enumerate(worlds.load("steady").segments):
        mine = views[shop.segment[views["customer"]] == number]
        seen = np.bincount(shop.catalogue.top[mine["item"]], minlength=len(TOPS)) / len(mine)
        planted = np.array(segment.tastes) / sum(segment.tastes)
        assert np.abs(seen - planted).sum() / 2 < 0.06, segment.name


def test_the_funnel_is_consistent(shop: Shop) -> None:
    """Only what was put in the cart is bought or taken out, and only what was bought comes back."""

    def lines(kind: str, *also: str) -> set[tuple[int, ...]]:
        rows = shop.of(kind)
        return set(zip(*(rows[name].tolist() for name in ("customer", "item", *also)), strict=True))

    assert lines(kinds.PURCHASE, "session", "quantity") <= lines(
        kinds.CART_ADD, "session", "quantity"
    )
    assert lines(kinds.CART_REMOVE, "session") <= lines(kinds.CART_ADD, "session")
    assert lines(kinds.REFUND, "order", "quantity") <= lines(kinds.PURCHASE, "order", "quantity")
    assert lines(kinds.REVIEW) <= lines(kinds.PURCHASE)
    assert np.all(shop.of(kinds.REFUND)["session"] == -1)


def test_money_of_orders_adds_up(shop: Shop) -> None:
    dials = worlds.load("steady").dials
    rows = shop.of(kinds.PURCHASE)
    gross = rows["price"].astype(np.int64) * rows["quantity"]
    assert np.all(rows["price"] == shop.catalogue.price_cents[rows["item"]])
    assert np.all((rows["discount"] >= 0) & (rows["discount"] <= gross * PROMOTIONS.max() + 1))
    net = gross - rows["discount"]
    assert np.abs(rows["tax"] - net * dials.tax_rate).max() <= 0.5
    _, order = np.unique(rows["order"], return_inverse=True)
    fee = np.bincount(order, rows["shipping"])
    free = np.bincount(order, net) >= dials.free_shipping_from_cents
    assert np.all(fee == np.where(free, 0, dials.shipping_fee_cents))
    # All lines of an order share a customer, a moment and a payment.
    for name in ("customer", "time_s", "payment"):
        low, high = (np.zeros(len(fee), np.int64) for _ in range(2))
        low[order], high[order[::-1]] = rows[name], rows[name][::-1]
        assert np.all(low == high)


def test_discounts_refunds_and_reviews_differ_as_planted(shop: Shop) -> None:
    segments = worlds.load("steady").segments
    rows = shop.of(kinds.PURCHASE)
    rows = rows[~shop.one_off[rows["customer"]]]
    with_coupon = shop.by_segment(rows, (rows["code"] >= 0).astype(float))
    planted = [s.discount * s.coupon for s in segments]
    assert np.corrcoef(with_coupon, planted)[0, 1] > 0.97
    bought = np.bincount(shop.segment[rows["customer"]])
    for kind, name in ((kinds.REFUND, "refund"), (kinds.REVIEW, "review")):
        later = np.bincount(shop.segment[shop.of(kind)["customer"]], minlength=len(segments))
        assert np.corrcoef(later / bought, [getattr(s, name) for s in segments])[0, 1] > 0.97


def test_segments_show_in_behaviour_and_not_in_rfm(shop: Shop) -> None:
    """Told the labels, a classifier of simple shares separates active customers; RFM does not."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, n = shop.rows, CUSTOMERS
    who = rows["customer"].astype(np.int64)
    events = np.bincount(who, minlength=n)

    def shares(values: np.ndarray, size: int, chosen: np.ndarray) -> np.ndarray:
        table = np.bincount(who[chosen] * size + values[chosen], minlength=n * size)
        table = table.reshape(n, size).astype(float)
        return table / np.maximum(table.sum(axis=1, keepdims=True), 1)

    visit, about_item = rows["session"] >= 0, rows["item"] >= 0
    everything = np.ones(len(rows), bool)
    weekend = ((rows["time_s"] // DAY_S) % 7 >= 5).astype(np.int64)
    behaviour = np.hstack([
        shares(rows["kind"].astype(int), len(kinds.KINDS), everything),
        shares(shop.catalogue.top[np.maximum(rows["item"], 0)], len(TOPS), about_item),
        shares(rows["time_s"] % DAY_S // 14_400, 6, visit), shares(weekend, 2, visit),
        shares(rows["channel"].astype(int), 6, everything),
        shares((rows["discount"] > 0).astype(int), 2, rows["kind"] == CODE[kinds.PURCHASE]),
    ])  # fmt: skip
    bought = shop.of(kinds.PURCHASE)
    net = bought["price"].astype(float) * bought["quantity"] - bought["discount"]
    last = np.full(n, -1, np.int64)
    np.maximum.at(last, bought["customer"], bought["time_s"])
    orders = np.unique(bought[["customer", "order"]])["customer"]
    rfm = np.column_stack([
        np.where(last >= 0, DAYS * DAY_S - last, 2 * DAYS * DAY_S) / DAY_S,
        np.log1p(np.bincount(orders, minlength=n)),
        np.log1p(np.bincount(bought["customer"], net, minlength=n)),
    ])  # fmt: skip
    active = events >= 20
    assert active.sum() > 3_000

    def accuracy(X: np.ndarray) -> float:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000, tol=1e-3))
        guess = cross_val_predict(model, X[active], shop.segment[active], cv=3)
        return float(balanced_accuracy_score(shop.segment[active], guess))

    assert accuracy(behaviour) > 0.85
    assert accuracy(rfm) < 0.6
