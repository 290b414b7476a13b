"""What a fold promises on every engine: one suite, all engines; a new engine joins in `ENGINES`."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import pytest
from tests.laws import naive_features as naive
from tests.laws.logs import AS_OFS, random_log, to_table
from tests.laws.test_covariate_laws import covariates_of, random_outside
from tests.laws.test_fold_laws import same

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.time import Zone
from shoal.features import reference
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.features.queries import PARTIAL_SCHEMAS
from shoal.features.state import decode, encode
from shoal.ports import Engine

ENGINES: dict[str, Callable[[], Engine]] = {
    "duckdb": lambda: DuckEngine(threads=2, memory_mib=512),
}
ZONE = "Europe/London"
EVENTS = random_log(seed=7, size=400)
AS_OF: datetime = AS_OFS[0]


@lru_cache
def fold_on(engine: str) -> Fold:
    return Fold(CATALOG, ENGINES[engine](), currency="GBP", traits=("plan", "age"))


@pytest.fixture(params=sorted(ENGINES))
def fold(request: pytest.FixtureRequest) -> Fold:
    return fold_on(request.param)


def test_features_are_those_of_plain_python(fold: Fold) -> None:
    table = to_table(EVENTS, ZONE)
    items = reference.build(fold.engine, table, AS_OF)
    got = fold.features(table, AS_OF, Zone(ZONE), items)
    shop = naive.Shop(ZONE, "purchase", "GBP", ("plan", "age"))
    expected = naive.features(EVENTS, AS_OF, shop)
    assert got.column("customer_id").to_pylist() == sorted(expected)
    for row in got.to_pylist():
        for name, value in expected[row["customer_id"]].items():
            if isinstance(row[name], float) and isinstance(value, (float, int)):
                assert math.isclose(row[name], value, rel_tol=1e-9, abs_tol=1e-9), name
            else:
                assert row[name] == value, name


def test_partials_have_their_schemas_and_are_sorted(fold: Fold) -> None:
    partials = fold.partials(to_table(EVENTS, ZONE))
    assert {name: table.schema for name, table in partials.items()} == PARTIAL_SCHEMAS
    for table in partials.values():
        owners = table.column("customer_id").to_pylist()
        assert owners == sorted(owners)


def test_a_merge_of_two_halves_is_the_whole(fold: Fold) -> None:
    whole = encode(fold.partials(to_table(EVENTS, ZONE)))
    first, second = (fold.partials(to_table(EVENTS[n::2], ZONE)) for n in (0, 1))
    assert encode(fold.merge(decode(encode(first)), second)).equals(whole)


def test_a_grain_at_a_moment_holds_the_events_before_it(fold: Fold) -> None:
    past = [event for event in EVENTS if event.event_time < AS_OF]
    got = fold.grain_at("category", to_table(EVENTS, ZONE), AS_OF, Zone(ZONE))
    assert got.equals(fold.partials(to_table(past, ZONE))["category"])
    with pytest.raises(KeyError, match="no_such_grain"):
        fold.grain_at("no_such_grain", to_table(EVENTS, ZONE), AS_OF, Zone(ZONE))


def test_nothing_in_gives_nothing_out(fold: Fold) -> None:
    nothing = fold.partials(to_table([], ZONE))
    assert all(table.num_rows == 0 for table in nothing.values())
    assert fold.finish(nothing, AS_OF, Zone(ZONE)).num_rows == 0


def test_covariates_are_those_of_plain_python(fold: Fold) -> None:
    outside = random_outside(seed=11, size=40)
    met = Fold(CATALOG, fold.engine, currency="GBP", covariates=covariates_of(outside))
    table = to_table(EVENTS, ZONE)
    expected = naive.features(EVENTS, AS_OF, naive.Shop(ZONE, currency="GBP", outside=outside))
    past = to_table([event for event in EVENTS if event.event_time < AS_OF], ZONE)
    names = [one.name for one in met.catalog if one.group == "outside"]
    for got in (
        met.features(table, AS_OF, Zone(ZONE)),
        met.finish(decode(encode(met.partials(past))), AS_OF, Zone(ZONE)),
    ):
        for row in got.to_pylist():
            for name in names:
                assert same(row[name], expected[row["customer_id"]].get(name)), name


def test_settings_that_change_numbers_change_the_fingerprint(fold: Fold) -> None:
    others = [
        Fold(CATALOG, fold.engine, currency="GBP", traits=("plan",)),
        Fold(CATALOG, fold.engine, currency="EUR", traits=("plan", "age")),
        Fold(CATALOG, fold.engine, currency="GBP", traits=("plan", "age"), value_event="review"),
        Fold(CATALOG, fold.engine, currency="GBP", traits=("plan", "age"), tail=8),
    ]
    assert len({fold.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_a_kind_that_does_not_exist_is_no_value_event(fold: Fold) -> None:
    with pytest.raises(ValueError, match="value_event 'buy' is not a kind of event"):
        Fold(CATALOG, fold.engine, value_event="buy")
