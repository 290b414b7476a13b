"""Currency rates of a shop: read from a file, checked, kept as versions, current by a pointer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.domain.errors import InputError, UsageError
from shoal.domain.money import CURRENCIES
from shoal.domain.time import Clock, system_clock
from shoal.events.reading import open_source
from shoal.events.texts import as_text
from shoal.features.admission import RATES_SCHEMA
from shoal.ports import Registry, StateStore

KIND: Final = "rates"
#: Pointer to the rates that count.
POINTER: Final = "rates"
SCHEMA: Final = "shoal.rates/1"

_FILE: Final = "rates.parquet"
_DOCUMENT: Final = "rates.json"
_EPOCH: Final = date(1970, 1, 1)
_LEAST, _MOST = Decimal("0.000000001"), Decimal("9000000")

#: Names of the columns of a long table, lower case; the first that is there counts.
_DATE: Final = ("date", "day", "time_period", "datum", "as_of")
_FROM: Final = ("currency", "from", "from_currency", "currency_code", "quote_currency")
_TO: Final = ("to", "to_currency", "base", "base_currency")
_RATE: Final = ("rate", "value", "exchange_rate", "obs_value")


@dataclass(frozen=True)
class Loaded:
    """What a load of rates did, and what the shop has now."""

    rates_id: str
    currency: str
    read: int
    new: int
    changed: int
    currencies: tuple[str, ...]
    first: date
    last: date

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.rates/1`."""
        return {
            "schema": SCHEMA,
            "rates_id": self.rates_id,
            "currency": self.currency,
            "rows": {"read": self.read, "new": self.new, "changed": self.changed},
            "currencies": list(self.currencies),
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
        }


@dataclass(frozen=True)
class _Quote:
    """One rate as read: what one unit of `currency` is worth in `into` on a day."""

    row: int
    day: date
    currency: str
    into: str
    rate: Decimal


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
    """
    if not currency:
        raise UsageError(
            "bad_setting",
            "the shop has no currency to convert into",
            where="shop.currency",
            hint='Set it in shop.toml, [shop] currency = "EUR", or ingest priced events first.',
        )
    quotes = list(_quotes(path, currency, base))
    found = _into_shop(quotes, currency, path)
    with store.lease():
        known = _held(store, registry)
        merged = known | found
        table = _table(merged)
        with registry.create(KIND, "rates") as directory:
            pq.write_table(table, directory / _FILE)
            document = {"schema": SCHEMA, "currency": currency, "rows": table.num_rows}
            (directory / _DOCUMENT).write_text(json.dumps(document) + "\n", encoding="utf-8")
            rates_id = directory.name
        store.set_pointer(POINTER, rates_id, clock())
    return Loaded(
        rates_id,
        currency,
        read=len(quotes),
        new=len(found.keys() - known.keys()),
        changed=sum(known[key] != found[key] for key in found.keys() & known.keys()),
        currencies=tuple(sorted({name for name, _ in merged})),
        first=_EPOCH + timedelta(days=min(day for _, day in merged)),
        last=_EPOCH + timedelta(days=max(day for _, day in merged)),
    )


def current(store: StateStore, registry: Registry) -> dict[str, Any]:
    """What rates the shop has: `shoal.rates/1` with the days of each currency."""
    held = _held(store, registry)
    days: dict[str, list[int]] = {}
    for name, day in held:
        days.setdefault(name, []).append(day)
    return {
        "schema": SCHEMA,
        "rates_id": store.get_pointer(POINTER),
        "currencies": {
            name: {
                "days": len(found),
                "from": (_EPOCH + timedelta(days=min(found))).isoformat(),
                "to": (_EPOCH + timedelta(days=max(found))).isoformat(),
            }
            for name, found in sorted(days.items())
        },
    }


def daily_rates(store: StateStore, registry: Registry, max_age_days: int) -> pa.Table:
    """The shop's rates for every day (`RATES_SCHEMA`); none where it has no rates."""
    chosen = store.get_pointer(POINTER)
    if chosen is None:
        return RATES_SCHEMA.empty_table()
    from shoal.features.rates import daily

    return daily(_read(registry, chosen), max_age_days)


def _read(registry: Registry, rates_id: str) -> pa.Table:
    return pq.read_table(registry.path(KIND, rates_id) / _FILE).cast(RATES_SCHEMA)


def _held(store: StateStore, registry: Registry) -> dict[tuple[str, int], int]:
    chosen = store.get_pointer(POINTER)
    if chosen is None:
        return {}
    rows = _read(registry, chosen).to_pylist()
    return {(row["currency"], row["day"]): row["rate_pico"] for row in rows}


def _table(held: dict[tuple[str, int], int]) -> pa.Table:
    rows = [
        {"currency": name, "day": day, "rate_pico": rate}
        for (name, day), rate in sorted(held.items())
    ]
    return pa.Table.from_pylist(rows, schema=RATES_SCHEMA)


def _quotes(path: Path, currency: str, base: str) -> Iterator[_Quote]:
    """The rates of a file as written."""
    source = open_source(path)
    names = {name.strip().lower(): name for name in source.columns}
    dated = next((names[name] for name in _DATE if name in names), None)
    rate = next((names[name] for name in _RATE if name in names), None)
    from_ = next((names[name] for name in _FROM if name in names), None)
    into = next((names[name] for name in _TO if name in names), None)
    wide = [name for name in source.columns if name.strip().upper() in CURRENCIES]
    if dated is None or not ((rate and from_) or wide):
        raise _bad(
            path, 0, f"found the columns {', '.join(map(repr, source.columns[:40]))}",
            "A long table has date, currency and rate (units of the shop's currency for one of "
            "it); a wide one has a date and a column for each currency, with --base EUR.",
        )  # fmt: skip
    if not (rate and from_) and not base:
        raise _bad(path, 0, "a column for each currency, but no base was told",
                   "Give the currency that one unit of is quoted: --base EUR.")  # fmt: skip
    row = 0
    for chunk in source.chunks():
        if chunk.rejected.num_rows:
            raise _bad(path, int(chunk.rejected["row"][0].as_py()), "the row cannot be read",
                       "Mend it, and load the file again.")  # fmt: skip
        columns = {name: as_text(chunk.table[name]).to_pylist() for name in source.columns}
        for place in range(chunk.table.num_rows):
            row += 1
            day = _day(path, row, columns[dated][place])
            if rate and from_:
                target = (columns[into][place] if into else None) or currency
                yield _Quote(
                    row, day, _code(path, row, columns[from_][place]),
                    _code(path, row, target), _rate(path, row, columns[rate][place]),
                )  # fmt: skip
                continue
            for name in wide:
                text = columns[name][place]
                if text in (None, "", "N/A", "-"):
                    continue  # a day without a quote of that currency
                quote = _rate(path, row, text)
                yield _Quote(row, day, _code(path, row, base), name.strip().upper(), quote)


def _into_shop(quotes: list[_Quote], currency: str, path: Path) -> dict[tuple[str, int], int]:
    """Rates into the shop's currency: as told, inverted, or crossed over the base of a day."""
    from shoal.features.rates import pico

    told: dict[tuple[date, str, str], Decimal] = {}
    for quote in quotes:
        key = (quote.day, quote.currency, quote.into)
        if told.setdefault(key, quote.rate) != quote.rate:
            raise _bad(
                path, quote.row,
                f"{quote.currency} in {quote.into} on {quote.day} is {told[key]} and {quote.rate}",
                "One rate a day: keep the one that counts.",
            )  # fmt: skip
    found: dict[tuple[str, int], int] = {}
    for (day, one, other), rate in told.items():
        number = (day - _EPOCH).days
        if other == currency and one != currency:
            found[one, number] = pico(rate)
        elif one == currency and other != currency:
            found[other, number] = pico(1 / rate)
        elif (cross := told.get((day, one, currency))) is not None and other != currency:
            found[other, number] = pico(cross / rate)
            found[one, number] = pico(cross)
    if not found:
        raise _bad(
            path, 0, f"no rate leads to {currency}, the shop's currency",
            f"Give rates into {currency}, or a wide table whose base or columns have it.",
        )  # fmt: skip
    return found


def _day(path: Path, row: int, text: str | None) -> date:
    try:
        return datetime.fromisoformat((text or "").strip()).date()
    except ValueError:
        raise _bad(path, row, f"date {text!r}", "Dates are ISO 8601: 2024-03-01.") from None


def _code(path: Path, row: int, text: str | None) -> str:
    code = (text or "").strip().upper()
    if code not in CURRENCIES:
        raise _bad(path, row, f"currency {text!r}", "An ISO 4217 code in circulation, such as USD.")
    return code


def _rate(path: Path, row: int, text: str | None) -> Decimal:
    try:
        rate = Decimal((text or "").strip())
    except InvalidOperation:
        rate = Decimal("NaN")
    if not rate.is_finite() or not _LEAST <= rate <= _MOST:
        raise _bad(path, row, f"rate {text!r}", f"A number from {_LEAST} to {_MOST}.")
    return rate


def _bad(path: Path, row: int, received: str, allowed: str) -> InputError:
    where = f"{path}, row {row}" if row else str(path)
    return InputError(
        "bad_rates", f"the rates cannot be used: {received}", where=where, hint=allowed
    )
