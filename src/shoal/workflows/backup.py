"""A consistent copy of a shop, made while a service or a nightly job writes to it.

What is copied first knows least: calls in the inbox, then the state store, then the version of the
event table of which that store knows every commit, then files that nobody changes. So nothing that
was acknowledged falls between two of them, and what stands in two of them is the same once more.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.faults import Fault
from shoal.domain.time import Clock, iso, system_clock
from shoal.domain.version import __version__
from shoal.ports import StateStore
from shoal.workflows import backup_manifest, units
from shoal.workflows.carries_noted import versions
from shoal.workflows.pointers import lost
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.shop_files import ShopFiles
from shoal.workflows.whole_directory import whole

#: An erasure removes files for good; a copy that meets one is begun again, so often.
_ATTEMPTS: Final = 3
_HALF_MADE: Final = (".", "_staging")


@dataclass(frozen=True)
class Source:
    """The shop that is copied.

    Args:
        files: its stores.
        link: whether files that never change may be linked.
        artefacts, quarantine, work: names of its directories.
    """

    files: ShopFiles
    link: bool
    artefacts: str
    quarantine: str
    work: str


def backup(
    source: Source,
    destination: Path,
    *,
    clock: Clock = system_clock,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Copy a shop into a new folder below a destination; its manifest, `shoal.backup/1`.

    The folder, `<shop>-<moment>`, is there whole or not at all.

    Raises:
        UsageError: `usage`, the destination lies in the shop.
        OperationError: `shop_damaged` or `artefact_damaged`, the shop is not worth a backup as it
            is; `disk_full`, `no_permission`.
    """
    shop = source.files.directory.resolve()
    if destination.resolve() == shop or shop in destination.resolve().parents:
        raise UsageError(
            "usage", f"{destination} lies in the shop itself", where=str(destination),
            hint="Give a folder outside the shop, on another disk if there is one.",
        )  # fmt: skip
    if destination.exists() and not destination.is_dir():
        raise UsageError(
            "usage", f"{destination} is no folder", where=str(destination),
            hint="Give a folder; the backup becomes a new one below it.",
        )  # fmt: skip
    made_at = clock()
    target = _free(destination, f"{shop.name}-{made_at:%Y%m%dT%H%M%SZ}")
    bar = progress or NoProgress()
    bar.start("backup", None)
    try:
        with whole(target) as aside:
            shutil.copymode(shop, aside)
            marks = _again_if_erased(source, aside)
            bar.tell("checksums")
            told = backup_manifest.write(
                aside,
                {"shop": shop.name, "made_at": iso(made_at), "shoal": __version__, "marks": marks},
            )
            _refuse_changed_artefacts(aside / source.artefacts, told["files"], source.artefacts)
    except (OSError, OperationError) as error:
        raise _failed(error, destination) from error
    finally:
        bar.done()
    return {**told, "backup": str(target)}


def _free(destination: Path, name: str) -> Path:
    """A folder of that name that is not there yet."""
    target, number = destination / name, 2
    while target.exists():
        target, number = destination / f"{name}-{number}", number + 1
    return target


def _again_if_erased(source: Source, aside: Path) -> dict[str, Any]:
    for attempt in range(_ATTEMPTS):
        try:
            return _copied(source, aside)
        except FileNotFoundError as error:
            if attempt == _ATTEMPTS - 1:
                raise Fault(
                    "shop_damaged",
                    f"a file of the shop is missing: {Path(str(error.filename)).name}",
                    str(error.filename or source.files.directory),
                    "See what is wrong with: shoal verify "
                    f"{source.files.directory}; nothing was kept of the backup.",
                ).as_error() from error
            for entry in list(aside.iterdir()):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    raise AssertionError


def _copied(source: Source, aside: Path) -> dict[str, Any]:
    """Everything in its order; the high-water marks of the copy.

    Raises:
        FileNotFoundError: somebody removed a file meanwhile.
    """
    files = source.files
    for name in files.databases():
        files.copy_database(name, aside)
        for fault in files.database_faults(name, aside):
            raise fault.as_error()
    store = files.open_store(aside)
    try:
        applied = store.applied_version()
        version, rows = files.copy_table(
            aside, applied, min([applied, *versions(store)]), _knows(store),
            link=source.link,
        )  # fmt: skip
        _copy_rest(source, aside)
        _refuse_incomplete(source, aside, store)
        marks = {"table_version": version, "events": rows, "applied_version": applied}
    finally:
        store.close()
    return {**marks, **files.numbers(aside)}


def _knows(store: StateStore) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a commit of the event table was begun before the state store was copied."""
    known = {unit.name for unit in units.all_units(store)}
    numbers = [number for number, _ in store.erasures.pending()]
    numbers += [int(receipt["number"]) for receipt in store.erasures.receipts()]
    last = max(numbers, default=0)

    def knows(said: Mapping[str, Any]) -> bool:
        if "unit" in said:
            return said["unit"] in known
        return int(said.get("request", 0)) <= last

    return knows


def _copy_rest(source: Source, aside: Path) -> None:
    """Files that are neither databases nor events nor work under way."""
    shop, left_out = source.files.directory, {source.work, *source.files.not_copied()}
    for entry in sorted(shop.iterdir()):
        if entry.name in left_out or entry.name.startswith(_HALF_MADE):
            continue
        below = sorted(entry.rglob("*")) if entry.is_dir() else [entry]
        for file in below:
            inside = file.relative_to(shop)
            if not file.is_file() or any(part.startswith(".") for part in inside.parts):
                continue
            link = source.link and inside.parts[0] == source.artefacts
            source.files.place(file, aside / inside, link=link)


def _refuse_incomplete(source: Source, aside: Path, store: StateStore) -> None:
    """What the copied store names must have been copied.

    Raises:
        FileNotFoundError: it was removed meanwhile, or is not there at all.
    """
    for kind, name in lost(store, aside / source.artefacts):
        raise FileNotFoundError(
            errno.ENOENT, "missing", str(source.files.directory / source.artefacts / kind / name)
        )
    for unit in units.all_units(store):
        if unit.status == units.COMMITTED and unit.quarantine is not None:
            place = Path(source.quarantine) / unit.quarantine
            if not (aside / place).exists():
                raise FileNotFoundError(
                    errno.ENOENT, "missing", str(source.files.directory / place)
                )


def _refuse_changed_artefacts(copied: Path, files: Mapping[str, Any], prefix: str) -> None:
    """A backup of a damaged model would take the place of a sound one.

    Raises:
        OperationError: `artefact_damaged`.
    """
    for path in sorted(copied.glob("*/*/manifest.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        changing = set(told.get("redacting", {}).get("files", ()))
        for name, entry in told["files"].items():
            full = f"{prefix}/{path.parent.relative_to(copied).as_posix()}/{name}"
            found = files.get(full, {}).get("sha256")
            if name not in changing and found != entry["sha256"]:
                what = "is missing" if found is None else "was changed after it was published"
                raise OperationError(
                    "artefact_damaged",
                    f"an artefact cannot be backed up: {name} of {path.parent.name} {what}",
                    where=full,
                    hint="Restore it from an earlier backup, or make it again; nothing was kept "
                    "of this backup.",
                )


def _failed(error: Exception, destination: Path) -> Exception:
    """A full disk told of the place that is full."""
    full = getattr(error, "code", "") == "disk_full" or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    )
    if not full:
        return error
    return OperationError(
        "disk_full",
        f"no space is left at {destination}: nothing was kept of this backup",
        where=str(destination),
        hint="Free some space there or give another place. The shop is as it was, and so are "
        "earlier backups.",
    )
