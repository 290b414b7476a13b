"""Orders to a server about its syncs, given while it runs."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

NOTHING, FAIL_ONCE, FAIL_ON, KILL_BEFORE, KILL_AFTER = range(5)
_HEAD = struct.Struct("5i")
_SIZE = _HEAD.size + 96
_SOURCE = Path(__file__).with_name("syncs.c")


class NoCompilerError(Exception):
    """There is no C compiler: syncs cannot be made to fail."""


class Syncs:
    """The syncs of a server below a folder.

    Args:
        folder: of the shop.
        work: where orders and the compiled library lie.

    Raises:
        NoCompilerError: there is none, or it failed.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self._library = _compiled(work)
        self._orders = work / "orders"
        self._orders.write_bytes(bytes(_SIZE))
        self._folder = folder
        self._file = self._orders.open("r+b")
        self._mapped = mmap.mmap(self._file.fileno(), _SIZE)

    @property
    def env(self) -> dict[str, str]:
        """What a server's environment needs."""
        return self.library | self.orders

    @property
    def library(self) -> dict[str, str]:
        """The part of it that has to be there when the process begins; does nothing alone."""
        return {"LD_PRELOAD": str(self._library)}

    @property
    def orders(self) -> dict[str, str]:
        """The part of it that has to be there before the first sync."""
        return {"SHOAL_SYNC_ORDERS": str(self._orders),
                "SHOAL_SYNC_FOLDER": f"{self._folder.resolve()}/"}  # fmt: skip

    def order(self, mode: int, left: int = 1, *, others: bool = False) -> None:
        """What to do at the sync that comes `left` from now; 1 is the next.

        Args:
            others: syncs of the inbox are not counted.
        """
        seen, done = _HEAD.unpack_from(self._mapped)[2:4]
        _HEAD.pack_into(self._mapped, 0, NOTHING, left, seen, done, others)
        _HEAD.pack_into(self._mapped, 0, mode, left, seen, done, others)

    @property
    def seen(self) -> int:
        """Syncs so far."""
        return int(_HEAD.unpack_from(self._mapped)[2])

    @property
    def done(self) -> int:
        """How often an order was carried out."""
        return int(_HEAD.unpack_from(self._mapped)[3])

    @property
    def last(self) -> str:
        """The file, below the folder, at which an order was carried out last."""
        return self._mapped[_HEAD.size :].split(b"\0", 1)[0].decode(errors="replace")

    def close(self) -> None:
        self._mapped.close()
        self._file.close()


def _compiled(work: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError("there is no C compiler")
    out = work / "syncs.so"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(out), str(_SOURCE), "-ldl"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NoCompilerError(f"the C compiler failed: {done.stderr[-300:]}")
    return out
