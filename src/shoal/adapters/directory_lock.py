"""A lock on a directory that the system gives back when its holder ends, however it ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_BUSY: Final = (errno.EWOULDBLOCK, errno.EACCES)


class DirectoryLock:
    """`flock(2)` of a directory: one holder of all processes that share a kernel.

    Containers have process numbers and host names of their own; what they mount they share, and
    locks with it. Whoever writes inside the directory is not kept out, and nothing is written.

    Args:
        directory: None has no lock.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._held: int | None = None

    def take(self) -> bool | None:
        """Whether it is ours now; None: there are no such locks here, or none that can be had."""
        if self._held is not None:
            return True
        if self._directory is None:
            return None
        try:
            import fcntl

            opened = os.open(self._directory, os.O_RDONLY)
        except (ImportError, OSError):
            return None
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # a file system of another machine may have none of directories
            os.close(opened)
            return False if error.errno in _BUSY else None
        self._held = opened
        return True

    def let_go(self) -> None:
        """Give it back."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)
