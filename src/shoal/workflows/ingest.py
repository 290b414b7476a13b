"""Ingest: files go in, every row is accounted for, and each file is in wholly or not at all.

A file's rows are read, cleaned and staged in bounded chunks; one commit to the event table makes
them visible; customer states follow (`catch_up`). Killed at any moment and run again, the shop is
the same as if nothing had happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.account import RowAccount
from shoal.domain.errors import InputError
from shoal.domain.time import Zone
from shoal.events.clean import Cleaned, clean
from shoal.events.reading import RawChunk, Source, discover
from shoal.events.row_noise import RowNoise
from shoal.events.tombstones import Tombstones
from shoal.ports import RESTATED, THINNED, StateStore, UnitWriter, Warehouse
from shoal.workflows import recovery, units
from shoal.workflows.arrivals import Arrival, Arrivals
from shoal.workflows.catch_up import CURRENCY, VALUE_EVENT, catch_up
from shoal.workflows.forgotten import id_columns, tombstones_of
from shoal.workflows.ingest_errors import foreseen, interrupted, told, unusable
from shoal.workflows.ingest_result import (
    FileAccount,
    IngestResult,
    as_read_again,
    remembered,
    summarise,
)
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.quarantine_file import QuarantineFile
from shoal.workflows.statements import Statements, exports, label
from shoal.workflows.units import Unit

if TYPE_CHECKING:
    from shoal.events.mapping import SourceMapping
    from shoal.events.privacy import Privacy
    from shoal.features.fold import Fold
    from shoal.workflows.admission import Admission
    from shoal.workflows.catch_up import FoldFactory
    from shoal.workflows.collected_rows import Collected

#: What is committed but not yet in the customer states is folded when it has so many events. Each
#: fold reads and writes the states of all customers who come again, so small files share one.
FOLD_AFTER: Final = 1_000_000


def ingest(
    *,
    warehouse: Warehouse,
    store: StateStore,
    fold: Fold | FoldFactory,
    admission: Admission | None = None,
    quarantine_dir: Path,
    paths: Sequence[str],
    mapping: SourceMapping | Callable[[Source], SourceMapping],
    zone: Zone,
    buckets: int,
    noise: RowNoise | None = None,
    privacy: Privacy | None = None,
    again: bool = False,
    collected: Collected | None = None,
    progress: Progress | None = None,
) -> IngestResult:
    """Bring files into the shop, one commit each, and its customers' states up to date.

    The parts into which an export of a source with scopes was cut are one commit together.

    Args:
        fold: a fold, or what makes one (of value event and currency) when states must be folded.
        quarantine_dir: where quarantined rows are kept, a file a unit.
        paths: files, folders (not recursive) and globs.
        mapping: how to read them, or what chooses that for each source.
        zone: the shop's time zone.
        buckets: the event table's number of customer buckets.
        noise: whose agents and addresses are no customer's; None: the known robots'.
        privacy: hides ids and seals what is personal; None: nothing is hidden.
        again: a file that is in already, of which a later one stated a part anew, is taken as the
            latest statement; else it is left as it is.
        collected: what rows are called that were acknowledged one by one; a file of which none is
            usable is in all the same, in the quarantine. None: they are a file's.

    Raises:
        InputError: a file is missing, unreadable, or holds nothing usable (`input_unusable`).
        OperationError: `interrupted`, `disk_full`, `no_permission`, `shop_locked`, ...; the shop is
            as it was before the file in hand, files before it stay.
    """
    bar = progress or NoProgress()
    follow = partial(catch_up, warehouse=warehouse, store=store, admission=admission, progress=bar)
    made = cache(fold) if callable(fold) else fold  # compiling takes longer than a small file
    files = exports(discover(paths), mapping)
    accounts: list[FileAccount] = []
    with store.lease():
        recovery.settle(warehouse, store, quarantine_dir)
        statements = Statements(units.all_units(store))
        ingested = _Ingest(
            warehouse, store, quarantine_dir, zone, buckets, bar, noise, statements,
            tombstones_of(store, privacy), again, collected, privacy,
        )  # fmt: skip
        in_hand: Path | None = None
        arrivals = Arrivals(files, mapping, ingested.cleaned, ingested.has)
        try:
            pending = 0
            for parts in files:
                in_hand = label(parts)
                account = ingested.file(arrivals.take(), arrivals.read_ahead)
                in_hand = None
                accounts.append(account)
                pending += 0 if account.unchanged else account.rows.stored
                if pending >= FOLD_AFTER:
                    follow(fold=made)
                    pending = 0
            follow(fold=made)
        except KeyboardInterrupt as error:
            raise interrupted([label(parts) for parts in files], len(accounts)) from error
        except Exception as error:
            failure = foreseen(error, in_hand, accounts)
            if in_hand is not None:
                with suppress(Exception):  # the first failure is the one to tell
                    follow(fold=made)
            if failure is error:
                raise
            raise failure from error
        finally:
            arrivals.close()
            bar.done()
        return remembered(summarise(warehouse, store, accounts), store)


@dataclass(frozen=True)
class _Ingest:
    """The parts that every file of a call shares."""

    warehouse: Warehouse
    store: StateStore
    quarantine_dir: Path
    zone: Zone
    buckets: int
    bar: Progress
    noise: RowNoise | None
    statements: Statements
    forgotten: Tombstones
    again: bool
    collected: Collected | None = None
    privacy: Privacy | None = None
    #: Units that this call brought in.
    brought: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Whether the unit of that name is in."""
        return self.statements.latest(name) is not None

    def file(self, arrival: Arrival, staged: Callable[[], None]) -> FileAccount:
        """Bring a file (the parts of an export) in; on any failure the shop is as it was before.

        Args:
            staged: called when all rows are staged and the file is not read any more.
        """
        path, name, mapping = arrival.path, arrival.name, arrival.mapping
        known = self.statements.latest(name)
        if known is not None:
            if not (self.again and self.statements.may_be_stated_again(known)):
                return FileAccount(
                    str(path),
                    as_read_again(known.account),
                    unchanged=True,
                    superseded=self.statements.superseded(known),
                )
            # Numbers are given once, so a unit that a kill left can never be taken for this one.
            name = units.again(name, self.statements.next)
        writer = self.warehouse.unit(name)
        quarantined = QuarantineFile(
            self.quarantine_dir, f"{name}.parquet", arrival.columns, id_columns(mapping)
        )
        try:
            with told(path):
                read, skipped, forgotten, currencies = self._stage(arrival, writer, quarantined)
                staged()
                account, restated = _settled(
                    writer, quarantined, read, skipped, path, forgotten=forgotten,
                    collected=self.collected is not None,
                )  # fmt: skip
                stated = writer.stated()
                unit = Unit(
                    name,
                    units.STAGED,
                    str(path) if self.collected is None else self.collected.name,
                    mapping.source,
                    account,
                    quarantined.publish(),
                    {VALUE_EVENT: mapping.value_event, **_main_currency(currencies)},
                    restated=restated,
                    scopes=None if stated is None else tuple(stated),
                    number=self.statements.next,
                )
            commit(self.warehouse, self.store, writer, unit)
        except BaseException:
            if not self.warehouse.committed(name):
                quarantined.abandon()
                writer.discard()
            raise
        return self._taken(unit)

    def _taken(self, unit: Unit) -> FileAccount:
        """The account of a unit that is in now."""
        instead = ""
        if unit.withdrawn:
            instead = self.statements.told_by(unit.scopes or (), self.brought)
        self.statements.add(unit)
        self.brought.append(unit.name)
        return FileAccount(unit.file, unit.account, restated=unit.restated, instead_of=instead)

    def _stage(
        self, arrival: Arrival, writer: UnitWriter, quarantined: QuarantineFile
    ) -> tuple[int, int, int, Counter[str]]:
        """Stage a file chunk by chunk as it is cleaned.

        Returns rows read, rows skipped, those of them of forgotten persons, and the priced events
        of each currency.
        """
        read = skipped = forgotten = 0
        currencies: Counter[str] = Counter()
        self.bar.start(arrival.path.name, arrival.size_bytes, "bytes")
        # Reading, cleaning and writing are three threads' work; all three let others run.
        with closing(arrival):
            for cleaned, grown in arrival.chunks(self.cleaned):
                if cleaned.events.num_rows:
                    currencies += _currencies(cleaned.events)
                    writer.append(cleaned.events)
                quarantined.append(cleaned.quarantined)
                read += cleaned.read
                skipped += cleaned.skipped
                forgotten += cleaned.forgotten
                self.bar.advance(grown)
                # Arrow keeps what threads free for their own next use; else it adds up.
                pa.default_memory_pool().release_unused()
        self.bar.done()
        return read, skipped, forgotten, currencies

    def cleaned(self, chunk: RawChunk, mapping: SourceMapping, file: str) -> Cleaned:
        """What becomes of a chunk."""
        found = clean(
            chunk, mapping, zone=self.zone, buckets=self.buckets, file=file, noise=self.noise,
            privacy=self.privacy,
        )  # fmt: skip
        found = self.forgotten.left_out(found, id_columns(mapping))
        if self.privacy is not None:
            found = self.privacy.sealed(found)
        return found if self.collected is None else self.collected.named(found, chunk)


def _currencies(events: pa.Table) -> Counter[str]:
    """Priced events of each currency."""
    if events["currency"].null_count == events.num_rows:
        return Counter()
    priced = events["currency"].filter(events["price"].is_valid()).drop_null()
    found = pc.value_counts(priced.combine_chunks()).to_pylist()
    return Counter({entry["values"]: entry["counts"] for entry in found})


def _main_currency(currencies: Counter[str]) -> dict[str, str]:
    """The most frequent currency, of equals the first by name, as a setting; none if none."""
    if not currencies:
        return {}
    return {CURRENCY: min(currencies, key=lambda name: (-currencies[name], name))}


def commit(warehouse: Warehouse, store: StateStore, writer: UnitWriter, unit: Unit) -> None:
    """Make a staged unit visible, remembered before and after so that a kill can be settled."""
    units.put(store, unit)
    if unit.changes:
        writer.commit({"file": unit.file, "rows": unit.account.as_document()})
    else:
        writer.discard()
    units.finish(store, unit)


def _settled(
    writer: UnitWriter,
    quarantined: QuarantineFile,
    read: int,
    skipped: int,
    path: Path,
    *,
    forgotten: int = 0,
    collected: bool = False,
) -> tuple[RowAccount, dict[str, int]]:
    """The account of a staged file, and what became of the scopes that it states.

    Raises:
        InputError: `input_empty` or `input_unusable`.
    """
    found = writer.resolve()
    account = RowAccount(
        read=read,
        stored=found["stored"],
        duplicate=found["duplicate"],
        conflicting=found["conflicting"],
        quarantined=quarantined.counts.total(),
        skipped=skipped + found.get("older", 0),
        quarantine=dict(quarantined.counts),
    )
    restated = {name: found[name] for name in (*RESTATED, *THINNED) if name in found}
    if forgotten:
        restated["forgotten"] = forgotten
    if read == 0:
        raise InputError(
            "input_empty",
            f"{path} holds no rows",
            str(path),
            "A file needs at least one row below its header.",
        )
    if account.quarantined + skipped == read and not (forgotten or collected):
        raise unusable(account, quarantined.samples, path)
    return account, restated
