"""Visitors: whose events they are follows from the log's own links, and is the truth."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.unit.events.worlds.layered import Shop, simulated

import shoal
from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.events import worlds
from shoal.events.worlds import encode
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.layer_visitors import Visitors
from shoal.workflows.simulate import simulate

CUSTOMERS, DAYS = 4_000, 100
PREFIX = "steady5-v"


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulated([Visitors()], CUSTOMERS, DAYS)


@pytest.fixture(scope="module")
def plain() -> Shop:
    return simulated([], CUSTOMERS, DAYS)


def owners(shop: Shop) -> dict[int, set[int]]:
    """Customers of each visitor number, as the truth has them."""
    found: dict[int, set[int]] = defaultdict(set)
    truth = shop.truth["visitors"]
    for visitor, customer in zip(
        truth["anonymous_id"].to_pylist(), truth["customer_id"].to_pylist(), strict=True
    ):
        found[int(visitor.removeprefix(PREFIX))].add(int(customer[1:]))
    return found


def links(rows: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """(time, customer) of every event that has both ids, by visitor, in order of time."""
    both = rows[(rows["told"] == 1) & (rows["visitor"] >= 0)]
    both = both[np.argsort(both["time_s"], kind="stable")]
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for visitor, at, customer in zip(
        *(both[name].tolist() for name in ("visitor", "time_s", "customer")), strict=True
    ):
        found[visitor].append((at, customer))
    return found


def test_every_event_has_an_id_and_every_visit_a_visitor(shop: Shop) -> None:
    rows = shop.rows
    assert not np.any((rows["told"] == 0) & (rows["visitor"] < 0))
    assert np.all(rows["visitor"][rows["session"] >= 0] >= 0)
    events = encode.encode_events(shop.world, shop.goods, rows[:5_000], 0, "x-")
    nobody = pc.and_(pc.is_null(events["customer_id"]), pc.is_null(events["anonymous_id"]))
    assert not pc.any(nobody).as_py()
    assert 0.1 < np.mean(rows["told"] == 0) < 0.35


def test_a_visit_has_one_visitor_one_device_one_source_and_is_signed_from_a_moment_on(
    shop: Shop,
) -> None:
    visits = shop.rows[shop.rows["session"] >= 0]
    visits = visits[np.lexsort((visits["step"], visits["session"]))]
    same = visits["session"][1:] == visits["session"][:-1]
    for name in ("visitor", "device", "source"):
        assert np.all(visits[name][1:][same] == visits[name][:-1][same]), name
    assert np.all(np.diff(visits["told"].astype(int))[same] >= 0)
    app = visits["channel"] == 5
    assert np.all((visits["source"] == encode.SOURCES.index("app")) == app)


def test_who_becomes_known_on_the_way_signs_in_then(shop: Shop) -> None:
    """The first signed event of a visit that began unsigned is a login, sign-up or profile."""
    visits = shop.rows[shop.rows["session"] >= 0]
    visits = visits[np.lexsort((visits["step"], visits["session"]))]
    turns = (visits["session"][1:] == visits["session"][:-1]) & (np.diff(visits["told"]) == 1)
    says = [CODE[kind] for kind in (kinds.LOGIN, kinds.SIGN_UP, kinds.PROFILE)]
    assert turns.sum() > 500
    assert np.all(np.isin(visits["kind"][1:][turns], says))
    # And so does who was never seen under that visitor id, but for customers who come once.
    opening = visits[np.append(True, visits["session"][1:] != visits["session"][:-1])]
    opening = opening[np.argsort(opening["time_s"], kind="stable")]
    fresh = opening[np.unique(opening["visitor"], return_index=True)[1]]
    visits_of = np.bincount(opening["customer"], minlength=CUSTOMERS)
    known = fresh[(fresh["told"] == 1) & (visits_of[fresh["customer"]] > 1)]
    assert len(known) > 500
    assert np.all(np.isin(known["kind"], says))
    assert np.all(visits["told"][np.isin(visits["kind"], says)] == 1)


def test_the_logs_own_links_give_back_the_truth(shop: Shop) -> None:
    linked, truth = links(shop.rows), owners(shop)
    at = shop.seconds("visitors", "identified_at")
    first: dict[tuple[int, int], int] = {}
    for visitor, told in linked.items():
        for moment, customer in told:
            first.setdefault((visitor, customer), moment)
    stated = {}
    ids = shop.truth["visitors"].select(["anonymous_id", "customer_id"]).to_pylist()
    for row, moment in zip(ids, at.tolist(), strict=True):
        key = int(row["anonymous_id"].removeprefix(PREFIX)), int(row["customer_id"][1:])
        if moment >= 0:
            stated[key] = moment
    assert stated == first
    assert 0.02 < np.mean(at < 0) < 0.3
    for visitor, customers in truth.items():
        if len(customers) == 1 and visitor in linked:
            assert {customer for _, customer in linked[visitor]} == customers


def test_the_truth_has_every_visitor_seen_and_when_first(shop: Shop) -> None:
    visits = shop.rows[shop.rows["session"] >= 0]
    seen: dict[tuple[int, int], int] = {}
    order = np.argsort(visits["time_s"], kind="stable")
    for visitor, customer, moment in zip(
        *(visits[name][order].tolist() for name in ("visitor", "customer", "time_s")), strict=True
    ):
        seen.setdefault((visitor, customer), moment)
    table = shop.truth["visitors"].select(["anonymous_id", "customer_id"]).to_pylist()
    stated = {
        (int(row["anonymous_id"].removeprefix(PREFIX)), int(row["customer_id"][1:])): moment
        for row, moment in zip(table, shop.seconds("visitors", "first_seen").tolist(), strict=True)
    }
    assert stated == seen


def test_stitched_customers_have_their_events(shop: Shop) -> None:
    """Events that links give a customer, by hand, against all events that are theirs in truth."""
    linked, truth = links(shop.rows), owners(shop)
    shared = {visitor for visitor, customers in truth.items() if len(customers) > 1}
    mine = Counter(shop.rows["customer"][shop.rows["told"] == 1].tolist())
    unsigned = shop.rows[shop.rows["told"] == 0]
    unlinked: Counter[int] = Counter()
    for visitor, customer in zip(
        unsigned["visitor"].tolist(), unsigned["customer"].tolist(), strict=True
    ):
        if visitor in linked and visitor not in shared:
            mine[linked[visitor][0][1]] += 1
        else:
            unlinked[customer] += 1
    actual = Counter(shop.rows["customer"].tolist())
    assert {c: mine[c] + unlinked[c] for c in actual} == dict(actual)
    whole = [c for c in mine if not unlinked[c]]
    assert len(whole) > 0.8 * CUSTOMERS


def test_devices_cookies_and_shares_are_as_declared(shop: Shop) -> None:
    layer, truth = Visitors(), shop.truth["visitors"]
    devices: dict[str, set[str]] = defaultdict(set)
    visitors: dict[str, set[str]] = defaultdict(set)
    for row in truth.to_pylist():
        devices[row["customer_id"]].add(row["device"])
        visitors[row["device"]].add(row["anonymous_id"])
    count = Counter(len(found) for found in devices.values())
    assert count[1] + count[2] > 0.85 * CUSTOMERS
    assert max(count) <= 6
    # New visitors on a device already seen: a cookie was lost before one visit in thirty.
    visits = shop.rows[shop.rows["session"] >= 0]
    n = len(np.unique(visits["session"][visits["source"] == encode.SOURCES.index("web")]))
    again = sum(len(found) - 1 for found in visitors.values())
    assert 0.5 * layer.loss < again / n < layer.loss
    sharing = Counter(len(customers) for customers in owners(shop).values())
    assert sharing[2] > 10
    kiosks = [number for number, customers in owners(shop).items() if len(customers) > 5]
    assert 1 <= len(kiosks) <= layer.kiosks
    known = set(shop.rows["customer"][shop.rows["told"] == 1].tolist())
    assert 0.3 * layer.never < 1 - len(known) / CUSTOMERS < layer.never


def test_customers_seen_once_leave_no_event_more(shop: Shop, plain: Shop) -> None:
    few = np.bincount(plain.rows["customer"], minlength=CUSTOMERS) <= 2
    visits = np.unique(plain.rows[["customer", "session"]])["customer"]
    once = few & (np.bincount(visits, minlength=CUSTOMERS) == 1)
    assert once.sum() > 0.4 * CUSTOMERS
    now = np.bincount(shop.rows["customer"], minlength=CUSTOMERS)
    assert np.mean(now[once] <= 2) > 0.97


def test_nothing_but_ids_devices_sources_and_logins_changes(shop: Shop, plain: Shop) -> None:
    """Take out the logins that were put in, and every other event is as without the layer."""
    names = [n for n in plain.rows.dtype.names if n not in
             ("visitor", "told", "device", "source", "step")]  # fmt: skip
    before = Counter(map(tuple, plain.rows[names].tolist()))
    after = Counter(map(tuple, shop.rows[names].tolist()))
    assert not before - after
    kind = names.index("kind")
    assert {row[kind] for row in (after - before)} == {CODE[kinds.LOGIN]}


def test_refunds_follow_their_order_and_strangers_stay_strangers(shop: Shop) -> None:
    lines = shop.of(kinds.PURCHASE)
    told = dict(zip(lines["order"].tolist(), lines["told"].tolist(), strict=True))
    back = shop.of(kinds.REFUND)
    assert back["told"].tolist() == [told[order] for order in back["order"].tolist()]
    assert 0.01 < np.mean(lines["told"] == 0) < 0.2
    known = np.zeros(CUSTOMERS, bool)
    known[shop.rows["customer"][shop.rows["told"] == 1]] = True
    reviews = shop.of(kinds.REVIEW)
    assert np.array_equal(reviews["told"] == 1, known[reviews["customer"]])


def test_a_customer_is_the_same_in_a_larger_shop() -> None:
    small, large = simulated([Visitors()], 60, 30), simulated([Visitors()], 4_200, 30)
    assert small.rows.tobytes() == large.rows[large.rows["customer"] < 60].tobytes()
    last = pa.scalar("c00000059")
    mine = large.truth["visitors"]
    mine = mine.filter(pc.less_equal(mine["customer_id"], last))
    assert small.truth["visitors"].equals(mine)


def test_an_ingested_shop_knows_the_visitors_of_its_customers(tmp_path: Path) -> None:
    world = replace(worlds.load("steady"), layers=(Visitors(),))
    out = tmp_path / "raw"
    made = simulate(out, customers=250, days=50, world=world, seed=4)
    with shoal.init(tmp_path / "shop") as shop:
        result = shop.ingest([out], preset="shoal").rows
        assert result.quarantined == result.conflicting == result.skipped == 0
        assert result.read == result.stored == made.events + made.items
        events = pq.read_table(out / "events.parquet")
        visitors = pq.read_table(out / "_truth" / "visitors.parquet").to_pylist()
        count = Counter(row["anonymous_id"] for row in visitors)
        mine: dict[str, list[dict[str, object]]] = defaultdict(list)
        for row in visitors:
            mine[row["customer_id"]].append(row)
        chosen = [
            customer
            for customer, rows in sorted(mine.items())
            if len(rows) > 1 and all(count[row["anonymous_id"]] == 1 for row in rows)
        ]
        assert len(chosen) > 20
        for customer in chosen[:12]:
            linked = {r["anonymous_id"] for r in mine[customer] if r["identified_at"] is not None}
            if not linked:
                continue
            view = shop.identity(customer)
            assert {one["id"] for one in view["ids"]} == {customer, *linked}
            known = pc.equal(events["customer_id"], customer)
            seen = pc.is_in(events["anonymous_id"], pa.array(sorted(linked)))
            own = pc.or_(pc.fill_null(known, False), pc.fill_null(seen, False))
            assert sum(one["events"] for one in view["ids"]) == pc.sum(own).as_py()
        late = [
            row
            for row in visitors
            if row["identified_at"] is not None and row["identified_at"] > row["first_seen"]
            and count[row["anonymous_id"]] == 1
        ]  # fmt: skip
        assert len(late) > 20
        for row in late[:5]:
            then = shop.identity(row["anonymous_id"], as_of=row["identified_at"])
            assert then["customer_id"] == row["anonymous_id"]
            assert shop.identity(row["anonymous_id"])["customer_id"] == row["customer_id"]


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"loss": -0.1}, "dial loss of visitors cannot be -0.1"),
        ({"anonymous": 1.5}, "dial anonymous of visitors cannot be 1.5"),
        ({"kiosks": 0}, "dial kiosks of visitors cannot be 0"),
        ({"browsers": (1, 1, 1, 1, 1)}, "dial browsers of visitors cannot be"),
        ({"browsers": (0, 0)}, "dial browsers of visitors cannot be"),
        ({"browsers": ()}, "dial browsers of visitors cannot be"),
    ],
)
def test_impossible_dials_are_refused(dials: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Visitors(**dials)
    assert caught.value.code == "bad_dial"
    assert caught.value.hint
