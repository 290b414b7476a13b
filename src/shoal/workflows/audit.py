"""Reading the audit log, and whether its chain holds."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.audit import NOTHING, Recorded, entry_digest, hidden
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import parse_moment
from shoal.ports import AuditLog

SCHEMA: Final = "shoal.audit/1"
_PAGE: Final = 5_000


@dataclass(frozen=True)
class Wanted:
    """Which entries are asked for; what is empty asks for all.

    Args:
        since: only those at or after a moment.
        key_id: only what a key did.
        about: only what names an id, as `hidden` gives it.
        newest: so many at most, the newest; 0: all.
    """

    since: datetime | None = None
    key_id: str = ""
    about: str = ""
    newest: int = 0

    def has(self, told: dict[str, Any]) -> bool:
        """Whether an entry is one of them."""
        return (
            (self.since is None or parse_moment(told["at"]) >= self.since)
            and (not self.key_id or told["who"].get("key_id") == self.key_id)
            and (not self.about or self.about in told.get("about", {}).values())
        )


def listed(log: AuditLog, wanted: Wanted) -> dict[str, Any]:
    """The JSON document `shoal.audit/1`: entries, oldest first, and the head of the chain.

    Raises:
        OperationError: `audit_broken`, an entry is no entry.
    """
    found: deque[dict[str, Any]] = deque(maxlen=wanted.newest or None)
    plain = wanted == Wanted(newest=wanted.newest)
    last = log.last()
    start = max(last.number - wanted.newest, 0) if plain and wanted.newest and last else 0
    for one in _entries(log, start):
        told = _told(one)
        if wanted.has(told):
            found.append({**told, "digest": one.digest})
    return {"schema": SCHEMA, "entries": list(found), "head": head(log)}


def page(log: AuditLog, after: int, limit: int) -> list[dict[str, Any]]:
    """The next entries behind a number, oldest first.

    Raises:
        OperationError: `audit_broken`, an entry is no entry.
    """
    return [{**_told(one), "digest": one.digest} for one in log.after(after, limit)]


def head(log: AuditLog) -> dict[str, Any] | None:
    """Number and digest of the last entry: written down elsewhere, they prove all before them."""
    last = log.last()
    return None if last is None else {"number": last.number, "digest": last.digest}


def about(log: AuditLog, some_id: str) -> str:
    """What stands in the log for an id."""
    return hidden(log.secret(), some_id)


def expected_of(text: str) -> tuple[int, str]:
    """Number and digest of a head that was written down, as `NUMBER:DIGEST`.

    Raises:
        UsageError: `usage`.
    """
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(digest) == len(NOTHING)):
        raise UsageError(
            "usage", f"{text!r} is no head of an audit log", where=text,
            hint="Give NUMBER:DIGEST as shoal audit SHOP --verify told it.",
        )  # fmt: skip
    return int(number), digest.lower()


def verify(log: AuditLog, expected: tuple[int, str] | None = None) -> dict[str, Any]:
    """Walk the whole chain; how many entries there are, and the head.

    Args:
        expected: number and digest of an entry, written down elsewhere.

    Raises:
        OperationError: `audit_broken`, naming the first entry that is not as it was written.
    """
    heads = {one[0]: one[1] for one in (log.mark(), expected) if one is not None}
    number, before, due = 0, NOTHING, dict(heads)
    for one in _entries(log, 0):
        number += 1
        _linked(one, number, before)
        if due.pop(number, one.digest) != one.digest:
            raise broken(number, "it is another one than was written down as the head")
        before = one.digest
    if due:
        raise broken(
            number + 1,
            f"it is not there, and neither is what followed up to {max(due):,}: entries were taken "
            "from the end",
        )
    if number and log.mark() is None:
        raise broken(
            number + 1, "whether there were more cannot be told: the mark beside the log is gone"
        )
    return {"schema": SCHEMA, "verified": True, "entries": number, "head": head(log)}


def broken(number: int, what: str) -> OperationError:
    """The chain does not hold from an entry on."""
    return OperationError(
        "audit_broken",
        f"the audit log does not hold from entry {number:,} on: {what}",
        where=f"entry {number}",
        hint="Compare it with a backup; what stands before that entry is as it was written.",
    )


def _linked(one: Recorded, number: int, before: str) -> None:
    """Whether an entry is as it was written, and follows the one before.

    Raises:
        OperationError: `audit_broken`.
    """
    if one.number != number:
        more = (
            "" if one.number == number + 1 else f", and neither are those up to {one.number - 1:,}"
        )
        raise broken(number, f"it is not there{more}")
    if entry_digest(one.text) != one.digest:
        raise broken(number, "its text was changed")
    told = _told(one)
    if told.get("number") != number:
        raise broken(number, f"entry {told.get('number')} stands in its place")
    if told.get("before") != before:
        raise broken(
            max(number - 1, 1), f"entry {number:,} was chained to another one in its place"
        )


def _told(one: Recorded) -> dict[str, Any]:
    try:
        found = dict(json.loads(one.text))
    except (ValueError, TypeError) as error:
        raise broken(one.number, "its text was changed") from error
    if not {"at", "who", "number", "before"} <= found.keys():
        raise broken(one.number, "its text was changed")
    return found


def _entries(log: AuditLog, number: int) -> Iterator[Recorded]:
    while page := log.after(number, _PAGE):
        yield from page
        number = page[-1].number
