"""What is in the quarantine: why rows were not stored, with the first of each reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import OperationError, UsageError
from shoal.events.reasons import REASONS
from shoal.ports import StateStore
from shoal.workflows import units
from shoal.workflows.quarantine_file import read_batches
from shoal.workflows.units import Unit

#: How often a listing is begun anew when another process replays meanwhile.
_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class Sample:
    """One quarantined row: its file and row number, what was wrong, and the row as received."""

    file: str
    row: int
    detail: str
    raw: str


@dataclass(frozen=True)
class Reason:
    """A reason code, what it means, how many rows have it, and the first of them."""

    code: str
    meaning: str
    count: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Listing:
    """What is in the quarantine, most frequent reason first."""

    reasons: tuple[Reason, ...]

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.quarantine/1`."""
        return {
            "schema": "shoal.quarantine/1",
            "rows": sum(reason.count for reason in self.reasons),
            "reasons": [
                {
                    "code": reason.code,
                    "meaning": reason.meaning,
                    "count": reason.count,
                    "samples": [vars(sample) for sample in reason.samples],
                }
                for reason in self.reasons
            ],
        }


def listing(
    *, store: StateStore, quarantine_dir: Path, code: str | None = None, samples: int = 3
) -> Listing:
    """Reasons, counts and samples of all quarantined rows, or of one reason.

    Raises:
        UsageError: `usage`, there is no such reason code.
        OperationError: `shop_damaged`, a quarantine file is missing.
    """
    if code is not None and code not in REASONS:
        raise UsageError(
            "usage",
            f"there is no quarantine reason {code!r}",
            hint="Reasons: " + ", ".join(sorted(REASONS)) + ".",
        )
    missing = ""
    for _ in range(_ATTEMPTS):
        try:
            return _listed(at_hand(store, quarantine_dir), quarantine_dir, code, samples)
        except FileNotFoundError as error:  # a replay at work took a file away: look again
            missing = str(error.filename or error)
    raise OperationError(
        "shop_damaged",
        "a file of the quarantine is missing",
        missing,
        "Restore it from a backup, or ingest the source again to see what was refused.",
    )


def at_hand(store: StateStore, directory: Path) -> list[Unit]:
    """`with_quarantine`, without files that an unfinished erasure emptied and removed."""
    held = with_quarantine(store)
    if not store.erasures.pending():
        return held
    return [unit for unit in held if (directory / str(unit.quarantine)).exists()]


def _listed(held: Sequence[Unit], directory: Path, code: str | None, samples: int) -> Listing:
    counts: Counter[str] = Counter()
    shown: dict[str, list[Sample]] = {}
    for unit in held:
        for rows in read_batches(directory / str(unit.quarantine)):
            for entry in pc.value_counts(rows["code"].combine_chunks()).to_pylist():
                found = entry["values"]
                if code in (None, found):
                    counts[found] += entry["counts"]
                    _show(shown.setdefault(found, []), rows, found, samples)
    return Listing(
        tuple(
            Reason(name, REASONS.get(name, ""), count, tuple(shown[name]))
            for name, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        )
    )


def _show(shown: list[Sample], rows: pa.Table, code: str, samples: int) -> None:
    if len(shown) < samples:
        chosen = rows.filter(pc.equal(rows["code"], code)).slice(0, samples - len(shown))
        shown += [
            Sample(row["file"], row["row"], row["detail"] or "", row["raw"])
            for row in chosen.to_pylist()
        ]


def with_quarantine(store: StateStore) -> list[Unit]:
    """Committed units of which rows are in quarantine."""
    return [
        unit
        for unit in units.all_units(store)
        if unit.status == units.COMMITTED and unit.quarantine is not None
    ]
