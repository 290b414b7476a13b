"""Keys of the service in memory, held to the same contract as the SQL ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from shoal.domain.access import Key


class MemoryKeys:
    """`KeyStore` over keys that the store it belongs to keeps (and puts back on failure)."""

    def __init__(self, keys: Callable[[], dict[str, Key]]) -> None:
        self._keys = keys

    def all(self) -> list[Key]:
        return list(self._keys().values())

    def add(
        self, role: str, source: str, digest: str, beginning: str, made: datetime,
        expires: datetime | None,
    ) -> Key:  # fmt: skip
        held = self._keys()
        key = Key(f"key-{len(held) + 1:04d}", role, source, digest, beginning, made, expires)
        held[key.key_id] = key
        return key

    def revoke(self, key_id: str, moment: datetime) -> None:
        held = self._keys()
        if held[key_id].revoked is None:
            held[key_id] = replace(held[key_id], revoked=moment)
