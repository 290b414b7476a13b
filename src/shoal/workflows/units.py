"""Commit units: what the state store remembers of each, and how one left half done is settled.

A unit is one input file (or the parts of one export), or one replay of the quarantine. It is
`staged` before its commit to the event table and `committed` after; the event table alone decides
which of the two it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from shoal.domain.account import RowAccount
from shoal.ports import StateStore

STAGED: Final = "staged"
COMMITTED: Final = "committed"
DISCARDED: Final = "discarded"

_READ_BYTES: Final = 4 * 2**20


@dataclass(frozen=True)
class Unit:
    """A commit unit as the state store keeps it.

    Args:
        name: unique in the shop; the same content and mapping give the same name (`name_of`), and
            where it was stated again on purpose one with the number of that statement (`again`).
        status: `staged`, `committed` or `discarded`.
        file: where the rows came from, for people.
        source: the mapping's source name.
        account: the rows, counted.
        quarantine: name of the file with its quarantined rows, None if there are none.
        declares: settings of the shop that the first unit with an answer gives: `value_event`, the
            kind that counts as buying; `currency`, the most frequent one of its priced events.
        restated: what became of scopes that it states: the counts of `shoal.ports.RESTATED`
            and `THINNED`; the `older` rows are among the skipped.
        scopes: keys of the scopes that it states; None if they are very many.
        number: its place in the order in which units came.
        replaces: of a replay: for each unit whose quarantine it took rows from, the name of the
            file with those that remain, None if none remain.
    """

    name: str
    status: str
    file: str
    source: str
    account: RowAccount
    quarantine: str | None = None
    declares: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    replaces: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    restated: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    scopes: tuple[int, ...] | None = ()
    number: int = 0

    @property
    def withdrawn(self) -> int:
        """Stored rows that it removed because it states their scope anew."""
        return self.restated.get("withdrawn", 0)

    @property
    def events(self) -> int:
        """By how many events the table grew."""
        return self.account.stored - self.withdrawn

    @property
    def changes(self) -> bool:
        """Whether the event table is another one for it."""
        touched = (self.account.stored, self.account.conflicting, self.withdrawn)
        return any(touched) or self.restated.get("renewed", 0) > 0

    def as_document(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "file": self.file,
            "source": self.source,
            "rows": self.account.as_document(),
            "reasons": dict(self.account.quarantine),
            "quarantine": self.quarantine,
            "declares": dict(self.declares),
            "replaces": dict(self.replaces),
            "restated": dict(self.restated),
            "scopes": None if self.scopes is None else list(self.scopes),
            "number": self.number,
        }

    @classmethod
    def from_document(cls, name: str, document: Mapping[str, Any]) -> Unit:
        return cls(
            name=name,
            status=document["status"],
            file=document["file"],
            source=document["source"],
            account=RowAccount(
                **document["rows"], quarantine=MappingProxyType(dict(document["reasons"]))
            ),
            quarantine=document["quarantine"],
            declares=MappingProxyType(dict(document["declares"])),
            replaces=MappingProxyType(dict(document["replaces"])),
            restated=MappingProxyType(dict(document.get("restated", {}))),
            scopes=_scopes(document),
            number=document.get("number", 0),
        )


def _scopes(document: Mapping[str, Any]) -> tuple[int, ...] | None:
    scopes = document.get("scopes", ())
    return None if scopes is None else tuple(scopes)


def name_of(parts: Sequence[Path], mapping_fingerprint: str) -> str:
    """The unit's name: of the files' contents (sha256, streamed) and of the mapping; not of names.

    Raises:
        OSError: a file cannot be read.
    """
    digests = [_digest(path) for path in parts]
    content = (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
    mapping = hashlib.sha256(mapping_fingerprint.encode()).hexdigest()
    return f"file-{content[:24]}-{mapping[:12]}"


def again(name: str, number: int) -> str:
    """The name of a unit that states a file's content once more, as the unit of that number.

    >>> again("file-1-2", 7)
    'file-1-2-again7'
    """
    return f"{content_of(name)}-again{number}"


def content_of(name: str) -> str:
    """The name that a unit's content has by itself, however often it was stated.

    >>> content_of("file-1-2-again7"), content_of("file-1-2")
    ('file-1-2', 'file-1-2')
    """
    return name.partition("-again")[0]


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def find(store: StateStore, name: str) -> Unit | None:
    """The unit of that name, None if the shop knows none."""
    document = store.get_unit(name)
    return None if document is None else Unit.from_document(name, document)


def all_units(store: StateStore) -> list[Unit]:
    """All units, oldest first."""
    return [Unit.from_document(document["unit"], document) for document in store.units()]


def put(store: StateStore, unit: Unit) -> None:
    store.put_unit(unit.name, unit.as_document())


def finish(store: StateStore, unit: Unit) -> None:
    """The unit was committed to the event table: say so, and let what it brings take effect."""
    with store.transaction():
        put(store, replace(unit, status=COMMITTED))
        known = store.get_settings()
        for key, value in unit.declares.items():
            if key not in known:
                store.put_setting(key, value)
        for name, remaining in unit.replaces.items():
            source = find(store, name)
            assert source is not None
            put(store, replace(source, quarantine=remaining))
