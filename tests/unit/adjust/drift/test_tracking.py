"""Faults of the tracking told from behaviour, on daily counts with a rhythm of the week."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from tests.drift_looks import look

from shoal.adjust.adjustment import BROKEN
from shoal.adjust.drift.breaks import broken
from shoal.adjust.drift.detect import detect
from shoal.adjust.drift.tracking import faults
from shoal.adjust.settings import AdjustSettings
from shoal.domain.time import DAY_US, from_us
from shoal.features.rhythm import RHYTHM_SCHEMA

FIRST, DAYS = 19_000, 70
LAST = FIRST + DAYS
GROUPS = {("web", "view"): 400, ("web", "purchase"): 60, ("app", "view"): 200,
          ("app", "purchase"): 40}  # fmt: skip
WEEK = np.array([0.8, 0.8, 0.9, 1.0, 1.1, 1.4, 1.3])

Change = Callable[[dict[str, object]], None]


def rhythm(change: Change | None = None, since: int = DAYS - 4, until: int = DAYS, seed: int = 0):
    """Ten weeks; `change` edits the rows of days [since, until)."""
    random = np.random.default_rng(seed)
    rows = []
    for day in range(DAYS):
        shop = WEEK[day % 7] * np.exp(random.normal(0, 0.05))
        for (source, kind), level in GROUPS.items():
            events = int(random.poisson(level * shop))
            row = {
                "day": FIRST + day, "source": source, "kind": kind, "events": events,
                "visitors": max(int(events / 4), 1), "largest": 8,
                "with_customer_id": int(random.binomial(events, 0.6)),
                "with_item_id": events, "with_category": int(random.binomial(events, 0.9)),
                "with_price": events if kind == "purchase" else 0,
                "with_night": int(random.binomial(events, 0.1)),
                "mean_price": 3 + random.normal(0, 0.05) if kind == "purchase" else None,
            }  # fmt: skip
            if change is not None and since <= day < until:
                change(row)
            if row["events"]:
                rows.append(row)
    return pa.Table.from_pylist(rows, schema=RHYTHM_SCHEMA)


def told(table) -> list[tuple[str, str]]:
    return [(one.what, one.fault) for one in faults(table, until=LAST)]


@pytest.mark.parametrize("seed", range(12))
def test_a_rhythm_without_fault_tells_of_none(seed):
    assert told(rhythm(seed=seed)) == []


def of(source: str, kind: str = "", **more: Callable[[dict[str, object]], object]) -> Change:
    def change(row: dict[str, object]) -> None:
        if row["source"] == source and kind in ("", row["kind"]):
            row |= {name: work(row) for name, work in more.items()}

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (of("app", events=lambda row: 0), ("app", "stopped")),
        (of("web", "purchase", events=lambda row: 0), ("web purchase", "stopped")),
        (of("web", "view", with_category=lambda row: 0), ("web view category", "missing")),
        (of("app", "view", with_item_id=lambda row: row["events"] // 2),
         ("app view item_id", "missing")),
        (of("app", "purchase", mean_price=lambda row: row["mean_price"] + np.log(100)),
         ("app purchase price", "scaled")),
        (of("web", "purchase", mean_price=lambda row: row["mean_price"] + np.log(2)),
         ("web purchase price", "scaled")),
        (of("app", "view", with_night=lambda row: row["events"] // 2),
         ("app hour", "shifted")),
        (of("app", "view", with_customer_id=lambda row: 0), ("app view customer_id", "missing")),
        (of("web", events=lambda row: 2 * row["events"]), ("web", "repeated")),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_whom_and_since(change, expected):
    found = faults(rhythm(change), until=LAST)
    assert expected in [(one.what, one.fault) for one in found]
    one = next(one for one in found if (one.what, one.fault) == expected)
    assert one.lasts
    assert (one.start, one.end) == (LAST - 4, LAST)
    assert len({other.what.split()[0] for other in found}) == 1


def all_more(row):
    for name in ("events", "visitors", "with_customer_id", "with_item_id", "with_category",
                 "with_price", "with_night"):  # fmt: skip
        row[name] = 3 * row[name]


def all_less(row):
    for name in ("events", "visitors", "with_customer_id", "with_item_id", "with_category",
                 "with_price", "with_night"):  # fmt: skip
        row[name] = row[name] // 3


def test_a_festival_and_a_quiet_week_are_behaviour():
    assert told(rhythm(all_more)) == []
    assert told(rhythm(all_less)) == []


def test_a_sale_of_all_sources_is_behaviour():
    def cheaper(row):
        if row["mean_price"] is not None:
            row["mean_price"] -= 0.6

    assert told(rhythm(cheaper)) == []


def test_a_flood_from_one_visitor_is_no_fault():
    def flooded(row):
        if (row["source"], row["kind"]) == ("web", "view"):
            row["events"] += 50_000
            row["largest"] = 50_000

    assert told(rhythm(flooded)) == []


def test_a_slow_decline_of_a_source_is_no_fault():
    def declining(row):
        row["events"] = int(row["events"] * (1 - (row["day"] - FIRST) / 90)) if (
            row["source"] == "app") else row["events"]  # fmt: skip
        row["visitors"] = max(int(row["events"] / 4), 1)

    assert [one for one in told(rhythm(declining, since=0)) if one[1] == "stopped"] == []


def test_no_event_at_all_is_one_fault_of_everything():
    silent = rhythm().filter(pa.compute.less(rhythm()["day"], LAST - 7))
    assert told(silent) == [("events", "stopped")]


def test_a_fault_that_is_over_blocks_learning_for_four_weeks():
    stopped = of("app", events=lambda row: 0)
    moment = from_us(LAST * DAY_US)
    over = broken(None, rhythm(stopped, DAYS - 12, DAYS - 6), moment)
    assert over.alarms == ()
    assert over.blocked == ("app",)
    long_ago = broken(None, rhythm(stopped, DAYS - 38, DAYS - 32), moment)
    assert long_ago.blocked == ()


@pytest.mark.parametrize(
    ("ago", "days", "blocks"),
    [(12, 2, False), (12, 3, True), (31, 6, True), (32, 6, False)],
)
def test_a_short_fault_that_is_over_is_lost_in_the_windows(ago, days, blocks):
    """Six days that ended 25 days ago are still three of the last 28."""
    silent = rhythm(lambda row: row.update(events=0, visitors=0), DAYS - ago, DAYS - ago + days)
    moment = from_us(LAST * DAY_US)
    assert faults(silent, until=LAST)[0].what == "events"
    assert broken(None, silent, moment).blocked == (("events",) if blocks else ())


def test_a_day_that_had_many_times_its_events_counts_as_many():
    moment = from_us(LAST * DAY_US)
    for times, blocks in ((2, ()), (6, ("app",))):
        table = rhythm(of("app", events=lambda row, n=times: n * row["events"]), DAYS - 9, DAYS - 8)
        assert [one.fault for one in faults(table, until=LAST)] == ["repeated"]
        assert broken(None, table, moment).blocked == blocks


def test_facts_about_persons_alarm_and_block_no_learning():
    """Of people who come once, a young log has ever fewer: no segment is learned from it."""
    moment = from_us(LAST * DAY_US)
    table = rhythm(of("app", "purchase", events=lambda row: 0))
    found = {}
    for kind in ("profile", "favourite"):
        called = pa.compute.replace_substring(table["kind"], "purchase", kind)
        of_kind = table.set_column(2, RHYTHM_SCHEMA.field("kind"), called)
        found[kind] = broken(None, of_kind, moment)
    assert [one.what for one in found["profile"].alarms] == ["app profile"]
    assert found["profile"].blocked == ()
    assert found["favourite"].blocked == ("app favourite",)


def test_the_alarm_holds_a_series_to_draw_and_learning_is_blocked():
    now = look(0)
    table = rhythm(of("app", events=lambda row: 0))
    shift = now.moment - from_us(LAST * DAY_US)
    days = pa.array(np.asarray(table["day"].to_numpy()) + shift.days)
    table = table.set_column(0, RHYTHM_SCHEMA.field("day"), days)
    import dataclasses

    found = detect(
        dataclasses.replace(now, rhythm=table), [], monitors=None, settings=AdjustSettings()
    )
    assert found.blocked == ("app",)
    alarm = found.alarms[0]
    assert (alarm.subject, alarm.what, alarm.harmful) == (BROKEN, "app", None)
    assert alarm.since == now.moment.replace(hour=0) - (4 * (from_us(DAY_US) - from_us(0)))
    series = alarm.evidence["series"]
    assert series[-1]["value"] == 0
    assert series[-1]["expected"] > 100


def test_an_empty_rhythm_tells_nothing():
    assert faults(RHYTHM_SCHEMA.empty_table()) == []
    assert broken(None, RHYTHM_SCHEMA.empty_table(), datetime(2024, 1, 1, tzinfo=UTC)).alarms == ()
