"""World `fraud`: its truth recomputed from the log, and how well simple eyes see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoal
from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.domain.time import to_us
from shoal.events.worlds import sample
from shoal.events.worlds.base import with_dials
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.fraud import WORLD
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.layer_fraud import Fraud

DAYS = 180
CUSTOMERS = 3 * sample.BLOCK_CUSTOMERS
LAYER = Fraud()


def number(ids: pd.Series) -> pd.Series:
    """The number at the end of ids; -1 for null."""
    return ids.str.extract(r"(\d+)$")[0].fillna("-1").astype("int64")


@dataclass(frozen=True)
class Shop:
    """A sampled shop: the log as a frame of codes, and its truth with numbers for ids."""

    rows: np.ndarray
    truth: dict[str, pd.DataFrame]

    @cached_property
    def log(self) -> pd.DataFrame:
        return pd.DataFrame({name: self.rows[name] for name in self.rows.dtype.names})

    def of(self, kind: str) -> pd.DataFrame:
        return self.log[self.log.kind == CODE[kind]]

    @cached_property
    def visits(self) -> pd.DataFrame:
        return self.log[self.log.session >= 0]

    @cached_property
    def orders(self) -> pd.DataFrame:
        """One row an order: what anybody can see of it, and whether it is `fraud`."""
        lines = self.of(kinds.PURCHASE)
        lines = lines.assign(net=lines.price * lines.quantity - lines.discount)
        made = lines.groupby("order").agg(
            customer=("customer", "first"), time_s=("time_s", "first"), net=("net", "sum"),
            device=("visitor", "first"), card=("card", "first"), region=("region", "first"),
            session=("session", "first"),
        )  # fmt: skip
        visits = self.visits
        known = visits.groupby("visitor").customer.nunique()
        paid = lines[lines.card >= 0].groupby("card").customer.nunique()
        home = visits[visits.kind != CODE[kinds.PURCHASE]].groupby("session").region.first()
        views = self.of(kinds.VIEW).groupby("session").size()
        made["accounts"] = made.device.map(known)
        made["payers"] = made.card.map(paid).fillna(0)
        made["age_s"] = made.time_s - made.customer.map(visits.groupby("customer").time_s.min())
        made["night"] = made.time_s % DAY_S < 5 * 3600
        made["views"] = made.session.map(views).fillna(0)
        made["elsewhere"] = made.region != made.session.map(home).fillna(made.region)
        return made.assign(fraud=made.index.isin(number(self.truth["fraud"].order_id)))


def draw(customers: int, days: int, seed: int, difficulty: float = 0.5) -> Shop:
    world = with_dials(WORLD, difficulty=difficulty)
    goods = sample.build_catalogue(world, seed)
    blocks = list(sample.blocks(world, goods, customers=customers, days=days, seed=seed))
    truth = {
        name: pa.concat_tables(table for one in blocks for table in one.truth[name]).to_pandas()
        for name in ("fraud", "rings", "lookalikes")
    }
    for table in truth.values():
        table["customer"] = number(table.customer_id)
    return Shop(np.concatenate([one.events for one in blocks]), truth)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return draw(CUSTOMERS, DAYS, 4)


@pytest.fixture(scope="module")
def rings(shop: Shop) -> pd.DataFrame:
    table = shop.truth["rings"]
    return table.assign(device=number(table.anonymous_id), paid=number(table.card))


def seconds(times: pd.Series) -> np.ndarray:
    """Seconds since the world's start; -1 for null."""
    us = times.dt.as_unit("us").astype("int64").to_numpy()
    return np.where(times.isna(), -1, (us - to_us(WORLD.dials.start)) // 1_000_000)


def test_about_one_order_in_a_hundred_is_fraud(shop: Shop) -> None:
    assert 0.005 < shop.orders.fraud.mean() < 0.015
    share = shop.truth["fraud"].kind.value_counts(normalize=True)
    for kind in ("rings", "lone", "takeovers"):
        declared = getattr(LAYER, kind)
        assert share[kind.removesuffix("s")] == pytest.approx(declared, abs=0.15)


def test_the_truth_speaks_of_orders_that_are_in_the_log(shop: Shop) -> None:
    truth = shop.truth["fraud"]
    seen = shop.orders.loc[number(truth.order_id)]
    assert truth.order_id.is_unique and len(truth) > 60
    assert np.array_equal(seen.customer, truth.customer)
    assert np.array_equal(seen.time_s, seconds(truth["at"]))
    assert set(truth.ring_id.dropna()) <= set(shop.truth["rings"].ring_id)
    assert truth[truth.kind == "ring"].ring_id.notna().all()
    assert truth[truth.kind == "lone"].ring_id.isna().all()


def test_the_devices_of_rings_in_the_log_are_those_of_the_truth(
    shop: Shop, rings: pd.DataFrame
) -> None:
    """On a ring's device nobody comes but its accounts and victims, and all of them do."""
    seen = shop.visits[shop.visits.visitor.isin(rings.device)]
    pairs = set(zip(seen.visitor, seen.customer, strict=True))
    assert pairs == set(zip(rings.device, rings.customer, strict=True))
    accounts = rings[rings.role == "account"]
    assert accounts.ring_id.nunique() >= 5
    assert accounts.groupby("ring_id").customer.nunique().min() >= LAYER.accounts
    assert accounts.groupby("customer").ring_id.nunique().max() == 1
    assert rings.groupby("device").ring_id.nunique().max() == 1
    # A ring lives in one block.
    assert (rings.groupby("ring_id").customer.agg(lambda c: (c // 4096).nunique()) == 1).all()


def test_rings_are_what_shares_devices_and_cards() -> None:
    """Accounts joined by a device or a card of the log: at difficulty 0 the rings themselves."""
    shop = draw(2 * sample.BLOCK_CUSTOMERS, DAYS, 6, 0.0)
    rings = shop.truth["rings"]
    accounts = rings[rings.role == "account"].set_index("customer").ring_id
    mine = shop.visits[shop.visits.customer.isin(accounts.index)]
    group = {customer: customer for customer in accounts.index}

    def root(customer: int) -> int:
        while group[customer] != customer:
            customer = group[customer]
        return customer

    for name in ("visitor", "card"):
        for _, customers in mine[mine[name] >= 0].groupby(name).customer:
            first, *others = sorted(set(customers))
            for other in others:
                group[root(other)] = root(first)
    found = pd.Series({customer: root(customer) for customer in group})
    pairs = pd.DataFrame({"found": found, "truth": accounts})
    assert len(pairs) >= 9 and pairs.truth.nunique() >= 3
    assert (pairs.groupby("found").truth.nunique() == 1).all()
    assert (pairs.groupby("truth").found.nunique() == 1).all()


def test_rings_open_accounts_in_bursts_and_order_soon(shop: Shop, rings: pd.DataFrame) -> None:
    accounts = rings[rings.role == "account"].drop_duplicates("customer")
    first = shop.log.groupby("customer").time_s.min()
    opened = accounts.customer.map(first)
    length = opened.groupby(accounts.ring_id).agg(lambda s: s.max() - s.min())
    assert length.max() < (LAYER.burst_days + 1) * DAY_S
    signed = shop.of(kinds.SIGN_UP).drop_duplicates("customer").set_index("customer").time_s
    assert np.array_equal(accounts.customer.map(signed), opened)
    age = shop.orders[shop.orders.fraud & shop.orders.customer.isin(accounts.customer)].age_s
    assert age.median() < 5 * DAY_S


def test_honest_customers_share_nothing_but_families_do(shop: Shop, rings: pd.DataFrame) -> None:
    families = shop.truth["lookalikes"].query("kind == 'family'")
    suspects = {*rings.customer, *families.customer}
    lone = set(shop.truth["fraud"].query("kind == 'takeover'").customer)
    visits = shop.visits
    assert (visits.visitor >= 0).all()
    for name in ("visitor", "card"):
        shown = visits[visits[name] >= 0]
        users = shown.groupby(name).customer.nunique()
        honest = shown[~shown.customer.isin(suspects | lone)]
        assert users[honest[name].unique()].max() == 1
        assert honest.groupby("customer")[name].nunique().max() in ((2, 3)[name == "visitor"],)
    size = families.groupby("family_id").customer.nunique()
    assert set(size) == {2, 3, 4} and len(size) > 100
    family = families.set_index("customer").family_id
    mine = visits[visits.customer.isin(family.index)]
    users = mine.groupby("visitor").customer.agg(lambda c: family[c.unique()].nunique())
    assert users.max() == 1
    assert (mine.groupby("visitor").customer.nunique() >= 3).sum() > 10
    cards = mine[mine.card >= 0].groupby("card").customer.nunique()
    assert (cards >= 2).sum() > 10


def test_takeovers_use_a_foreign_device_and_the_victims_name_and_card(
    shop: Shop, rings: pd.DataFrame
) -> None:
    truth = shop.truth["fraud"].query("kind == 'takeover'")
    orders = shop.orders.loc[number(truth.order_id)]
    ring = truth.ring_id.notna().to_numpy()
    assert len(orders) > 5 and ring.any()
    assert set(orders.device[ring]) <= set(rings.device)
    assert not set(orders.card) & set(rings[rings.role == "account"].paid)
    assert (orders.age_s > 3600).all()
    for order in orders.itertuples():
        own = shop.visits[(shop.visits.customer == order.customer)]
        assert order.device not in set(own[own.session != order.session].visitor)


def test_chargebacks_come_late_and_not_for_all(shop: Shop) -> None:
    truth = shop.truth["fraud"].assign(order=number(shop.truth["fraud"].order_id))
    at, back = seconds(truth["at"]), seconds(truth.chargeback_at)
    charged = back >= 0
    assert charged.mean() == pytest.approx(LAYER.charged_back, abs=0.15)
    days = (back - at)[charged] / DAY_S
    assert days.min() > 5 and np.median(days) == pytest.approx(LAYER.charged_back_days, abs=7)
    refunds = shop.of(kinds.REFUND)
    told = refunds[refunds.code == 0]
    inside = charged & (back < DAYS * DAY_S)
    assert set(truth.order[inside]) == set(told.order) & set(truth.order)
    assert 0 < inside.sum() < charged.sum()
    # Every line comes back once, and the refunds of no order are more than its purchases.
    lines = shop.of(kinds.PURCHASE).groupby("order").size()
    assert np.array_equal(told.groupby("order").size(), lines[np.sort(told.order.unique())])
    assert (refunds.groupby("order").size() <= lines[np.sort(refunds.order.unique())]).all()
    disputed = set(told.order) - set(truth.order)
    assert 0 < len(disputed) < 0.003 * len(shop.orders)


def test_no_simple_rule_is_perfect(shop: Shop) -> None:
    """Devices with three accounts: most of the fraud, and more families than fraudsters."""
    orders = shop.orders
    for rule, precision, recall in (
        (orders.accounts >= 3, (0.08, 0.5), (0.4, 0.9)),
        (orders.night & (orders.net > 30_000), (0.1, 0.7), (0.2, 0.7)),
        (orders.elsewhere, (0.02, 0.3), (0.3, 0.6)),
        (orders.age_s < 7 * DAY_S, (0.005, 0.2), (0.5, 0.95)),
    ):
        caught = (rule & orders.fraud).sum()
        assert precision[0] < caught / rule.sum() < precision[1]
        assert recall[0] < caught / orders.fraud.sum() < recall[1]


def test_fraud_can_be_learnt_and_less_so_in_a_hard_world() -> None:
    """Average precision over blocks held out in turn: a ring never lies in both parts."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import GroupKFold, cross_val_predict

    found = []
    for difficulty in (0.0, 1.0):
        orders = draw(CUSTOMERS, 120, 8, difficulty).orders
        names = ["net", "accounts", "payers", "age_s", "night", "views", "elsewhere"]
        model = RandomForestClassifier(60, min_samples_leaf=3, random_state=0)
        score = cross_val_predict(
            model, orders[names].astype(float), orders.fraud, cv=GroupKFold(3),
            groups=orders.customer // sample.BLOCK_CUSTOMERS, method="predict_proba",
        )[:, 1]  # fmt: skip
        found.append(average_precision_score(orders.fraud, score))
        assert found[-1] > 10 * orders.fraud.mean()
    assert 1 > found[0] > 0.8
    assert found[1] < found[0] - 0.15


def test_a_customer_is_the_same_in_a_larger_shop() -> None:
    small, large = draw(300, 40, 5), draw(900, 40, 5)
    assert small.rows.tobytes() == large.rows[large.rows["customer"] < 300].tobytes()


@pytest.mark.parametrize("days", [1, 3])
def test_a_short_log_has_little_fraud_or_none(days: int) -> None:
    shop = draw(60, days, 1)
    assert np.all(shop.rows["time_s"] < days * DAY_S)
    assert (shop.visits.visitor >= 0).all()


@pytest.mark.parametrize(("dial", "value"), [("share", -0.1), ("night", 1.0)])
def test_an_impossible_dial_is_refused(dial: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"dial {dial} of fraud cannot be {value}") as caught:
        Fraud(**{dial: value})
    assert caught.value.code == "bad_dial"


def test_the_world_goes_through_the_front_door_whole(tmp_path: Path) -> None:
    """Every row is stored; ids of the truth are those of the log; cards are shown."""
    from shoal.workflows.simulate import simulate

    made = simulate(tmp_path / "sim", world="fraud", customers=2_000, days=60, seed=2)
    home = shoal.init(tmp_path / "shop")
    rows = home.ingest([made.out], preset="shoal").rows
    items = pq.read_metadata(made.out / "items.parquet").num_rows
    assert rows.read == rows.stored == made.events + items
    events = pq.read_table(made.out / "events.parquet").to_pandas()
    truth = {
        name: pq.read_table(made.out / "_truth" / f"{name}.parquet").to_pandas()
        for name in ("fraud", "rings", "lookalikes")
    }
    assert len(truth["fraud"]) > 0 and len(truth["rings"]) > 0
    bought = events[events.kind == "purchase"]
    assert set(truth["fraud"].order_id) <= set(bought.order_id)
    for name in ("customer_id", "anonymous_id"):
        assert set(truth["rings"][name]) <= set(events[name])
    shown = bought.properties.dropna().str.extract(r'"card": "(k\d{10})"')[0]
    assert shown.notna().all() and len(shown) > 100
    assert set(truth["rings"].card.dropna()) <= set(shown)
    # An honest customer's devices are known as theirs.
    rings, families = set(truth["rings"].customer_id), set(truth["lookalikes"].customer_id)
    honest = next(c for c in events.customer_id if c not in rings | families)
    devices = set(events[events.customer_id == honest].anonymous_id.dropna())
    assert devices <= {str(raw) for raw in _ids(home.identity(honest))}


def _ids(document: object) -> set[object]:
    """All texts in a document."""
    if isinstance(document, dict):
        return set().union(*(_ids(value) for value in document.values()))
    if isinstance(document, list):
        return set().union(*(_ids(value) for value in document))
    return {document}
