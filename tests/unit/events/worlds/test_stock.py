"""Stock-outs and latent demand, recomputed from the log and from the same shop without them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.events.worlds.layered import Shop, simulated

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.events import worlds
from shoal.events.worlds import encode, sample
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.layer_stock import Stock
from shoal.events.worlds.layers import Setting

CUSTOMERS, DAYS = 5_000, 120
FREE = 1 << 60


def units(shop: Shop) -> Counter[tuple[int, int]]:
    """Units bought by item and day."""
    found: Counter[tuple[int, int]] = Counter()
    bought = shop.of(kinds.PURCHASE)
    columns = (bought["item"], bought["time_s"] // DAY_S, bought["quantity"])
    for item, day, quantity in zip(*(column.tolist() for column in columns), strict=True):
        found[item, day] += quantity
    return found


def demand(shop: Shop, column: str) -> Counter[tuple[int, int]]:
    """A column of the truth of demand by item and day."""
    start = shop.world.dials.start.date()
    return Counter(
        {
            (int(row["item_id"][1:]), (row["day"] - start).days): row[column]
            for row in shop.truth["demand"].to_pylist()
            if row[column]
        }
    )


def out(shop: Shop, rows: np.ndarray) -> np.ndarray:
    """Whether the item of each event is in one of its stock-outs then, one by one."""
    spans: dict[int, list[tuple[int, int]]] = {}
    item = [int(name[1:]) for name in shop.truth["stockouts"]["item_id"].to_pylist()]
    times = (shop.seconds("stockouts", name).tolist() for name in ("since", "until"))
    for one, since, until in zip(item, *times, strict=True):
        spans.setdefault(one, []).append((since, until))
    pairs = zip(rows["item"].tolist(), rows["time_s"].tolist(), strict=True)
    return np.array([any(a <= at < b for a, b in spans.get(one, ())) for one, at in pairs])


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulated([Stock()], CUSTOMERS, DAYS)


@pytest.fixture(scope="module")
def full() -> Shop:
    """The same shop without stock-outs."""
    return simulated([], CUSTOMERS, DAYS)


def test_what_is_out_is_looked_at_and_neither_put_into_the_cart_nor_bought(shop: Shop) -> None:
    assert not out(shop, shop.of(kinds.PURCHASE)).any()
    assert not out(shop, shop.of(kinds.CART_ADD)).any()
    assert out(shop, shop.of(kinds.VIEW)).sum() > 100


def test_sold_is_what_the_log_holds_and_wanted_what_full_shelves_would_have_sold(
    shop: Shop, full: Shop
) -> None:
    assert demand(shop, "sold") == units(shop)
    assert demand(shop, "wanted") == units(full)
    assert units(shop) != units(full)


def test_days_without_a_stock_out_sell_what_is_wanted_and_what_comes_from_elsewhere(
    shop: Shop,
) -> None:
    out_days = set()
    item = [int(name[1:]) for name in shop.truth["stockouts"]["item_id"].to_pylist()]
    times = (shop.seconds("stockouts", name) // DAY_S for name in ("since", "until"))
    for one, first, last in zip(item, *times, strict=True):
        out_days |= {(one, day) for day in range(first, last + 1)}
    came: Counter[tuple[int, int]] = Counter()
    went: Counter[tuple[int, int]] = Counter()
    wishes = shop.truth["wishes"].to_pylist()
    at = shop.seconds("wishes", "wanted_at") // DAY_S
    met = shop.seconds("wishes", "bought_at") // DAY_S
    for row, day, day_met in zip(wishes, at.tolist(), met.tolist(), strict=True):
        went[int(row["item_id"][1:]), day] += row["quantity"]
        if row["bought_item_id"] is not None:
            came[int(row["bought_item_id"][1:]), day_met] += row["quantity"]
    wanted, sold = demand(shop, "wanted"), demand(shop, "sold")
    assert went.keys() <= out_days
    for key in wanted.keys() | sold.keys():
        assert wanted[key] - sold[key] == went[key] - came[key], key


def test_wishes_have_the_fates_in_the_declared_shares(shop: Shop) -> None:
    stock, fates = Stock(), Counter(shop.truth["wishes"]["fate"].to_pylist())
    n = fates.total()
    assert n > 500
    share = {name: count / n for name, count in fates.items()}
    four_sigma = 4 * np.sqrt(0.25 / n)
    assert share["lost"] == pytest.approx(stock.lost, abs=four_sigma)
    assert share["substituted"] == pytest.approx(stock.substituted, abs=four_sigma)
    waits = 1 - stock.lost - stock.substituted
    assert share["delayed"] + share["waited"] == pytest.approx(waits, abs=four_sigma)
    assert min(fates["delayed"], fates["waited"]) > 20


def test_wishes_that_were_met_stand_in_the_log(shop: Shop) -> None:
    """Substitutes at once and of the same leaf; what waited in an order after the restock."""
    rows = shop.of(kinds.PURCHASE)
    lines = set(zip(*(rows[name].tolist() for name in ("customer", "item", "time_s")), strict=True))
    bought_at = shop.seconds("wishes", "bought_at").tolist()
    wanted_at = shop.seconds("wishes", "wanted_at").tolist()
    patience = Stock().patience_days * DAY_S
    until = shop.seconds("stockouts", "until")
    item_out = np.array([int(name[1:]) for name in shop.truth["stockouts"]["item_id"].to_pylist()])
    for row, bought, wanted in zip(
        shop.truth["wishes"].to_pylist(), bought_at, wanted_at, strict=True
    ):
        item, customer = int(row["item_id"][1:]), int(row["customer_id"][1:])
        got = row["bought_item_id"] and int(row["bought_item_id"][1:])
        assert (got is not None) == (row["fate"] in ("substituted", "delayed"))
        if got is None:
            assert bought == -1
            continue
        assert (customer, got, bought) in lines
        if row["fate"] == "substituted":
            assert bought == wanted
            assert got != item
            assert shop.goods.leaf[got] == shop.goods.leaf[item]
        else:
            assert got == item
            backs = until[(item_out == item) & (until > wanted)]
            assert backs.min() <= bought <= backs.min() + patience


def test_orders_are_whole(shop: Shop) -> None:
    """Each has its lines in the cart first, its fee once, and no checkout is of an empty order."""
    dials = shop.world.dials
    rows = shop.of(kinds.PURCHASE)
    names = ("customer", "session", "item", "quantity")

    def lines(kind: str) -> Counter[tuple[int, ...]]:
        mine = shop.of(kind)
        return Counter(zip(*(mine[name].tolist() for name in names), strict=True))

    assert lines(kinds.PURCHASE) <= lines(kinds.CART_ADD)
    assert lines(kinds.CART_REMOVE) <= lines(kinds.CART_ADD)
    assert np.all(rows["price"] == shop.goods.price_cents[rows["item"]])
    orders, order = np.unique(rows["order"], return_inverse=True)
    gross = rows["price"].astype(np.int64) * rows["quantity"]
    fee = np.bincount(order, rows["shipping"])
    free = np.bincount(order, gross - rows["discount"]) >= dials.free_shipping_from_cents
    assert np.all(fee == np.where(free, 0, dials.shipping_fee_cents))
    for name in ("customer", "time_s", "session"):
        low, high = np.full(len(orders), FREE), np.zeros(len(orders), np.int64)
        np.minimum.at(low, order, rows[name])
        np.maximum.at(high, order, rows[name])
        assert np.all(low == high), name
    checkout = shop.of(kinds.CHECKOUT)["order"]
    # An order of the log's last seconds may be paid after it.
    late = shop.of(kinds.CHECKOUT)["time_s"] > DAYS * DAY_S - 3600
    assert set(checkout[(checkout >= 0) & ~late].tolist()) <= set(orders.tolist())
    lines_of = set(zip(rows["order"].tolist(), rows["item"].tolist(), strict=True))
    back = shop.of(kinds.REFUND)
    assert set(zip(back["order"].tolist(), back["item"].tolist(), strict=True)) <= lines_of


def test_stock_outs_are_as_planned(shop: Shop) -> None:
    """Popular items run out more often; most are back within days, a few after weeks."""
    item = np.array([int(name[1:]) for name in shop.truth["stockouts"]["item_id"].to_pylist()])
    since, until = (shop.seconds("stockouts", name) for name in ("since", "until"))
    days = (until - since) / DAY_S
    assert np.all(days > 0.4)
    assert np.median(days) == pytest.approx(Stock().days, abs=1)
    assert 0.01 < np.mean(days > 14) < 0.1
    same = item[1:] == item[:-1]
    assert np.all(since[1:][same] > until[:-1][same])
    assert np.all(since > shop.goods.arrives[item] * DAYS * DAY_S)
    there = np.flatnonzero(shop.goods.arrives == 0)
    often = np.bincount(item, minlength=len(shop.goods.leaf))[there]
    ranked = there[np.argsort(-shop.goods.popularity[there])]
    place = np.searchsorted(there, ranked)
    tenth = len(there) // 10
    assert often[place[:tenth]].mean() > 1.5 * often[place[-tenth:]].mean()


def test_everybody_still_leaves_something(shop: Shop, full: Shop) -> None:
    assert np.bincount(shop.rows["customer"], minlength=CUSTOMERS).min() >= 1
    # Of the lines that were wished for, a few in a hundred are never bought.
    lost = 1 - sum(units(shop).values()) / sum(units(full).values())
    assert 0.01 < lost < 0.08


def test_demand_counts_the_customers_of_the_shop_alone() -> None:
    small, large = simulated([Stock()], 60, 30), simulated([Stock()], 4_200, 30)
    assert small.rows.tobytes() == large.rows[large.rows["customer"] < 60].tobytes()
    assert demand(small, "sold") == units(small)
    assert demand(large, "sold") == units(large)
    full = simulated([], 60, 30)
    assert demand(small, "wanted") == units(full)


def test_a_shelf_with_one_item_a_leaf_has_no_like_items() -> None:
    world = worlds.load("steady")
    bare = replace(world, dials=replace(world.dials, items=48), layers=(Stock(),))
    goods = sample.build_catalogue(bare, 5)
    plans = sample.plans(Setting(bare, goods, 800, 60, 5))
    (block,) = sample.blocks(bare, goods, customers=800, days=60, seed=5, layers=plans)
    fates = Counter(pa.concat_tables(block.truth["wishes"])["fate"].to_pylist())
    assert fates["substituted"] == 0
    assert fates["lost"] > 5


def test_the_truth_names_ids_of_the_log(shop: Shop) -> None:
    ids = set(encode.item_ids(len(shop.goods.leaf)))
    for table in ("demand", "stockouts", "wishes"):
        assert set(shop.truth[table]["item_id"].to_pylist()) <= ids
    assert shop.truth["demand"].schema.field("day").type == pa.date32()


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"per_30_days": -1}, "dial per_30_days of stock cannot be -1"),
        ({"lost": 1.2}, "dial lost of stock cannot be 1.2"),
        ({"lost": 0.8, "substituted": 0.3}, "dial substituted of stock cannot be 0.3"),
        ({"days": float("nan")}, "dial days of stock cannot be nan"),
        ({"patience_days": -3}, "dial patience_days of stock cannot be -3"),
    ],
)
def test_impossible_dials_are_refused(dials: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Stock(**dials)
    assert caught.value.code == "bad_dial"
    assert caught.value.hint
