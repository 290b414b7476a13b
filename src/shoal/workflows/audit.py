"""Reading the audit log, and whether its chain holds."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.audit import NOTHING, Recorded, entry_digest, hidden
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import parse_moment
from shoal.ports import AuditLog

#: Number and digest of the last of the entries that were taken out, and when that was.
Anchor = tuple[int, str, str]

SCHEMA: Final = "shoal.audit/1"
#: Action of the entry that says that others were taken out (`shoal.workflows.audit_retention`).
CUT: Final = "audit.cut"
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
        told = told_of(one)
        if wanted.has(told):
            found.append({**told, "digest": one.digest})
    return {"schema": SCHEMA, "entries": list(found), "head": head(log)}


def page(log: AuditLog, after: int, limit: int) -> list[dict[str, Any]]:
    """The next entries behind a number, oldest first.

    Raises:
        OperationError: `audit_broken`, an entry is no entry.
    """
    return [{**told_of(one), "digest": one.digest} for one in log.after(after, limit)]


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

    Where entries were taken out because they were old, the chain begins behind them, and `removed`
    says up to which; an entry of the chain has to tell the same.

    Args:
        expected: number and digest of an entry, written down elsewhere.

    Raises:
        OperationError: `audit_broken`, naming the first entry that is not as it was written.
        UsageError: `usage`, the entry that was written down was taken out since.
    """
    heads = {one[0]: one[1] for one in (log.mark(), expected) if one is not None}
    begins = _begins(log)
    (number, before), due = begins, dict(heads)
    anchors: dict[int, Anchor] = {}
    for one in _entries(log, 0):
        number += 1
        linked(one, number, before)
        if due.pop(number, one.digest) != one.digest:
            raise broken(number, "it is another one than was written down as the head")
        if f'"action":"{CUT}"' in one.text and (anchor := anchored(one)) is not None:
            anchors[anchor[0]] = (*anchor, told_of(one)["at"])
        before = one.digest
    removed = _removed(begins, anchors)
    _without_removed(due, removed, anchors)
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
    told = {"schema": SCHEMA, "verified": True, "entries": number - begins[0], "head": head(log)}
    if removed is None:
        return told
    upto, digest, moment = removed
    return {**told, "removed": {"upto": upto, "digest": digest, "at": moment}}


def anchored(one: Recorded) -> tuple[int, str] | None:
    """Number and digest of the last entry that an entry says was taken out; None: it says none."""
    told = told_of(one)
    facts = told.get("facts", {})
    if told.get("action") != CUT or "upto" not in facts:
        return None
    return int(facts["upto"]), str(facts["digest"])


def _begins(log: AuditLog) -> tuple[int, str]:
    """Number and digest of the entry behind which the log begins."""
    first = log.after(0, 1)
    if not first or first[0].number == 1:
        return 0, NOTHING
    return first[0].number - 1, str(told_of(first[0]).get("before"))


def _removed(begins: tuple[int, str], anchors: Mapping[int, Anchor]) -> Anchor | None:
    """The anchor that tells of all that is not there; None: everything is.

    Raises:
        OperationError: `audit_broken`: entries left and none tells of it.
    """
    if begins[0] == 0:
        return None
    found = anchors.get(begins[0])
    if found is not None and found[1] == begins[1]:
        return found
    known = max((one for one in anchors if one < begins[0]), default=0)
    raise broken(known + 1, f"it is not there, and neither are those up to {begins[0]:,}")


def _without_removed(
    due: dict[int, str], removed: Anchor | None, anchors: Mapping[int, Anchor]
) -> None:
    """Take out of heads that were written down those of entries that are gone for their age.

    Raises:
        OperationError: `audit_broken`, an anchor tells another digest.
        UsageError: `usage`, nothing can be said of it any more.
    """
    for number in [one for one in due if removed is not None and one <= removed[0]]:
        digest, anchor = due.pop(number), anchors.get(number)
        if anchor is None:
            assert removed is not None
            raise UsageError(
                "usage", f"entry {number:,} was taken out of the audit log for its age",
                where=f"entry {number}",
                hint=f"Expect a head from entry {removed[0]:,} on; that one is {removed[1]}.",
            )  # fmt: skip
        if anchor[1] != digest:
            raise broken(number, "it is another one than was written down as the head")


def broken(number: int, what: str) -> OperationError:
    """The chain does not hold from an entry on."""
    return OperationError(
        "audit_broken",
        f"the audit log does not hold from entry {number:,} on: {what}",
        where=f"entry {number}",
        hint="Compare it with a backup; what stands before that entry is as it was written.",
    )


def linked(one: Recorded, number: int, before: str) -> None:
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
    told = told_of(one)
    if told.get("number") != number:
        raise broken(number, f"entry {told.get('number')} stands in its place")
    if told.get("before") != before:
        raise broken(
            max(number - 1, 1), f"entry {number:,} was chained to another one in its place"
        )


def told_of(one: Recorded) -> dict[str, Any]:
    """What an entry says.

    Raises:
        OperationError: `audit_broken`, it is no entry.
    """
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
