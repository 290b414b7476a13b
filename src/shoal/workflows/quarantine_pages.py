"""What is in the quarantine, row by row and page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.events.reasons import REASONS
from shoal.events.sealed_form import shown_row
from shoal.ports import StateStore
from shoal.workflows.live_waiting import Waiting
from shoal.workflows.quarantine import Counted, counted
from shoal.workflows.units_followed import Summary

#: Characters of a raw row that are told.
_RAW: Final = 4_000


@dataclass(frozen=True)
class Behind:
    """The last row of the page before: number of its unit, place among the unit's rows."""

    number: int
    place: int


def page(
    store: StateStore,
    quarantine_dir: Path,
    *,
    code: str | None = None,
    behind: Behind | None = None,
    limit: int = 100,
    every: Callable[[], Summary] | None = None,
) -> tuple[list[dict[str, Any]], Behind | None]:
    """Rows that were not stored and count, oldest first, and where the next page begins.

    Args:
        code: of one reason alone.
        every: reads the units by which the quarantine is told; None: all are read.

    Raises:
        UsageError: `usage`, there is no such reason.
    """
    if code is not None and code not in REASONS:
        raise UsageError(
            "usage", f"there is no quarantine reason {code[:80]!r}",
            hint="Reasons: " + ", ".join(sorted(REASONS)) + ".",
        )  # fmt: skip
    begin = behind or Behind(-1, -1)
    told: list[dict[str, Any]] = []
    last = begin
    held, waiting, last_unit = counted(store, quarantine_dir, every, missing_ok=True)
    for number, source, batches in _in_order(held, waiting, last_unit):
        if number < begin.number:
            continue
        place = -1
        for rows in batches:
            wanted = rows if code is None else rows.filter(pc.equal(rows["code"], code))
            for row in wanted.to_pylist():
                place += 1
                if number == begin.number and place <= begin.place:
                    continue
                if len(told) == limit:
                    return told, last
                told.append(_told(row, source))
                last = Behind(number, place)
    return told, None


def _in_order(
    held: Counted, waiting: Waiting, last: int
) -> Iterator[tuple[int, str, Iterable[pa.Table]]]:
    """Number, source and rows of every unit; what waits has the numbers that its units will have.

    Args:
        last: number of the last unit.
    """
    for unit in sorted(held.units, key=lambda one: (one.number, one.name)):
        yield unit.number, unit.source, held.rows(unit)
    for place, (source, rows) in enumerate(waiting.refused.items(), 1):
        yield last + place, source, [rows]


def _told(row: dict[str, Any], source: str) -> dict[str, Any]:
    return {
        "source": source, "file": row["file"], "row": row["row"], "code": row["code"],
        "meaning": REASONS.get(row["code"], ""), "detail": row["detail"] or "",
        "raw": shown_row(row["raw"])[:_RAW],
    }  # fmt: skip
