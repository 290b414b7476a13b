"""What was deleted from the state store must not be found in its files.

SQLite's `secure_delete` overwrites a deleted row with zeros. When a full page is split or joined,
however, copies of rows that moved to another page stay behind in the page's unused space, and these
nobody overwrites when the row is deleted later (a few of every ten thousand rows, by test). They go
when the file is written anew (`VACUUM`), which costs about five seconds a gigabyte and as much
space; so a few texts are looked for first. The log of writes is emptied in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters.sql_schema import place
from shoal.domain.errors import OperationError

#: Beyond so many texts, looking for them costs more than writing the file anew.
_LOOKED_FOR: Final = 8
_BLOCK: Final = 16 * 2**20


def scrub(engine: sa.Engine, traces: Sequence[str] | None) -> None:
    """Remove traces of deleted rows from the files of a SQLite database; others do so themselves.

    Args:
        traces: texts that must not be found; None: write the file anew in any case.

    Raises:
        OperationError: `shop_locked`, a reader is in the way.
    """
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        _empty_log(raw, engine)
        few = traces is not None and len(traces) <= _LOOKED_FOR
        if few and not _found(Path(str(engine.url.database)), traces or ()):
            return
        raw.execute("VACUUM")
        _empty_log(raw, engine)


def _empty_log(raw: Any, engine: sa.Engine) -> None:
    busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise OperationError(
            "shop_locked",
            "another process reads the state store, so its log of writes cannot be emptied yet",
            place(engine),
            "Let it finish; the next command that writes, or shoal forget, does the rest.",
        )


def _found(path: Path, texts: Sequence[str]) -> bool:
    """Whether one of some texts stands in a file."""
    wanted = [text.encode("utf-8", "surrogatepass") for text in texts if text]
    if not wanted:
        return False
    longest = max(len(text) for text in wanted)
    with path.open("rb") as file:
        end = b""
        while block := file.read(_BLOCK):
            piece = end + block
            if any(text in piece for text in wanted):
                return True
            end = piece[-longest:]
    return False
