"""What quarantined rows would be worth: amounts by month, as far as the raw rows can be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shoal.domain import kinds
from shoal.domain.kinds import kind_of
from shoal.domain.money import MICROS
from shoal.domain.time import Zone, from_us
from shoal.events.guess import SYNONYMS
from shoal.events.times import read_times
from shoal.features.months import ByMonth
from shoal.ports import StateStore
from shoal.workflows.quarantine import Counted

#: Quarantined rows looked at; more would be another problem than a difference with the books.
_ROWS: Final = 500_000
_READ: Final = ("event_time", "price", "quantity", "kind", "discount")


@dataclass
class Quarantined:
    """Of quarantined purchases and refunds: rows read and not, and what they come to by month."""

    readable: int = 0
    unreadable: int = 0
    gross: ByMonth = field(default_factory=dict)
    refunds: ByMonth = field(default_factory=dict)


def quarantined(store: StateStore, directory: Path, zone: Zone) -> Quarantined:
    """The money of quarantined rows, columns told by their names.

    Rows of another kind than purchase or refund do not count, nor do those that a later file stated
    again; a negative amount is taken as it is.
    """
    found = Quarantined()
    held = Counted(store, directory, missing_ok=True)
    for unit in held.units:
        for batch in held.rows(unit):
            if found.readable + found.unreadable >= _ROWS:
                return found
            _add(found, [_fields(raw) for raw in batch["raw"].to_pylist()], zone)
    return found


def _fields(raw: str) -> Mapping[str, str | None]:
    """A raw row's canonical fields, by the names that columns go by."""
    try:
        row = json.loads(raw)
    except ValueError:
        return {}
    if not isinstance(row, dict):
        return {}
    named = {"".join(c for c in key.lower() if c.isalnum()): value for key, value in row.items()}
    return {
        name: next(
            (_text(named[one]) for one in SYNONYMS[name].split() if one in named), None
        )
        for name in _READ
    }  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _add(found: Quarantined, rows: list[Mapping[str, str | None]], zone: Zone) -> None:
    times = read_times(pa.array([row.get("event_time") for row in rows], pa.string()), zone)
    useless = times.missing | times.bad | times.absurd
    for row, us, unknown in zip(rows, times.us.tolist(), useless.tolist(), strict=True):
        kind = kind_of(row.get("kind") or kinds.PURCHASE)
        if kind not in (kinds.PURCHASE, kinds.REFUND, None):
            continue
        amount = None if unknown else _amount(row)
        if amount is None:
            found.unreadable += 1
            continue
        found.readable += 1
        local = from_us(us + zone.offset_s(from_us(us)) * 1_000_000)
        month = local.year * 12 + local.month - 1
        sums = found.refunds if kind == kinds.REFUND else found.gross
        sums[month] = sums.get(month, 0) + (abs(amount) if kind == kinds.REFUND else amount)


def _amount(row: Mapping[str, str | None]) -> int | None:
    try:
        price = Decimal(row.get("price") or "NaN")
        amount = price * Decimal(row.get("quantity") or 1) - Decimal(row.get("discount") or 0)
    except InvalidOperation:
        return None
    return int(amount * MICROS) if amount.is_finite() and abs(amount) < 10**12 else None
