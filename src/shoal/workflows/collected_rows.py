"""What rows of collected calls are called: by their source and place in the inbox, not by a file.

Calls pass through a file that is gone when they are in the log. Whoever looks for one that was
refused is told its source and its position, which no other call has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

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
        """Quarantined rows by their source, and by position instead of line number."""
        found = cleaned.quarantined
        if not found.num_rows:
            return cleaned
        rows = [self.positions[row - 1] for row in found["row"].to_pylist()]
        names = pa.array([self.name] * len(rows), pa.string())
        found = found.set_column(found.column_names.index("row"), "row", pa.array(rows, pa.int64()))
        found = found.set_column(found.column_names.index("file"), "file", names)
        return replace(cleaned, quarantined=found)
