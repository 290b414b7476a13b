"""The inbox in memory, for tests and for what needs no disk."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.ports import Arrived


class MemoryInbox:
    """`Inbox` in memory."""

    def __init__(self) -> None:
        self._calls: dict[int, Arrived] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self._bookmarks: dict[str, str] = {}
        self._last = self._drained = self._planned = 0

    def append(self, arrived: Sequence[Arrived]) -> list[bool]:
        return [self._take(one) for one in arrived]

    def _take(self, one: Arrived) -> bool:
        if one.message_id is not None:
            key = (one.source, one.message_id)
            if key in self._seen:
                return False
            self._seen[key] = one.received_us
        self._last += 1
        self._calls[self._last] = one
        return True

    def after(self, position: int, limit: int) -> list[tuple[int, Arrived]]:
        found = [(place, one) for place, one in self._calls.items() if place > position]
        return found[:limit]

    def last(self) -> int:
        return self._last

    @property
    def written(self) -> int:
        return self._last

    def drained(self) -> int:
        return self._drained

    def planned(self) -> int:
        return self._planned

    def plan(self, position: int) -> None:
        self._planned = max(self._planned, position)

    def drain(self, position: int) -> None:
        self._calls = {place: one for place, one in self._calls.items() if place > position}
        self._drained = max(self._drained, position)

    def waiting(self) -> int:
        return len(self._calls)

    def forget_ids(self, before_us: int) -> int:
        gone = [key for key, received in self._seen.items() if received < before_us]
        for key in gone:
            del self._seen[key]
        return len(gone)

    def bookmarks(self, beginning: str) -> dict[str, str]:
        return {name: text for name, text in self._bookmarks.items() if name.startswith(beginning)}

    def keep_bookmark(self, name: str, text: str) -> None:
        self._bookmarks[name] = text

    def close(self) -> None:
        """Nothing to give back."""
