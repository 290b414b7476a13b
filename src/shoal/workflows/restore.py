"""A shop made of a backup, in which nobody stands who was forgotten since."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import OperationError, UsageError
from shoal.workflows import backup_manifest
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.whole_directory import sync, whole

SCHEMA: Final = "shoal.restore/1"


def restore(
    backup: Path,
    shop: Path,
    finish: Callable[[Path, dict[str, Any]], dict[str, Any]],
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a shop of a backup; the JSON document `shoal.restore/1`.

    Every checksum is compared before anything is written. The shop is there whole or not at all.

    Args:
        shop: does not exist, or is an empty directory.
        finish: is given the restored directory before it takes its place, and the manifest; what
            it returns is told too.

    Raises:
        UsageError: `not_a_backup`, `shop_exists`.
        OperationError: `backup_damaged`, `shop_newer`, `disk_full`, `no_permission`, and what
            `finish` raises; the shop is then not there.
    """
    if shop.exists() and (not shop.is_dir() or any(shop.iterdir())):
        raise UsageError(
            "shop_exists",
            f"{shop} is not empty; a restored shop never takes the place of another",
            where=str(shop),
            hint="Give a directory that is new or empty, or move that one away first.",
        )
    told = backup_manifest.read(backup)
    bar = progress or NoProgress()
    bar.start("restore", 2 * len(told["files"]), "files")
    try:
        _refuse_damaged(backup, told)
        bar.advance(len(told["files"]))
        with whole(shop) as aside:
            shutil.copymode(backup, aside)
            for name in told["files"]:
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(backup / name, aside / name)
                sync(aside / name)
                bar.advance()
            more = finish(aside, told)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OperationError(
            "disk_full", f"no space is left at {shop}: nothing was restored", where=str(shop),
            hint="Free some space there or give another place. The backup is as it was.",
        ) from error  # fmt: skip
    finally:
        bar.done()
    kept = ("made_at", "shoal", "marks")
    return {
        "schema": SCHEMA, "backup": str(backup), "shop": str(shop),
        **{name: told[name] for name in kept}, "files": len(told["files"]), **more,
    }  # fmt: skip


def _refuse_damaged(backup: Path, told: dict[str, Any]) -> None:
    """Compare every checksum.

    Raises:
        OperationError: `backup_damaged`.
    """
    found = list(backup_manifest.faults(backup, told))
    if not found:
        return
    error = found[0].as_error()
    if len(found) > 1:
        error.message += f"; so are {len(found) - 1:,} more (shoal verify {backup})"
    error.hint = f"Nothing was restored. {error.hint}"
    raise error
