"""The faults found in a chunk: the first of each row, and the quarantine made of them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.events.chunks import no_rows, raw_json
from shoal.events.reasons import REASONS
from shoal.events.schema import QUARANTINE_SCHEMA
from shoal.events.texts import raw_text

Mask = NDArray[np.bool_]

_CODES: Final = tuple(REASONS)
#: How much of a value a detail shows.
_SHOWN: Final = 80


class Faults:
    """Remembers for each row of a chunk the first fault found, and in which source column."""

    def __init__(self, rows: int) -> None:
        self._code = np.full(rows, -1, np.int16)
        self._column = np.full(rows, -1, np.int16)
        self._names: list[str] = []

    def add(self, rows: Mask, code: str, column: str) -> None:
        """Give the rows of the mask that have no fault yet this one (a code of `REASONS`)."""
        if not rows.any():
            return
        new = rows & (self._code < 0)
        self._code[new] = _CODES.index(code)
        if column not in self._names:
            self._names.append(column)
        self._column[new] = self._names.index(column)

    @property
    def none(self) -> Mask:
        """The rows without a fault."""
        return self._code < 0

    def quarantine(
        self, table: pa.Table, skipped: Mask, places: NDArray[np.int64], file: str
    ) -> pa.Table:
        """`QUARANTINE_SCHEMA`: code, what was received, where (rows from 1), and the raw row."""
        rows = np.flatnonzero(~self.none & ~skipped)
        if not len(rows):
            return no_rows()
        raw = table.take(pa.array(rows)).to_pylist()
        codes = [_CODES[self._code[row]] for row in rows]
        names = [self._names[self._column[row]] for row in rows]
        details = [
            f"{name} = {_short(record.get(name))}: {REASONS[code]}"
            for name, code, record in zip(names, codes, raw, strict=True)
        ]
        return pa.table(
            {
                "code": codes,
                "detail": details,
                "file": [file] * len(rows),
                "row": places[rows] + 1,
                "raw": [raw_json(record) for record in raw],
            },
            schema=QUARANTINE_SCHEMA,
        )


def _short(value: object) -> str:
    text = repr(raw_text(value)) if value is not None else "nothing"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
