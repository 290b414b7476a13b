"""A file of currency rates as rates into the shop's currency: read, checked, inverted, crossed.

Two layouts are read. *Long*: date, currency, rate (units of the shop's currency for one of it), or
date, from, to, rate (units of `to` for one `from`; `base` and `quote` are the same, as are
`CURRENCY_DENOM` and `CURRENCY` of the ECB's data portal). *Wide*: a date and a column for each
currency, in units of it for one unit of the base, as the ECB's reference rates are published
("Euro foreign exchange reference rates", eurofxref-hist.csv: base EUR, N/A for no quote).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import InputError
from shoal.domain.money import CURRENCIES
from shoal.domain.time import EARLIEST, LATEST
from shoal.events.reading import open_source
from shoal.events.texts import as_text
from shoal.features.rates import pico

_EPOCH: Final = date(1970, 1, 1)
_LEAST, _MOST = Decimal("0.000000001"), Decimal(9_000_000)
#: Two ways to one rate (told and inverted, told and crossed) may differ by their rounding only.
_TOLERANCE: Final = Decimal("0.01")

#: Names of columns, lower case; the first that is there counts.
_DATE: Final = ("date", "day", "rate_date", "as_of", "time_period", "datum")
_RATE: Final = ("rate", "exchange_rate", "fx_rate", "value", "obs_value")
_FROM: Final = ("from", "from_currency", "base", "base_currency", "currency_denom")
_TO: Final = ("to", "to_currency", "quote", "quote_currency", "target", "target_currency")
_CURRENCY: Final = ("currency", "currency_code")
#: A wide table's cells without a quote.
_NO_QUOTE: Final = frozenset({None, "", "N/A", "n/a", "-"})
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Quote:
    """One rate as read: what one unit of `one` is worth in `other` on a day; `row` from 1."""

    row: int
    day: date
    one: str
    other: str
    rate: Decimal


@dataclass(frozen=True)
class Unused:
    """Rates of a pair of currencies that lead nowhere: on how many days, the first, the last."""

    one: str
    other: str
    days: int
    first: date
    last: date

    def as_document(self) -> dict[str, Any]:
        return {
            "from": self.one,
            "to": self.other,
            "days": self.days,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
        }


@dataclass(frozen=True)
class Told:
    """What a file tells: its rates, and filled columns that are no currency in circulation."""

    quotes: Sequence[Quote]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Layout:
    """Which columns hold what. `wide` maps columns to currencies, all in units for one `base`."""

    dated: str
    rate: str = ""
    one: str = ""
    other: str = ""
    base: str = ""
    wide: tuple[tuple[str, str], ...] = ()


def read_quotes(path: Path, currency: str, base: str = "") -> Told:
    """The rates of a file as written.

    Raises:
        InputError: `bad_rates`: columns or a cell cannot be used; and what reading a file raises.
    """
    source = open_source(path)
    layout = _layout(path, source.columns, currency, base)
    quotes: list[Quote] = []
    filled: set[str] = set()
    row = 0
    for chunk in source.chunks():
        if chunk.rejected.num_rows:
            place = int(chunk.rejected["row"][0].as_py())
            raise bad_rates(path, place, "the row cannot be read", "Mend it and load again.")
        cells = {name: as_text(chunk.table[name]).to_pylist() for name in chunk.table.column_names}
        filled |= {name for name in cells if not _NO_QUOTE.issuperset(cells[name])}
        for place in range(chunk.table.num_rows):
            row += 1
            quotes += _row(path, row, layout, {name: cells[name][place] for name in cells})
    used = {layout.dated, *(name for name, _ in layout.wide)}
    ignored = tuple(name for name in source.columns if name in filled - used)
    return Told(quotes, ignored if layout.wide else ())


def _layout(path: Path, columns: Sequence[str], currency: str, base: str) -> _Layout:
    named = {name.strip().lower(): name for name in columns}

    def first(names: tuple[str, ...]) -> str:
        return next((named[name] for name in names if name in named), "")

    dated, rate = first(_DATE), first(_RATE)
    one, other = first(_FROM), first(_TO)
    if one and not other:  # base and currency: units of the currency for one of the base
        other = first(_CURRENCY)
    one = one or first(_CURRENCY)
    if dated and rate and one:
        if rate.strip().lower() == "obs_value" and not other:
            raise bad_rates(path, 0, "OBS_VALUE without CURRENCY_DENOM", "Export both columns.")
        return _Layout(dated, rate, one, other, currency)
    wide = tuple((name, name.strip().upper()) for name in columns if _is_code(name))
    if not dated or not wide:
        shown = ", ".join(map(repr, columns[:_SHOWN]))
        raise bad_rates(
            path, 0, f"found the columns {shown}",
            "A long table has date, currency and rate (units of the shop's currency for one of "
            "it), or date, from, to and rate; a wide one has a date and a column for each "
            "currency, with --base EUR.",
        )  # fmt: skip
    if not base:
        raise bad_rates(path, 0, "a column for each currency, but no base was told",
                        "Give the currency that one unit of is quoted: --base EUR.")  # fmt: skip
    return _Layout(dated, base=_code(path, 0, base), wide=wide)


def _is_code(name: str) -> bool:
    return name.strip().upper() in CURRENCIES


def _row(path: Path, row: int, layout: _Layout, cells: dict[str, str | None]) -> Iterator[Quote]:
    day = _day(path, row, cells[layout.dated])
    for name, code in layout.wide:
        if cells[name] not in _NO_QUOTE:
            yield Quote(row, day, layout.base, code, _rate(path, row, cells[name]))
    if not layout.wide:
        other = _code(path, row, cells[layout.other]) if layout.other else layout.base
        one = _code(path, row, cells[layout.one])
        yield Quote(row, day, one, other, _rate(path, row, cells[layout.rate]))


#: Rates by currency and day; those of (day, one, other) as told.
_ByDay = dict[tuple[str, date], Decimal]
_Pairs = Mapping[tuple[date, str, str], Decimal]


def into_shop(
    quotes: Sequence[Quote], currency: str, path: Path
) -> tuple[dict[tuple[str, int], int], tuple[Unused, ...]]:
    """(currency, day since 1970) -> rate into the shop's currency, times 1e12; what led nowhere.

    As told; where that is not told, inverted; else crossed, either way, over a currency whose rate
    to the shop's the file tells for the same day.

    Raises:
        InputError: `bad_rates`: two rates of a day contradict each other, or none leads to the
            shop's currency.
    """
    told: dict[tuple[date, str, str], Decimal] = {}
    for quote in quotes:
        key = (quote.day, quote.one, quote.other)
        same = quote.one == quote.other and quote.rate != 1
        if told.setdefault(key, quote.rate) != quote.rate or same:
            raise bad_rates(
                path, quote.row,
                f"one {quote.one} in {quote.other} on {quote.day} is "
                f"{1 if same else told[key]} and {quote.rate}",
                "A day has one rate: keep the one that counts.",
            )  # fmt: skip
    found: _ByDay = {}
    for (day, one, other), rate in told.items():
        if other == currency != one:
            found[one, day] = rate
    for (day, one, other), rate in told.items():
        if one == currency != other:
            _agree(path, found, (other, day), 1 / rate, currency)
    left = _crossed(path, found, told, currency)
    if not found:
        raise bad_rates(
            path, 0, f"no rate leads to {currency}, the shop's currency",
            f"Give rates into {currency}, or a wide table of which {currency} is the base or a "
            "column.",
        )  # fmt: skip
    for (name, day), rate in found.items():
        if not _LEAST <= rate <= _MOST:
            raise bad_rates(
                path, 0, f"one {name} on {day} would be {rate:.6g} {currency}",
                f"Rates, worked out ones too, are from {_LEAST:f} to {_MOST}.",
            )  # fmt: skip
    rates = {(name, (day - _EPOCH).days): pico(rate) for (name, day), rate in found.items()}
    return rates, _unused(left)


def _crossed(path: Path, found: _ByDay, told: _Pairs, currency: str) -> list[tuple[date, str, str]]:
    """Add what can be crossed over what is known; returns the pairs that lead nowhere.

    Each round crosses over what was known before it, so that the order of rows changes nothing.
    """
    left = [
        (day, one, other)
        for day, one, other in told
        if one != other and currency not in (one, other)
    ]
    while left:
        known = dict(found)
        nowhere = []
        for day, one, other in left:
            rate = told[day, one, other]
            if (one, day) in known:
                _agree(path, found, (other, day), known[one, day] / rate, currency)
            elif (other, day) in known:
                _agree(path, found, (one, day), known[other, day] * rate, currency)
            else:
                nowhere.append((day, one, other))
        if len(nowhere) == len(left):
            break
        left = nowhere
    return left


def _unused(pairs: Sequence[tuple[date, str, str]]) -> tuple[Unused, ...]:
    days: dict[tuple[str, str], list[date]] = {}
    for day, one, other in pairs:
        days.setdefault((one, other), []).append(day)
    return tuple(
        Unused(one, other, len(own), min(own), max(own))
        for (one, other), own in sorted(days.items())
    )


def _agree(
    path: Path, found: dict[tuple[str, date], Decimal], key: tuple[str, date], rate: Decimal,
    currency: str,
) -> None:  # fmt: skip
    """Take a rate that was worked out, unless one is known that it must then agree with."""
    known = found.setdefault(key, rate)
    if abs(known - rate) > _TOLERANCE * known:
        name, day = key
        raise bad_rates(
            path, 0, f"one {name} in {currency} on {day} is {known:.6g} one way and {rate:.6g} "
            "another", "Rates of a day must agree with each other.",
        )  # fmt: skip


def _day(path: Path, row: int, text: str | None) -> date:
    try:
        day = datetime.fromisoformat((text or "").strip()).date()
    except ValueError:
        day = date.min
    if not EARLIEST.date() <= day < LATEST.date():
        raise bad_rates(
            path, row, f"date {text!r}", "Dates are ISO 8601, from 1990 to 2099: 2024-03-01."
        )
    return day


def _code(path: Path, row: int, text: str | None) -> str:
    code = (text or "").strip().upper()
    if code not in CURRENCIES:
        raise bad_rates(
            path, row, f"currency {text!r}", "An ISO 4217 code in circulation, such as USD."
        )
    return code


def _rate(path: Path, row: int, text: str | None) -> Decimal:
    try:
        rate = Decimal((text or "").strip().replace("_", "?"))
    except InvalidOperation:
        rate = Decimal("NaN")
    if not rate.is_finite() or not _LEAST <= rate <= _MOST:
        raise bad_rates(
            path, row, f"rate {text!r}", f"A number from {_LEAST:f} to {_MOST}, with a point."
        )
    return rate


def bad_rates(path: Path, row: int, received: str, allowed: str) -> InputError:
    """The error of a file of rates; `row` 0 speaks of the whole file."""
    where = f"{path}, row {row}" if row else str(path)
    return InputError(
        "bad_rates", f"the rates cannot be used: {received}", where=where, hint=allowed
    )
