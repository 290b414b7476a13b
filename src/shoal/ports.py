"""The doors of the core to the outside: what adapters must offer.

`Engine` runs queries, `Warehouse` keeps the event table, `StateStore` keeps what is online,
`Registry` keeps immutable artefacts. The `Stream` door opens with the live service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:  # names only: the ports load no library
    import ibis.expr.types as ir
    import pyarrow as pa

    from shoal.domain.access import Key
    from shoal.domain.audit import Act, Recorded
    from shoal.domain.webhook import DeadLetter, Progress, Reply, Webhook


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
class ParquetFiles:
    """Files an engine can scan as one relation, with hive-style `bucket=` directories."""

    paths: tuple[str, ...]
    schema: pa.Schema


Relation: TypeAlias = "pa.Table | ParquetFiles"


class Engine(Protocol):
    """Runs compiled queries over named relations."""

    dialect: str

    def compile(self, expr: ir.Table) -> str:
        """SQL, in `dialect`, of an expression over unbound `ibis.table(schema, name=...)`."""

    def compiled(self, name: str, definition: Callable[[], ir.Table]) -> str:
        """The same of the expression that a definition gives.

        Args:
            name: holds all that decides the expression, its code too; an engine may keep what it
                compiled under it, and then asks for no expression.
        """

    def run(self, query: str, inputs: Mapping[str, Relation]) -> pa.Table:
        """Run compiled SQL with each named table bound to a relation; rows as one Arrow table."""

    def stream(
        self, query: str, inputs: Mapping[str, Relation], rows_per_batch: int = 100_000
    ) -> Iterator[pa.RecordBatch]:
        """As `run`, in bounded batches."""

    def spool(
        self, query: str, inputs: Mapping[str, Relation], directory: Path, schema: pa.Schema
    ) -> ParquetFiles:
        """Write a query's rows as Parquet files under `directory/bucket=N/`, in bounded memory.

        The query's columns are those of `schema`, `bucket` among them.
        """


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


@dataclass(frozen=True)
class Arrived:
    """A call that came in, as it is kept.

    Args:
        source: who sent it; with `message_id` it is told from every other call.
        message_id: of the client; None: it has none, and nothing tells it from a second one.
        received_us: by the server's clock, microseconds since 1970.
        line: one line of JSON.
        fault: code of why it cannot be an event; None: it may be one.
    """

    source: str
    message_id: str | None
    received_us: int
    line: bytes
    fault: str | None = None


class Inbox(Protocol):
    """Calls that were accepted and are not in the log yet; what `append` returned is on disk.

    Positions count from 1 in the order in which calls came, and no position is given twice.
    """

    def append(self, arrived: Sequence[Arrived]) -> list[bool]:
        """Take calls, all of them or none; of each whether it is new.

        A call of a source and message id that came before is none, for as long as `forget_ids`
        does not say otherwise.

        Raises:
            OperationError: `disk_full`, `shop_damaged`, `no_permission`: nothing was taken.
        """

    def after(self, position: int, limit: int) -> list[tuple[int, Arrived]]:
        """The next calls behind a position, in order, each with its own."""

    def last(self) -> int:
        """The highest position that was ever given; 0: none."""

    @property
    def written(self) -> int:
        """The highest position that was given when this was opened, or by its own `append` since.

        It costs nothing to ask.
        """

    def drained(self) -> int:
        """The position up to which calls are in the log."""

    def planned(self) -> int:
        """The position up to which calls were last meant to go into the log; 0: none yet."""

    def plan(self, position: int) -> None:
        """Calls up to a position are on their way into the log.

        Cut off on the way, the same calls go again, and the log knows them as what it has.
        """

    def drain(self, position: int) -> None:
        """Calls up to a position are in the log: they are kept here no longer."""

    def waiting(self) -> int:
        """How many calls are not in the log yet."""

    def forget_ids(self, before_us: int) -> int:
        """Know no longer which ids came before a moment; how many were forgotten."""

    def bookmarks(self, beginning: str) -> dict[str, str]:
        """What is kept of those who read calls out of files, by names with that beginning."""

    def keep_bookmark(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of what was there."""

    def close(self) -> None: ...


class AuditLog(Protocol):
    """The audit log: entries count from 1; none is ever changed, and only old ones leave.

    Beside the entries stands the number and digest of the last one (the mark), so that a log whose
    end is gone is noticed.
    """

    def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
        """Write entries, all or none, each chained to the one before; their numbers.

        Args:
            synced: they are on the disk when this returns; otherwise a killed process keeps them,
                and a machine without power may not.

        Raises:
            OperationError: `audit_broken`, as `hold`; `disk_full`, `no_permission`, `shop_damaged`:
                nothing was written.
        """

    def cut(self, act: Act, upto: int) -> int:
        """Write an entry that tells of it, and take out all up to a number, in one transaction; the
        entry's number. The last entry that was there before stays.

        Raises:
            OperationError: as `append`.
        """

    def hold(self) -> None:
        """Refuse a log that lacks its end: what is written on would hide it.

        Raises:
            OperationError: `audit_broken`.
        """

    def after(self, number: int, limit: int) -> list[Recorded]:
        """The next entries behind a number, in order."""

    def last(self) -> Recorded | None:
        """The entry with the highest number."""

    def mark(self) -> tuple[int, str] | None:
        """Number and digest of the last entry as the mark tells them; None: there is no mark."""

    def secret(self) -> bytes:
        """What ids are hidden with."""

    def close(self) -> None: ...


class WebhookStore(Protocol):
    """Webhooks, how far each is told, and what was given up; a call is one transaction.

    What is said to receivers is not kept: it is read from the membership log again at every try.
    """

    def all(self) -> list[Webhook]:
        """Every webhook, oldest first."""

    def add(
        self, url: str, shape: str, segments: Sequence[str], channel: str, salt: str, check: str,
        made: datetime, position: int,
    ) -> Webhook:  # fmt: skip
        """Keep a new webhook, told from a position of the membership log on; ids are given once."""

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook and its dead letters; nothing happens if it is not there."""

    def disable(self, webhook_id: str, moment: datetime, reason: str) -> None:
        """Let nothing be sent to a webhook."""

    def retry(self, webhook_id: str, moment: datetime) -> None:
        """Let a webhook be on, and its message under way and its dead letters be due at once."""

    def progress(self, webhook_id: str) -> Progress | None:
        """How far a webhook is told; None: it is not there any more."""

    def put_progress(
        self, webhook_id: str, progress: Progress, *, died: tuple[datetime, str] | None = None
    ) -> None:
        """Let this be how far a webhook is told; nothing happens if it is not there any more.

        Args:
            died: when and why the message under way was given up: it is a dead letter from then on.
        """

    def letters(self, webhook_id: str | None = None) -> list[DeadLetter]:
        """Dead letters of a webhook, or of all, oldest first."""

    def put_letter(self, letter: DeadLetter) -> None:
        """Let this be a dead letter that is there; nothing happens if it is not."""

    def drop_letter(self, number: int) -> None:
        """Remove a dead letter; nothing happens if it is not there."""

    def close(self) -> None: ...


class Sender(Protocol):
    """Sends a message to a webhook's receiver."""

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a body by POST; what came of it, whatever it is. Redirects are not followed."""


class Registry(Protocol):
    """Immutable versioned artefacts: a directory each, with a manifest and checksums."""

    def create(self, kind: str, stem: str) -> AbstractContextManager[Path]:
        """A new artefact's directory, published as `artefacts/<kind>/<id>` if the block ends well.

        The id is `<stem>-<NNNN>`; a manifest with sha256 checksums of every file is added.
        """

    def path(self, kind: str, artefact_id: str) -> Path:
        """The directory of an artefact, after its checksums were verified.

        Raises:
            OperationError: `artefact_damaged`.
        """

    def redact(
        self,
        kind: str,
        artefact_id: str,
        held: Callable[[Path], int],
        edit: Callable[[Path], object],
    ) -> int:
        """Let `edit` take persons out of the files in which `held` counts entries of them.

        The manifest gets new checksums of these files, says how much was erased and that the
        artefact cannot be made again as it was. Returns the entries removed, also of what an
        earlier attempt that was killed removed.
        """

    def remove(self, kind: str, artefact_id: str) -> None:
        """Remove an artefact that nothing refers to; nothing happens if it is not there."""

    def sweep(self) -> None:
        """Remove what killed processes left half made; under the shop's lease only."""

    def directory(self, kind: str, artefact_id: str) -> Path:
        """The directory of an artefact, whatever its state."""

    def kinds(self) -> Sequence[str]:
        """Kinds of which there are artefacts."""

    def list(self, kind: str) -> list[str]:
        """Ids of a kind, oldest first."""
