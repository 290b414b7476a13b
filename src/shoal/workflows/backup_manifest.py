"""The manifest of a backup: what it holds, and whether it still holds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.faults import Fault
from shoal.workflows.whole_directory import files_below, sha256, sync

SCHEMA: Final = "shoal.backup/1"
#: Its file; it is written last, so a backup without one is not whole.
FILE: Final = "backup.json"
_OWN: Final = "sha256"
_HINT: Final = "Restore from another backup, and look at the health of the disk that holds this one"


def write(directory: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of a directory with the size and sha256 of each of its files."""
    files = {
        name: {"bytes": (directory / name).stat().st_size, "sha256": sha256(directory / name)}
        for name in files_below(directory)
    }
    for name in files:
        sync(directory / name)
    told = {"schema": SCHEMA, **document, "files": files}
    told[_OWN] = _digest(told)
    (directory / FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")
    sync(directory / FILE)
    return told


def read(directory: Path) -> dict[str, Any]:
    """The manifest of a backup.

    Raises:
        UsageError: `not_a_backup`; the hint names backups that lie below the directory.
        OperationError: `backup_damaged`, the manifest itself was changed.
    """
    try:
        text = (directory / FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            "not_a_backup",
            f"{directory} is not a whole backup: it has no {FILE}",
            where=str(directory),
            hint=_others(directory),
        ) from None
    except UnicodeDecodeError:
        text = ""
    try:
        told: dict[str, Any] = json.loads(text)
        if not told["schema"].startswith("shoal.backup/") or told[_OWN] != _digest(told):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OperationError(
            "backup_damaged",
            f"the manifest of the backup was changed after it was written: {FILE}",
            where=str(directory / FILE),
            hint=f"{_HINT}.",
        ) from None
    if told["schema"] != SCHEMA:
        raise OperationError(
            "shop_newer",
            f"the backup has the form {told['schema']}, this Shoal knows {SCHEMA}",
            where=str(directory / FILE),
            hint="Use the newer version of Shoal that made it.",
        )
    return told


def is_backup(directory: Path) -> bool:
    """Whether a directory holds a backup, in whatever state."""
    return (directory / FILE).exists()


def faults(directory: Path, told: Mapping[str, Any], *, deep: bool = True) -> Iterator[Fault]:
    """Files of a backup that are missing, too many, or not what they were.

    Args:
        deep: read every file; else of data files of the event table the size alone is compared.
    """
    expected: Mapping[str, Any] = told["files"]
    present = set(files_below(directory)) - {FILE}
    for name in sorted(expected):
        file = directory / name
        if name not in present:
            yield _fault(file, "is missing")
            continue
        size = file.stat().st_size
        if size != expected[name]["bytes"]:
            yield _fault(file, f"has {size:,} bytes instead of {expected[name]['bytes']:,}")
        elif (deep or not _is_data(name)) and sha256(file) != expected[name]["sha256"]:
            yield _fault(file, "was changed after it was written (its checksum is another)")
    for name in sorted(present - set(expected)):
        yield _fault(directory / name, "is not in the manifest")


def _is_data(name: str) -> bool:
    return name.endswith(".parquet") and "/bucket=" in f"/{name}"


def _fault(file: Path, what: str) -> Fault:
    return Fault("backup_damaged", f"{file.name} of the backup {what}", str(file), f"{_HINT}.")


def _digest(told: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in told.items() if name != _OWN}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _others(directory: Path) -> str:
    found = sorted(entry.parent.name for entry in directory.glob(f"*/{FILE}"))
    if found:
        return f"Below it lie backups: {', '.join(found[-5:])}. Give one of them."
    return "Give a folder that shoal backup made; one that was interrupted leaves nothing to use."
