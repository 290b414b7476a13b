"""Amounts of several currencies: added only where each has a rate for its day, else refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.errors import InputError
from shoal.domain.money import MICROS
from shoal.domain.time import DAY_US, SECOND_US, to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.algebra import epoch_us, total
from shoal.features.queries import floor_div, no_noise, told_once, unbound
from shoal.ports import Engine, Relation

_NAMES: Final = (
    "kind", "event_time", "utc_offset_s", "price", "quantity", "currency", "source", "noise",
)  # fmt: skip
_READ: Final = pa.schema([TABLE_SCHEMA.field(name) for name in _NAMES])
_CLOCK: Final = pa.schema([pa.field("before_us", pa.int64())])
#: Stretches of days and currencies named in a message.
_SHOWN: Final = 5
_TO_RATES: Final = "Load a table of rates: shoal rates SHOP FILE (date, currency, rate)."


@dataclass
class Stake:
    """What is at stake in one currency: events, their amount (micro-units of it) and days."""

    currency: str
    events: int = 0
    amount: int = 0
    days: dict[int, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.currency} {self.amount / MICROS:,.2f} in {self.events:,} events"


def refuse_mixed(
    engine: Engine,
    events: Relation,
    *,
    currency: str,
    rates: pa.Table,
    value_event: str = kinds.PURCHASE,
    before: datetime | None = None,
    noise: Sequence[str] = (),
    order_sources: tuple[str, ...] = (),
) -> None:
    """Raise where amounts of several currencies would be added without rates.

    Events in no currency are taken as the shop's. Amounts of zero need no rate.

    Args:
        events: the event table's, as stored.
        currency: the shop's; empty where it has none, so any one currency may stand for it.
        rates: `RATES_SCHEMA` into it, one row a day (`shoal.features.rates.daily`); may be empty.
        value_event: kind that counts as buying; refunds count too.
        before: only events before this moment; None: all.
        noise: codes whose events do not count.
        order_sources: sources whose orders count; none: every source's.

    Raises:
        InputError: `mixed_currencies`, the shop has no rates; `rates_missing`, it has some, but not
            for all days. Both name the currencies, how many events, and the amounts.
    """
    kinds_read = tuple(sorted({value_event, kinds.REFUND}))
    query = engine.compile(_amounts(kinds_read, tuple(noise), order_sources))
    clock = pa.table({"before_us": [2**62 if before is None else to_us(before)]}, schema=_CLOCK)
    rows = engine.run(query, {"events": events, "clock": clock}).to_pylist()
    foreign = [row for row in rows if row["currency"] != currency]
    if not foreign or (not currency and len({row["currency"] for row in foreign}) == 1):
        return
    if not currency:
        raise _mixed(_stakes(foreign), "")
    known = set(zip(rates["currency"].to_pylist(), rates["day"].to_pylist(), strict=True))
    lacking = [row for row in foreign if (row["currency"], row["day"]) not in known]
    if lacking and not known:
        raise _mixed(_stakes(lacking), currency)
    if lacking:
        raise _missing(_stakes(lacking), currency)


@lru_cache(maxsize=16)
def _amounts(
    kinds_read: tuple[str, ...], noise: tuple[str, ...], order_sources: tuple[str, ...]
) -> ir.Table:
    """Priced events a currency and local day: `n` and `amount`."""
    events, clock = unbound(_READ, "events"), unbound(_CLOCK, "clock")
    rows = events.filter(_.kind.isin(kinds_read), _.currency.notnull(), _.price > 0)
    if noise:
        rows = rows.filter(no_noise(noise))
    if order_sources:
        rows = rows.filter(told_once(order_sources))
    rows = rows.cross_join(clock).filter(epoch_us(_.event_time) < _.before_us)
    local = epoch_us(_.event_time) + _.utc_offset_s.fill_null(0).cast("int64") * SECOND_US
    units = ibis.coalesce(rows.quantity, 1).cast("int64")
    dated = rows.mutate(local_us=local, amount=rows.price * units)
    return (
        dated.mutate(day=floor_div(_.local_us, DAY_US))
        .group_by("currency", "day")
        .agg(n=_.count(), amount=total(_.amount))
        .order_by("currency", "day")
    )


def _stakes(rows: list[dict[str, Any]]) -> list[Stake]:
    """By currency, the largest number of events first."""
    found: dict[str, Stake] = {}
    for row in rows:
        one = found.setdefault(row["currency"], Stake(row["currency"]))
        one.events += row["n"]
        one.amount += row["amount"]
        one.days[row["day"]] = row["n"]
    return sorted(found.values(), key=lambda one: (-one.events, one.currency))


def _listed(stakes: list[Stake]) -> str:
    shown = "; ".join(map(str, stakes[:_SHOWN]))
    return shown + (f"; and {len(stakes) - _SHOWN} more" if len(stakes) > _SHOWN else "")


def _mixed(stakes: list[Stake], currency: str) -> InputError:
    if not currency:
        return InputError(
            "mixed_currencies",
            f"amounts in several currencies, and the shop has none of its own: {_listed(stakes)}",
            where="shop.currency",
            hint='Name the shop\'s currency in shop.toml, [shop] currency = "EUR". ' + _TO_RATES,
        )
    return InputError(
        "mixed_currencies",
        f"amounts in other currencies than {currency}, and no rates: {_listed(stakes)}",
        where="shop.currency",
        hint=f"They cannot be added to {currency}. {_TO_RATES}",
    )


def _missing(stakes: list[Stake], currency: str) -> InputError:
    shown = "; ".join(f"{one} on {_stretches(sorted(one.days))}" for one in stakes[:_SHOWN])
    more = f"; and {len(stakes) - _SHOWN} more currencies" if len(stakes) > _SHOWN else ""
    return InputError(
        "rates_missing",
        f"no rate into {currency} for {shown}{more}",
        where="rates",
        hint="A rate counts for its day and up to 7 days after. Load the days that lack one: "
        "shoal rates SHOP FILE; shoal rates SHOP --list shows what there is.",
    )


def _stretches(days: list[int]) -> str:
    """Days as stretches of dates.

    >>> _stretches([0, 1, 2, 9])
    '1970-01-01 to 1970-01-03, 1970-01-10'
    """
    from shoal.domain.time import from_us

    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][1] + 1:
            runs[-1][1] = day
        else:
            runs.append([day, day])
    dates = [[f"{from_us(day * DAY_US):%Y-%m-%d}" for day in run] for run in runs[:_SHOWN]]
    shown = ", ".join(first if first == last else f"{first} to {last}" for first, last in dates)
    more = len(runs) - _SHOWN
    return shown + (f" and {more} more stretches" if more > 0 else "")
