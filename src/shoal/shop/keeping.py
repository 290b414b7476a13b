"""Verbs that keep a shop: backup, restore, verify."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal import bootstrap
from shoal.domain.errors import InputError, OperationError
from shoal.domain.time import system_clock
from shoal.shop.audited import audited
from shoal.shop.privacy import PrivacyVerbs

if TYPE_CHECKING:
    from shoal.ports import StateStore, Warehouse
    from shoal.workflows.progress import Progress
    from shoal.workflows.verify import Subject
    from shoal.workflows.verify_states import Replayed

_LOG: Final = logging.getLogger("shoal")
#: Of a recovery, what somebody should hear of.
_UNDONE: Final = (
    "killed", "calls_waiting", "units_finished", "units_discarded", "erasures_finished",
)  # fmt: skip
#: Customers whose states `verify --deep` compares unless more are asked for.
CUSTOMERS: Final = 200


class KeepingVerbs(PrivacyVerbs):
    """Copies of the shop, and who must not come back with one."""

    def backup(
        self, destination: str | Path, *, link: bool = True, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Copy the shop into a new folder below `destination`, whatever writes to it meanwhile.

        The folder, `<shop>-<UTC moment>`, is there whole or not at all. Exports are copied too,
        work under way is not.

        Args:
            link: files that never change (events, artefacts) are linked where the file system can:
                they cost no space, and share the fate of the disk. False: everything is copied.

        Returns:
            The JSON document `shoal.backup/1`: the manifest, and `backup`, the folder.

        Raises:
            UsageError: `usage`, the destination lies in the shop, or is a file.
            OperationError: `shop_damaged` or `artefact_damaged`, the shop is not worth a backup as
                it is; `disk_full`, `no_permission`.
        """
        from shoal.workflows.backup import Source, backup

        source = Source(
            self._parts.files(), link, bootstrap.ARTEFACTS_DIR, bootstrap.QUARANTINE_DIR,
            bootstrap.WORK_DIR,
        )  # fmt: skip
        with audited(self.directory, "backup", to=str(destination)) as facts:
            found = backup(source, Path(destination), progress=progress)
            facts |= {"backup": found["backup"], "events": found["marks"]["events"]}
        return found

    def recover(self) -> dict[str, Any]:
        """Finish what the run of a service before left half done; it is logged, and returned.

        Returns:
            The JSON document `shoal.recovery/1`.

        Raises:
            OperationError: `shop_damaged`: what is lost would be hidden by going on.
        """
        from shoal.workflows.starting import recover, words

        killed = self._parts.killed
        with self.lease(), closing(self.inbox()) as inbox:
            found = recover(
                subject_of(self._parts, self._parts.warehouse), self._parts.store, inbox,
                self._finish_erasures, killed=killed,
            )  # fmt: skip
        undone = [name for name, value in found.items() if value and name in _UNDONE]
        level = logging.WARNING if undone else logging.INFO
        level = logging.ERROR if found["damage"] else level
        _LOG.log(level, "start: %s", words(found), extra={"recovery": found})
        return found

    def tombstones(self) -> dict[str, Any]:
        """Who was forgotten, as a restored backup needs it: `shoal.tombstones/1`.

        It names nobody, and holds the key by which an id can be compared: keep it as you keep the
        shop.
        """
        from shoal.workflows.forget_again import document_of

        return document_of(self._parts.store, system_clock())

    def forget_again(
        self, told: dict[str, Any], backup_made_at: str, where: str,
        progress: Progress | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Take out whom a document of tombstones names; of a shop that was just restored.

        Raises:
            InputError: `input_unreadable`, they are tombstones of another shop.
            OperationError: as `forget`.
        """
        from shoal.workflows.forget_again import adopt

        new = adopt(self._parts.store, told, backup_made_at, where)
        self.empty_inbox()
        receipt = self._forgetting.forget_again(progress)
        return {
            "file": where, "made_at": told["made_at"], "tombstones": len(told["tombstones"]),
            "new": new, "receipt": receipt,
        }  # fmt: skip


def verify(
    directory: str | Path,
    *,
    deep: bool = False,
    customers: int | None = CUSTOMERS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Whether a shop or a backup is whole and agrees with itself; nothing is changed.

    Args:
        deep: read every row and every file, and compare states with the events folded anew.
        customers: how many customers' states are compared; None: all.

    Returns:
        The JSON document `shoal.verify/1`: `ok`, `checks`, and `findings`, each with `check`,
        `code`, `message`, `where` and `hint`.

    Raises:
        UsageError: `not_a_shop`, or a bad setting.
        OperationError: `disk_full`, `no_permission`: there is no room to look;
            `backup_damaged`, the manifest of a backup cannot be read.
    """
    from shoal.workflows import backup_manifest
    from shoal.workflows.verify import verify as look

    home = Path(directory)
    told = backup_manifest.read(home) if backup_manifest.is_backup(home) else None
    parts = bootstrap.attach(home, copied=told is not None)
    with closing(parts), _scratch(home, in_it=told is None) as scratch:

        def replayed(store: StateStore) -> Replayed:
            from shoal.workflows.verify_states import Replayed

            copy = bootstrap.Parts(home, parts.config, store=store, work_dir=scratch / "work")
            return Replayed(copy.warehouse, store, copy.fold, copy.admission)

        return look(
            subject_of(parts, parts.table, replayed, told), scratch, deep=deep, customers=customers,
            progress=progress,
        )  # fmt: skip


def subject_of(
    parts: bootstrap.Parts,
    table: Warehouse,
    replayed: Any = None,
    manifest: dict[str, Any] | None = None,
) -> Subject:
    """What there is to look at of a shop or (with its manifest) a backup.

    Args:
        table: its events. Whoever looks for damage opens no store of what is looked at.
    """
    from shoal.workflows.verify import Subject

    home = parts.directory
    return Subject(
        parts.files(at_rest=manifest is not None), parts.registry, table,
        home / bootstrap.ARTEFACTS_DIR, home / bootstrap.QUARANTINE_DIR, replayed,
        bootstrap.audit_file if parts.begun("audit") else None, manifest,
    )  # fmt: skip


def erased(path: str | Path) -> dict[str, Any]:
    """Who was forgotten, as a file of tombstones, a shop or a later backup tells it.

    Raises:
        InputError: `input_missing`, `input_unreadable`.
        OperationError: `shop_damaged`.
    """
    from shoal.workflows.forget_again import checked

    source = Path(path)
    if source.is_dir():
        return checked(_of_directory(source), str(source))
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            "input_missing", f"there is no {source}", where=str(source),
            hint="Make it of the shop as it was last: shoal forget SHOP --tombstones > FILE",
        ) from None  # fmt: skip
    except (OSError, ValueError) as error:
        raise InputError(
            "input_unreadable", f"{source} cannot be read: {error}", where=str(source),
            hint="Give what shoal forget SHOP --tombstones printed.",
        ) from error  # fmt: skip
    return checked(document, str(source))


def _of_directory(home: Path) -> dict[str, Any]:
    from shoal.domain.time import parse_moment
    from shoal.workflows import backup_manifest
    from shoal.workflows.forget_again import document_of

    told = backup_manifest.read(home) if backup_manifest.is_backup(home) else None
    files = bootstrap.attach(home, copied=told is not None).files(at_rest=told is not None)
    moment = system_clock() if told is None else parse_moment(told["made_at"])
    with _scratch(home, in_it=False) as scratch:
        files.copy_database(bootstrap.STORE_FILE, scratch)
        store = files.open_store(scratch)
        try:
            return document_of(store, moment)
        finally:
            store.close()


@contextmanager
def _scratch(home: Path, *, in_it: bool) -> Iterator[Path]:
    """An empty directory for copies: in the shop where it may be written to, else elsewhere."""
    from shoal.workflows.admitted import workspace

    try:
        scratch = workspace(home / bootstrap.WORK_DIR if in_it else None)
    except PermissionError:
        scratch = workspace(None)
    try:
        yield scratch
    except OperationError as error:
        if error.code == "disk_full":
            error.hint = f"Copies of the databases are made in {scratch.parent}: free some space."
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
