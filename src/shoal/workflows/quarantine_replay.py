"""Trying the quarantined rows again with a mended mapping."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.account import RowAccount
from shoal.domain.errors import UsageError
from shoal.domain.time import Zone
from shoal.events.chunks import chunk_of_quarantine
from shoal.events.clean import clean
from shoal.events.row_noise import RowNoise
from shoal.events.schema import SCOPE_KEY, SCOPE_VERSION
from shoal.events.sealed_form import ROW_MARK
from shoal.events.tombstones import Tombstones
from shoal.ports import RESTATED, StateStore, UnitWriter, Warehouse
from shoal.workflows import recovery, units
from shoal.workflows.catch_up import catch_up
from shoal.workflows.forgotten import id_columns, tombstones_of
from shoal.workflows.ingest import commit
from shoal.workflows.ingest_errors import told
from shoal.workflows.ingest_result import FileAccount, IngestResult, remembered, summarise
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.quarantine import with_quarantine
from shoal.workflows.quarantine_file import (
    QuarantineFile,
    columns_of,
    id_columns_of,
    read_batches,
)
from shoal.workflows.statements import Statements
from shoal.workflows.units import Unit

if TYPE_CHECKING:
    from shoal.events.mapping import SourceMapping
    from shoal.events.privacy import Privacy
    from shoal.features.fold import Fold
    from shoal.workflows.admission import Admission
    from shoal.workflows.catch_up import FoldFactory


def replay(
    *,
    warehouse: Warehouse,
    store: StateStore,
    fold: Fold | FoldFactory,
    admission: Admission | None = None,
    quarantine_dir: Path,
    mapping: SourceMapping,
    zone: Zone,
    buckets: int,
    noise: RowNoise | None = None,
    privacy: Privacy | None = None,
    progress: Progress | None = None,
) -> IngestResult:
    """Try the quarantined rows of the mapping's source again; one commit, all accounted for.

    Rows that are valid now are stored and leave the quarantine; the others stay, with their reason
    of now (rows that could not be split into columns cannot be mended by a mapping). A row of a
    scope joins the statement that its file made; where a later one took that statement's place,
    the row is skipped as older.

    Raises:
        UsageError: `bad_mapping`, no quarantined row came from the mapping's source.
        OperationError: as `ingest`; the quarantine and the table are then as they were.
    """
    bar = progress or NoProgress()
    with store.lease():
        recovery.settle(warehouse, store, quarantine_dir)
        chosen = _of_source(store, mapping.source)
        name = _name(chosen, mapping)
        writer = warehouse.unit(name, joining=True)
        attempt = _Replay(
            name, quarantine_dir, mapping, zone, buckets, writer, noise,
            tombstones_of(store, privacy), privacy,
        )  # fmt: skip
        statements = Statements(units.all_units(store))
        bar.start("quarantine", None, "rows")
        try:
            with told(quarantine_dir):
                for unit in chosen:
                    bar.advance(attempt.unit(unit, statements.since(unit)))
                account, restated = attempt.account()
                unit = Unit(
                    name=name,
                    status=units.STAGED,
                    file=f"quarantine of {mapping.source}",
                    source=mapping.source,
                    account=account,
                    replaces=attempt.remaining,
                    restated=restated,
                    number=statements.next,
                )
            commit(warehouse, store, writer, unit)
        except BaseException:
            if not warehouse.committed(name):
                writer.discard()
                recovery.settle(warehouse, store, quarantine_dir)
            raise
        finally:
            bar.done()
        recovery.settle(warehouse, store, quarantine_dir)
        catch_up(warehouse=warehouse, store=store, fold=fold, admission=admission, progress=bar)
        taken = FileAccount(unit.file, account, restated=restated)
        return remembered(summarise(warehouse, store, [taken]), store)


def _of_source(store: StateStore, source: str) -> list[Unit]:
    held = with_quarantine(store)
    chosen = [unit for unit in held if unit.source == source]
    if not chosen:
        sources = ", ".join(sorted({unit.source for unit in held})) or "none: it is empty"
        raise UsageError(
            "bad_mapping",
            f"the quarantine holds no rows of source {source!r}",
            where=source,
            hint=f"Sources with quarantined rows: {sources}. Give the mapping that `source`.",
        )
    return chosen


def _name(chosen: Sequence[Unit], mapping: SourceMapping) -> str:
    """The replay's unit: of the files it takes rows from and the mapping."""
    parts = [mapping.fingerprint, *(f"{unit.name}/{unit.quarantine}" for unit in chosen)]
    return "replay-" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


class _Replay:
    """One attempt over several units' quarantined rows."""

    def __init__(
        self,
        name: str,
        directory: Path,
        mapping: SourceMapping,
        zone: Zone,
        buckets: int,
        writer: UnitWriter,
        noise: RowNoise | None = None,
        forgotten: Tombstones | None = None,
        privacy: Privacy | None = None,
    ) -> None:
        self._name = name
        self._forgotten = forgotten or Tombstones()
        self._privacy = privacy
        self._directory = directory
        self._mapping = mapping
        self._zone = zone
        self._buckets = buckets
        self._writer = writer
        self._noise = noise
        self._read = 0
        self._skipped = 0
        self._older = 0
        self._quarantined: Counter[str] = Counter()
        #: For each unit the file with the rows that remain in quarantine.
        self.remaining: dict[str, str | None] = {}

    def unit(self, unit: Unit, stated: frozenset[int] | None) -> int:
        """Try a unit's rows; returns how many were tried.

        Args:
            stated: scopes that were stated after the unit; None for any that has no version.
        """
        before = self._read
        held = self._directory / str(unit.quarantine)
        columns, ids = columns_of(held), id_columns_of(held)
        if ids is not None:  # what either mapping reads as an id is one
            ids = tuple(dict.fromkeys([*ids, *id_columns(self._mapping)]))
        kept = QuarantineFile(self._directory, f"{unit.name}.{self._name}.parquet", columns, ids)
        try:
            for rows in read_batches(held):
                self._try(rows, columns, ids, kept, stated)
            self.remaining[unit.name] = kept.publish()
        except BaseException:
            kept.abandon()
            raise
        return self._read - before

    def _try(
        self,
        rows: pa.Table,
        columns: Sequence[str],
        ids: Sequence[str] | None,
        kept: QuarantineFile,
        stated: frozenset[int] | None,
    ) -> None:
        rows, shut = opened_rows(rows, self._privacy)
        kept.append(shut)
        self._quarantined.update(shut["code"].to_pylist())
        self._read += shut.num_rows
        for file in rows["file"].unique().to_pylist():
            chunk = chunk_of_quarantine(rows.filter(pc.equal(rows["file"], file)))
            chunk = replace(chunk, table=_with_columns(chunk.table, columns))
            cleaned = clean(
                chunk,
                self._mapping,
                zone=self._zone,
                buckets=self._buckets,
                file=file,
                noise=self._noise,
                privacy=self._privacy,
            )
            cleaned = self._forgotten.left_out(cleaned, ids)
            if self._privacy is not None:
                cleaned = self._privacy.sealed(cleaned)
            events = _current(cleaned.events, stated)
            self._older += cleaned.events.num_rows - events.num_rows
            if events.num_rows:
                self._writer.append(events)
            kept.append(cleaned.quarantined)
            self._quarantined.update(cleaned.quarantined["code"].to_pylist())
            self._read += cleaned.read
            self._skipped += cleaned.skipped

    def account(self) -> tuple[RowAccount, dict[str, int]]:
        """The account of all rows tried, and what became of scopes."""
        found = self._writer.resolve()
        restated = {name: found[name] for name in RESTATED if name in found}
        if self._older:
            restated["older"] = restated.get("older", 0) + self._older
        account = RowAccount(
            read=self._read,
            stored=found["stored"],
            duplicate=found["duplicate"],
            conflicting=found["conflicting"],
            quarantined=self._quarantined.total(),
            skipped=self._skipped + restated.get("older", 0),
            quarantine=MappingProxyType(dict(self._quarantined)),
        )
        return account, restated


def opened_rows(rows: pa.Table, privacy: Privacy | None) -> tuple[pa.Table, pa.Table]:
    """Quarantined rows that can be read, their texts opened; and those whose key is not at hand."""
    raw = rows["raw"].to_pylist()
    if not any(text.startswith(ROW_MARK) for text in raw):
        return rows, rows.slice(0, 0)
    opened = [text if not text.startswith(ROW_MARK) else None for text in raw]
    if privacy is not None:
        opened = [privacy.opened_or_none(text) for text in raw]
    mask = pa.array([text is not None for text in opened], pa.bool_())
    place = rows.schema.get_field_index("raw")
    found = rows.set_column(place, rows.schema.field(place), pa.array(opened, pa.string()))
    return found.filter(mask), rows.filter(pc.invert(mask))


def _current(events: pa.Table, stated: frozenset[int] | None) -> pa.Table:
    """Events without those of scopes that were stated again later; the table judges versions."""
    scope = events[SCOPE_KEY]
    if scope.null_count == events.num_rows or stated == frozenset():
        return events
    again = pc.is_valid(scope)
    if stated is not None:
        again = pc.is_in(scope, value_set=pa.array(sorted(stated), pa.int64()))
    return events.filter(pc.invert(pc.and_(again, pc.is_null(events[SCOPE_VERSION]))))


def _with_columns(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """With every column that the file had: a row's text leaves out those where it has nothing."""
    for name in columns:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    return table
