"""Opening files: compression by magic bytes, and the operating system's errors in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa

from shoal.domain.errors import InputError, OperationError

_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@contextmanager
def io_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system and Arrow say about a file into errors for a person."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(
            "input_missing",
            f"there is no file {str(path)!r}",
            where=str(path),
            hint="Check the path; it is taken from the current folder unless it begins with /.",
        ) from error
    except PermissionError as error:
        raise OperationError(
            "no_permission",
            f"the operating system refused access to {str(path)!r}",
            where=str(path),
            hint="Give the user who runs Shoal the right to read it (chmod u+r), then run again.",
        ) from error
    except (pa.ArrowInvalid, pa.ArrowTypeError, EOFError, UnicodeError) as error:
        raise _unreadable(path, error) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise _unreadable(path, error) from error


def compression_of(path: Path) -> str | None:
    """gzip, zstd or None, by the file's first bytes, whatever its name."""
    head = head_of(path, 4)
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def head_of(path: Path, size: int) -> bytes:
    """The first bytes of a file as they lie on disk."""
    with path.open("rb") as file:
        return file.read(size)


def expanded(head: bytes, compression: str | None, size: int = 1 << 20) -> bytes:
    """What the head of a compressed file expands to, as far as it goes."""
    if compression is None:
        return head
    stream = pa.CompressedInputStream(pa.BufferReader(head), compression)
    found = b""
    try:
        while len(found) < size:
            part = stream.read(1 << 16)
            if not part:
                break
            found += part
    except OSError:  # the head ends in the middle of a block
        pass
    return found


def _unreadable(path: Path, error: BaseException) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(
        "input_unreadable",
        f"the file cannot be read: {reason}",
        where=str(path),
        hint="It is damaged, cut off, or not what its name says. Export or copy it again.",
    )
