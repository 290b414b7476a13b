"""A commit unit of the event table in memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from shoal.domain.time import system_clock
from shoal.events.identity import ids_as_came, renumbered
from shoal.events.schema import CONTENT_KEY, SCOPE_KEY, SCOPE_VERSION, TABLE_SCHEMA
from shoal.ports import SCOPES_TOLD, THIN_FROM, THINNED

if TYPE_CHECKING:
    from shoal.adapters.memory import MemoryWarehouse

_GENERATED: Final = "generated_id"
_PLACE: Final = "place"
_SCOPE: Final = (SCOPE_KEY, SCOPE_VERSION)
_Row = dict[str, Any]
_Identity = tuple[str, str]
#: A scope and the version of a statement of it.
_Statement = tuple[int | None, int | None]


@dataclass(frozen=True)
class Version:
    """The whole table after one commit, and what the commit added."""

    rows: pa.Table
    unit: str | None = None
    info: Mapping[str, Any] | None = None
    added: pa.Table | None = None
    rewritten_customers: tuple[str, ...] = ()
    restating: bool = False
    at: datetime = field(default_factory=system_clock)


class MemoryUnit:
    """A commit unit as Python rows; settled by one dictionary of identities."""

    def __init__(self, warehouse: MemoryWarehouse, name: str, *, joining: bool = False) -> None:
        self._warehouse = warehouse
        self._name = name
        self._joining = joining
        self._staged: list[pa.Table] = []
        self._as_came: dict[int, str] = {}
        self._counts: Counter[str] | None = None
        self._stated: list[int] = []
        self._restates: set[int] = set()
        self._added: list[_Row] = []
        self._removed: set[_Identity] = set()
        self._renewed: dict[_Identity, _Statement] = {}
        self._customers: set[str] = set()

    def append(self, events: pa.Table) -> None:
        """Stage valid events: `TABLE_SCHEMA` and a bool `generated_id`."""
        if self._counts is not None:
            raise RuntimeError("a unit takes no more events once it is resolved")
        self._as_came |= ids_as_came(events, _GENERATED)
        self._staged.append(events.select([*TABLE_SCHEMA.names, _GENERATED]))

    def resolve(self) -> Mapping[str, int]:
        """Settle occurrences, scopes, duplicates and conflicts; counts of the outcomes."""
        if self._counts is None:
            self._counts = Counter(stored=0, duplicate=0, conflicting=0)
            stored = {_identity(row): row for row in self._warehouse.rows().to_pylist()}
            events = pa.concat_tables(self._staged) if self._staged else None
            rows = [] if events is None else _placed(events)
            newest = _versions(rows)
            known = _versions(stored.values())
            live = [row for row in rows if not _older(row, newest, known)]
            if events is not None:
                _number(events, live, self._as_came)
            gone = self._withdraw(live, newest, known, stored) if newest else []
            rivals: dict[_Identity, list[_Row]] = {}
            for row in live:
                rivals.setdefault(_identity(row), []).append(row)
            for identity, same in rivals.items():
                self._settle(identity, same, stored.get(identity))
            if newest:
                self._count_scopes(live, len(rows) - len(live), gone)
        return dict(self._counts)

    def stated(self) -> Sequence[int] | None:
        """Scope keys of which the unit's statement counts; see `shoal.ports.UnitWriter`."""
        self.resolve()
        return self._stated if len(self._stated) <= SCOPES_TOLD else None

    def _withdraw(
        self,
        live: list[_Row],
        newest: Mapping[int, int | None],
        known: Mapping[int, int | None],
        stored: dict[_Identity, _Row],
    ) -> list[_Row]:
        """Take the rows that their scope's new statement does not say again out of `stored`."""
        self._stated = sorted({row[SCOPE_KEY] for row in live} - {None})
        self._restates = {
            scope
            for scope in self._stated
            if scope in known and (not self._joining or _later(newest[scope], known[scope]))
        }
        said = {(*_identity(row), row[CONTENT_KEY], row[SCOPE_KEY]) for row in live}
        gone = [
            row
            for identity, row in stored.items()
            if row[SCOPE_KEY] in self._restates
            and (*identity, row[CONTENT_KEY], row[SCOPE_KEY]) not in said
        ]
        self._count_thinned(live, stored.values())
        for row in gone:
            del stored[_identity(row)]
            self._removed.add(_identity(row))
            self._customers |= _visitors(row)
        return gone

    def _count_thinned(self, live: list[_Row], stored: Iterable[_Row]) -> None:
        """Count scopes that lost most of their rows; see `shoal.ports.THINNED`."""
        assert self._counts is not None
        held = Counter(row[SCOPE_KEY] for row in stored if row[SCOPE_KEY] in self._restates)
        left = Counter(scope for _, scope in {(_identity(row), row[SCOPE_KEY]) for row in live})
        thin = [one for one in held if held[one] >= THIN_FROM and 2 * left[one] < held[one]]
        if thin:
            counts = (len(thin), sum(held[one] for one in thin), sum(left[one] for one in thin))
            self._counts.update(dict(zip(THINNED, counts, strict=True)))

    def _count_scopes(self, live: list[_Row], older: int, gone: list[_Row]) -> None:
        assert self._counts is not None
        said = {(*_identity(row), row[SCOPE_KEY]) for row in live}
        touched = {row[SCOPE_KEY] for row in [*gone, *self._added]}
        self._counts.update(
            scopes=len(touched & self._restates),
            withdrawn=len(gone),
            changed=sum((*_identity(row), row[SCOPE_KEY]) in said for row in gone),
            older=older,
            renewed=len(self._renewed),
        )

    def commit(self, info: Mapping[str, Any]) -> int:
        """Make the unit visible in one version; returns it. A committed unit is not repeated."""
        self.resolve()
        warehouse = self._warehouse
        if warehouse.committed(self._name):
            return warehouse.version()
        kept = [
            {
                **row,
                **dict(zip(_SCOPE, self._renewed.get(_identity(row), _scope(row)), strict=True)),
            }
            for row in warehouse.rows().to_pylist()
            if _identity(row) not in self._removed
        ]
        added = pa.Table.from_pylist(self._added, schema=TABLE_SCHEMA)
        if not warehouse.versions:
            warehouse.versions.append(Version(TABLE_SCHEMA.empty_table()))
        warehouse.versions.append(
            Version(
                rows=pa.concat_tables([pa.Table.from_pylist(kept, schema=TABLE_SCHEMA), added]),
                unit=self._name,
                info=json.loads(json.dumps(dict(info))),
                added=added,
                rewritten_customers=tuple(sorted(self._customers)),
                restating=bool(self._removed or self._renewed),
            )
        )
        return warehouse.version()

    def discard(self) -> None:
        """Forget everything staged."""
        self._staged, self._added, self._removed, self._renewed = [], [], set(), {}

    def _settle(self, identity: _Identity, rows: list[_Row], stored: _Row | None) -> None:
        """Choose among the rows of one event: the smallest content key, then who came first."""
        assert self._counts is not None
        rivals = rows if stored is None else [stored, *rows]
        winner = min(rivals, key=lambda row: row[CONTENT_KEY])
        for row in rows:
            if row is winner:
                self._added.append(row)
                self._counts["stored" if stored is None else "conflicting"] += 1
            elif row[CONTENT_KEY] == winner[CONTENT_KEY]:
                self._counts["duplicate"] += 1
            else:
                self._counts["conflicting"] += 1
        if stored is not None and winner is not stored:
            self._removed.add(identity)
            self._customers |= _visitors(stored) | _visitors(winner)
        elif stored is not None:
            said = [_scope(row) for row in rows if row[CONTENT_KEY] == winner[CONTENT_KEY]]
            said = [scope for scope in said if scope[0] is not None]
            if said and said[0] != _scope(stored):
                self._renewed[identity] = said[0]


def _versions(rows: Iterable[_Row]) -> dict[int, int | None]:
    """The greatest version of each scope; None where no row of it has one."""
    found: dict[int, int | None] = {}
    for row in rows:
        scope, version = _scope(row)
        if scope is not None:
            both = [one for one in (found.get(scope), version) if one is not None]
            found[scope] = max(both, default=None)
    return found


def _later(one: int | None, other: int | None) -> bool:
    """Whether both versions are known and the one is greater."""
    return one is not None and other is not None and one > other


def _older(row: _Row, newest: Mapping[int, int | None], known: Mapping[int, int | None]) -> bool:
    """Whether a row is of a statement older than another one, in its unit or in the table."""
    scope, version = _scope(row)
    if scope is None:
        return False
    latest = newest[scope]
    return (
        _later(known.get(scope), latest)
        or (version is None) != (latest is None)
        or (_later(latest, version))
    )


def _visitors(row: _Row) -> set[str]:
    return {row["customer_id"], row["anonymous_id"]} - {None}


def _scope(row: _Row) -> _Statement:
    return row[SCOPE_KEY], row[SCOPE_VERSION]


def _identity(row: _Row) -> _Identity:
    return row["source"], row["event_id"]


def _placed(events: pa.Table) -> list[_Row]:
    """Rows as dictionaries, with their place."""
    return [{**row, _PLACE: place} for place, row in enumerate(events.to_pylist())]


def _number(events: pa.Table, rows: list[_Row], as_came: Mapping[int, str]) -> None:
    """Give rows that repeat a row without an id of its own the next one's id."""
    seen: Counter[tuple[str, str, int]] = Counter()
    for row in rows:
        place = row.pop(_PLACE)
        if row.pop(_GENERATED):
            same = (*_identity(row), row[CONTENT_KEY])
            if seen[same]:
                number = np.array([seen[same]], dtype=np.int64)
                ids, keys = renumbered(events.slice(place, 1), number, as_came)
                row["event_id"], row["event_key"] = ids[0].as_py(), keys[0].as_py()
            seen[same] += 1
