"""A customer's events, newest first, page by page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.event import MONEY_COLUMNS
from shoal.domain.money import MICROS
from shoal.domain.time import iso, to_us
from shoal.workflows.identity_view import Identity

#: What only the storage needs.
_COLUMNS: Final = (
    "e.* EXCLUDE (bucket, event_key, content_key, utc_offset_s, scope_key, scope_version)"
)


@dataclass(frozen=True)
class Before:
    """The last event of the page before; the next page begins with the one before it in time.

    Args:
        us: its time, microseconds since 1970.
        sequence, event_id, source: tell it from others of the same time.
    """

    us: int
    sequence: int
    event_id: str
    source: str


def timeline(
    identity: Identity,
    customer_id: str,
    *,
    before: Before | None = None,
    as_of: datetime | None = None,
    kind: str | None = None,
    limit: int = 100,
) -> tuple[list[dict[str, Any]], Before | None]:
    """Events of a person, also those of devices that are theirs, and where the next page begins.

    Args:
        as_of: only what happened before it.
        kind: those of a kind alone.

    Raises:
        InputError: `too_little_data`, the shop holds no event.
    """
    person = identity.person(customer_id, as_of)
    asked = identity.page(person, _COLUMNS, *_where(before, kind), limit + 1)
    rows = asked.to_pylist()
    told = [_told(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return told, None
    last = rows[limit - 1]
    return told, Before(
        to_us(last["event_time"]), last["sequence"] or 0, last["event_id"], last["source"] or ""
    )


def _where(before: Before | None, kind: str | None) -> tuple[str, Mapping[str, Any]]:
    """A condition over `e`, the events, and `p`, the parameters, and their values."""
    conditions, given = [], {"us": 0, "sequence": 0, "event_id": "", "source": "", "kind": ""}
    if before is not None:
        given.update(vars(before))
        conditions.append(
            "(epoch_us(e.event_time), coalesce(e.sequence, 0), e.event_id, coalesce(e.source, ''))"
            " < (p.us, p.sequence, p.event_id, p.source)"
        )
    if kind is not None:
        given["kind"] = kind
        conditions.append("e.kind = p.kind")
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", given


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """An event as it is told: without what is empty, amounts in units of their currency."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if value is None:
            continue
        if isinstance(value, datetime):
            found[name] = iso(value)
        elif name in MONEY_COLUMNS:
            found[name] = value / MICROS
        elif name == "properties":
            found[name] = _members(value)
        else:
            found[name] = value
    return found


def _members(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
