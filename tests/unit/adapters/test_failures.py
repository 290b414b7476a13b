from __future__ import annotations

import errno
from pathlib import Path

import pytest

from shoal.adapters.failures import translated
from shoal.domain.errors import InputError, OperationError


@pytest.mark.parametrize(
    ("error", "code", "message", "hint"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "disk_full",
            "no space is left on the device while writing to the shop",
            "Nothing of the file in hand was stored. Free some space, then run it again.",
        ),
        (
            RuntimeError("Generic error: No space left on device (os error 28)"),
            "disk_full",
            "no space is left on the device while writing to the shop",
            "Nothing of the file in hand was stored. Free some space, then run it again.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "no_permission",
            "the operating system refused access to the shop's files",
            "The user running Shoal must own this directory or have read and write access.",
        ),
        (
            OSError(errno.EROFS, "Read-only file system"),
            "no_permission",
            "the operating system refused access to the shop's files",
            "The user running Shoal must own this directory or have read and write access.",
        ),
    ],
)
def test_failures_of_a_store_are_told(
    tmp_path: Path, error: Exception, code: str, message: str, hint: str
) -> None:
    with pytest.raises(OperationError) as caught, translated(tmp_path):
        raise error
    told = caught.value
    assert (told.code, told.message, told.where, told.hint) == (code, message, str(tmp_path), hint)
    assert told.__cause__ is error


def test_what_cannot_be_read_is_damaged_only_where_said() -> None:
    with pytest.raises(OperationError) as caught, translated("/shop", damaged="the log"):
        raise ValueError("\x1b[31mbad magic\x1b[0m\nand more")
    assert caught.value.code == "shop_damaged"
    assert caught.value.message == "the log cannot be read: bad magic"
    assert caught.value.hint.endswith("or make a new shop and ingest the sources again.")
    with pytest.raises(ValueError, match="bad magic"), translated("/shop"):
        raise ValueError("bad magic")
    with (
        pytest.raises(ValueError, match="bad magic"),
        translated("/shop", damaged="the log", unreadable=(OSError,)),
    ):
        raise ValueError("bad magic")


def test_what_was_said_on_purpose_passes() -> None:
    said = InputError("input_empty", "the input holds no rows")
    with pytest.raises(InputError) as caught, translated("/shop", damaged="the log"):
        raise said
    assert caught.value is said
    with pytest.raises(KeyboardInterrupt), translated("/shop", damaged="the log"):
        raise KeyboardInterrupt
