"""What was deleted from the state store must not be found in its files.

SQLite's `secure_delete` overwrites a deleted row with zeros. When a full page is split or joined,
however, copies of rows that moved to another page stay behind in the page's unused space, and these
nobody overwrites when the row is deleted later (a few of every ten thousand rows, by test). They go
when the file is written anew (`VACUUM`), which costs about five seconds a gigabyte and as much
space; so the texts are looked for first, unless they are many. The log of writes is emptied in any
case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from shoal.adapters.sql_schema import _METADATA, place
from shoal.domain.errors import OperationError

#: Beyond so many bytes of texts, looking for them costs more than writing the file anew: RE2's
#: automaton of 4 KB searches 400 MB/s, one of 18 KB less than 1 MB/s.
_LOOKED_FOR: Final = 4_096
_BLOCK: Final = 16 * 2**20
#: How long a reader or the renewing of the lease may be in the way, in milliseconds.
_PATIENCE_MS: Final = 60_000
#: Tables of other stores in a shop's schema of a PostgreSQL database.
_BESIDE: Final = ("inbox", "dead_letters")


def scrub(
    engine: sa.Engine, traces: Sequence[str] | None, *, patience_ms: int = _PATIENCE_MS
) -> None:
    """Remove traces of deleted rows from the files of a SQLite database.

    Args:
        traces: texts that must not be found; None: write the file anew in any case.

    Raises:
        OperationError: `shop_locked`, a reader is in the way.
    """
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        (before,) = raw.execute("PRAGMA busy_timeout").fetchone()
        raw.execute(f"PRAGMA busy_timeout = {patience_ms}")
        try:
            _empty_log(raw, engine)
            if traces is not None and not _found(Path(str(engine.url.database)), traces):
                return
            raw.execute("VACUUM")
            _empty_log(raw, engine)
        finally:
            raw.execute(f"PRAGMA busy_timeout = {before}")


def write_anew(engine: sa.Engine) -> None:
    """Write every table of a PostgreSQL schema anew that may have held what was deleted.

    The database's own log of writes, its copies and its dumps are kept as long as whoever runs it
    has said, and cannot be reached from here.

    Raises:
        OperationError: `shop_locked`, a reader is in the way; `disk_full`.
    """
    there = set(sa.inspect(engine).get_table_names())
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        for name in sorted({*_METADATA.tables, *_BESIDE} & there):
            connection.exec_driver_sql(f'VACUUM (FULL, ANALYZE) "{name}"')


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
    """Whether one of some texts stands in a file, or they are too many to be looked for."""
    wanted = [text.encode("utf-8", "surrogatepass") for text in texts if text]
    if not wanted:
        return False
    if sum(map(len, wanted)) > _LOOKED_FOR:
        return True
    longest = max(len(text) for text in wanted)
    pattern = b"|".join(map(re.escape, wanted))
    with path.open("rb") as file:
        end = b""
        while block := file.read(_BLOCK):
            piece = end + block
            if _holds(piece, wanted, pattern):
                return True
            end = piece[-longest:]
    return False


def _holds(piece: bytes, wanted: Sequence[bytes], pattern: bytes) -> bool:
    if len(wanted) <= 3:
        return any(text in piece for text in wanted)
    found = pc.match_substring_regex(pa.array([piece], pa.large_binary()), pattern=pattern)
    return bool(found[0].as_py())
