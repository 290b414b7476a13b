"""What a person is told when a file could not be brought in."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from shoal.domain.account import RowAccount
from shoal.domain.errors import InputError, OperationError, ShoalError
from shoal.events.reasons import REASONS
from shoal.events.sealed_form import shown_row
from shoal.workflows.ingest_result import FileAccount


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what the operating system says while a file is brought in into an error for a person."""
    try:
        yield
    except OSError as error:
        where = str(error.filename or path)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OperationError(
                "disk_full",
                f"no space was left on the device while {path} was brought in",
                where,
                "Nothing of this file was stored. Free some space, then run it again.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise OperationError(
                "no_permission",
                f"the operating system refused access while {path} was brought in",
                where,
                "Nothing of this file was stored. Give this user the right to read the file and "
                "to write to the shop.",
            ) from error
        raise


def unusable(
    account: RowAccount, samples: Mapping[str, Mapping[str, object]], path: Path
) -> InputError:
    """All rows were refused: say why, most frequent first, each with the first such row."""
    reasons = sorted(account.quarantine.items(), key=lambda entry: (-entry[1], entry[0]))[:3]
    said = [f"{count:,} rows: {REASONS.get(code, code)} ({code})" for code, count in reasons]
    if account.skipped:
        said.append(f"{account.skipped:,} rows: left out by the mapping (skip)")
    shown = [
        f"Row {samples[code]['row']}: {samples[code]['detail'] or code}; "
        f"received {_shortened(samples[code]['raw'])}"
        for code, _ in reasons
    ]
    advice = "Nothing was stored. Check the preset or mapping against the file's columns."
    return InputError(
        "input_unusable",
        f"not one of the {account.read:,} rows of {path} is usable; " + "; ".join(said),
        str(path),
        "\n".join([*shown, advice]),
    )


def _shortened(raw: object, limit: int = 200) -> str:
    text = shown_row(str(raw))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def interrupted(files: Sequence[Path], done: int) -> OperationError:
    where = str(files[done]) if done < len(files) else ""
    names = ", ".join(str(path) for path in files[:done])
    kept = f"{done} of {len(files)} files are in" + (f" ({names})" if names else "")
    what = f"while {where} was brought in" if where else "while customer states were brought up"
    return OperationError(
        "interrupted",
        f"interrupted {what}; {kept}",
        where,
        "The file in hand left nothing behind. Run the same command again: it continues, and "
        "files that are in are recognised.",
    )


def foreseen(error: Exception, path: Path | None, accounts: Sequence[FileAccount]) -> Exception:
    """The error to raise: what nobody foresaw names the file in hand and those that are in.

    Args:
        path: the file in hand; None: customer states were brought up.
        accounts: of the files before it.
    """
    if isinstance(error, ShoalError):
        keep_earlier(error, accounts)
    if isinstance(error, ShoalError | OSError):
        return error
    said = f"unexpected {type(error).__name__}: {error}"
    hint = "Run it again with --debug to see the details."
    if isinstance(error, MemoryError):
        said, hint = "out of memory", "Run it on a machine with more memory."
    if path is None:
        return OperationError(
            "internal", f"{said} (while customer states were brought up)", "", hint
        )
    failure = OperationError(
        "internal",
        f"{said} (while {path} was brought in)",
        str(path),
        f"Leave this file out to bring in the others. {hint}",
    )
    keep_earlier(failure, accounts)
    return failure


def keep_earlier(error: ShoalError, accounts: Sequence[FileAccount]) -> None:
    """Add to the advice that the files before the one that failed stay."""
    if accounts:
        names = ", ".join(account.file for account in accounts[-3:])
        more = f" and {len(accounts) - 3} before" if len(accounts) > 3 else ""
        error.hint = f"{error.hint} Files before it are in: {names}{more}.".strip()
