"""The row account of an ingest: every row read is in exactly one column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class RowAccount:
    """read = stored + duplicate + conflicting + quarantined + skipped, always.

    `quarantine` counts the quarantined rows by reason code.
    """

    read: int = 0
    stored: int = 0
    duplicate: int = 0
    conflicting: int = 0
    quarantined: int = 0
    skipped: int = 0
    quarantine: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        parts = self.stored + self.duplicate + self.conflicting + self.quarantined + self.skipped
        if self.read != parts:
            raise ValueError(f"row account does not add up: read {self.read}, accounted {parts}")
        if sum(self.quarantine.values()) != self.quarantined:
            raise ValueError("row account: quarantine reasons do not add up to quarantined rows")

    def __add__(self, other: RowAccount) -> RowAccount:
        reasons = dict(self.quarantine)
        for code, count in other.quarantine.items():
            reasons[code] = reasons.get(code, 0) + count
        return RowAccount(
            read=self.read + other.read,
            stored=self.stored + other.stored,
            duplicate=self.duplicate + other.duplicate,
            conflicting=self.conflicting + other.conflicting,
            quarantined=self.quarantined + other.quarantined,
            skipped=self.skipped + other.skipped,
            quarantine=MappingProxyType(reasons),
        )

    def as_document(self) -> dict[str, int]:
        """The `rows` object of `shoal ingest --json`."""
        return {
            "read": self.read,
            "stored": self.stored,
            "duplicate": self.duplicate,
            "conflicting": self.conflicting,
            "quarantined": self.quarantined,
            "skipped": self.skipped,
        }
