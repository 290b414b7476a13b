"""What can be wrong with a shop's data: the checks, and what one of them found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

OK: Final = "ok"
NOTE: Final = "note"
WARNING: Final = "warning"
ERROR: Final = "error"
#: From harmless to grave.
SEVERITIES: Final = (OK, NOTE, WARNING, ERROR)

#: code -> what is asked, in the order in which findings of one severity are listed.
CHECKS: Final = MappingProxyType(
    {
        "future": "events later than now or than their own receipt",
        "early": "events long before the shop's first days",
        "gap": "times without events where a source usually has some",
        "change": "days with far more or fewer events than the same weekday before",
        "missing": "fields that an event of its kind needs and has not",
        "unknown": "events of nobody, purchases without a customer",
        "orders": "orders without items or without a price",
        "refunds": "refunds of more than was paid",
        "outliers": "prices and quantities out of all proportion",
        "repeated": "purchases that are stored more than once under different ids or times",
        "currencies": "amounts of several currencies, or of none",
        "quarantined": "rows that could not become events",
        "conflicting": "rows with the id of another event and other content",
        "duplicate": "rows that came more than once",
        "delay": "time between an event and its receipt",
        "midnight": "times without a time of day",
        "constant": "fields that always hold one value",
        "shared": "ids used by very many devices, people or events",
        "noise": "events of robots, tests and the shop's own people",
    }
)


def worse(first: str, second: str) -> str:
    """The graver of two severities.

    >>> worse("note", "ok"), worse("warning", "error")
    ('note', 'error')
    """
    return max(first, second, key=SEVERITIES.index)


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Args:
        check: a code of `CHECKS`; `variant` tells its cases apart.
        severity: one of `SEVERITIES`.
        source: whose events; empty for the whole shop.
        subject: kind, field or rule concerned.
        count, of: how many, of how many (events, orders, rows, hours: the check says which).
        since, until: a local day, or a moment; None: from the beginning, until now.
        example: an event or row to look at.
        figures: more numbers and texts of the check's own.
        where: a condition over the event table that finds examples.
    """

    check: str
    severity: str
    source: str = ""
    subject: str = ""
    variant: str = ""
    count: int = 0
    of: int = 0
    since: date | datetime | None = None
    until: date | datetime | None = None
    example: str = ""
    figures: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    where: str = ""

    @property
    def share(self) -> float | None:
        """`count` as a share of `of`, None where there is nothing to share."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True)
class SourceFacts:
    """What is known of a source as a whole.

    `resolution` is `day`, `hour`, `minute`, `second` or `fraction`: what its times are told to.
    `daily` are its events a local day from `first_day` (days since 1970) on.
    """

    source: str
    events: int
    first: datetime
    last: datetime
    resolution: str
    first_day: int
    daily: tuple[int, ...]


@dataclass(frozen=True)
class Quality:
    """All that was checked and found, gravest first."""

    checked_at: datetime
    table_version: int
    events: int
    since: datetime | None
    sources: tuple[SourceFacts, ...]
    findings: tuple[Finding, ...]
    off: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The gravest severity found."""
        return max((one.severity for one in self.findings), key=SEVERITIES.index, default=OK)

    def severity(self, check: str) -> str:
        """The gravest severity that one check found."""
        found = [one.severity for one in self.findings if one.check == check]
        return max(found, key=SEVERITIES.index, default=OK)
