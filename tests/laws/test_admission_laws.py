"""Noise and orders told twice count as if they had never come."""

from __future__ import annotations

import random
from functools import lru_cache

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.logs import AS_OFS, logs, to_table

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.event import Event
from shoal.domain.time import Zone
from shoal.events.noise import ROW_RULES
from shoal.features import reference
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold

ZONE = "Europe/London"


@lru_cache
def fold(noise: tuple[str, ...] = ROW_RULES, order_sources: tuple[str, ...] = ()) -> Fold:
    return Fold(CATALOG, DuckEngine(threads=2), noise=noise, order_sources=order_sources)


def features(one: Fold, events: list[Event], noise: list[str | None]) -> list[dict[str, object]]:
    table = to_table(events, ZONE, noise)
    items = reference.build(one.engine, table, AS_OFS[-1], one.rules.noise)
    rows: list[dict[str, object]] = one.features(table, AS_OFS[-1], Zone(ZONE), items).to_pylist()
    return rows


@settings(max_examples=6)
@given(logs(max_size=30), st.integers(0, 2**32))
def test_noise_counts_as_if_it_had_never_come(events: list[Event], seed: int) -> None:
    chance = random.Random(seed)
    noise = [chance.choice([None, None, *ROW_RULES]) for _ in events]
    kept = [event for event, code in zip(events, noise, strict=True) if code is None]
    nothing: list[str | None] = [None] * len(kept)
    assert features(fold(), events, noise) == features(fold(), kept, nothing)
    partials = fold().partials(to_table(events, ZONE, noise))
    for name, table in fold().partials(to_table(kept, ZONE)).items():
        assert partials[name].equals(table), name


def test_a_rule_that_is_switched_off_catches_nothing() -> None:
    events = [event for event in _log() if event.customer_id is not None]
    marked: list[str | None] = ["agent"] * len(events)
    nothing: list[str | None] = [None] * len(events)
    off = fold(noise=("address",))
    assert features(off, events, marked) == features(off, events, nothing)
    assert features(fold(), events, marked) == []


def test_orders_of_other_sources_do_not_count() -> None:
    events = _log()
    told = [event if n % 2 else _from(event, "books") for n, event in enumerate(events)]
    kept = [e for e in told if e.source == "books" or e.kind not in ("purchase", "refund")]
    assert len(kept) < len(told)
    nothing: list[str | None] = [None] * len(told)
    one = fold(order_sources=("books",))
    # the reference of items is of all sources, so it is left out of the comparison
    got = one.features(to_table(told, ZONE, nothing), AS_OFS[-1], Zone(ZONE))
    assert got.equals(one.features(to_table(kept, ZONE), AS_OFS[-1], Zone(ZONE)))


def _log() -> list[Event]:
    from tests.laws.logs import random_log

    return random_log(7, 40)


def _from(event: Event, source: str) -> Event:
    from dataclasses import replace

    return replace(event, source=source)
