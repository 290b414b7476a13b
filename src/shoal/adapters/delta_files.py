"""The event table as files: one version copied while others write, and looked at for damage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from deltalake import DeltaTable

from shoal.adapters.bucket_files import DataFile, sync
from shoal.adapters.delta_log import SHOAL, DeltaLog
from shoal.adapters.failures import translated
from shoal.adapters.log_files import LOG_DIR, LogFiles, numbered_files, remove_before
from shoal.domain.errors import OperationError
from shoal.domain.faults import Fault

#: Whether a state store knows of a commit, by what the commit says of itself.
Knows = Callable[[dict[str, Any]], bool]

_HINT: Final = (
    "Restore the shop from a backup (shoal restore), or make a new shop and ingest the sources "
    "again."
)


def place(source: Path, target: Path, *, link: bool) -> None:
    """Let a file that never changes stand in a second place: linked if it may, else copied.

    A linked file is the same bytes on disk; where the file system cannot, it is copied.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        try:
            os.link(source, target)
            return
        except FileNotFoundError:
            raise
        except OSError:
            pass  # another disk, or a file system without links
    shutil.copy2(source, target)


def fitting_version(log: DeltaLog, applied: int, knows: Knows) -> int:
    """The latest version of which a copy of the state store knows every commit; -1: no table.

    Args:
        applied: a version that the store's states hold.

    Raises:
        OperationError: `shop_damaged`, the log cannot be read.
    """
    version = max(applied, log.oldest_entry() - 1)
    for at, actions in log.entries(version):
        infos = [action["commitInfo"] for action in actions if "commitInfo" in action]
        said = dict(infos[0].get(SHOAL, {})) if infos else {}
        if not knows(said):
            break
        version = at
    return version


def copy(log: DeltaLog, target: Path, version: int, first: int, *, link: bool) -> None:
    """Copy one version of the table: its files, and those of units that came after another.

    Args:
        first: the copy's log begins with this version: what was before is not in it.

    Raises:
        FileNotFoundError: somebody removed files meanwhile (an erasure): begin again.
        OperationError: `shop_damaged`, a file has not the size that the log tells.
    """
    wanted = {file.path: file.bytes for file in log.files(version)}
    for at, actions in log.entries(max(first, log.oldest_entry() - 1)):
        for added in (action["add"] for action in actions if "add" in action):
            if at <= version and (log.root / added["path"]).exists():
                wanted[added["path"]] = int(added["size"])
    for path, size in wanted.items():
        if (log.root / path).stat().st_size != size:
            raise _other_size(log.root / path, size).as_error()
        place(log.root / path, target / path, link=link)
        sync(target / path)
    (target / LOG_DIR).mkdir(parents=True, exist_ok=True)
    for number, file in numbered_files(log.root):
        if number <= version:
            shutil.copyfile(file, target / LOG_DIR / file.name)
    _shorten(target, max(first, 0), version)


def _shorten(root: Path, first: int, version: int) -> None:
    """Let a copied log begin with a version, or with the oldest after it that can be read."""
    first = max(first, LogFiles.of(root).oldest(version))
    if first > version:
        raise FileNotFoundError(root)
    with translated(root, damaged="the event table"):
        table = DeltaTable(str(root), version=version)
        if table.version() != version:
            raise FileNotFoundError(root)
        if first > 0:
            DeltaTable(str(root), version=first).create_checkpoint()
            remove_before(root, first)
    for file in (root / LOG_DIR).iterdir():
        sync(file)


# -- looked at -------------------------------------------------------------------------------------


def faults(root: Path, buckets: int, read: str) -> Iterator[Fault]:
    """What is wrong with a table: its log, and the files of its latest version.

    Args:
        read: of the files: `sizes`, `ends` (what they say of themselves) or `rows`.
    """
    if not root.exists():
        return
    try:
        yield from _log_faults(root)
        files = DeltaLog(root, buckets).files()
    except OperationError as error:
        yield Fault.of(error)
        return
    for file in files:
        found = _file_fault(root, file, read)
        if found is not None:
            yield found


def behind(root: Path, applied: int, latest: int) -> Fault:
    """The table lacks versions that the customers' states hold."""
    return Fault(
        "shop_damaged",
        f"the event table ends with version {latest}, and the customers' states hold version "
        f"{applied}: the last {applied - latest} entries of its log are missing",
        str(root / LOG_DIR),
        _HINT,
    )


def _log_faults(root: Path) -> Iterator[Fault]:
    missing = _missing(root)
    if missing:  # twice: a directory that changes while it is listed shows what was at no moment
        missing = sorted(set(missing) & set(_missing(root)))
    for number in missing[:5]:
        yield Fault(
            "shop_damaged",
            f"entry {number} of the event table's log is missing"
            + (f", and {len(missing) - 5} more" if number == missing[min(4, len(missing) - 1)]
               and len(missing) > 5 else ""),
            str(root / LOG_DIR / f"{number:020d}.json"),
            _HINT,
        )  # fmt: skip


def _missing(root: Path) -> list[int]:
    """Versions whose entry should be there, as the log's directory is listed now."""
    found = LogFiles.of(root)
    if not found.entries:
        return []  # no table yet, or the log is gone: opening it tells which
    first, latest = min(found.entries), max(found.entries)
    missing = sorted(set(range(first, latest)) - found.entries)
    if first > 0 and not any(first - 1 <= number for number in found.checkpoints):
        return [*range(first), *missing]
    return missing


def _file_fault(root: Path, file: DataFile, read: str) -> Fault | None:
    path = root / file.path
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return Fault(
            "shop_damaged", f"a file of the event table with {file.rows:,} events is missing",
            str(path), _HINT,
        )  # fmt: skip
    if size != file.bytes:
        return _other_size(path, file.bytes)
    if read == "sizes":
        return None
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as opened:
            rows = opened.metadata.num_rows
            if read == "rows":
                rows = sum(batch.num_rows for batch in opened.iter_batches())
    except Exception as error:  # whatever a reader makes of damaged bytes
        return Fault(
            "shop_damaged",
            f"a file of the event table cannot be read: {str(error).splitlines()[0][:200]}",
            str(path), _HINT,
        )  # fmt: skip
    if rows != file.rows:
        return Fault(
            "shop_damaged", f"a file of the event table has {rows:,} rows, its log says "
            f"{file.rows:,}", str(path), _HINT,
        )  # fmt: skip
    return None


def _other_size(path: Path, size: int) -> Fault:
    found = path.stat().st_size
    what = "was cut short" if found < size else "was changed"
    return Fault(
        "shop_damaged",
        f"a file of the event table {what}: it has {found:,} bytes, its log says {size:,}",
        str(path), _HINT,
    )  # fmt: skip
