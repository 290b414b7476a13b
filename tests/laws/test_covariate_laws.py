"""Covariates: the fold agrees with plain Python, in any split and order, and as of any moment."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws import naive_features as naive
from tests.laws.logs import AS_OFS, TURNS, ZONES, logs, to_table
from tests.laws.test_fold_laws import same

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.event import Event
from shoal.domain.time import Zone, to_us
from shoal.features import reference
from shoal.features.catalog import CATALOG
from shoal.features.covariates import COVARIATES_SCHEMA, Covariates, CovariateTable
from shoal.features.fold import Fold
from shoal.features.state import decode, encode

_FAST = settings(max_examples=8)
_ENGINE = DuckEngine(threads=2)
EPOCH = date(1970, 1, 1)

TABLES = (
    CovariateTable("weather", ("day", "region"), ("rain", "temp"), period="day"),
    CovariateTable("calendar", ("day",), ("holiday",), ("holiday",), period="day", always=True),
    CovariateTable("macro", ("day", "country"), ("index",), period="month"),
    CovariateTable("promo", ("day", "category"), ("off",), depth=2, period="day"),
    CovariateTable("metal", ("category",), ("price",), always=True),
    CovariateTable("likes", ("item_id",), ("n",), always=True),
    CovariateTable("place", ("country", "region"), ("people",), always=True),
)
DEPTHS = {table.name: table.depth for table in TABLES}
NOW_DAYS = {"weather": 7, "macro": 62}


def random_outside(seed: int, size: int) -> tuple[naive.Outside, ...]:
    """Tables with gaps, rows known late and rows that no event meets."""
    chance = random.Random(seed)
    days = sorted(
        {
            turn.date() + timedelta(days=chance.choice([-1, 0, 0, 1, 6, 27, -90]))
            for turn in TURNS + AS_OFS
        }
    )

    def at(key: str) -> object:
        return {
            "day": lambda: chance.choice(days),
            "country": lambda: chance.choice(["GB", "DE", "FR"]),
            "region": lambda: chance.choice(["London", "Rome"]),
            "category": lambda: chance.choice(["home/lamp", "toys/wood", "toys", "home", "x/y"]),
            "item_id": lambda: chance.choice(["i1", "i2", "i9"]),
        }[key]()

    made = []
    for table in TABLES:
        rows: dict[tuple[object, ...], naive.Told] = {}
        for _n in range(chance.randrange(1, size + 2)):
            place = {key.replace("day", "date"): at(key) for key in table.keys}
            if "category" in place and str(place["category"]).count("/") != table.depth - 1:
                continue
            known = None
            if not table.always:
                known = chance.choice(TURNS + AS_OFS) + timedelta(
                    microseconds=chance.choice([-1, 0, 1]), days=chance.choice([0, 1, -200])
                )
            values = {
                column: chance.choice([0.0, 1.0, -3.25, 1e6, 0.1])
                for column in table.columns
                if chance.random() < 0.8
            }
            rows[tuple(place.values())] = naive.Told(place, values, known)
        now = NOW_DAYS.get(table.name)
        made.append(
            naive.Outside(table.name, table.columns, tuple(rows.values()), now, table.depth)
        )
    return tuple(made)


def covariates_of(outside: Sequence[naive.Outside]) -> Covariates:
    rows = [
        {
            "source": table.name,
            "covariate": f"{table.name}.{column}",
            "day": (told.at["date"] - EPOCH).days if "date" in told.at else None,  # type: ignore[operator]
            **{key: value for key, value in told.at.items() if key != "date"},
            "micros": round(value * 1e6),
            "known_us": 0 if told.known is None else to_us(told.known),
        }
        for table in outside
        for told in table.rows
        for column, value in told.values.items()
    ]
    return Covariates(TABLES, pa.Table.from_pylist(rows, schema=COVARIATES_SCHEMA), ("x-0001",))


def fold_of(outside: Sequence[naive.Outside]) -> Fold:
    """Folds of one definition share their compiled queries."""
    return Fold(CATALOG, _ENGINE, currency="GBP", tail=5, covariates=covariates_of(outside))


def own(fold: Fold) -> list[str]:
    return [one.name for one in fold.catalog if one.group == "outside"]


@settings(max_examples=16)
@given(
    events=logs(200),
    seed=st.integers(0, 2**32),
    as_of=st.sampled_from(AS_OFS),
    zone=st.sampled_from(ZONES),
    value_event=st.sampled_from(("purchase", "review")),
)
def test_every_covariate_feature_is_what_plain_python_says(
    events: list[Event], seed: int, as_of: datetime, zone: str, value_event: str
) -> None:
    outside = random_outside(seed, 30)
    fold = Fold(CATALOG, _ENGINE, value_event=value_event, covariates=covariates_of(outside))
    got = fold.features(to_table(events, zone), as_of, Zone(zone))
    shop = naive.Shop(zone, value_event, outside=outside)
    expected = naive.features(events, as_of, shop)
    assert got.column("customer_id").to_pylist() == sorted(expected)
    assert set(got.column_names) == {"customer_id", *fold.catalog.names}
    for row in got.to_pylist():
        wanted = expected[row["customer_id"]]
        wrong = {n: (row[n], wanted.get(n)) for n in own(fold) if not same(row[n], wanted.get(n))}
        assert not wrong, f"(fold, naive) of {row['customer_id']}: {wrong}"


def test_the_random_tables_are_met_by_random_events() -> None:
    """The law above would hold of tables that no event meets, too."""
    from tests.laws.logs import random_log

    outside, events = random_outside(5, 60), random_log(3, 600)
    fold = fold_of(outside)
    got = fold.features(to_table(events, "UTC"), AS_OFS[-1], Zone("UTC"))
    known = {name for name in own(fold) if got[name].null_count < got.num_rows}
    assert {f"{name}_{column}_mean" for name, column in
            (("weather", "rain"), ("calendar", "holiday"), ("promo", "off"), ("metal", "price"),
             ("likes", "n"), ("place", "people"))} <= known  # fmt: skip


@_FAST
@given(
    events=logs(80),
    seed=st.integers(0, 2**16),
    cuts=st.lists(st.integers(0, 80), max_size=2),
)
def test_any_split_and_order_gives_the_same_bytes(
    events: list[Event], seed: int, cuts: list[int]
) -> None:
    fold = fold_of(random_outside(seed, 40))
    whole = encode(fold.partials(to_table(events, "Europe/London")))
    shuffled = random.Random(seed).sample(events, len(events))
    bounds = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    state = fold.partials(to_table([], "Europe/London"))
    for start, stop in itertools.pairwise(bounds):
        new = fold.partials(to_table(shuffled[start:stop], "Europe/London"))
        state = fold.merge(new, decode(encode(state)))
    assert encode(state).equals(whole)


@_FAST
@given(events=logs(80), seed=st.integers(0, 2**16))
def test_merge_is_associative_and_commutative(events: list[Event], seed: int) -> None:
    fold = fold_of(random_outside(seed, 40))
    chance = random.Random(seed)
    parts: list[list[Event]] = [[], [], []]
    for event in events:
        parts[chance.randrange(3)].append(event)
    a, b, c = (fold.partials(to_table(part, "America/New_York")) for part in parts)
    left = encode(fold.merge(fold.merge(a, b), c))
    assert left.equals(encode(fold.merge(a, fold.merge(b, c))))
    assert left.equals(encode(fold.merge(c, fold.merge(b, a))))


@_FAST
@given(
    events=logs(80),
    seed=st.integers(0, 2**16),
    as_of=st.sampled_from(AS_OFS),
    zone=st.sampled_from(ZONES),
)
def test_stream_and_batch_say_the_same(
    events: list[Event], seed: int, as_of: datetime, zone: str
) -> None:
    fold = fold_of(random_outside(seed, 40))
    past = [event for event in events if event.event_time < as_of]
    half = len(past) // 2
    stored = fold.partials(to_table(past[:half], zone))
    state = fold.merge(stored, fold.partials(to_table(past[half:], zone)))
    items = reference.build(fold.engine, to_table(events, zone), as_of)
    stream = fold.finish(decode(encode(state)), as_of, Zone(zone), items)
    batch = fold.features(to_table(events, zone), as_of, Zone(zone), items)
    assert stream.select(own(fold)).equals(batch.select(own(fold)))


@_FAST
@given(
    events=logs(100),
    seed=st.integers(0, 2**16),
    as_of=st.sampled_from(AS_OFS),
    zone=st.sampled_from(ZONES),
)
def test_nothing_that_happened_or_was_known_after_t_changes_a_snapshot_at_t(
    events: list[Event], seed: int, as_of: datetime, zone: str
) -> None:
    outside = random_outside(seed, 40)
    known = tuple(
        replace(
            table,
            rows=tuple(row for row in table.rows if row.known is None or row.known <= as_of),
        )
        for table in outside
    )
    past = [event for event in events if event.event_time < as_of]
    then = fold_of(known).features(to_table(past, zone), as_of, Zone(zone))
    now = fold_of(outside).features(to_table(events, zone), as_of, Zone(zone))
    assert now.select(own(fold_of(known))).equals(then.select(own(fold_of(known))))


@pytest.mark.parametrize(("later_us", "expected"), [(-1, None), (0, 3.0), (1, 3.0)])
def test_a_value_counts_from_the_moment_it_is_known(later_us: int, expected: float | None) -> None:
    moment = AS_OFS[4]
    event = Event(event_id="e", kind="view", event_time=TURNS[-1], customer_id="a", region="Rome")
    day = TURNS[-1].date()
    row = naive.Told({"date": day, "region": "Rome"}, {"rain": 3.0}, moment)
    fold = fold_of((naive.Outside("weather", ("rain", "temp"), (row,), 7),))
    as_of = moment + timedelta(microseconds=later_us)
    for got in (
        fold.features(to_table([event], "UTC"), as_of, Zone("UTC")),
        fold.finish(fold.partials(to_table([event], "UTC")), as_of, Zone("UTC")),
    ):
        assert got["weather_rain_mean"].to_pylist() == [expected]
        assert got["weather_temp_mean"].to_pylist() == [None]


def test_a_fold_without_covariates_has_none_and_costs_no_query() -> None:
    fold = Fold(CATALOG, _ENGINE)
    assert own(fold) == []
    partials = fold.partials(to_table([], "UTC"))
    assert partials["covariate"].num_rows == 0
    assert not fold.covariates.tables


def test_other_rows_are_another_fold() -> None:
    covariates = covariates_of(random_outside(1, 5))
    one = Fold(CATALOG, _ENGINE, covariates=covariates)
    other = Fold(CATALOG, _ENGINE, covariates=replace(covariates, ids=("x-0002",)))
    assert one.fingerprint != other.fingerprint
