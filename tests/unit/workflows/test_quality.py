"""Planted faults are found with the right since-when; a shop without fault is left in peace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.shops import engine

from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.memory_store import MemoryStateStore
from shoal.config import Config, QualityConfig
from shoal.domain.quality import CHECKS, ERROR, NOTE, OK, WARNING, Finding, Quality
from shoal.domain.time import Zone, to_us
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.presets import load
from shoal.features.admission import FLAGS_SCHEMA
from shoal.report.quality_texts import told
from shoal.workflows.quality import as_document, check_quality
from shoal.workflows.simulate import simulate

DAYS = 100
#: The day of the planted faults: the 80th of 100.
DAY = date(2025, 3, 26)
MIDNIGHT = datetime(2025, 3, 26, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BUCKETS = 2


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return simulated(tmp_path_factory.mktemp("simulated"), 1)


def simulated(directory: Path, seed: int) -> pa.Table:
    simulate(directory, customers=1_500, days=DAYS, world="steady", seed=seed)
    return pq.read_table(directory / "events.parquet")


Checked = Callable[..., Quality]


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """Store events (tables as a file holds them) and check them."""

    def check(
        *tables: pa.Table,
        store: MemoryStateStore | None = None,
        settings: QualityConfig | None = None,
        now: datetime = NOW,
        since: datetime | None = None,
    ) -> Quality:
        warehouse = DeltaWarehouse(tmp_path / "events", BUCKETS, engine())
        for number, table in enumerate(tables):
            writer = warehouse.unit(f"unit-{number}")
            cleaned = clean(
                RawChunk(table), load("shoal"), zone=Zone("UTC"), buckets=BUCKETS, file="f"
            )
            assert cleaned.quarantined.num_rows == 0, cleaned.quarantined.slice(0, 1).to_pylist()
            writer.append(cleaned.events)
            writer.resolve()
            writer.commit({})
        return check_quality(
            warehouse=warehouse,
            store=store or MemoryStateStore(),
            quarantine_dir=tmp_path / "quarantine",
            zone=Zone("UTC"),
            config=Config(quality=settings or QualityConfig()),
            since=since,
            clock=lambda: now,
        )

    return check


def found(quality: Quality, check: str, **wanted: Any) -> Finding:
    """The one finding of a check (of a variant, subject, ...)."""
    own = [one for one in quality.findings if one.check == check]
    hits = [one for one in own if all(getattr(one, k) == v for k, v in wanted.items())]
    assert len(hits) == 1, [(one.check, one.variant, one.subject, one.since) for one in own]
    for lang in ("en", "zh"):
        said = told(hits[0], lang)
        assert said.found
        assert said.todo
        assert "{" not in said.found + said.todo
    return hits[0]


def grave(quality: Quality) -> set[str]:
    """Checks that warned or worse."""
    return {one.check for one in quality.findings if one.severity in (WARNING, ERROR)}


def times(table: pa.Table) -> np.ndarray[Any, Any]:
    return table["event_time"].cast(pa.int64()).to_numpy()


def within(table: pa.Table, start: datetime, days: float) -> np.ndarray[Any, Any]:
    us = times(table)
    begin = to_us(start)
    return np.asarray((us >= begin) & (us < begin + int(days * 86_400e6)))


def of_kind(table: pa.Table, kind: str) -> np.ndarray[Any, Any]:
    return pc.equal(table["kind"], kind).to_numpy(zero_copy_only=False)


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    if name not in table.column_names:
        return table.append_column(name, values)
    place = table.schema.get_field_index(name)
    return table.set_column(place, name, values)


def nulled(table: pa.Table, name: str, mask: np.ndarray[Any, Any]) -> pa.Table:
    empty = pa.scalar(None, table.schema.field(name).type)
    return with_column(table, name, pc.if_else(pa.array(mask), empty, table[name]))


def repriced(table: pa.Table, factor: np.ndarray[Any, Any]) -> pa.Table:
    return with_column(table, "price", pc.round(pc.multiply(table["price"], pa.array(factor)), 2))


def renamed(table: pa.Table, suffix: str) -> pa.Table:
    """The same events under other ids."""
    ids = pc.binary_join_element_wise(table["event_id"], suffix, "-")
    return with_column(table, "event_id", ids)


# -- nothing wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_shop_without_fault_has_no_warning(checked: Checked, tmp_path: Path, seed: int) -> None:
    quality = checked(simulated(tmp_path / "raw", seed))
    assert grave(quality) == set()
    assert quality.verdict in (OK, NOTE)
    (source,) = quality.sources
    assert (source.source, source.resolution, len(source.daily)) == ("simulated", "second", DAYS)
    assert sum(source.daily) == quality.events


def test_an_empty_shop_has_nothing_to_tell_of(checked: Checked) -> None:
    quality = checked()
    assert (quality.verdict, quality.events, quality.findings) == (OK, 0, ())
    assert as_document(quality)["schema"] == "shoal.quality/1"


# -- times ----------------------------------------------------------------------------------------


def test_three_days_without_events_are_a_gap(checked: Checked, raw: pa.Table) -> None:
    gone = within(raw, MIDNIGHT + timedelta(hours=10), 3)
    quality = checked(raw.filter(pa.array(~gone)))
    gap = found(quality, "gap")
    assert gap.severity == WARNING
    assert abs(gap.since - (MIDNIGHT + timedelta(hours=10))) < timedelta(hours=2)
    assert abs(gap.until - (MIDNIGHT + timedelta(days=3, hours=10))) < timedelta(hours=2)
    assert gap.figures["expected"] == pytest.approx(int(gone.sum()), rel=0.3)
    assert grave(quality) == {"gap"}  # and not, besides, a change of every kind


def test_a_source_that_fell_silent_is_an_error(checked: Checked, raw: pa.Table) -> None:
    app = with_column(raw, "source", pa.array(["app"] * raw.num_rows))
    app = app.filter(pa.array(times(app) < to_us(MIDNIGHT)))
    quality = checked(raw, app)
    gap = found(quality, "gap", source="app")
    assert (gap.severity, gap.variant, gap.until) == (ERROR, "silent", None)
    assert gap.since == max(app["event_time"].to_pylist())
    assert quality.verdict == ERROR


def test_a_source_that_ended_long_ago_is_a_note(checked: Checked, raw: pa.Table) -> None:
    old = with_column(raw, "source", pa.array(["old"] * raw.num_rows))
    old = old.filter(pa.array(times(old) < to_us(MIDNIGHT - timedelta(days=50))))
    quality = checked(raw, old)
    assert found(quality, "gap", source="old").variant == "ended"
    assert grave(quality) == set()


def test_a_shop_that_fell_silent_is_told_by_the_clock(checked: Checked, raw: pa.Table) -> None:
    last = max(raw["event_time"].to_pylist())
    assert checked(raw, now=last + timedelta(hours=30)).severity("gap") == OK
    gap = found(checked(now=last + timedelta(days=4)), "gap")
    assert (gap.severity, gap.variant, gap.since) == (WARNING, "silent", last)
    assert checked(now=last + timedelta(days=400)).severity("gap") == OK


def test_a_doubled_rate_is_a_change(checked: Checked, raw: pa.Table) -> None:
    again = raw.filter(pa.array(within(raw, MIDNIGHT, 4)))
    quality = checked(raw, renamed(again, "again"))
    change = found(quality, "change")
    assert (change.variant, change.subject, change.severity) == ("more", "", WARNING)
    assert (change.since, change.until) == (DAY, DAY + timedelta(days=3))
    assert change.figures["factor"] == pytest.approx(2, rel=0.25)
    twice = found(quality, "repeated", variant="orders")
    assert (twice.severity, twice.since, twice.until) == (WARNING, DAY, DAY + timedelta(days=3))


def test_orders_told_again_at_another_time(checked: Checked, raw: pa.Table) -> None:
    bought = raw.filter(pa.array(of_kind(raw, "purchase") & within(raw, MIDNIGHT, 4)))
    us = pc.add(bought["event_time"], pa.scalar(timedelta(seconds=90)))
    again = with_column(renamed(bought, "again"), "event_time", us.cast(raw["event_time"].type))
    told_again = found(checked(raw, again), "repeated", variant="again")
    assert (told_again.severity, told_again.since) == (WARNING, DAY)
    assert told_again.until == DAY + timedelta(days=3)
    orders = set(bought["order_id"].to_pylist())
    assert told_again.figures["total"] == len(orders)
    assert told_again.example.removeprefix("order ") in orders
    columns = (bought[name].to_pylist() for name in ("price", "quantity", "discount"))
    paid = sum(price * units - (off or 0) for price, units, off in zip(*columns, strict=True))
    assert told_again.figures["money"] == pytest.approx(float(paid))


def test_a_kind_that_went_missing_is_a_change_of_that_kind(checked: Checked, raw: pa.Table) -> None:
    us = times(raw)
    lost = of_kind(raw, "cart_add") & (us >= to_us(MIDNIGHT))
    change = found(checked(raw.filter(pa.array(~lost))), "change")
    assert (change.subject, change.variant, change.severity) == ("cart_add", "none", ERROR)
    assert (change.since, change.until) == (DAY, None)
    # What has lasted for long is how the shop is now, and no error of an instrument.
    later = found(checked(settings=QualityConfig(ended_days=10)), "change")
    assert (later.severity, later.since, later.until) == (WARNING, DAY, None)


def test_events_of_the_future_are_an_error(checked: Checked, raw: pa.Table) -> None:
    late = raw.slice(0, 100)
    ahead = pc.add(late["event_time"], pa.scalar(timedelta(days=500)))
    late = renamed(with_column(late, "event_time", ahead), "future")
    quality = checked(raw, late)
    future = found(quality, "future")
    assert (future.variant, future.severity, future.count) == ("now", ERROR, 100)
    assert future.since == min(ahead.to_pylist()).date()
    assert future.example.startswith(late["kind"][0].as_py())
    assert grave(quality) == {"future"}


def test_stray_early_events_are_a_warning(checked: Checked, raw: pa.Table) -> None:
    stray = raw.slice(0, 20)
    moment = pa.array([datetime(2001, 1, 1, tzinfo=UTC)] * 20, raw.schema.field("event_time").type)
    quality = checked(raw, renamed(with_column(stray, "event_time", moment), "stray"))
    early = found(quality, "early")
    assert (early.severity, early.count, early.since) == (WARNING, 20, date(2001, 1, 1))
    assert early.figures["starts"] == "2025-01-06"
    assert grave(quality) == {"early"}


def test_clocks_ahead_and_late_receipts(checked: Checked, raw: pa.Table) -> None:
    delay = np.full(raw.num_rows, 30_000_000, dtype=np.int64)
    delay[::10] = 40 * 3_600_000_000
    delay[5::1000] = -3_600_000_000
    received = pa.array(times(raw) + delay).cast(pa.timestamp("us", tz="UTC"))
    quality = checked(with_column(raw, "received_at", received))
    assert found(quality, "delay").figures["p95_hours"] == pytest.approx(40)
    assert found(quality, "delay").severity == WARNING
    ahead = found(quality, "future", variant="receipt")
    assert (ahead.severity, ahead.count) == (WARNING, len(delay[5::1000]))


def test_times_that_lost_their_hour(checked: Checked, raw: pa.Table) -> None:
    us = times(raw)
    lost = (us >= to_us(MIDNIGHT)) & (np.arange(len(us)) % 5 == 0)
    floored = np.where(lost, us // 86_400_000_000 * 86_400_000_000, us)
    table = with_column(raw, "event_time", pa.array(floored).cast(pa.timestamp("us", tz="UTC")))
    midnight = found(checked(table), "midnight")
    assert (midnight.variant, midnight.severity, midnight.since) == ("some", WARNING, DAY)
    assert midnight.share == pytest.approx(0.2, abs=0.02)


def test_facts_of_items_are_no_behaviour(checked: Checked, raw: pa.Table) -> None:
    """Neither their midnight, nor a catalogue that is sent again, nor one that is sent no more."""
    moments = [datetime(2025, 1, 6, tzinfo=UTC)] * 3_000 + [MIDNIGHT] * 3_000
    items = pa.table({
        "event_id": [f"fact-{n}" for n in range(6_000)],
        "kind": ["item"] * 6_000,
        "event_time": pa.array(moments, raw.schema.field("event_time").type),
        "item_id": [f"i{n % 3_000}" for n in range(6_000)],
        "source": ["simulated"] * 3_000 + ["catalogue"] * 3_000,
    })  # fmt: skip
    quality = checked(raw, items)
    assert {one.source for one in quality.sources} == {"simulated", "catalogue"}
    assert grave(quality) == set()


@pytest.mark.parametrize(("orders", "severity"), [(1, OK), (20, WARNING)])
def test_one_order_placed_at_midnight_is_no_loss_of_times(
    checked: Checked, raw: pa.Table, orders: int, severity: str
) -> None:
    lines = [
        {"event_id": f"night-{n}", "kind": "purchase", "event_time": MIDNIGHT, "price": 9.5,
         "customer_id": f"night{n % orders}", "order_id": f"night{n % orders}", "quantity": 1,
         "item_id": f"i{n}", "currency": "EUR", "source": "simulated"}
        for n in range(20)
    ]  # fmt: skip
    assert checked(raw, pa.Table.from_pylist(lines)).severity("midnight") == severity


# -- fields ---------------------------------------------------------------------------------------


def test_a_field_that_goes_null_is_an_error_since_that_day(checked: Checked, raw: pa.Table) -> None:
    lost = of_kind(raw, "purchase") & (times(raw) >= to_us(MIDNIGHT))
    quality = checked(nulled(raw, "price", lost))
    missing = found(quality, "missing")
    assert (missing.severity, missing.subject) == (ERROR, "purchase.price")
    assert (missing.since, missing.until) == (DAY, None)
    assert (missing.count, missing.share) == (int(lost.sum()), 1.0)
    assert found(quality, "orders", variant="no_price").since == DAY


def test_a_field_that_was_null_for_some_days_is_a_warning(checked: Checked, raw: pa.Table) -> None:
    lost = of_kind(raw, "view") & within(raw, MIDNIGHT, 3)
    missing = found(checked(nulled(raw, "item_id", lost)), "missing")
    assert (missing.severity, missing.subject) == (WARNING, "view.item_id")
    assert (missing.since, missing.until) == (DAY, DAY + timedelta(days=2))
    assert missing.example.startswith("view ")


def test_a_field_that_a_source_never_has_is_a_note(checked: Checked, raw: pa.Table) -> None:
    quality = checked(raw.drop_columns(["price", "order_id"]))
    absent = found(quality, "missing", variant="absent", subject="purchase")
    assert absent.figures["fields"] == ["price", "order_id"]
    assert grave(quality) == set()


def test_customers_that_go_missing(checked: Checked, raw: pa.Table) -> None:
    quality = checked(nulled(raw, "customer_id", times(raw) >= to_us(MIDNIGHT)))
    unknown = found(quality, "unknown", variant="purchases")
    assert (unknown.severity, unknown.since) == (ERROR, DAY)
    assert found(quality, "unknown", variant="nobody").since == DAY


def test_a_steady_share_of_guests_is_a_note(checked: Checked, raw: pa.Table) -> None:
    guests = of_kind(raw, "purchase") & (np.arange(raw.num_rows) % 4 == 0)
    quality = checked(nulled(raw, "customer_id", guests))
    assert found(quality, "unknown").severity == NOTE
    assert grave(quality) == set()


def test_prices_out_of_proportion(checked: Checked, raw: pa.Table) -> None:
    rows = np.flatnonzero(of_kind(raw, "purchase"))[:40]
    factor = np.ones(raw.num_rows)
    factor[rows] = 1_000
    quality = checked(repriced(raw, factor))
    outliers = found(quality, "outliers", subject="price")
    assert outliers.severity == WARNING
    assert 40 <= outliers.figures["total"] <= 45
    assert outliers.figures["money_share"] > 0.1
    assert outliers.figures["worst"] > 100 * outliers.figures["usual"]


def test_refunds_beyond_their_order(checked: Checked, raw: pa.Table) -> None:
    quality = checked(repriced(raw, np.where(of_kind(raw, "refund"), 3.0, 1.0)))
    assert found(quality, "refunds", variant="beyond").severity == WARNING


@pytest.mark.parametrize(
    ("back", "off", "beyond"), [(95.0, None, True), (50.0, None, False), (100.0, 50.0, False)]
)
def test_refunds_beyond_what_was_paid_after_discounts(
    checked: Checked, back: float, off: float | None, beyond: bool
) -> None:
    shared = {"item_id": "x", "quantity": 1, "currency": "EUR"}
    rows = [
        {"event_id": f"{kind}{n}", "kind": kind, "event_time": MIDNIGHT + timedelta(hours=n),
         "customer_id": f"c{n}", "order_id": f"o{n}", "price": price, "discount": less} | shared
        for n in range(50)
        for kind, price, less in (("purchase", 100.0, 50.0), ("refund", back, off))
    ]  # fmt: skip
    quality = checked(pa.Table.from_pylist(rows))
    if not beyond:
        assert quality.severity("refunds") == OK
        return
    told_of = found(quality, "refunds", variant="beyond")
    assert (told_of.count, told_of.of, told_of.figures["money"]) == (50, 50, 50 * 45.0)


def test_currencies_mixed_and_unstated(checked: Checked, raw: pa.Table) -> None:
    us = times(raw)
    codes = np.where(us >= to_us(MIDNIGHT), "USD", "EUR").astype(object)
    codes[::50] = None
    quality = checked(with_column(raw, "currency", pa.array(codes, pa.string())))
    several = found(quality, "currencies", variant="several")
    assert several.severity == WARNING
    assert set(several.figures["amounts"]) == {"EUR", "USD"}
    assert several.since >= MIDNIGHT
    assert found(quality, "currencies", variant="unstated").severity == WARNING


def test_a_constant_id_is_a_warning(checked: Checked, raw: pa.Table) -> None:
    same = pa.array(["s1"] * raw.num_rows)
    constant = found(checked(with_column(raw, "session_id", same)), "constant", severity=WARNING)
    assert constant.figures["values"] == {"session_id": "s1"}


def test_an_id_of_very_many(checked: Checked, raw: pa.Table) -> None:
    n = raw.num_rows
    customers = raw["customer_id"].to_pylist()
    customers[: n // 5] = ["unknown-user"] * (n // 5)
    devices = [f"d{place % 400}" if place < n // 5 else f"d{place % 7}" for place in range(n)]
    table = with_column(raw, "customer_id", pa.array(customers))
    quality = checked(with_column(table, "anonymous_id", pa.array(devices)))
    assert found(quality, "shared", variant="events").subject == "unknown-user"
    assert found(quality, "shared", variant="devices").subject == "unknown-user"
    people = found(quality, "shared", variant="people")
    assert people.severity == NOTE
    assert people.figures["limit"] == 20


# -- noise, settings, documents -------------------------------------------------------------------


def test_flagged_visitors_are_counted_while_their_rule_is_on(
    checked: Checked, raw: pa.Table
) -> None:
    store = MemoryStateStore()
    visitor = raw["customer_id"][0].as_py()
    flag = {"visitor_id": visitor, "from_us": 0, "to_us": 2**62, "rule": "rate", "told_us": 1}
    store.flags.replace(None, pa.Table.from_pylist([flag], schema=FLAGS_SCHEMA))
    noise = found(checked(raw, store=store), "noise")
    assert noise.count == pc.sum(pc.equal(raw["customer_id"], visitor)).as_py()
    assert (noise.variant, noise.figures["visitors"]) == ("pace", 1)


def test_since_tells_only_of_what_came_later(checked: Checked, raw: pa.Table) -> None:
    lost = of_kind(raw, "purchase") & within(raw, MIDNIGHT, 3)
    gone = within(raw, MIDNIGHT - timedelta(days=20), 3)
    table = nulled(raw, "price", lost).filter(pa.array(~gone))
    assert grave(checked(table)) >= {"missing", "gap"}
    assert grave(checked(since=MIDNIGHT - timedelta(days=5))) >= {"missing"}
    assert checked(since=MIDNIGHT - timedelta(days=5)).severity("gap") == OK
    later = checked(since=MIDNIGHT + timedelta(days=5))
    assert grave(later) == set()


def test_a_check_that_is_off_tells_nothing(checked: Checked, raw: pa.Table) -> None:
    lost = of_kind(raw, "purchase") & (times(raw) >= to_us(MIDNIGHT))
    table = nulled(raw, "price", lost)
    quality = checked(table, settings=QualityConfig(off=("missing", "orders")))
    assert grave(quality) == set()
    document = as_document(quality)
    assert document["checks"]["missing"] == "off"
    assert set(document["checks"]) == set(CHECKS)


def test_thresholds_decide_what_is_grave(checked: Checked, raw: pa.Table) -> None:
    lost = of_kind(raw, "purchase") & (np.arange(raw.num_rows) % 20 == 0)
    table = nulled(raw, "price", lost)
    assert found(checked(table), "missing", subject="purchase.price").severity == WARNING
    strict = checked(settings=QualityConfig(missing_warning=0.001, missing_error=0.01))
    assert found(strict, "missing", subject="purchase.price").severity == ERROR
    lenient = checked(settings=QualityConfig(missing_warning=0.5, missing_error=0.9))
    assert found(lenient, "missing", subject="purchase.price").severity == NOTE


def test_the_document_tells_all_of_a_finding(checked: Checked, raw: pa.Table) -> None:
    lost = of_kind(raw, "purchase") & (times(raw) >= to_us(MIDNIGHT))
    document = as_document(checked(nulled(raw, "price", lost)))
    assert document["verdict"] == ERROR
    first = document["findings"][0]
    assert first["severity"] == ERROR
    by_check = {one["check"]: one for one in document["findings"]}
    missing = by_check["missing"]
    assert (missing["source"], missing["since"], missing["until"]) == (
        "simulated", "2025-03-26", None,
    )  # fmt: skip
    assert missing["example"].startswith("purchase ")
    assert "price" in missing["message"]
    assert missing["what_to_do"]
    counts = document["counts"]
    assert sum(counts.values()) == len(document["findings"])
