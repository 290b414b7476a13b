"""Currency rates: exact, dated, carried over weekends; and amounts converted by them.

A rate is what one unit of a currency was worth in the shop's on a day, kept as an integer of 1e-12
(`rate_pico`), so that conversion is exact arithmetic on whole numbers and the same in any engine.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from shoal.domain.event import MONEY_COLUMNS
from shoal.domain.money import MICROS
from shoal.domain.time import DAY_US, SECOND_US
from shoal.events.money import LARGEST_TOTAL
from shoal.features.admission import RATES_SCHEMA
from shoal.features.algebra import as_int64, epoch_us
from shoal.features.queries import floor_div

PICO: Final = 10**12
#: Amounts of micro-units times rates of 1e-12 need 38 digits.
_EXACT: Final = dt.Decimal(38, 0)


def pico(rate: Decimal) -> int:
    """A rate in whole parts of 1e-12, rounded half to even.

    >>> pico(Decimal("1.0837")), pico(1 / Decimal(3))
    (1083700000000, 333333333333)
    """
    return int((rate * PICO).to_integral_value(rounding=ROUND_HALF_EVEN))


def daily(rates: pa.Table, max_age_days: int) -> pa.Table:
    """Rates for every day (`RATES_SCHEMA`, by currency and day): the latest that is known.

    Args:
        rates: `RATES_SCHEMA`, one row a currency and day that has a rate of its own.
        max_age_days: how long a rate goes on to count where no newer one is given.
    """
    rates = rates.sort_by([("currency", "ascending"), ("day", "ascending")]).combine_chunks()
    if not rates.num_rows:
        return RATES_SCHEMA.empty_table()
    day = rates["day"].to_numpy()
    place = rates["currency"].combine_chunks().dictionary_encode().indices.to_numpy()
    next_day = np.append(day[1:], np.iinfo(np.int64).max)
    next_day[np.append(np.flatnonzero(np.diff(place)), len(day) - 1)] = np.iinfo(np.int64).max
    lasts = np.minimum(next_day - day, max_age_days + 1)
    rows = np.repeat(np.arange(len(day)), lasts)
    later = np.arange(len(rows)) - np.repeat(np.cumsum(lasts) - lasts, lasts)
    taken = rates.take(pa.array(rows))
    days = pc.add(taken["day"], pa.array(later.astype(np.int64)))
    return taken.set_column(1, "day", days).cast(RATES_SCHEMA)


def converted(events: ir.Table, rates: ir.Table, currency: str) -> ir.Table:
    """Events with their amounts in the shop's currency, at the rate of their local day.

    Amounts are rounded half away from zero to whole micro-units. Events in the shop's currency, in
    none, or without a rate for their day stay as they are; so do those that would come to more than
    a row may hold (`LARGEST_TOTAL`), whose sums int64 could not.

    Args:
        events: with `currency`, `event_time`, `utc_offset_s` and money columns; its columns stay.
        rates: `RATES_SCHEMA` into `currency`, as `daily` gives them.
        currency: the shop's.
    """
    money = [name for name in MONEY_COLUMNS if name in events.columns]
    local = epoch_us(events.event_time) + events.utc_offset_s.fill_null(0).cast("int64") * SECOND_US
    dated = events.mutate(local_day=floor_div(local, DAY_US))
    theirs = rates.select(rate_currency=_.currency, rate_day=_.day, rate_pico=_.rate_pico)
    at_rate = dated.left_join(
        theirs,
        (dated.currency == theirs.rate_currency)
        & (dated.local_day == theirs.rate_day)
        & (dated.currency != currency),
    )
    # A rate that does not count is none at all: engines may evaluate what a condition leaves out.
    rated = at_rate.mutate(rate_pico=ibis.ifelse(_fits(at_rate, money), _.rate_pico, None))
    known = rated.rate_pico.notnull()
    amounts = {
        name: ibis.ifelse(known, _times(rated[name], rated.rate_pico), rated[name])
        for name in money
    }
    named = ibis.ifelse(known, currency, rated.currency)
    return rated.mutate(**amounts, currency=named).select(*events.columns)


def _fits(events: ir.Table, money: list[str]) -> Any:
    """Whether every amount at its rate, times the units, is one that a row may hold."""
    units = ibis.literal(1.0)
    if "quantity" in events.columns:
        units = ibis.coalesce(events.quantity.abs().cast("float64"), 1.0)
    largest = ibis.greatest(*(events[name].abs().fill_null(0) for name in money), 0)
    rate = events.rate_pico.cast("float64") / PICO
    return largest.cast("float64") * ibis.greatest(units, 1.0) * rate <= LARGEST_TOTAL * MICROS


def _times(amount: Any, rate: Any) -> Any:
    """amount x rate / 1e12 as int64, rounded half away from zero, exactly.

    Engines divide decimals as floats. So what the first quotient leaves is divided again: it is
    small enough (the product fits, see `_fits`) that its own quotient is right to the unit.
    """
    product = amount.abs().cast(_EXACT) * rate.cast(_EXACT)
    near = (product.cast("float64") / PICO).floor().cast(_EXACT)
    left = product - near * PICO
    more = (left.cast("float64") / PICO).floor().cast(_EXACT)
    rest = left - more * PICO
    rounded = as_int64(near + more) + ibis.ifelse(rest * 2 >= PICO, 1, 0)
    return ibis.ifelse(amount < 0, -rounded, rounded)
