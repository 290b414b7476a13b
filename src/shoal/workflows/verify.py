"""Whether what lies on disk of a shop, or of a backup, is whole and agrees with itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from shoal.domain.errors import OperationError, ShoalError
from shoal.domain.faults import Fault
from shoal.domain.time import stopwatch
from shoal.ports import AuditLog, Registry, StateStore, Warehouse
from shoal.workflows import audit, backup_manifest, canary, pointers, units
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.shop_files import OpenedStore, ShopFiles
from shoal.workflows.verify_states import Replayed

SCHEMA: Final = "shoal.verify/1"
#: Customers whose states are compared unless more are asked for.
CUSTOMERS: Final = 200
#: Commit units that are looked for in the event table, the latest ones.
_UNITS: Final = 200


@dataclass(frozen=True)
class Subject:
    """What is looked at.

    Args:
        files, registry, warehouse: of the shop or backup.
        artefacts, quarantine: its directories.
        replayed: what states are compared with, of a copy of the state store.
        audit: opens the copy of the audit log in a directory; None: there is none.
        manifest: of a backup; None: it is a shop.
    """

    files: ShopFiles
    registry: Registry
    warehouse: Warehouse
    artefacts: Path
    quarantine: Path
    replayed: Callable[[StateStore], Replayed]
    audit: Callable[[Path], AuditLog] | None = None
    manifest: Mapping[str, Any] | None = None


@dataclass
class _Checks:
    """What was looked at and what was found."""

    bar: Progress
    done: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, str]] = field(default_factory=list)

    def look(self, name: str, found: Callable[[], Iterable[Fault]], said: str = "") -> bool:
        """Run a check; whether all was well. What it fails of is a finding too."""
        self.bar.tell(name)
        faults: list[Fault] = []
        took = stopwatch()
        try:
            faults.extend(found())
        except OperationError as error:
            faults.append(Fault.of(error))
        except (ShoalError, OSError, ValueError, pa.ArrowException) as error:
            faults.append(
                Fault("shop_damaged", f"it cannot be looked at: {error}", name,
                      "Restore the shop from a backup (shoal restore).")
            )  # fmt: skip
        self.findings += [{"check": name, **fault.as_document()} for fault in faults]
        self.done.append(
            {"check": name, "status": "damaged" if faults else "ok", "findings": len(faults),
             "said": said, "seconds": round(took(), 3)}
        )  # fmt: skip
        return not faults

    def skip(self, name: str, why: str) -> None:
        self.done.append(
            {"check": name, "status": "skipped", "findings": 0, "said": why, "seconds": 0.0}
        )


def verify(
    subject: Subject,
    scratch: Path,
    *,
    deep: bool = False,
    customers: int | None = CUSTOMERS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Look at every store; the JSON document `shoal.verify/1`. Nothing of the shop is changed.

    Args:
        scratch: an empty directory for copies of the databases; the caller removes it.
        deep: read every row of the event table and every file of a backup, and compare states with
            the events folded anew.
        customers: how many customers' states are compared; None: all.

    Raises:
        OperationError: `disk_full`, `no_permission`: there is no room to look.
    """
    bar = progress or NoProgress()
    bar.start("verify", None)
    checks = _Checks(bar)
    try:
        _look(subject, scratch, checks, deep=deep, customers=customers)
    finally:
        bar.done()
    return {
        "schema": SCHEMA,
        "what": "shop" if subject.manifest is None else "backup",
        "path": str(subject.files.directory),
        "ok": not checks.findings,
        "deep": deep,
        "checks": checks.done,
        "findings": checks.findings,
    }


def _look(
    subject: Subject, scratch: Path, checks: _Checks, *, deep: bool, customers: int | None
) -> None:
    files = subject.files
    if subject.manifest is not None:
        told = subject.manifest
        checks.look("backup", lambda: backup_manifest.faults(files.directory, told, deep=deep))
    checks.look("databases", lambda: _of_databases(files, scratch))
    whole = checks.look("event table", lambda: files.table_faults("rows" if deep else "ends"))
    checks.look("artefacts", lambda: of_artefacts(subject.registry))
    if subject.audit is not None:
        log = subject.audit
        checks.look("audit log", lambda: _of_audit(log, scratch))
    store = _opened(files, scratch, checks)
    if store is None:
        for name in ("positions", "memberships", "pointers", "quarantine", "states"):
            checks.skip(name, "the state store cannot be opened")
        return
    try:
        whole &= checks.look("positions", lambda: of_positions(files, store, subject.warehouse))
        checks.look("memberships", lambda: _of_memberships(files, scratch, store))
        checks.look("pointers", lambda: of_pointers(store, subject.artefacts))
        checks.look("quarantine", lambda: _of_quarantine(store, subject.quarantine))
        if not deep:
            checks.skip("states", "compared with --deep")
        elif not whole:
            checks.skip("states", "the event table is damaged")
        else:
            _look_at_states(subject.replayed(store), checks, customers)
    finally:
        store.close()


def _look_at_states(replayed: Replayed, checks: _Checks, customers: int | None) -> None:
    why = replayed.not_to_compare()
    if why:
        checks.skip("states", why)
        return
    chosen = replayed.chosen(customers)
    checks.look("states", lambda: replayed.faults(chosen), f"{len(chosen):,} customers")


def _opened(files: ShopFiles, scratch: Path, checks: _Checks) -> OpenedStore | None:
    """The copy of the state store; None, and a finding, where it cannot be opened."""
    opened: list[OpenedStore] = []

    def attempt() -> Iterator[Fault]:
        opened.append(files.open_store(scratch))
        yield from ()

    checks.look("state store", attempt)
    return opened[0] if opened else None


def _of_databases(files: ShopFiles, scratch: Path) -> Iterator[Fault]:
    for name in files.databases():
        try:
            files.copy_database(name, scratch)
        except OperationError as error:
            if error.code != "shop_damaged":
                raise
            yield Fault.of(error)
            continue
        yield from files.database_faults(name, scratch)


def _of_audit(opening: Callable[[Path], AuditLog], scratch: Path) -> Iterator[Fault]:
    """The chain holds to its end; what it breaks of is raised."""
    with closing(opening(scratch)) as log:
        audit.verify(log)
    yield from ()


def of_positions(files: ShopFiles, store: StateStore, warehouse: Warehouse) -> Iterator[Fault]:
    """The event table has what the state store says that it has."""
    applied, latest = store.applied_version(), warehouse.version()
    if applied > latest:
        yield files.table_behind(applied, latest)
    committed = [one for one in units.all_units(store) if one.status == units.COMMITTED]
    for unit in committed[-_UNITS:]:
        if unit.changes and not warehouse.committed(unit.name):
            yield Fault(
                "shop_damaged",
                f"{unit.file} was taken in ({unit.events:,} events), and the event table does not "
                "know of it",
                unit.name,
                "Restore the shop from a backup (shoal restore), then ingest the file again.",
            )


def _of_memberships(files: ShopFiles, scratch: Path, store: StateStore) -> Iterator[Fault]:
    """Positions of the membership log have no gaps but those of who was forgotten."""
    numbers = files.numbers(scratch)
    missing = numbers.get("memberships", 0) - numbers.get("membership_rows", 0)
    told = [*store.erasures.receipts(), *(one for _, one in store.erasures.pending())]
    forgotten = sum(int(one.get("removed", {}).get("memberships", 0)) for one in told)
    if missing > forgotten:
        gaps = ", ".join(
            f"{first:,}" if first == last else f"{first:,}-{last:,}"
            for first, last in files.membership_gaps(scratch)
        )
        yield Fault(
            "shop_damaged",
            f"the membership log lacks {missing - forgotten:,} rows that nobody's erasure "
            f"explains; positions that are missing: {gaps or 'the last ones'}",
            "memberships",
            "Restore the shop from a backup (shoal restore): memberships cannot be made anew.",
        )


def of_artefacts(registry: Registry) -> Iterator[Fault]:
    """Artefacts whose files are missing or changed, and arrays that cannot be read."""
    for kind in registry.kinds():
        for name in registry.list(kind):
            try:
                directory = registry.path(kind, name)
            except OperationError as error:
                yield Fault.of(error)
                continue
            for file in sorted(directory.rglob("*.safetensors")):
                try:
                    with safe_open(file, framework="numpy") as opened:
                        opened.keys()
                except (SafetensorError, OSError) as error:
                    yield Fault(
                        "artefact_damaged", f"{file.name} of {name} cannot be read: {error}",
                        str(file), "Make the artefact again, or restore it from a backup.",
                    )  # fmt: skip


def of_pointers(store: StateStore, artefacts: Path) -> Iterator[Fault]:
    """Pointers that name an artefact which is not there."""
    for pointer, (kind, name) in pointers.named(store).items():
        if not (artefacts / kind / name).is_dir():
            yield Fault(
                "artefact_damaged",
                f"the pointer {pointer} names {name}, and there is no such {kind}",
                str(artefacts / kind / name),
                _without(store, pointer, kind),
            )


def _without(store: StateStore, pointer: str, kind: str) -> str:
    """What helps where a pointer names nothing."""
    if kind == "items":
        return "The next command that writes makes it anew."
    trial = canary.running(store)
    if pointer == canary.POINTER and trial is not None:
        return (
            f"Restore it from a backup, or stop it: shoal adjust SHOP --decline {trial.adjust_id}"
        )
    return (
        "Restore it from a backup, or go back to one that is there: shoal rollback, or shoal "
        "models --use."
    )


def _of_quarantine(store: StateStore, directory: Path) -> Iterator[Fault]:
    for unit in units.all_units(store):
        if unit.status != units.COMMITTED or unit.quarantine is None:
            continue
        path = directory / unit.quarantine
        try:
            pq.read_metadata(path)
        except (OSError, pa.ArrowException) as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
            yield Fault(
                "shop_damaged",
                f"{path.name} of the quarantine {what}: {unit.account.quarantined:,} refused rows "
                f"of {unit.file}",
                str(path),
                "Restore it from a backup, or ingest its source again to see what was refused.",
            )
