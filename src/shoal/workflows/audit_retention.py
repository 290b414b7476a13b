"""Old entries leave the audit log, and its chain can be walked all the same.

What says that a stretch was taken out is an entry like any other (the anchor): it holds number and
digest of the last entry that went, and the next entry that is left names that digest as the one
before it. So an entry that leaves in any other way is noticed, and so is who says that more left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from shoal.domain.audit import DONE, Act, Recorded, Who
from shoal.domain.time import iso, parse_moment
from shoal.ports import AuditLog
from shoal.workflows.audit import CUT, anchored, broken, linked, told_of

SCHEMA: Final = "shoal.audit_cut/1"
#: Entries that leave in one transaction: others who write wait for it.
AT_ONCE: Final = 10_000
_PAGE: Final = 5_000


def cut(log: AuditLog, who: Who, now: datetime, days: int) -> dict[str, Any]:
    """Take out what is older than so many days; the JSON document `shoal.audit_cut/1`.

    What leaves is walked first, so that nobody can hide a change by waiting. The last entry of the
    log always stays.

    Raises:
        OperationError: `audit_broken`, what would leave is not as it was written: nothing more
            leaves; what the store raises.
    """
    before, removed, upto = now - timedelta(days=days), 0, 0
    while (gone := _cut_some(log, who, now, before)) is not None:
        removed, upto = removed + gone[0], gone[1]
        if gone[0] < AT_ONCE:
            break
    return {
        "schema": SCHEMA, "days": days, "before": iso(before), "removed": removed,
        "upto": upto or None,
    }  # fmt: skip


def _cut_some(log: AuditLog, who: Who, now: datetime, before: datetime) -> tuple[int, int] | None:
    """Some entries leave: how many, and the number of the last; None: there are none."""
    old: list[Recorded] = []
    first: dict[str, Any] = {}
    chain = ""
    for one in _entries(log):
        told = told_of(one)
        if not old:
            first, chain = told, str(told.get("before"))
            _begins(log, one.number, chain)
        if parse_moment(told["at"]) >= before or len(old) == AT_ONCE:
            break
        linked(one, old[-1].number + 1 if old else one.number, chain)
        old.append(one)
        chain = one.digest
    last = log.last()
    if old and last is not None and old[-1].number == last.number:
        old.pop()  # the chain goes on from it
    if not old:
        return None
    facts = {
        "entries": len(old), "upto": old[-1].number, "digest": old[-1].digest,
        "from": first["at"], "to": told_of(old[-1])["at"],
    }  # fmt: skip
    log.cut(replace(Act(now, who, CUT, DONE), facts=facts), old[-1].number)
    return len(old), old[-1].number


def _begins(log: AuditLog, number: int, before: str) -> None:
    """Whether the log may begin at an entry: at the first, or behind what was taken out.

    Raises:
        OperationError: `audit_broken`.
    """
    if number == 1:
        return
    for one in _backwards(log):
        if f'"action":"{CUT}"' in one.text and anchored(one) == (number - 1, before):
            return
    raise broken(number - 1, "it is not there, and no entry says that it was taken out")


def _entries(log: AuditLog) -> Iterator[Recorded]:
    number = 0
    while page := log.after(number, _PAGE):
        yield from page
        number = page[-1].number


def _backwards(log: AuditLog) -> Iterator[Recorded]:
    """Entries from the last on: the anchor that is asked for is among the late ones."""
    last = log.last()
    end = 0 if last is None else last.number
    while end > 0:
        page = [one for one in log.after(max(end - _PAGE, 0), _PAGE) if one.number <= end]
        yield from reversed(page)
        end -= _PAGE
