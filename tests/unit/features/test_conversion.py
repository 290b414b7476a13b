"""Rates: carried over weekends, converted exactly, whatever the engine does with decimals."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shops import engine

from shoal.domain.money import MICROS
from shoal.events.money import LARGEST_TOTAL
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.admission import RATES_SCHEMA
from shoal.features.queries import unbound
from shoal.features.rates import PICO, converted, daily, pico

NAMES = (
    "event_time", "utc_offset_s", "currency", "price", "discount", "tax", "shipping", "quantity",
)  # fmt: skip
SCHEMA = pa.schema([TABLE_SCHEMA.field(name) for name in NAMES])
DAY_US = 86_400_000_000
RATES = unbound(RATES_SCHEMA, "rates")


def rates(*rows: tuple[str, int, int]) -> pa.Table:
    columns = ["currency", "day", "rate_pico"]
    return pa.Table.from_pylist(
        [dict(zip(columns, row, strict=True)) for row in rows], schema=RATES_SCHEMA
    )


def convert(rows: list[dict[str, object]], known: pa.Table) -> list[dict[str, object]]:
    events = pa.Table.from_pylist(rows, schema=SCHEMA)
    query = engine().compile(converted(unbound(SCHEMA, "events"), RATES, "EUR"))
    return engine().run(query, {"events": events, "rates": known}).to_pylist()


def event(price: int, currency: str | None = "USD", day: int = 100, **more: object):
    return {"event_time": day * DAY_US, "utc_offset_s": 0, "currency": currency, "price": price,
            "quantity": 1} | more  # fmt: skip


def test_a_rate_lasts_until_the_next_or_a_week() -> None:
    known = daily(rates(("USD", 10, 5), ("USD", 12, 6), ("GBP", 11, 7)), max_age_days=7)
    found = {(row["currency"], row["day"]): row["rate_pico"] for row in known.to_pylist()}
    assert found == {
        **{("GBP", day): 7 for day in range(11, 19)},
        **{("USD", day): 5 for day in (10, 11)},
        **{("USD", day): 6 for day in range(12, 20)},
    }
    assert daily(rates(), 7).num_rows == 0


def test_amounts_take_the_rate_of_their_local_day() -> None:
    late = 101 * DAY_US - 3_600_000_000
    rows = [
        event(1_000_000, event_time=late),
        event(1_000_000, event_time=late, utc_offset_s=7_200, tax=None, discount=500_000),
        event(1_000_000, currency="EUR"),
        event(1_000_000, currency=None),
        event(1_000_000, currency="GBP"),
        event(1_000_000, day=102),
    ]
    found = convert(rows, rates(("USD", 100, PICO // 2), ("USD", 101, PICO * 2)))
    assert sorted((row["price"], str(row["currency"])) for row in found) == [
        (500_000, "EUR"), (1_000_000, "EUR"), (1_000_000, "GBP"), (1_000_000, "None"),
        (1_000_000, "USD"), (2_000_000, "EUR"),
    ]  # fmt: skip
    (next_day,) = (row for row in found if row["utc_offset_s"] == 7_200)
    assert (next_day["discount"], next_day["tax"]) == (1_000_000, None)


@given(
    st.lists(
        st.tuples(
            st.integers(-(10**15), 10**15),
            st.one_of(st.integers(1, 9 * 10**18), st.integers(1, 200).map(lambda n: n * PICO // 2)),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_conversion_is_exact_half_away_from_zero(pairs: list[tuple[int, int]]) -> None:
    known = rates(*(("USD", place, rate) for place, (_, rate) in enumerate(pairs)))
    rows = [event(amount, day=place) for place, (amount, _) in enumerate(pairs)]
    found = {row["event_time"]: row for row in convert(rows, known)}
    assert len(found) == len(pairs)
    for place, (amount, rate) in enumerate(pairs):
        half_up = (2 * abs(amount) * rate + PICO) // (2 * PICO)
        wanted = half_up if amount >= 0 else -half_up
        row = next(found[time] for time in found if time.timestamp() == place * 86_400)
        if row["currency"] == "EUR":
            assert row["price"] == wanted
        else:  # more than a row may hold
            assert row["price"] == amount
            assert abs(wanted) > 0.999 * LARGEST_TOTAL * MICROS


def test_what_a_row_cannot_hold_stays_as_it_was() -> None:
    many = event(10**15, quantity=100)
    (row,) = convert([many], rates(("USD", 100, 25_000 * PICO)))
    assert (row["price"], row["currency"]) == (10**15, "USD")


@pytest.mark.parametrize(
    ("rate", "wanted"), [("1", PICO), ("0.0000000000005", 0), ("0.0000000000015", 2)]
)
def test_rates_are_whole_parts_rounded_half_to_even(rate: str, wanted: int) -> None:
    assert pico(Decimal(rate)) == wanted
