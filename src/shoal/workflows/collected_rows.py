"""What rows of collected calls are called: by their source and place in the inbox, not by a file.

Calls pass through a file that is gone when they are in the log. Whoever looks for one that was
refused is told its source and its position, which no other call has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.events.clean import Cleaned

#: Beginning of what stands where rows of files have the file's name.
INBOX: Final = "inbox:"


@dataclass(frozen=True)
class Collected:
    """Calls of one source on their way into the log.

    Args:
        source: who sent them.
        positions: in the inbox, of each line of the file.
    """

    source: str
    positions: Sequence[int]

    @property
    def name(self) -> str:
        """Where they came from, for people."""
        return f"{INBOX}{self.source}"

    def named(self, cleaned: Cleaned) -> Cleaned:
        """Rows by position instead of line number, quarantined ones by their source.

        The position is an event's place in its source too, so that it does not depend on how calls
        were cut into batches.
        """
        events, found = self._placed(cleaned.events, "sequence", 0), cleaned.quarantined
        if found.num_rows:
            names = pa.array([self.name] * found.num_rows, pa.string())
            found = self._placed(found, "row", 1)
            found = found.set_column(found.column_names.index("file"), "file", names)
        return replace(cleaned, events=events, quarantined=found)

    def _placed(self, rows: pa.Table, name: str, first: int) -> pa.Table:
        """Rows with a position where a column counts the lines of the file from `first`."""
        if not rows.num_rows:
            return rows
        positions = pa.array(self.positions, pa.int64())
        found = positions.take(pc.subtract(rows[name], first))
        return rows.set_column(rows.column_names.index(name), rows.schema.field(name), found)
