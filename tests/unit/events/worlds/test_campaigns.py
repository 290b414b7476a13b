"""World `campaigns`: the truth of every mail, recomputed from the log and from first principles."""

from __future__ import annotations

from dataclasses import dataclass
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
from shoal.events.worlds import encode, sample
from shoal.events.worlds.base import with_dials
from shoal.events.worlds.campaigns import WORLD
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.funnel import CODE, PROMOTIONS
from shoal.events.worlds.layer_campaigns import Campaigns
from shoal.events.worlds.layers import Setting
from shoal.events.worlds.mailings import ARMS, Mailing, Schedule

DAYS = 180
CUSTOMERS = 2 * sample.BLOCK_CUSTOMERS
SEED = 3
LAYER = Campaigns()


@dataclass(frozen=True)
class Shop:
    """A sampled shop: its log, its truth as frames (seconds for times), and ends of lives."""

    rows: np.ndarray
    treatments: pd.DataFrame
    campaigns: pd.DataFrame
    end_s: np.ndarray

    def of(self, name: str) -> np.ndarray:
        return self.rows[self.rows["kind"] == CODE[name]]


def seconds(times: pd.Series) -> np.ndarray:
    """Seconds since the world's start; -1 for null."""
    us = times.dt.as_unit("us").astype("int64").to_numpy()
    return np.where(times.isna(), -1, (us - to_us(WORLD.dials.start)) // 1_000_000)


def draw(customers: int, days: int, seed: int, difficulty: float = 0.5) -> Shop:
    world = with_dials(WORLD, difficulty=difficulty)
    goods = sample.build_catalogue(world, seed)
    layers = sample.plans(Setting(world, goods, customers, days, seed))
    blocks = list(
        sample.blocks(world, goods, customers=customers, days=days, seed=seed, layers=layers)
    )
    treatments = pa.concat_tables(t for one in blocks for t in one.truth["treatments"]).to_pandas()
    treatments["customer"] = treatments.customer_id.str[1:].astype(int)
    treatments = treatments[treatments.customer < customers]
    campaigns = layers[0].tables()["campaigns"].to_pandas()
    for name in ("at", "until"):
        campaigns[name] = seconds(campaigns[name])
    treatments["converted_at"] = seconds(treatments.converted_at)
    window = campaigns.drop_duplicates("campaign_id")[["campaign_id", "at", "until"]]
    treatments = treatments.merge(window, on="campaign_id")
    rows = np.concatenate([one.events for one in blocks])
    end_s = np.concatenate([one.customers.end_s for one in blocks])
    return Shop(rows, treatments, campaigns, end_s)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return draw(CUSTOMERS, DAYS, SEED)


def orders_in_windows(shop: Shop) -> np.ndarray:
    """Orders of each treatment row's customer in its window, counted in the log."""
    lines = pd.DataFrame({n: shop.of(kinds.PURCHASE)[n] for n in ("customer", "order", "time_s")})
    orders = lines.drop_duplicates("order")
    pairs = shop.treatments[["customer", "at", "until"]].reset_index().merge(orders, on="customer")
    inside = pairs[(pairs.time_s >= pairs["at"]) & (pairs.time_s < pairs["until"])]
    return np.bincount(inside["index"], minlength=len(shop.treatments))


def sent_arm(shop: Shop) -> np.ndarray:
    """The arm that each row's customer was sent, read from the exposures of the log; -1: none."""
    sent = shop.of(kinds.EXPOSURE)
    arm = {
        (c, code // 2): code % 2
        for c, code in zip(sent["customer"].tolist(), sent["code"].tolist(), strict=True)
    }
    number = shop.treatments.campaign_id.str[-2:].astype(int)
    keys = zip(shop.treatments.customer, number, strict=True)
    return np.array([arm.get((int(c), int(k)), -1) for c, k in keys])


def test_the_log_shows_the_outcome_of_what_was_sent(shop: Shop) -> None:
    """Orders counted in the log are `y1` of the arm that was sent, and `y0` where none was."""
    rows, seen, sent = shop.treatments, orders_in_windows(shop), sent_arm(shop)
    mine = rows.arm.map(ARMS.index).to_numpy()
    assert np.array_equal(rows.treated.to_numpy(), sent == mine)
    assert np.array_equal(seen[sent == mine], rows.y1[sent == mine])
    assert np.array_equal(seen[sent < 0], rows.y0[sent < 0])
    assert (rows.y1 != rows.y0).sum() > 500


def test_margins_of_the_log_are_those_of_what_was_sent(shop: Shop) -> None:
    lines = shop.of(kinds.PURCHASE)
    gross = lines["price"].astype(float) * lines["quantity"]
    margin = (LAYER.margin_share * gross - lines["discount"]) / 100
    frame = pd.DataFrame({"customer": lines["customer"], "time": lines["time_s"], "m": margin})
    rows = shop.treatments[shop.treatments.treated].reset_index(drop=True)
    pairs = rows[["customer", "at", "until"]].reset_index().merge(frame, on="customer")
    pairs = pairs[(pairs.time >= pairs["at"]) & (pairs.time < pairs["until"])]
    seen = np.bincount(pairs["index"], weights=pairs.m, minlength=len(rows))
    assert np.abs(seen - rows.y1_margin).max() < 1e-6


def test_inverse_propensity_on_the_log_finds_the_true_effect_and_the_naive_difference_does_not(
    shop: Shop,
) -> None:
    """Hajek's estimator on logged outcomes; standard errors by its linearisation."""
    rows, y, sent = shop.treatments, orders_in_windows(shop), sent_arm(shop)
    total = rows.groupby(["campaign_id", "customer"]).propensity.transform("sum")
    off, biased = [], []
    for (campaign, arm), part in rows.groupby(["campaign_id", "arm"]):
        place = part.index.to_numpy()
        treated, control = sent[place] == ARMS.index(arm), sent[place] < 0
        weight1 = treated / part.propensity.to_numpy()
        weight0 = control / (1 - total[place].to_numpy())
        mean1 = np.average(y[place], weights=weight1)
        mean0 = np.average(y[place], weights=weight0)
        residual1, residual0 = weight1 * (y[place] - mean1), weight0 * (y[place] - mean0)
        error = np.std(residual1 - residual0) / np.sqrt(len(place))
        truth = (part.y1 - part.y0).mean()
        off.append((mean1 - mean0 - truth) / error)
        naive = y[place][treated].mean() - y[place][control].mean()
        biased.append((naive - truth) / error)
        assert error < 0.06, campaign
    assert np.abs(off).max() < 3.2
    assert np.sqrt(np.mean(np.square(off))) < 1.6
    assert np.min(biased) > 2 and np.mean(biased) > 4


def test_realised_effects_have_the_expected_ones_as_their_mean(shop: Shop) -> None:
    rows = shop.treatments
    rows = rows[rows.effect != 0]
    tau = rows.y1 - rows.y0
    for _, part in rows.groupby(pd.qcut(rows.effect, 6)):
        own = tau[part.index]
        assert abs(own.mean() - part.effect.mean()) < 3.5 * own.std() / np.sqrt(len(own))


def test_answers_are_what_their_names_say(shop: Shop) -> None:
    rows = shop.treatments.assign(tau=shop.treatments.y1 - shop.treatments.y0)
    fresh = rows[rows.exposures_before == 0]
    share = rows.kind.value_counts(normalize=True)
    assert share.min() > 0.03
    assert (rows[rows.kind == "lost_cause"].tau == 0).all()
    assert (fresh[fresh.kind == "sure_thing"].tau == 0).all()
    assert (fresh[fresh.kind == "sure_thing"].y0).mean() > 0.2
    assert (fresh[fresh.kind == "persuadable"].tau >= 0).all()
    assert fresh[fresh.kind == "persuadable"].tau.mean() > 0.1
    dogs = rows[rows.kind == "sleeping_dog"]
    assert (dogs.tau <= 0).all()
    assert dogs.y1.mean() < 0.75 * dogs.y0.mean()


def test_mails_wear_out(shop: Shop) -> None:
    """`exposures_before` counts the log's mails of the last days, and effects shrink with it."""
    rows, sent = shop.treatments, shop.of(kinds.EXPOSURE)
    at = rows.drop_duplicates("campaign_id").set_index("campaign_id")["at"].to_numpy()
    mails = pd.DataFrame({"customer": sent["customer"], "sent": at[sent["code"] // 2]})
    pairs = rows[["customer", "at"]].reset_index().merge(mails, on="customer")
    since = pairs["at"] - LAYER.fatigue_days * DAY_S
    near = pairs[(pairs.sent < pairs["at"]) & (pairs.sent >= since)]
    assert np.array_equal(np.bincount(near["index"], minlength=len(rows)), rows.exposures_before)
    persuadable = rows[rows.kind == "persuadable"]
    gain = (persuadable.y1 - persuadable.y0).groupby(persuadable.exposures_before).mean()
    assert gain[0] > 1.3 * gain[1] > 1.69 * gain[2]
    assert gain[3] < 0


def test_propensities_are_those_of_the_lottery(shop: Shop) -> None:
    rows = shop.treatments
    total = rows.groupby(["campaign_id", "customer"]).propensity.sum()
    assert rows.propensity.min() >= 0.1 and total.max() <= 0.9
    assert rows.propensity.std() > 0.1
    for _, part in rows.groupby(pd.qcut(rows.propensity, 10)):
        p = part.propensity
        error = np.sqrt((p * (1 - p)).sum()) / len(p)
        assert abs(part.treated.mean() - p.mean()) < 3.5 * error


def test_the_best_policy_is_worth_most_and_all_values_add_up(shop: Shop) -> None:
    table, rows = shop.campaigns, shop.treatments
    assert len(table) == sum(len(one.arms) for one in LAYER.mailings)
    for name in ("value_all", "value_none", "value_logged"):
        assert (table.value_best >= table[name]).all()
    assert (table.value_best > 1.02 * table[["value_all", "value_none"]].max(axis=1)).all()
    for _, one in table.iterrows():
        part = rows[rows.campaign_id == one.campaign_id]
        mine = part[part.arm == one.arm]
        gain = mine.effect * one.margin - one.cost
        none = one.margin * mine.y0.sum()
        assert (one.eligible, one.treated) == (len(mine), mine.treated.sum())
        assert one.value_none == pytest.approx(none)
        assert one.value_all == pytest.approx(none + gain.sum())
        real = (mine.y1 - mine.y0) * one.margin - one.cost
        assert one.realised_all == pytest.approx(none + real.sum())
        costs = part.arm.map(table[table.campaign_id == one.campaign_id].set_index("arm").cost)
        each = (part.effect * one.margin - costs).groupby(part.customer).max()
        assert one.value_best == pytest.approx(none + np.maximum(each, 0).sum())
        logged = (part.effect * one.margin - costs)[part.treated].sum()
        assert one.value_logged == pytest.approx(none + logged)


def test_conversions_wait_as_declared(shop: Shop) -> None:
    """Of customers who stay long enough, days from mail to order follow the cut Lomax law."""
    rows, sent = shop.treatments, shop.of(kinds.EXPOSURE)
    moment = dict(zip(sent["action"].tolist(), sent["time_s"].tolist(), strict=True))
    most = LAYER.delay_most_days
    stays = np.minimum(shop.end_s[rows.customer], DAYS * DAY_S) - rows["at"] > (most + 1) * DAY_S
    rows = rows[(rows.converted_at >= 0) & stays]
    action = rows.action_id.str.split("-a").str[-1].astype(int)
    days = (rows.converted_at - action.map(moment)).to_numpy() / DAY_S
    assert len(days) > 300 and days.min() > 0

    def law(x: np.ndarray) -> np.ndarray:
        return 1 - (1 + x / LAYER.delay_scale_days) ** -LAYER.delay_shape

    expected = law(np.sort(days)) / law(np.array(most))
    seen = (np.arange(len(days)) + 0.5) / len(days)
    assert np.abs(seen - np.minimum(expected, 1)).max() < 1.63 / np.sqrt(len(days))
    assert np.mean(days > 7) == pytest.approx(
        1 - law(np.array(7.0)) / law(np.array(most)), abs=0.05
    )


def test_mails_come_first_and_only_to_those_who_may_be_written_to(shop: Shop) -> None:
    rows, sent = shop.rows, shop.of(kinds.EXPOSURE)
    moment = dict(zip(sent["action"].tolist(), sent["time_s"].tolist(), strict=True))
    assert len(moment) == len(sent) > 1_000
    for name in (kinds.OPEN, kinds.RESPONSE, kinds.CONSENT):
        answers = shop.of(name)
        first = np.array([moment[a] for a in answers["action"].tolist()])
        assert np.all(answers["time_s"] >= first) and len(answers) > 30
    assert len(shop.of(kinds.RESPONSE)) < len(shop.of(kinds.OPEN)) < 0.6 * len(sent)
    # Every customer written to had visited within the days declared.
    visits = rows[rows["session"] >= 0]
    key = visits["customer"] * 2**32 + visits["time_s"]
    at = shop.campaigns.drop_duplicates("campaign_id")["at"].to_numpy()[sent["code"] // 2]
    before = np.searchsorted(key, sent["customer"] * 2**32 + at) - 1
    assert np.all(visits["customer"][before] == sent["customer"])
    assert np.all(at - visits["time_s"][before] <= LAYER.known_days * DAY_S + 3 * 3600)
    # And nobody who withdrew consent is written to again.
    gone = shop.of(kinds.CONSENT)
    withdrawn = dict(zip(gone["customer"].tolist(), gone["time_s"].tolist(), strict=True))
    assert len(withdrawn) == len(gone)
    latest = pd.Series(sent["time_s"]).groupby(sent["customer"]).max()
    assert all(latest[customer] <= moment for customer, moment in withdrawn.items())


def test_sleeping_dogs_withdraw_consent_more_often(shop: Shop) -> None:
    rows = shop.treatments[shop.treatments.treated]
    gone = {int(a) for a in shop.of(kinds.CONSENT)["action"]}
    left = rows.action_id.str.split("-a").str[-1].astype(int).isin(gone)
    share = left.groupby(rows.kind).mean()
    assert share["sleeping_dog"] > 5 * share["sure_thing"] > 0


def test_orders_by_discount_mail_bear_its_coupon_and_add_up(shop: Shop) -> None:
    rows = shop.treatments[shop.treatments.arm == "discount"]
    rows = rows[rows.converted_at >= 0]
    lines = shop.of(kinds.PURCHASE)
    key = lines["customer"] * 2**32 + lines["time_s"]
    brought = np.isin(key, rows.customer.to_numpy() * 2**32 + rows.converted_at.to_numpy())
    lines = lines[brought]
    assert len(np.unique(lines["order"])) >= len(rows) > 100
    gross = lines["price"].astype(np.int64) * lines["quantity"]
    assert np.all(encode.coupon_names()[lines["code"][0]] == "SAVE20")
    assert np.all(lines["code"] == lines["code"][0])
    assert np.array_equal(lines["discount"], np.rint(gross * PROMOTIONS[lines["code"][0]]))
    net = gross - lines["discount"]
    assert np.abs(lines["tax"] - net * WORLD.dials.tax_rate).max() <= 0.5
    _, order = np.unique(lines["order"], return_inverse=True)
    free = np.bincount(order, net) >= WORLD.dials.free_shipping_from_cents
    fee = np.where(free, 0, WORLD.dials.shipping_fee_cents)
    assert np.array_equal(np.bincount(order, lines["shipping"]), fee)


def test_effects_are_larger_in_an_easy_world() -> None:
    size = []
    for difficulty in (0.0, 1.0):
        rows = draw(sample.BLOCK_CUSTOMERS, 60, 1, difficulty).treatments
        size.append(rows[rows.kind == "persuadable"].effect.mean())
    assert size[0] > 2.5 * size[1] > 0


def test_a_customer_is_the_same_in_a_larger_shop() -> None:
    small, large = draw(300, 40, 5), draw(900, 40, 5)
    assert small.rows.tobytes() == large.rows[large.rows["customer"] < 300].tobytes()
    mine = large.treatments[large.treatments.customer < 300].reset_index(drop=True)
    pd.testing.assert_frame_equal(small.treatments.reset_index(drop=True), mine)
    assert small.campaigns.eligible.sum() == len(mine)


@pytest.mark.parametrize("days", [1, 2, 5])
def test_a_log_too_short_for_campaigns_has_fewer(days: int) -> None:
    shop = draw(50, days, 1)
    assert shop.campaigns.campaign_id.nunique() <= days - 1
    assert np.all(shop.rows["time_s"] < days * DAY_S)


def test_campaigns_on_one_day_are_one_and_dates_fall_within_the_log() -> None:
    layer = Campaigns(mailings=(Mailing(0.5, ("content",)), Mailing(0.52, ("discount",))))
    goods = sample.build_catalogue(WORLD, 0)
    assert len(Schedule.of(layer, Setting(WORLD, goods, 1, 10, 0)).sent_s) == 1
    two = Schedule.of(layer, Setting(WORLD, goods, 1, 100, 0))
    assert (two.sent_s // DAY_S).tolist() == [50, 52]
    assert (two.until_s // DAY_S).tolist() == [52, 73]


@pytest.mark.parametrize(("at", "arms"), [(0.0, ("content",)), (0.5, ()), (0.5, ("carrier",))])
def test_an_impossible_campaign_is_refused(at: float, arms: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"no campaign can be at {at} of a log") as caught:
        Mailing(at, arms)
    assert caught.value.hint == (
        "Give a share between 0 and 1, and some of the arms: content, discount."
    )


def test_the_world_goes_through_the_front_door_whole(tmp_path: Path) -> None:
    """Every row is stored, and the shop reads the consents that were withdrawn."""
    from shoal.workflows.simulate import simulate

    made = simulate(tmp_path / "sim", world="campaigns", customers=400, days=100, seed=2)
    shop = shoal.init(tmp_path / "shop")
    rows = shop.ingest([made.out], preset="shoal").rows
    items = pq.read_metadata(made.out / "items.parquet").num_rows
    assert rows.read == rows.stored == made.events + items
    events = pq.read_table(made.out / "events.parquet").to_pandas()
    truth = pq.read_table(made.out / "_truth" / "treatments.parquet").to_pandas()
    sent = events[events.kind == "exposure"]
    assert set(sent.action_id) == set(truth[truth.treated].action_id)
    assert set(truth.customer_id) <= set(events.customer_id)
    gone = events[events.kind == "consent"]
    consents = shop.consents(channel="email").to_pandas()
    assert not consents.granted.any() and len(gone) > 2
    assert set(consents.customer_id) == set(gone.customer_id)
