"""The door to the event table: who reads it, who writes a unit, who keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from shoal.ports.engine import Engine, ParquetFiles

if TYPE_CHECKING:  # names only: the ports load no library
    import pyarrow as pa

#: What is counted of scopes (a day, an order) that a unit states anew; see `UnitWriter.resolve`.
#: `scopes`: those that the table held and that are not as they were.
RESTATED: Final = ("scopes", "withdrawn", "changed", "older", "renewed")
#: Told where scopes of at least `THIN_FROM` rows lost more than half of them, as after a file that
#: was cut short: how many scopes, the rows that the table held of them, those that they have now.
THINNED: Final = ("thinned", "held", "left")
THIN_FROM: Final = 10
#: A unit of more scopes than a year has days does not say which they are.
SCOPES_TOLD: Final = 400


@dataclass(frozen=True)
class CommittedUnit:
    """One commit of the event table made by an ingest."""

    version: int
    unit: str
    info: Mapping[str, Any]
    added: ParquetFiles
    #: Visitors of whom stored rows were replaced or withdrawn: customers and anonymous ids, of the
    #: rows that went and of those that took their place, together in one sorted tuple. What was
    #: folded of them is folded anew from the table.
    rewritten_customers: tuple[str, ...] = ()
    #: Whether stored rows were replaced, withdrawn or renewed.
    restating: bool = False


@dataclass(frozen=True)
class ErasedRows:
    """What an erasure did: rows that went, and rows of others of which the anonymous id went."""

    rows: int = 0
    cleared: int = 0


@dataclass(frozen=True)
class Trimmed:
    """What earlier versions left and is gone now.

    Args:
        oldest: the oldest version that can be asked for; -1: there is no table.
        versions: how many cannot be any more.
        files, bytes: of events, that went; in memory a version is a file of no bytes.
        left: there is more to remove than was asked for at once.
    """

    oldest: int = -1
    versions: int = 0
    files: int = 0
    bytes: int = 0
    left: bool = False


class UnitWriter(Protocol):
    """Writes one commit unit; nothing is visible before `commit`."""

    def append(self, events: pa.Table) -> None:
        """Stage valid events (`TABLE_SCHEMA`, any order, bounded chunk)."""

    def resolve(self) -> Mapping[str, int]:
        """Settle occurrences, scopes, duplicates and conflicts, in the unit and with the table.

        Returns counts of `stored`, `duplicate` and `conflicting` rows; where rows have a scope,
        also the counts of `RESTATED`, and those of `THINNED` if any scope was. A unit that holds
        rows of a scope states it as a whole:

        - Of two statements with a version the greater one counts, whichever came first, else the
          one that is taken in later (also of equal versions). Rows of others are `older`: they
          are not stored.
        - Stored rows of the scope that the statement does not say again, word for word, are
          `withdrawn`, whatever their content; those whose id it says again are `changed` too.
        - Rows that it says again are `duplicate` and stay; they take the statement's version
          (`renewed`).
        """

    def stated(self) -> Sequence[int] | None:
        """Scope keys of which the unit's statement counts, sorted.

        None if they are more than `SCOPES_TOLD`.
        """

    def commit(self, info: Mapping[str, Any]) -> int:
        """Make the unit visible in one table version; returns that version."""

    def discard(self) -> None:
        """Remove everything staged."""


class EventTable(Protocol):
    """Events to be read: as they are stored, or as they count at a moment."""

    engine: Engine

    def version(self) -> int:
        """The table's latest version; -1 before the first commit."""

    def events(
        self, *, version: int | None = None, buckets: Sequence[int] | None = None
    ) -> ParquetFiles:
        """The files of the table (of one version, of some buckets) to be bound as `events`."""

    def bucket_counts(self) -> Mapping[int, int]:
        """Rows per bucket at the latest version."""


class Warehouse(EventTable, Protocol):
    """The event table, the truth."""

    def unit(self, name: str, *, joining: bool = False) -> UnitWriter:
        """Begin a commit unit.

        Args:
            name: unique in the shop.
            joining: its rows belong to statements of scopes made before (rows that come out of the
                quarantine): nothing is withdrawn but where they have a greater version.
        """

    def committed(self, unit: str) -> bool:
        """Whether a unit of that name was committed."""

    def since(self, version: int) -> Iterable[CommittedUnit]:
        """The units committed after a version, in order."""

    def erase(self, people: pa.Table, named: pa.Table, request: int) -> ErasedRows:
        """Remove the rows of some people in one commit that names nobody.

        Earlier versions hold them until `purge`. A request that was carried out already tells what
        was removed then.

        Args:
            people: whose rows go, as `shoal.features.admission.PEOPLE_SCHEMA`.
            named: columns `id` and `customer_id`: rows of a customer who stays, which carry the id
                of one who goes as their anonymous id; it is emptied.
            request: the request's number.
        """

    def remembers(self, people: pa.Table) -> bool:
        """Whether versions before the latest still tell of some people."""

    def purge(self) -> int:
        """Remove all that only earlier versions need, so that nobody reads what was erased."""

    def trim(self, before: datetime, *, needed: int = -1, most: int | None = None) -> Trimmed:
        """Remove what only versions need that were replaced before a moment.

        Which units were committed stays known. Queries that have read such a version since then
        fail. Under the shop's lease, without a unit under way.

        Args:
            needed: this version and what was committed after it stay all the same; -1: none.
            most: so many versions, or files, at once; None: all.
        """

    def compact(self) -> int:
        """Merge small files, sorted by customer and time; returns the new version."""


class LiveWarehouse(Warehouse, Protocol):
    """The event table with what waits behind it: a version by its number is of the table alone."""

    def at(self, version: int) -> Warehouse:
        """The same with one version of the event table as its latest."""

    def files_of(self, numbers: Sequence[int]) -> ParquetFiles:
        """Some batches that wait, as files."""

    def forget_after(self, number: int) -> None:
        """Let nothing be known of batches after a number: they were taken back."""
