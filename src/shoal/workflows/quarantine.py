"""The quarantine: why rows were not stored, and trying them again with a mended mapping."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.account import RowAccount
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import Zone
from shoal.events.chunks import chunk_of_quarantine
from shoal.events.clean import clean
from shoal.events.reasons import REASONS
from shoal.events.row_noise import RowNoise
from shoal.ports import StateStore, UnitWriter, Warehouse
from shoal.workflows import recovery, units
from shoal.workflows.catch_up import catch_up
from shoal.workflows.ingest import commit
from shoal.workflows.ingest_errors import told
from shoal.workflows.ingest_result import FileAccount, IngestResult, remembered, summarise
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.quarantine_file import QuarantineFile, columns_of, read_batches
from shoal.workflows.units import Unit

if TYPE_CHECKING:
    from shoal.events.mapping import SourceMapping
    from shoal.features.fold import Fold
    from shoal.workflows.admission import Admission
    from shoal.workflows.catch_up import FoldFactory


#: How often a listing is begun anew when another process replays meanwhile.
_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class Sample:
    """One quarantined row: its file and row number, what was wrong, and the row as received."""

    file: str
    row: int
    detail: str
    raw: str


@dataclass(frozen=True)
class Reason:
    """A reason code, what it means, how many rows have it, and the first of them."""

    code: str
    meaning: str
    count: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Listing:
    """What is in the quarantine, most frequent reason first."""

    reasons: tuple[Reason, ...]

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.quarantine/1`."""
        return {
            "schema": "shoal.quarantine/1",
            "rows": sum(reason.count for reason in self.reasons),
            "reasons": [
                {
                    "code": reason.code,
                    "meaning": reason.meaning,
                    "count": reason.count,
                    "samples": [vars(sample) for sample in reason.samples],
                }
                for reason in self.reasons
            ],
        }


def listing(
    *, store: StateStore, quarantine_dir: Path, code: str | None = None, samples: int = 3
) -> Listing:
    """Reasons, counts and samples of all quarantined rows, or of one reason.

    Raises:
        UsageError: `usage`, there is no such reason code.
        OperationError: `shop_damaged`, a quarantine file is missing.
    """
    if code is not None and code not in REASONS:
        raise UsageError(
            "usage",
            f"there is no quarantine reason {code!r}",
            hint="Reasons: " + ", ".join(sorted(REASONS)) + ".",
        )
    missing = ""
    for _ in range(_ATTEMPTS):
        try:
            return _listed(_with_quarantine(store), quarantine_dir, code, samples)
        except FileNotFoundError as error:  # a replay at work took a file away: look again
            missing = str(error.filename or error)
    raise OperationError(
        "shop_damaged",
        "a file of the quarantine is missing",
        missing,
        "Restore it from a backup, or ingest the source again to see what was refused.",
    )


def _listed(held: Sequence[Unit], directory: Path, code: str | None, samples: int) -> Listing:
    counts: Counter[str] = Counter()
    shown: dict[str, list[Sample]] = {}
    for unit in held:
        for rows in read_batches(directory / str(unit.quarantine)):
            for entry in pc.value_counts(rows["code"].combine_chunks()).to_pylist():
                found = entry["values"]
                if code in (None, found):
                    counts[found] += entry["counts"]
                    _show(shown.setdefault(found, []), rows, found, samples)
    return Listing(
        tuple(
            Reason(name, REASONS.get(name, ""), count, tuple(shown[name]))
            for name, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        )
    )


def _show(shown: list[Sample], rows: pa.Table, code: str, samples: int) -> None:
    if len(shown) < samples:
        chosen = rows.filter(pc.equal(rows["code"], code)).slice(0, samples - len(shown))
        shown += [
            Sample(row["file"], row["row"], row["detail"] or "", row["raw"])
            for row in chosen.to_pylist()
        ]


def _with_quarantine(store: StateStore) -> list[Unit]:
    return [
        unit
        for unit in units.all_units(store)
        if unit.status == units.COMMITTED and unit.quarantine is not None
    ]


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
    progress: Progress | None = None,
) -> IngestResult:
    """Try the quarantined rows of the mapping's source again; one commit, all accounted for.

    Rows that are valid now are stored and leave the quarantine; the others stay, with their reason
    of now (rows that could not be split into columns cannot be mended by a mapping).

    Raises:
        UsageError: `bad_mapping`, no quarantined row came from the mapping's source.
        OperationError: as `ingest`; the quarantine and the table are then as they were.
    """
    bar = progress or NoProgress()
    with store.lease():
        recovery.settle(warehouse, store, quarantine_dir)
        chosen = _of_source(store, mapping.source)
        name = _name(chosen, mapping)
        writer = warehouse.unit(name)
        attempt = _Replay(name, quarantine_dir, mapping, zone, buckets, writer, noise)
        bar.start("quarantine", None, "rows")
        try:
            with told(quarantine_dir):
                for unit in chosen:
                    bar.advance(attempt.unit(unit))
                account = attempt.account()
                unit = Unit(
                    name=name,
                    status=units.STAGED,
                    file=f"quarantine of {mapping.source}",
                    source=mapping.source,
                    account=account,
                    replaces=attempt.remaining,
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
        return remembered(summarise(warehouse, store, [FileAccount(unit.file, account)]), store)


def _of_source(store: StateStore, source: str) -> list[Unit]:
    held = _with_quarantine(store)
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
    ) -> None:
        self._name = name
        self._directory = directory
        self._mapping = mapping
        self._zone = zone
        self._buckets = buckets
        self._writer = writer
        self._noise = noise
        self._read = 0
        self._skipped = 0
        self._quarantined: Counter[str] = Counter()
        #: For each unit the file with the rows that remain in quarantine.
        self.remaining: dict[str, str | None] = {}

    def unit(self, unit: Unit) -> int:
        """Try a unit's rows; returns how many were tried."""
        before = self._read
        held = self._directory / str(unit.quarantine)
        columns = columns_of(held)
        kept = QuarantineFile(self._directory, f"{unit.name}.{self._name}.parquet", columns)
        try:
            for rows in read_batches(held):
                self._try(rows, columns, kept)
            self.remaining[unit.name] = kept.publish()
        except BaseException:
            kept.abandon()
            raise
        return self._read - before

    def _try(self, rows: pa.Table, columns: Sequence[str], kept: QuarantineFile) -> None:
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
            )
            if cleaned.events.num_rows:
                self._writer.append(cleaned.events)
            kept.append(cleaned.quarantined)
            self._quarantined.update(cleaned.quarantined["code"].to_pylist())
            self._read += cleaned.read
            self._skipped += cleaned.skipped

    def account(self) -> RowAccount:
        """The account of all rows tried."""
        found = self._writer.resolve()
        return RowAccount(
            read=self._read,
            stored=found["stored"],
            duplicate=found["duplicate"],
            conflicting=found["conflicting"],
            quarantined=self._quarantined.total(),
            skipped=self._skipped,
            quarantine=MappingProxyType(dict(self._quarantined)),
        )


def _with_columns(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """With every column that the file had: a row's text leaves out those where it has nothing."""
    for name in columns:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    return table
