"""What rows of collected calls are called: by their source and place in the inbox, not by a file.

Calls pass through a file that is gone when they are in the log. Whoever looks for one that was
refused is told its source and its position, which no other call has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.events.chunks import RawChunk
from shoal.events.clean import Cleaned

#: Beginning of what stands where rows of files have the file's name.
INBOX: Final = "inbox:"
#: Places in its source that a call takes; one that makes more events shares them with the next.
ROWS_A_CALL: Final = 1 << 16

Ints = npt.NDArray[np.int64]


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

    def named(self, cleaned: Cleaned, chunk: RawChunk) -> Cleaned:
        """Rows by their call's position instead of their place in the file, quarantined ones by
        their source.

        So an event's place in its source does not depend on how calls were cut into batches.

        Args:
            chunk: of which the rows were cleaned; its `sequence` numbers the rows of the file.
        """
        events, found = cleaned.events, cleaned.quarantined
        if events.num_rows:
            sequence = self._sequences(events["sequence"].to_numpy(), chunk)
            place = events.column_names.index("sequence")
            events = events.set_column(place, "sequence", pa.array(sequence))
        if found.num_rows:
            rows = [self.positions[row - 1] for row in found["row"].to_pylist()]
            names = pa.array([self.name] * len(rows), pa.string())
            place = found.column_names.index("row")
            found = found.set_column(place, "row", pa.array(rows, pa.int64()))
            found = found.set_column(found.column_names.index("file"), "file", names)
        return replace(cleaned, events=events, quarantined=found)

    def _sequences(self, numbers: Ints, chunk: RawChunk) -> Ints:
        """Of rows by their numbers in the file: position of the call, then number in the call."""
        lines = chunk.row_places()
        of_rows = chunk.table["sequence"].cast(pa.int64()).to_numpy()
        begins = np.flatnonzero(np.diff(lines, prepend=-1))
        within = np.arange(len(lines)) - np.repeat(begins, np.diff(begins, append=len(lines)))
        whole = np.asarray(self.positions, np.int64)[lines] * ROWS_A_CALL + within
        found: Ints = whole[np.searchsorted(of_rows, numbers)]
        return found
