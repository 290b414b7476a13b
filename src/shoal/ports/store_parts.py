"""The doors to what the state store keeps beside states and memberships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # names only: the ports load no library
    import pyarrow as pa

    from shoal.domain.access import Key


class FlagStore(Protocol):
    """Which stretches of a visitor's time a pace rule caught; part of the state store."""

    def flags(self, visitors: Sequence[str] | None = None) -> pa.Table:
        """Flags of some visitors, or of all, by visitor and `told_us`.

        Columns `visitor_id`, `from_us`, `to_us`, `rule`, `told_us` (texts and UTC microseconds).
        """

    def replace(self, visitors: Sequence[str] | None, flags: pa.Table) -> None:
        """Let these be the flags of some visitors, or (None) of all there are."""

    def delete(self, visitors: Sequence[str] | None) -> None:
        """Forget the flags of some visitors, or (None) of all there are."""


class KeyStore(Protocol):
    """Keys of the service; part of the state store."""

    def all(self) -> list[Key]:
        """Every key that was ever made, oldest first."""

    def add(
        self, role: str, source: str, digest: str, beginning: str, made: datetime,
        expires: datetime | None,
    ) -> Key:  # fmt: skip
        """Keep a new key; it gets the next number."""

    def revoke(self, key_id: str, moment: datetime) -> None:
        """Let a key be revoked since a moment; one that is already stays as it is."""


class PeopleStore(Protocol):
    """What events tell of ids, of each where it changes; part of the state store.

    Links have the columns `id`, `from_us`, `sequence`, `event_id`, `customer_id`, `says`, `source`
    and `kind` (`shoal.features.admission.LINKS_SCHEMA`).
    """

    def links(
        self, *, ids: Sequence[str] | None = None, customers: Sequence[str] | None = None
    ) -> pa.Table:
        """Links of some ids, to some customers, or all, by id and time."""

    def replace_links(self, ids: Sequence[str] | None, links: pa.Table) -> None:
        """Let these be the links of some ids, or (None) all there are."""

    def forget(self, ids: Sequence[str]) -> int:
        """Remove every link of or to some ids; returns how many there were."""


class CarryStore(Protocol):
    """What behaviour models keep of customers between events; part of the state store.

    A customer's carries go with the state: whatever deletes or forgets the one removes the others.
    So a carry that is there is of a history to which events were only ever added.
    """

    def get(self, model_id: str, customers: Sequence[str]) -> pa.Table:
        """A model's carries of those asked for and known, by customer.

        Columns `customer_id`, `version` (int64, of the event table whose events it holds),
        `last_us` (int64, of the last of these) and `body` (binary).
        """

    def put(self, model_id: str, carries: pa.Table) -> None:
        """Insert or replace carries, columns as of `get`."""

    def lacking(self, model_id: str) -> list[str]:
        """Customers with a state and without a carry of a model, sorted."""

    def delete(self, model_id: str, customers: Sequence[str] | None) -> None:
        """Remove a model's carries of some customers, or (None) of all."""

    def delete_since(self, model_id: str, moment_us: int) -> None:
        """Remove a model's carries of customers with an event at or after a moment."""


class ErasureStore(Protocol):
    """Who was forgotten: the key of tombstones, requests under way, receipts; of the state store.

    A tombstone is (fingerprint, from, to): events of the id with `from <= time < to` stay out.
    """

    def key(self) -> bytes:
        """The shop's own key of tombstones, made when it is first asked for."""

    def begin(self, document: Mapping[str, Any], moment: datetime) -> int:
        """Journal a request before anything is done; returns its number."""

    def note(self, number: int, document: Mapping[str, Any]) -> None:
        """Let this be what is journaled of a request under way."""

    def pending(self) -> list[tuple[int, dict[str, Any]]]:
        """Requests that are not finished, oldest first."""

    def finish(self, number: int, receipt: Mapping[str, Any], moment: datetime) -> None:
        """Put the receipt in the place of the request."""

    def receipts(self) -> list[dict[str, Any]]:
        """What was erased, oldest first; nobody is named."""

    def tombstones(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Fingerprint -> stretches in which events of the id stay out."""

    def add_tombstones(self, stones: Sequence[tuple[str, int, int]]) -> None:
        """Add tombstones; those that are there already stay."""

    def lift(self, fingerprints: Sequence[str]) -> int:
        """Remove tombstones; returns how many there were."""

    def adopt(self, key: bytes, receipts: Sequence[Mapping[str, Any]]) -> None:
        """Take over what the same shop knew later: its key, and receipts of other numbers."""

    def note_export(self, path: str, kind: str, moment: datetime) -> None:
        """Remember a file outside the shop that lists customers."""

    def drop_exports(self, paths: Sequence[str]) -> None:
        """Remember some files no longer."""

    def exports(self) -> list[tuple[str, str, datetime]]:
        """(path, kind, moment) of files outside the shop that list customers."""


@dataclass(frozen=True)
class Standing:
    """Where one customer is.

    Args:
        known: whether there is a state of the customer.
        memberships: segmentation -> the latest membership in it, by name of its columns.
    """

    known: bool
    memberships: Mapping[str, Mapping[str, Any]]


class StandingStore(Protocol):
    """The membership log asked for one customer, or page by page; part of the state store.

    A position of the log fixes what is read: the same question up to the same position has the same
    answer, whoever moves meanwhile, but for persons who are erased.
    """

    def of(self, customer_id: str, segmentations: Sequence[str]) -> Standing:
        """Where a customer is in some segmentations; what has no membership is not there."""

    def members(
        self,
        segmentation_id: str | Sequence[str],
        segment_id: str,
        *,
        upto: int,
        after: str,
        limit: int,
    ) -> pa.Table:
        """Memberships in a segment as the log stood at a position, by customer.

        Args:
            segmentation_id: of several each customer's row that was written last counts.
            upto: the position.
            after: only customers whose id comes later; empty: all.
            limit: so many at most.
        """

    def sizes(self, segmentation_id: str | Sequence[str], upto: int) -> Mapping[str, int]:
        """How many customers each segment that has any had as the log stood at a position."""
