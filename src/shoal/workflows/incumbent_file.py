"""A file of an existing segmentation: customer and segment, and since when where it says so.

Every row is accounted for: `read = used + duplicate + conflicting + incomplete + unknown`. A
customer may be named once for each date. Of one date (or none), rows that say the same count once
and rows that contradict each other count as none, because nobody can tell which is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import parse_moment
from shoal.events.reading import open_source
from shoal.events.texts import as_text

#: Names of columns, lower case; the first that is there counts.
CUSTOMER: Final = ("customer_id", "customer", "user_id", "userid", "client_id", "member_id", "id")
SEGMENT: Final = ("segment", "segment_id", "segment_name", "cluster", "group", "label")
SINCE: Final = ("since", "from", "valid_from", "start", "started_at", "assigned_at", "date")

#: Ids and names of rows that are told as examples.
_EXAMPLES: Final = 5
_SHOWN: Final = 40
#: More segments than this are no segmentation but an id or a score.
MOST_SEGMENTS: Final = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """A customer's segment; `since` None where the file does not say."""

    customer_id: str
    segment: str
    since: datetime | None


@dataclass
class Account:
    """Where each row of the file went, with a few examples of those not used."""

    read: int = 0
    used: int = 0
    duplicate: int = 0
    conflicting: int = 0
    incomplete: int = 0
    unknown: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, what: str, example: str) -> None:
        known = self.examples.setdefault(what, [])
        if len(known) < _EXAMPLES and example not in known:
            known.append(example)

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        counts = ("read", "used", "duplicate", "conflicting", "incomplete", "unknown")
        return {**{name: getattr(self, name) for name in counts}, "examples": dict(self.examples)}


@dataclass(frozen=True)
class Incumbent:
    """The rows of a file that can be used: those of each customer, oldest first.

    Args:
        dated: whether the file says since when; without, rows hold at any time.
    """

    entries: dict[str, tuple[Entry, ...]]
    dated: bool
    account: Account
    columns: tuple[str, ...]

    def at(self, moment: datetime | None = None) -> dict[str, str]:
        """Segment of each customer as of a moment (None: the latest); who has none then is absent.

        A membership that began at the moment itself is not yet known, as with events.
        """
        found = {}
        for customer, entries in self.entries.items():
            known = [
                one for one in entries if moment is None or one.since is None or one.since < moment
            ]
            if known:
                found[customer] = known[-1].segment
        return found


def read_incumbent(path: Path, customer_of: Callable[[str], str | None]) -> Incumbent:
    """The segmentation in a CSV, JSONL or Parquet file.

    Args:
        customer_of: the shop's customer of an id; None where the shop knows none.

    Raises:
        InputError: `unknown_columns`; `input_unusable`, no row can be used; and what reading a file
            raises.
        UsageError: `usage`, more than `MOST_SEGMENTS` segments.
    """
    source = open_source(path)
    columns = _columns(path, source.columns)
    account = Account()
    rows: dict[str, list[Entry]] = {}
    for customer, segment, since in _rows(source, columns, account):
        known = customer_of(customer)
        if known is None:
            account.unknown += 1
            account.note("unknown", customer)
            continue
        rows.setdefault(known, []).append(Entry(known, segment, since))
    entries = {customer: _settled(found, account) for customer, found in rows.items()}
    entries = {customer: found for customer, found in entries.items() if found}
    account.used = sum(len(found) for found in entries.values())
    _check(path, entries, account)
    return Incumbent(entries, len(columns) == 3, account, columns)


def _columns(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The columns of customer, segment and, if there is one, since."""
    lower = {name.strip().lower(): name for name in names}

    def first(wanted: Sequence[str]) -> str | None:
        return next((lower[name] for name in wanted if name in lower), None)

    customer, segment, since = first(CUSTOMER), first(SEGMENT), first(SINCE)
    if customer is None or segment is None:
        lacks = " and ".join(
            what
            for what, name in (("the customer", customer), ("the segment", segment))
            if name is None
        )
        raise InputError(
            "unknown_columns",
            f"no column of {path.name} holds {lacks}; found {', '.join(map(repr, names[:_SHOWN]))}",
            where=str(path),
            hint=f"Name the columns customer_id and segment (also: {', '.join(CUSTOMER[1:])}; "
            f"{', '.join(SEGMENT[1:])}), and since where it is known.",
        )
    return (customer, segment) if since is None else (customer, segment, since)


def _rows(
    source: Any, columns: Sequence[str], account: Account
) -> Iterator[tuple[str, str, datetime | None]]:
    for chunk in source.chunks():
        account.read += chunk.table.num_rows + chunk.rejected.num_rows
        account.incomplete += chunk.rejected.num_rows
        if chunk.rejected.num_rows:
            account.note("incomplete", f"row {chunk.rejected['row'][0].as_py()}: cannot be read")
        cells = [as_text(chunk.table[name]).to_pylist() for name in columns]
        for row in zip(*cells, strict=True):
            customer, segment = (cell.strip() if cell else "" for cell in row[:2])
            since, bad = _moment(row[2] if len(row) > 2 else None, len(row) > 2)
            if not customer or not segment or bad:
                account.incomplete += 1
                account.note("incomplete", f"{customer or '?'}: {bad or 'no segment or no id'}")
            else:
                yield customer, segment, since


def _moment(text: str | None, asked: bool) -> tuple[datetime | None, str]:
    if not asked or not (text or "").strip():
        return None, ""
    try:
        return parse_moment((text or "").strip()), ""
    except UsageError:
        return None, f"since is {text!r}"


def _settled(found: Sequence[Entry], account: Account) -> tuple[Entry, ...]:
    """One row a moment, oldest first; what says the same twice or contradicts itself is counted."""
    by_moment: dict[datetime | None, list[Entry]] = {}
    for one in found:
        by_moment.setdefault(one.since, []).append(one)
    kept = []
    for same in by_moment.values():
        segments = {one.segment for one in same}
        if len(segments) > 1:
            account.conflicting += len(same)
            account.note("conflicting", f"{same[0].customer_id}: {', '.join(sorted(segments))}")
            continue
        account.duplicate += len(same) - 1
        if len(same) > 1:
            account.note("duplicate", same[0].customer_id)
        kept.append(same[0])
    return tuple(sorted(kept, key=lambda one: (one.since is not None, one.since or 0)))


def _check(path: Path, entries: dict[str, tuple[Entry, ...]], account: Account) -> None:
    if not entries:
        raise InputError(
            "input_unusable",
            f"no row of {path.name} can be used: of {account.read} read, {account.unknown} name a "
            f"customer that the shop does not know, {account.conflicting} contradict each other, "
            f"{account.incomplete} lack an id, a segment or a readable date",
            where=str(path),
            hint="Ids must be those of the ingested events: compare with "
            "shoal memberships SHOP --out F.csv",
        )
    segments = {one.segment for found in entries.values() for one in found}
    if len(segments) > MOST_SEGMENTS:
        raise UsageError(
            "usage",
            f"{path.name} has {len(segments):,} different segments, at most {MOST_SEGMENTS} are "
            "compared",
            where=str(path),
            hint="Give the column of segments, not of ids or scores.",
        )
