"""What waits behind the event table, for those who count and list what came in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from shoal.domain.account import RowAccount
from shoal.events.schema import QUARANTINE_SCHEMA
from shoal.ports import StateStore

T = TypeVar("T")


@dataclass(frozen=True)
class Waiting:
    """Batches of a moment: they are in no commit unit yet.

    Args:
        accounts: of every batch, oldest first.
        refused: by source, of all that wait, in the order in which they will be flushed: the rows
            that could not be events, `QUARANTINE_SCHEMA`; maybe none.
    """

    accounts: Sequence[RowAccount]
    refused: Mapping[str, pa.Table]

    @property
    def events(self) -> int:
        """Events that are in states and not in the event table."""
        return sum(one.stored for one in self.accounts)


def as_told(account: RowAccount) -> dict[str, Any]:
    """An account as a batch keeps it."""
    return {"rows": account.as_document(), "reasons": dict(account.quarantine)}


def as_account(told: Mapping[str, Any]) -> RowAccount:
    """An account that a batch kept."""
    return RowAccount(**told["rows"], quarantine=dict(told["reasons"]))


def beside(store: StateStore, ask: Callable[[], T], *, refused: bool = False) -> tuple[T, Waiting]:
    """What commit units tell, and what waits beside just these units.

    Args:
        ask: reads the units.
        refused: rows that could not be events are read too.
    """
    while True:
        told = store.live.accounts()
        found = ask()
        try:
            rows = _refused(store, told) if refused else {}
        except KeyError:  # flushed meanwhile
            continue
        # A flush drops batches in the transaction that commits their unit.
        if {number for number, _, _ in told} <= {number for number, _ in store.live.numbers()}:
            return found, Waiting([as_account(one) for _, _, one in told], rows)


def _refused(
    store: StateStore, told: Sequence[tuple[int, str, Mapping[str, Any]]]
) -> dict[str, pa.Table]:
    found: dict[str, list[pa.Table]] = {}
    for number, source, account in told:
        kept = found.setdefault(source, [QUARANTINE_SCHEMA.empty_table()])
        if as_account(account).quarantined:
            batch = store.live.read([number])[0].quarantined
            kept.append(batch.replace_schema_metadata(None))
    return {source: pa.concat_tables(kept) for source, kept in found.items()}
