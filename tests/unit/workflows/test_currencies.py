"""Several currencies without rates are refused, with the amounts at stake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from tests.shops import engine

from shoal.domain.errors import InputError
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.admission import RATES_SCHEMA
from shoal.features.rates import PICO, daily
from shoal.workflows.currencies import refuse_mixed

DAY_US = 86_400_000_000
Known = Sequence[tuple[str, int]]
FIRST = 19_783  # 2024-03-01


def bought(currency: str | None, units: float, day: int = 0, **more: Any) -> dict[str, Any]:
    event = {"kind": "purchase", "event_time": (FIRST + day) * DAY_US, "currency": currency,
             "price": int(units * 1_000_000), "utc_offset_s": 0}  # fmt: skip
    return event | more


def check(rows: list[dict[str, Any]], known: Known = (), **more: Any) -> None:
    rates = pa.Table.from_pylist(
        [{"currency": name, "day": FIRST + day, "rate_pico": PICO} for name, day in known],
        schema=RATES_SCHEMA,
    )
    arguments: dict[str, Any] = {"currency": "EUR", "rates": daily(rates, 7)} | more
    refuse_mixed(engine(), pa.Table.from_pylist(rows, schema=TABLE_SCHEMA), **arguments)


def refused(rows: list[dict[str, Any]], known: Known = (), **more: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        check(rows, known, **more)
    return caught.value


def test_currencies_without_rates_are_named_with_events_and_amounts() -> None:
    rows = [
        bought("EUR", 5), bought("USD", 10.5, quantity=3), bought("USD", 1, kind="refund"),
        bought("JPY", 2_000), bought(None, 7), bought("GBP", 0), bought("CHF", 3, kind="view"),
    ]  # fmt: skip
    error = refused(rows)
    assert error.code == "mixed_currencies"
    assert error.message == (
        "amounts in other currencies than EUR, and no rates: "
        "USD 32.50 in 2 events; JPY 2,000.00 in 1 events"
    )
    assert "shoal rates SHOP FILE" in error.hint


def test_one_other_currency_alone_is_refused_too() -> None:
    assert refused([bought("USD", 5)]).code == "mixed_currencies"


def test_a_shop_without_a_currency_takes_any_one_but_not_two() -> None:
    check([bought("USD", 5), bought(None, 5)], currency="")
    error = refused([bought("USD", 5), bought("GBP", 5)], currency="")
    assert error.code == "mixed_currencies"
    assert "[shop] currency" in error.hint


def test_days_beyond_a_rate_s_week_are_missing() -> None:
    rows = [bought("USD", 4, day) for day in (0, 7, 8, 9, 12)] + [bought("GBP", 3, 1)]
    error = refused(rows, [("USD", 0)])
    assert error.code == "rates_missing"
    assert error.message == (
        "no rate into EUR for USD 12.00 in 3 events on 2024-03-09 to 2024-03-10, 2024-03-13; "
        "GBP 3.00 in 1 events on 2024-03-02"
    )
    assert "up to 7 days after" in error.hint
    check(rows, [("USD", 0), ("USD", 8), ("GBP", 0)])


def test_what_does_not_count_is_at_no_stake() -> None:
    later = datetime(2024, 3, 5, tzinfo=UTC)
    check([bought("USD", 5, 4), bought("EUR", 5)], before=later)
    assert refused([bought("USD", 5, 3)], before=later).code == "mixed_currencies"
    check([bought("USD", 5, noise="test_order")], noise=("test_order",))
    check([bought("USD", 5, source="web")], order_sources=("shop",))
    check([bought("USD", 5, kind="review")], value_event="purchase")
    assert refused([bought("USD", 5, kind="review")], value_event="review").message


def test_the_day_is_the_shop_s_local_one() -> None:
    late = bought("USD", 5, event_time=(FIRST + 9) * DAY_US - 1, utc_offset_s=3_600)
    assert "2024-03-10" in refused([late], [("USD", 1)]).message
    check([late], [("USD", 2)])
