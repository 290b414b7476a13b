"""What is in the quarantine, row by row and page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.events.reasons import REASONS
from shoal.events.sealed_form import shown_row
from shoal.ports import StateStore
from shoal.workflows.quarantine import Counted
from shoal.workflows.units import Unit

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
    every: Sequence[Unit] | None = None,
) -> tuple[list[dict[str, Any]], Behind | None]:
    """Rows that were not stored and count, oldest first, and where the next page begins.

    Args:
        code: of one reason alone.
        every: units by which the quarantine is told; None: all are read.

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
    held = Counted(store, quarantine_dir, missing_ok=True, every=every)
    for unit in sorted(held.units, key=lambda one: (one.number, one.name)):
        if unit.number < begin.number:
            continue
        place = -1
        for rows in held.rows(unit):
            wanted = rows if code is None else rows.filter(pc.equal(rows["code"], code))
            for row in wanted.to_pylist():
                place += 1
                if unit.number == begin.number and place <= begin.place:
                    continue
                if len(told) == limit:
                    return told, last
                told.append(_told(row, unit.source))
                last = Behind(unit.number, place)
    return told, None


def _told(row: dict[str, Any], source: str) -> dict[str, Any]:
    return {
        "source": source, "file": row["file"], "row": row["row"], "code": row["code"],
        "meaning": REASONS.get(row["code"], ""), "detail": row["detail"] or "",
        "raw": shown_row(row["raw"])[:_RAW],
    }  # fmt: skip
