"""Currency rates of a shop: kept as versions, each with all that is known; current by a pointer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.domain.errors import UsageError
from shoal.domain.time import Clock, system_clock
from shoal.features.admission import RATES_SCHEMA
from shoal.ports import Registry, StateStore

if TYPE_CHECKING:
    from shoal.workflows.rates_file import Unused

KIND: Final = "rates"
#: Pointer to the rates that count.
POINTER: Final = "rates"
SCHEMA: Final = "shoal.rates/1"

_FILE: Final = "rates.parquet"
_DOCUMENT: Final = "rates.json"
_EPOCH: Final = date(1970, 1, 1)
_PICO: Final = 10**12

#: What one unit of a currency was worth on a day (since 1970), times 1e12.
Held = dict[tuple[str, int], int]


@dataclass(frozen=True)
class Currency:
    """What is known of one currency: days with a rate of their own, and the latest of them."""

    name: str
    days: int
    first: date
    last: date
    latest_pico: int

    @property
    def latest(self) -> float:
        """The latest rate, for people; sums use the exact one."""
        return self.latest_pico / _PICO


@dataclass(frozen=True)
class Rates:
    """The rates of a shop into its currency; `rates_id` is None before the first load."""

    rates_id: str | None
    currency: str
    currencies: tuple[Currency, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.rates/1`."""
        return {
            "schema": SCHEMA,
            "rates_id": self.rates_id,
            "currency": self.currency,
            "currencies": {
                one.name: {
                    "days": one.days,
                    "from": one.first.isoformat(),
                    "to": one.last.isoformat(),
                    "latest": one.latest,
                }
                for one in self.currencies
            },
            "from": min((one.first.isoformat() for one in self.currencies), default=None),
            "to": max((one.last.isoformat() for one in self.currencies), default=None),
        }


@dataclass(frozen=True)
class Loaded:
    """What a load of rates did, and what the shop has now.

    `read` rates were told by the file; of the days and currencies that they give a rate for, `new`
    were not known, `changed` had another rate before. `ignored` are columns that are no currency in
    circulation; `unused` are rates that lead to the shop's currency neither told, inverted nor
    crossed over another of their day; `replaced` is the currency of rates that were dropped,
    because the shop has another one now.
    """

    rates: Rates
    read: int
    new: int
    changed: int
    ignored: tuple[str, ...] = ()
    replaced: str = ""
    unused: tuple[Unused, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.rates/1`, with what became of the file's rows."""
        return self.rates.as_document() | {
            "rows": {"read": self.read, "new": self.new, "changed": self.changed},
            "ignored": list(self.ignored),
            "unused": [one.as_document() for one in self.unused],
            "replaced": self.replaced or None,
        }


def load(
    *,
    store: StateStore,
    registry: Registry,
    path: Path,
    currency: str,
    base: str = "",
    clock: Clock = system_clock,
) -> Loaded:
    """Merge a file of rates over those that the shop has; for a day in both the file counts.

    Args:
        path: a long table (date, currency, rate) or a wide one (a date column, a column for each
            currency with the units of it for one `base`); CSV, JSON Lines or Parquet.
        currency: the shop's, into which amounts are converted.
        base: of a wide table, the currency that one unit of is quoted.

    Raises:
        UsageError: `bad_setting`, the shop has no currency.
        InputError: `bad_rates`, with file, row, what was received and what is allowed; nothing is
            changed. `input_missing`, `input_unreadable`, `input_empty`.
        OperationError: `shop_locked`, `disk_full`, `no_permission`.
    """
    if not currency:
        raise UsageError(
            "bad_setting",
            "the shop has no currency to convert into",
            where="shop.currency",
            hint='Set it in shop.toml, [shop] currency = "EUR", or ingest priced events first.',
        )
    from shoal.workflows.rates_file import into_shop, read_quotes

    told = read_quotes(path, currency, base)
    found, unused = into_shop(told.quotes, currency, path)
    with store.lease():
        chosen = store.get_pointer(POINTER)
        before = _currency_of(registry, chosen) if chosen else currency
        known = _held(registry, chosen) if chosen and before == currency else {}
        merged = known | found
        with registry.create(KIND, "rates") as directory:
            pq.write_table(_table(merged), directory / _FILE)
            document = {"schema": SCHEMA, "currency": currency, "rows": len(merged)}
            (directory / _DOCUMENT).write_text(json.dumps(document) + "\n", encoding="utf-8")
            rates_id = directory.name
        store.set_pointer(POINTER, rates_id, clock())
    return Loaded(
        Rates(rates_id, currency, _currencies(merged)),
        read=len(told.quotes),
        new=len(found.keys() - known.keys()),
        changed=sum(known[key] != found[key] for key in found.keys() & known.keys()),
        ignored=told.ignored,
        replaced="" if before == currency else before,
        unused=unused,
    )


def current(store: StateStore, registry: Registry, currency: str) -> Rates:
    """What rates the shop has into its currency."""
    chosen = store.get_pointer(POINTER)
    if chosen is None or _currency_of(registry, chosen) != currency:
        return Rates(None, currency)
    return Rates(chosen, currency, _currencies(_held(registry, chosen)))


def daily_rates(
    store: StateStore, registry: Registry, max_age_days: int, currency: str = ""
) -> pa.Table:
    """The shop's rates for every day (`RATES_SCHEMA`); none where it has no rates.

    Args:
        max_age_days: how long a rate goes on to count where no newer one is given.
        currency: the shop's; rates into another one do not count. Empty: whatever they lead to.
    """
    chosen = store.get_pointer(POINTER)
    if chosen is None or (currency and _currency_of(registry, chosen) != currency):
        return RATES_SCHEMA.empty_table()
    from shoal.features.rates import daily

    return daily(_read(registry, chosen), max_age_days)


def _read(registry: Registry, rates_id: str) -> pa.Table:
    return pq.read_table(registry.path(KIND, rates_id) / _FILE).cast(RATES_SCHEMA)


def _currency_of(registry: Registry, rates_id: str) -> str:
    text = (registry.path(KIND, rates_id) / _DOCUMENT).read_text(encoding="utf-8")
    return str(json.loads(text)["currency"])


def _held(registry: Registry, rates_id: str) -> Held:
    table = _read(registry, rates_id)
    keys = zip(table["currency"].to_pylist(), table["day"].to_pylist(), strict=True)
    return dict(zip(keys, table["rate_pico"].to_pylist(), strict=True))


def _table(held: Held) -> pa.Table:
    keys = sorted(held)
    columns = [[name for name, _ in keys], [day for _, day in keys], [held[key] for key in keys]]
    return pa.table(columns, schema=RATES_SCHEMA)


def _currencies(held: Held) -> tuple[Currency, ...]:
    days: dict[str, list[int]] = {}
    for name, day in held:
        days.setdefault(name, []).append(day)
    return tuple(
        Currency(
            name,
            len(found),
            _EPOCH + timedelta(days=min(found)),
            _EPOCH + timedelta(days=max(found)),
            held[name, max(found)],
        )
        for name, found in sorted(days.items())
    )
