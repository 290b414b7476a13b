"""Erasures in memory, held to the same contract as the SQL ones."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class ErasureRows:
    """What `MemoryErasures` keeps."""

    key: bytes = b""
    requests: dict[int, tuple[bool, dict[str, Any]]] = field(default_factory=dict)
    tombstones: set[tuple[str, int, int]] = field(default_factory=set)
    exports: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def copied(self) -> ErasureRows:
        """A copy that later writes do not reach."""
        return ErasureRows(self.key, dict(self.requests), set(self.tombstones), dict(self.exports))


class MemoryErasures:
    """`ErasureStore` over rows that the store it belongs to keeps (and puts back on failure)."""

    def __init__(self, rows: Callable[[], ErasureRows]) -> None:
        self._rows = rows

    def key(self) -> bytes:
        """The shop's own key of tombstones, made when it is first asked for."""
        if not self._rows().key:
            self._rows().key = secrets.token_bytes(32)
        return self._rows().key

    def begin(self, document: Mapping[str, Any], moment: datetime) -> int:
        """Journal a request before anything is done; returns its number."""
        number = max(self._rows().requests, default=0) + 1
        self._rows().requests[number] = (False, dict(document))
        return number

    def note(self, number: int, document: Mapping[str, Any]) -> None:
        """Let this be what is journaled of a request under way."""
        self._rows().requests[number] = (False, dict(document))

    def pending(self) -> list[tuple[int, dict[str, Any]]]:
        """Requests that are not finished, oldest first."""
        held = self._rows().requests.items()
        return [(number, document) for number, (done, document) in held if not done]

    def finish(self, number: int, receipt: Mapping[str, Any], moment: datetime) -> None:
        """Put the receipt in the place of the request."""
        self._rows().requests[number] = (True, dict(receipt))

    def receipts(self) -> list[dict[str, Any]]:
        """What was erased, oldest first; nobody is named."""
        return [document for done, document in self._rows().requests.values() if done]

    def tombstones(self) -> dict[str, list[tuple[int, int]]]:
        """Fingerprint -> stretches in which events of the id stay out."""
        found: dict[str, list[tuple[int, int]]] = {}
        for name, first, last in sorted(self._rows().tombstones):
            found.setdefault(name, []).append((first, last))
        return found

    def add_tombstones(self, stones: Sequence[tuple[str, int, int]]) -> None:
        """Add (fingerprint, from, to); those that are there already stay."""
        self._rows().tombstones.update(stones)

    def lift(self, fingerprints: Sequence[str]) -> int:
        """Remove tombstones; returns how many there were."""
        held = self._rows().tombstones
        gone = {stone for stone in held if stone[0] in fingerprints}
        self._rows().tombstones = held - gone
        return len(gone)

    def adopt(self, key: bytes, receipts: Sequence[Mapping[str, Any]]) -> None:
        """Take over what the same shop knew later: its key, and receipts of other numbers."""
        self._rows().key = key
        for one in receipts:
            self._rows().requests.setdefault(one["number"], (True, dict(one)))

    def note_export(self, path: str, kind: str, moment: datetime) -> None:
        """Remember a file outside the shop that lists customers."""
        self._rows().exports[path] = (kind, moment)

    def drop_exports(self, paths: Sequence[str]) -> None:
        """Remember some files no longer."""
        for path in paths:
            self._rows().exports.pop(path, None)

    def exports(self) -> list[tuple[str, str, datetime]]:
        """(path, kind, moment) of files outside the shop that list customers."""
        return [(path, *told) for path, told in sorted(self._rows().exports.items())]
