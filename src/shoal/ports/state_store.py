"""The doors to what is online: states, memberships, positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from shoal.ports.store_parts import (
    CarryStore,
    ErasureStore,
    FlagStore,
    KeyStore,
    PeopleStore,
    StandingStore,
)

if TYPE_CHECKING:  # names only: the ports load no library
    import pyarrow as pa


@dataclass(frozen=True)
class LiveBatch:
    """What one step of the stream brought in: the states hold it, the event table not yet.

    Args:
        source: whose calls they were.
        events: `TABLE_SCHEMA`, and what the front door says of them besides.
        quarantined: what is kept of calls that could not be events.
        account: the rows, counted (`RowAccount.as_document`).
    """

    source: str
    events: pa.Table
    quarantined: pa.Table
    account: Mapping[str, Any]


class LiveStore(Protocol):
    """Events between the inbox and the event table; part of the state store.

    They are written in the transaction that lets states, carries and memberships hold them, and go
    in the one that says that the event table has them. Each batch has a number, greater than that
    of every batch before it.
    """

    def add(self, batch: LiveBatch) -> int:
        """Keep a batch; returns its number."""

    def numbers(self) -> list[tuple[int, str]]:
        """(number, source) of every batch, oldest first."""

    def accounts(self) -> list[tuple[int, str, Mapping[str, Any]]]:
        """(number, source, account) of every batch, oldest first, without its events."""

    def read(self, numbers: Sequence[int]) -> list[LiveBatch]:
        """Some batches, in the order asked for.

        Raises:
            KeyError: one of them is not there any more.
        """

    def drop(self, source: str, upto: int) -> None:
        """Remove the batches of a source up to a number."""

    def position(self) -> int:
        """Up to which position of the inbox calls are in batches or in the event table."""

    def set_position(self, position: int) -> None: ...


class StateStore(Protocol):
    """Online state: lease, units, customer states, memberships, settings, pointers."""

    @property
    def flags(self) -> FlagStore: ...

    @property
    def people(self) -> PeopleStore: ...

    @property
    def carries(self) -> CarryStore: ...

    @property
    def erasures(self) -> ErasureStore: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def standings(self) -> StandingStore: ...

    @property
    def live(self) -> LiveStore: ...

    def forget(self, ids: Sequence[str]) -> Mapping[str, int]:
        """Remove states, carries, memberships and flags of some ids; how many rows went, by table.

        Their links stay: what events tell of them is asked until the events are gone.
        """

    def scrub(self, traces: Sequence[str] | None = None) -> None:
        """Let nothing of deleted rows remain in the store's files.

        Args:
            traces: texts that must not be found there; None: not known any more.
        """

    def lease(self) -> AbstractContextManager[None]:
        """Hold the shop's single-writer lease; raises `shop_locked` if another process has it."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything written inside is committed together or not at all."""

    def get_settings(self) -> dict[str, str]: ...

    def put_setting(self, key: str, value: str) -> None: ...

    def applied_version(self) -> int:
        """The event-table version whose events the stored states hold; -1 for none."""

    def set_applied_version(self, version: int) -> None: ...

    def get_states(self, customers: Sequence[str]) -> pa.Table:
        """Rows (`customer_id`, `version` int32, `body` binary) of those asked for and known."""

    def put_states(self, states: pa.Table) -> None:
        """Insert or replace states (`customer_id`, `version`, `body`)."""

    def delete_states(self, customers: Sequence[str]) -> None:
        """Remove states, and every model's carries of these customers."""

    def count_states(self) -> int: ...

    def customers_after(self, customer: str, most: int) -> list[str]:
        """The next customers with a state, in the order of `iter_states`; after "" the first."""

    def iter_states(self, rows_per_batch: int = 50_000) -> Iterator[pa.Table]:
        """All states in order of customer, in bounded batches."""

    def put_unit(self, unit: str, document: Mapping[str, Any]) -> None:
        """Remember an ingest's unit (file fingerprint, account, status) by name."""

    def get_unit(self, unit: str) -> dict[str, Any] | None: ...

    def units(self) -> list[dict[str, Any]]: ...

    def units_after(self, position: int) -> list[tuple[int, dict[str, Any]]]:
        """Units that came behind a position, oldest first: each with its position, which it keeps
        however it changes; positions are above 0, and later units have higher ones."""

    def last_unit_number(self) -> int:
        """The highest `number` of a unit; 0 where there is none."""

    def put_memberships(self, memberships: pa.Table) -> None:
        """Append memberships; nothing older is touched.

        Columns customer_id, segmentation_id, segment_id, weight, since, cause and, if told, margin.
        """

    def get_memberships(
        self,
        segmentation: str | Sequence[str],
        *,
        customers: Sequence[str] | None = None,
        as_of: datetime | None = None,
    ) -> pa.Table:
        """The latest membership of each customer in a segmentation, by customer.

        Args:
            segmentation: its id, or those of several that follow each other: then the latest in
                any of them.
            customers: those alone; None takes all.
            as_of: only memberships that began at or before this moment.
        """

    def membership_history(
        self,
        customers: str | Sequence[str] | None = None,
        *,
        segmentations: Sequence[str] | None = None,
        upto: int | None = None,
    ) -> pa.Table:
        """Every membership of some customers (None: all), in some segmentations, as written.

        Args:
            upto: as the log stood at this position; None: now.
        """

    def last_membership(self) -> int:
        """The highest position that a row of the membership log was ever given; 0: none was.

        Every row has a position, no position is given twice, and later rows have higher ones.
        """

    def membership_log(
        self, after: int, rows: int, line_of: Callable[[str], Sequence[str]]
    ) -> pa.Table:
        """The next rows of the membership log behind a position, in order.

        Columns `position`, those of a membership, and `before` and `before_since` (null for none):
        the segment of the row of the same customer that was written before it, in one of the
        segmentations that follow each other, and since when.

        Args:
            rows: so many at most.
            line_of: the segmentations whose ids mean the same as those of one, itself among them.
        """

    def get_pointer(self, name: str) -> str | None:
        """What a pointer (for example `segmentation.main`) names now."""

    def set_pointer(self, name: str, target: str, moment: datetime) -> None: ...

    def pointers(self) -> Mapping[str, str]:
        """Every pointer and what it names now; an empty text: nothing any more."""

    def pointer_history(self, name: str) -> list[tuple[str, datetime]]:
        """What a pointer has named, oldest first, each with the moment it was set."""
