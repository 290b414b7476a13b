"""What the report tells of change: it agrees with the shop, with itself, and with naive counts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.unit.workflows.report_shops import START, Shop, shop_of

from shoal.domain.errors import UsageError
from shoal.domain.time import parse_moment
from shoal.features.snapshot import snapshot_table
from shoal.report.document import ReportDocument
from shoal.report.pages import render
from shoal.segments import artefact
from shoal.workflows import reference
from shoal.workflows.memberships import memberships
from shoal.workflows.simulate import simulate


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    simulate(folder / "world", customers=300, days=130, seed=4)
    made = Shop(folder)
    made.take(folder / "world" / "events.parquet")
    made.segment(k=3)
    return made


@pytest.fixture(scope="module")
def found(shop: Shop) -> ReportDocument:
    return shop.document()


def everyone(found: ReportDocument) -> dict[str, Any]:
    tier = (found.tier,) if found.tier else ()
    return {one.segment_id: one for one in (*found.segments, *tier)}


def features(shop: Shop, moment: datetime) -> dict[str, dict[str, Any]]:
    """Every customer's features at a moment."""
    main = artefact.read(shop.registry, "kmeans-0001")
    table = snapshot_table(
        shop.admission.at(moment), shop.fold, zone=shop.parts()["zone"], as_of=moment,
        reference_table=reference.read(shop.registry, main.document["reference_id"]),
    )  # fmt: skip
    return {row["customer_id"]: row for row in table.to_pylist()}


# --- Agreement with the rest of the report --------------------------------------------------------


def test_the_story_counts_the_same_customers_as_the_segments(found: ReportDocument) -> None:
    story = found.story
    assert story.absent == {}
    assert story.moves is not None and story.moves_before is not None
    known = everyone(found)
    assert {one.segment_id: one.now for one in story.moves.standings} == {
        name: one.customers for name, one in known.items()
    }
    assert story.moves.known_now == found.customers
    assert {name: one.customers for name, one in story.funnels.items() if name} == {
        name: one.customers for name, one in known.items()
    }
    for one in story.moves.standings:
        before = story.moves_before.standing(one.segment_id)
        assert before is not None and before.now == one.then


def test_trends_add_up_to_the_shops_activity(found: ReportDocument) -> None:
    trends = found.story.trends.values()
    for place, whole in enumerate(found.activity):
        parts = [periods[place] for periods in trends]
        assert {one.start for one in parts} == {whole.start}
        assert sum(one.customers for one in parts) == whole.customers
        assert sum(one.orders for one in parts) == whole.orders
        assert sum(one.revenue or 0 for one in parts) == pytest.approx(whole.revenue)


def test_worth_since_the_date_is_that_of_the_last_four_weeks(found: ReportDocument) -> None:
    moves = found.story.moves
    assert moves is not None and found.days_per_period == 7
    last = found.activity[-4:]
    begun = datetime.combine(last[0].start, time(), ZoneInfo("Europe/Berlin"))
    assert moves.since == begun
    assert (found.last - last[0].start).days == 27
    assert sum(one.worth_now for one in moves.standings) == pytest.approx(
        sum(one.revenue or 0 for one in last)
    )


def test_cohorts_are_the_new_customers_of_the_months_money(found: ReportDocument) -> None:
    cohorts = found.story.cohorts
    assert cohorts is not None and found.money is not None
    assert (cohorts.unit, cohorts.orders) == ("month", True)
    new = {month.month: month.new_customers for month in found.money.months}
    assert {f"{one.start:%Y-%m}": one.size for one in cohorts.cohorts} == {
        month: n for month, n in new.items() if n
    }
    last = found.money.months[-1]
    assert sum(one.active[-1] for one in cohorts.cohorts) == last.customers


def test_all_worth_of_the_year_is_the_shops_revenue(found: ReportDocument) -> None:
    stake = found.story.stake
    assert stake is not None
    assert stake.window_days == (found.last - found.first).days + 1
    assert stake.worth_all == pytest.approx(found.revenue)
    assert 0 < stake.customers < stake.habitual
    assert sum(n for _, n, _ in stake.by_segment) == stake.customers
    assert sum(worth for _, _, worth in stake.by_segment) == pytest.approx(stake.worth)


# --- Against naive counts -------------------------------------------------------------------------


def test_moves_are_memberships_then_against_members_now(shop: Shop, found: ReportDocument) -> None:
    moves = found.story.moves
    assert moves is not None
    table = memberships(**shop.parts(), as_of=moves.since).table
    then = dict(zip(table["customer_id"].to_pylist(), table["segment_id"].to_pylist(),
                    strict=True))  # fmt: skip
    members = artefact.read(shop.registry, "kmeans-0001").members
    now = dict(zip(members["customer_id"].to_pylist(), members["segment_id"].to_pylist(),
                   strict=True))  # fmt: skip
    flows = Counter((then.get(one, ""), now.get(one, "")) for one in {*then, *now})
    assert {(one.source, one.target): one.customers for one in moves.flows} == dict(flows)
    assert len(then) < len(now)


def test_worth_is_the_difference_of_the_feature_spend(shop: Shop, found: ReportDocument) -> None:
    moves = found.story.moves
    assert moves is not None
    now = parse_moment(artefact.read(shop.registry, "kmeans-0001").document["as_of"])
    at = {moment: features(shop, moment)
          for moment in (now, moves.since, moves.since - (now - moves.since))}  # fmt: skip

    def spent(customer: str, since: datetime, until: datetime) -> float:
        before = at[since].get(customer, {}).get("spend") or 0.0
        return (at[until][customer]["spend"] or 0.0) - before

    members = artefact.read(shop.registry, "kmeans-0001").members.to_pylist()
    earlier = memberships(**shop.parts(), as_of=moves.since).table.to_pylist()
    since, start = moves.since, moves.since - (now - moves.since)
    for one in moves.standings:
        own = [row["customer_id"] for row in members if row["segment_id"] == one.segment_id]
        expected = sum(spent(customer, since, now) for customer in own)
        assert one.worth_now == pytest.approx(expected, abs=1e-6)
        own = [row["customer_id"] for row in earlier if row["segment_id"] == one.segment_id]
        expected = sum(spent(customer, start, since) for customer in own)
        assert one.worth_then == pytest.approx(expected, abs=1e-6)


def test_who_is_quiet_by_the_orders_own_days(shop: Shop, found: ReportDocument) -> None:
    stake = found.story.stake
    assert stake is not None
    events = shop.fold.engine.run(
        "SELECT customer_id, event_time, utc_offset_s FROM events WHERE kind = 'purchase'",
        {"events": shop.warehouse.events()},
    ).to_pylist()
    days: dict[str, set[Any]] = {}
    for row in events:
        local = row["event_time"] + timedelta(seconds=row["utc_offset_s"])
        days.setdefault(row["customer_id"], set()).add(local.date())
    habitual = {customer: sorted(own) for customer, own in days.items() if len(own) >= 3}
    assert stake.habitual == len(habitual)
    spend = features(shop, parse_moment("2030-01-01"))
    quiet = {
        customer
        for customer, own in habitual.items()
        if (found.last - own[-1]).days > 3 * (own[-1] - own[0]).days / (len(own) - 1)
        and (found.last - own[-1]).days >= 14
        and spend[customer]["spend"] > 0
    }
    assert stake.customers == len(quiet)
    assert stake.worth == pytest.approx(sum(spend[customer]["spend"] for customer in quiet))
    assert {one.customer_id for one in stake.foremost} <= quiet


# --- The date -------------------------------------------------------------------------------------


def test_a_told_date_is_taken_as_it_is(shop: Shop, found: ReportDocument) -> None:
    since = datetime(2025, 3, 1, 12, tzinfo=UTC)
    made = shop.document(since=since)
    moves = made.story.moves
    assert moves is not None
    assert (moves.since, moves.told, moves.whole) == (since, True, False)
    assert "as told" in render(made)
    assert "by the length of the log" in render(found)


@pytest.mark.parametrize("since", ["2025-01-05", "2025-05-16T12:00", "2031-01-01"])
def test_a_date_outside_the_log_is_told_with_what_is_allowed(shop: Shop, since: str) -> None:
    with pytest.raises(UsageError) as caught:
        shop.document(since=parse_moment(since))
    assert caught.value.code == "bad_period"
    assert "lies outside the log" in caught.value.message
    assert "after 2025-01-05T23:00:00Z and before 2025-05-1" in caught.value.hint


def test_other_definitions_of_features_leave_the_moves_out_and_say_so(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.fold, "fingerprint", "something else")
    made = shop.document()
    assert made.story.absent == {"moves": "older"} and made.story.moves is None
    assert "with other definitions of features" in render(made)


# --- Awkward shops --------------------------------------------------------------------------------


def visits(
    customers: int, days: int, kinds: tuple[str, ...], *, every: int = 1, **more: Any
) -> list[dict[str, Any]]:
    """Each customer does each of the kinds on every so many days; the second half from late on."""
    return [
        {
            "customer_id": f"c{who:02d}",
            "kind": kind,
            "event_time": START + timedelta(days=day, hours=8 + who % 12, minutes=place),
            "item_id": f"i{(who + day) % 7}",
            **more,
        }
        for who in range(customers)
        for day in range((days // 2 if who >= customers // 2 else 0), days, every + who % 3)
        for place, kind in enumerate(kinds)
    ]


def priced(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**row, "price": 10.0 + int(row["customer_id"][1:]), "quantity": 1, "currency": "EUR"}
        if row["kind"] == "purchase"
        else row
        for row in events
    ]


def test_a_log_of_one_day_has_neither_moves_nor_cohorts_and_says_why(tmp_path: Path) -> None:
    events = priced(visits(12, 1, ("view", "cart_add", "purchase")))
    for row in events[: len(events) // 2]:
        row["event_time"] = START + timedelta(hours=20)
    shop = shop_of(tmp_path, [*events, *visits(4, 1, ("view", "view", "search"))])
    found = shop.document()
    story = found.story
    assert (story.moves, story.cohorts) == (None, None)
    assert story.absent["moves"] == "short" and story.absent["cohorts"] == "short"
    assert story.absent["stake"] == "no_habit"
    text = render(found)
    assert "too short to compare with an earlier date" in text
    assert "too short to show who comes back" in text


def test_a_shop_without_prices_tells_orders(tmp_path: Path) -> None:
    shop = shop_of(tmp_path, visits(16, 60, ("view", "purchase"), every=4))
    found = shop.document()
    moves = found.story.moves
    assert found.revenue is None and moves is not None
    assert moves.days == pytest.approx(((found.last - found.first).days + 1) // 4, abs=1)
    assert sum(one.worth_now for one in moves.standings) > 20
    assert all(one.worth_now == int(one.worth_now) for one in moves.standings)
    text = render(found)
    assert "orders" in text and "EUR" not in text


def test_a_shop_without_orders_has_no_stake_and_counts_events(tmp_path: Path) -> None:
    shop = shop_of(tmp_path, visits(16, 60, ("view", "search"), every=3))
    found = shop.document()
    story = found.story
    assert story.absent["stake"] == "no_orders"
    assert story.cohorts is not None and not story.cohorts.orders
    assert story.absent["funnels"] == "one_step" and story.funnels == {}
    text = render(found)
    assert "first seen in one week" in text
    assert 'id="stake"' not in text and 'id="funnel"' not in text


def test_carts_and_orders_dated_without_times_have_a_funnel_without_conversion(
    tmp_path: Path,
) -> None:
    events = [
        # Midnight in Berlin.
        {**row, "event_time": row["event_time"].replace(hour=23, minute=0)}
        for row in priced(visits(16, 60, ("cart_add", "purchase"), every=3))
    ]
    found = shop_of(tmp_path, events).document()
    assert found.hours == () and found.story.moves is not None
    text = render(found)
    assert 'id="funnel"' in text and "on days with a view" not in text


def test_reviews_as_value_events(tmp_path: Path) -> None:
    events = visits(16, 60, ("view", "review"), every=3, rating=4.0)
    shop = shop_of(tmp_path, events, value_event="review")
    found = shop.document()
    assert found.story.stake is not None or found.story.absent["stake"] == "no_habit"
    assert "Reviewed" in render(found) and "评价" in render(found, "zh")


def test_rfm_alone_as_the_main_segmentation(tmp_path: Path) -> None:
    events = priced(visits(30, 60, ("view", "purchase"), every=3))
    shop = shop_of(tmp_path, events, methods=("rfm",), k=None)
    found = shop.document()
    moves = found.story.moves
    assert moves is not None and moves.known_now == 30
    assert {one.segment_id: one.now for one in moves.standings if one.now} == {
        name: one.customers for name, one in everyone(found).items() if one.customers
    }
    empty = {one.segment_id for one in moves.standings if one.then and not one.now}
    assert empty == {"r07"}
    assert "About to Sleep" in render(found)


def test_customers_alike_make_one_segment_and_no_heat_map(tmp_path: Path) -> None:
    events = [
        {**row, "customer_id": f"d{who}"}
        for who in range(12)
        for row in priced(visits(1, 60, ("view", "purchase"), every=5))
    ]
    shop = shop_of(tmp_path, events)
    found = shop.document()
    assert len(found.segments) == 1
    assert found.story.absent["features"] == "one"
    text = render(found)
    assert 'id="features"' not in text and 'id="moves"' in text


def test_customers_who_merge_are_no_longer_of_their_own(tmp_path: Path) -> None:
    events = priced(visits(16, 60, ("view", "purchase"), every=3))
    link = {
        "customer_id": "c00", "anonymous_id": "c15", "kind": "login",
        "properties": '{"alias":true}', "event_time": START + timedelta(days=59, hours=23),
    }  # fmt: skip
    found = shop_of(tmp_path, [*events, link]).document()
    moves = found.story.moves
    assert moves is not None
    for one in moves.standings:
        assert one.now == one.then + one.joined + one.new - one.left - one.gone
    assert (moves.known_now, moves.gone) == (found.customers, 1) == (15, 1)
    assert "or were forgotten: 1 customer." in render(found)
