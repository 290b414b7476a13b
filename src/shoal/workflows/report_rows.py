"""The account of every row that a shop ever read, for its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shoal.report.document import Rows
from shoal.workflows import units


def row_account(ingested: Sequence[units.Unit]) -> Rows:
    """The account of all files, with the rows that replays took out of the quarantine moved."""
    held: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    files = 0
    for unit in ingested:
        if unit.status != units.COMMITTED:
            continue
        account = unit.account
        if unit.replaces:  # a replay reads all quarantined rows of its source again
            held[unit.source] = Counter(account.quarantine)
        else:
            files += 1
            total["read"] += account.read
            held.setdefault(unit.source, Counter()).update(account.quarantine)
        for name in ("stored", "duplicate", "conflicting", "skipped"):
            total[name] += getattr(account, name)
        total["withdrawn"] += unit.withdrawn
    reasons = sum(held.values(), Counter())
    return Rows(
        read=total["read"],
        stored=total["stored"],
        withdrawn=total["withdrawn"],
        duplicate=total["duplicate"],
        conflicting=total["conflicting"],
        quarantined=reasons.total(),
        skipped=total["skipped"],
        reasons=dict(reasons),
        files=files,
    )
