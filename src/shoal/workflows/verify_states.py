"""Whether customers' states are what the event table tells: folded anew, and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from shoal.domain.errors import OperationError
from shoal.domain.faults import Fault
from shoal.ports import LiveWarehouse, StateStore, Warehouse
from shoal.workflows import identity
from shoal.workflows.admission import Admission
from shoal.workflows.catch_up import ADMISSION, folded, states_are_of

if TYPE_CHECKING:
    from shoal.features.fold import Fold

#: Customers folded at once.
_AT_ONCE: Final = 5_000
#: Customers named of those whose states differ.
_NAMED: Final = 5
_CUSTOMERS: Final = "SELECT DISTINCT customer_id AS id FROM events WHERE customer_id IS NOT NULL"
_HINT: Final = (
    "States are made anew from the event table when they are of an older version of it: restore "
    "the shop from a backup, or move the state store away to have all made anew (memberships and "
    "settings are lost with it)."
)


@dataclass(frozen=True)
class Replayed:
    """What states are compared with.

    Args:
        warehouse: the shop's.
        store: a copy of its state store that nobody writes to.
        fold, admission: by the settings of that copy.
    """

    warehouse: LiveWarehouse
    store: StateStore
    fold: Fold
    admission: Admission

    @cached_property
    def version(self) -> int:
        """The latest version of the event table with the events that the states hold."""
        applied = self.store.applied_version()
        try:
            later = [unit.version for unit in self.warehouse.since(applied)]
        except OperationError:  # an erasure cut the log since
            return applied
        return min(later) - 1 if later else self.warehouse.version()

    @cached_property
    def _log(self) -> Warehouse:
        """That version, with the events that wait behind it."""
        return self.warehouse.at(self.version)

    def not_to_compare(self) -> str:
        """Why states need not be what the event table tells; empty: they must."""
        if self.store.applied_version() < 0:
            return "there are no states yet"
        if not states_are_of(self.fold, self.store):
            return "settings changed: states are made anew by the next command that writes"
        made_by = self.store.get_settings().get(ADMISSION, self.admission.fingerprint)
        if made_by != self.admission.fingerprint:
            return "settings of identity, noise or rates changed: states are made anew next"
        return ""

    def chosen(self, most: int | None) -> Sequence[str]:
        """Customers to compare, by states and by events; other ones after every commit.

        Args:
            most: so many; None: all.
        """
        version = self.version
        events = self._log.events()
        names = set(self.warehouse.engine.run(_CUSTOMERS, {"events": events})["id"].to_pylist())
        for batch in self.store.iter_states():
            names.update(batch["customer_id"].to_pylist())
        if most is None or len(names) <= most:
            return sorted(names)
        return sorted(names, key=lambda name: _drawn(name, version))[:most]

    def faults(self, customers: Sequence[str]) -> Iterator[Fault]:
        """States, and links of identity, that are not what the event table tells."""
        version = self.version
        wrong: list[str] = []
        for start in range(0, len(customers), _AT_ONCE):
            part = pa.array(sorted(customers[start : start + _AT_ONCE]), pa.string())
            told = _bodies(folded(self._log, None, self.fold, self.admission, part))
            kept = _bodies([self.store.get_states(part.to_pylist())])
            wrong += [
                name for name in part.to_pylist() if told.get(name) != kept.get(name)
            ]  # fmt: skip
        if wrong:
            named = ", ".join(wrong[:_NAMED]) + (", ..." if len(wrong) > _NAMED else "")
            yield Fault(
                "shop_damaged",
                f"the states of {len(wrong):,} of {len(customers):,} customers are not what the "
                f"event table tells at version {version}: {named}",
                "customer_states",
                _HINT,
            )
        before = self.store.people.links()
        identity.rebuild(self._log, self.store, None)  # of the copy
        if not self.store.people.links().equals(before):
            yield Fault(
                "shop_damaged",
                "the links between ids and customers are not what the event table tells at version "
                f"{version}",
                "links",
                _HINT,
            )


def _drawn(name: str, version: int) -> bytes:
    return hashlib.sha256(f"{version}\x1f{name}".encode("utf-8", "surrogatepass")).digest()


def _bodies(tables: Iterator[pa.Table] | Sequence[pa.Table]) -> dict[str, bytes]:
    """Bodies by customer, however they are stored; nothing for one that cannot be read."""
    from shoal.features.state import body_of

    found = {}
    for row in (row for table in tables for row in table.to_pylist()):
        try:
            found[row["customer_id"]] = body_of(row["version"], row["body"])
        except OperationError:
            found[row["customer_id"]] = b""
    return found
