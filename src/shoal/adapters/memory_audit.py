"""The audit log in memory, for tests and for what needs no disk."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.domain.audit import Act, Recorded, chained


class MemoryAudit:
    """`AuditLog` in memory."""

    def __init__(self) -> None:
        self.entries: list[Recorded] = []

    def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
        new = chained(acts, self.last())
        self.entries += new
        return [one.number for one in new]

    def cut(self, act: Act, upto: int) -> int:
        [number] = self.append([act])
        self.entries = [one for one in self.entries if one.number > upto]
        return number

    def hold(self) -> None:
        """Nothing can be gone."""

    def after(self, number: int, limit: int) -> list[Recorded]:
        return [one for one in self.entries if one.number > number][:limit]

    def last(self) -> Recorded | None:
        return self.entries[-1] if self.entries else None

    def mark(self) -> tuple[int, str] | None:
        last = self.last()
        return None if last is None else (last.number, last.digest)

    def secret(self) -> bytes:
        return b"nothing leaves the memory"

    def close(self) -> None:
        """Nothing to give back."""
