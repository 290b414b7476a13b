"""What is in the quarantine: why rows were not stored, with the first of each reason.

A file that states a day or an order anew takes the place of what was stated before, and of the rows
that could not be stored then. Those lie in the quarantine still, but do not count any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import OperationError, UsageError
from shoal.events.reasons import REASONS
from shoal.events.sealed_form import shown_row
from shoal.ports import StateStore
from shoal.workflows import units
from shoal.workflows.live_waiting import Waiting, beside
from shoal.workflows.quarantine_file import read_batches
from shoal.workflows.statements import Statements
from shoal.workflows.units import Unit
from shoal.workflows.units_followed import Summary, summary
from shoal.workflows.units_followed import held as _held

#: Files whose counts are kept.
_FILES: Final = 100_000
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
    """What is in the quarantine, most frequent reason first.

    `restated` are the rows of each source that lie there too and that later files stated again, by
    reason; they are in no count.
    """

    reasons: tuple[Reason, ...]
    restated: Mapping[str, Counter[str]] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """How many rows later files stated again."""
        return sum(of.total() for of in self.restated.values())

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.quarantine/1`."""
        return {
            "schema": "shoal.quarantine/1",
            "rows": sum(reason.count for reason in self.reasons),
            "restated": self.left_out,
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
    *,
    store: StateStore,
    quarantine_dir: Path,
    code: str | None = None,
    samples: int = 3,
    every: Callable[[], Summary] | None = None,
    kept: CodeCounts | None = None,
) -> Listing:
    """Reasons, counts and samples of all quarantined rows that count, or of one reason.

    Args:
        every: reads the units by which the quarantine is told; None: all are read.
        kept: counts of files that were read before; used where no samples are asked for.

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
            held, waiting, _ = counted(store, quarantine_dir, every)
            return _listed(held, waiting, code, samples, kept if not samples else None)
        except FileNotFoundError as error:  # a replay at work took a file away: look again
            missing = str(error.filename or error)
    raise OperationError(
        "shop_damaged",
        "a file of the quarantine is missing",
        missing,
        "Restore it from a backup, or ingest the source again to see what was refused.",
    )


class CodeCounts:
    """How many rows of each reason a file of the quarantine holds, counted once while it stays."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[int, int], Counter[str]]] = {}

    def of(self, path: Path) -> Counter[str]:
        """Rows by reason.

        Raises:
            FileNotFoundError: it is missing.
        """
        told = path.stat()
        stamp = (told.st_mtime_ns, told.st_size)
        known = self._kept.get(path.name)
        if known is None or known[0] != stamp:
            counts: Counter[str] = Counter()
            for rows in read_batches(path):
                counts.update(rows["code"].to_pylist())
            if len(self._kept) >= _FILES:
                self._kept.clear()
            known = self._kept[path.name] = (stamp, counts)
        return known[1]


def counted(
    store: StateStore,
    quarantine_dir: Path,
    every: Callable[[], Summary] | None = None,
    *,
    missing_ok: bool = False,
) -> tuple[Counted, Waiting, int]:
    """The quarantined rows that count of a moment: those in files, and those that wait.

    Args:
        every: reads the units by which the quarantine is told; None: all are read.

    Returns:
        Both, and the number of the last unit.
    """

    def files() -> tuple[Counted, int]:
        told = summary(units.all_units(store)) if every is None else every()
        held = Counted(store, quarantine_dir, missing_ok=missing_ok, every=told.telling)
        return held, told.last

    (held, last), waiting = beside(store, files, refused=True)
    return held, waiting, last


def _listed(
    held: Counted,
    waiting: Waiting,
    code: str | None,
    samples: int,
    kept: CodeCounts | None = None,
) -> Listing:
    counts: Counter[str] = Counter()
    shown: dict[str, list[Sample]] = {}

    def add(rows: pa.Table) -> None:
        for entry in pc.value_counts(rows["code"].combine_chunks()).to_pylist():
            found = entry["values"]
            if code in (None, found):
                counts[found] += entry["counts"]
                _show(shown.setdefault(found, []), rows, found, samples)

    for unit in held.units:
        if kept is not None and held.whole(unit):
            known = kept.of(held.path(unit))
            counts.update({name: n for name, n in known.items() if code in (None, name)})
            continue
        for rows in held.rows(unit):
            add(rows)
    for rows in waiting.refused.values():
        add(rows)
    return Listing(
        tuple(
            Reason(name, REASONS.get(name, ""), count, tuple(shown.get(name, ())))
            for name, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        ),
        {
            source: Counter({name: n for name, n in of.items() if code in (None, name)})
            for source, of in held.restated.items()
        },
    )


def _show(shown: list[Sample], rows: pa.Table, code: str, samples: int) -> None:
    if len(shown) < samples:
        chosen = rows.filter(pc.equal(rows["code"], code)).slice(0, samples - len(shown))
        shown += [
            Sample(row["file"], row["row"], row["detail"] or "", shown_row(row["raw"]))
            for row in chosen.to_pylist()
        ]


def with_quarantine(store: StateStore) -> list[Unit]:
    """Committed units of which rows are in quarantine."""
    return [unit for unit in units.all_units(store) if _held(unit)]


def at_hand(store: StateStore, directory: Path, every: Sequence[Unit] | None = None) -> list[Unit]:
    """`with_quarantine`, without files that an unfinished erasure emptied and removed."""
    held = with_quarantine(store) if every is None else [one for one in every if _held(one)]
    if not store.erasures.pending():
        return held
    return [unit for unit in held if (directory / str(unit.quarantine)).exists()]


class Counted:
    """The quarantined rows that count: those that no later file stated again.

    A unit does not count where all that it states was stated again later. Of a source that states
    scopes (days, orders) a row does not count either that is in a later unit's quarantine word for
    word: it is of the same scope, so that unit states it.

    Args:
        directory: the quarantine's.
        missing_ok: a file that is missing holds no rows.
        every: units by which the quarantine is told; None: all are read.

    Raises:
        FileNotFoundError: a file is missing.
    """

    def __init__(
        self,
        store: StateStore,
        directory: Path,
        *,
        missing_ok: bool = False,
        every: Sequence[Unit] | None = None,
    ) -> None:
        self._directory = directory
        self._missing_ok = missing_ok
        if every is None:
            every = units.all_units(store)
        statements = Statements(every)
        held = at_hand(store, directory, every)
        #: Names of units that do not count.
        self.superseded = frozenset(unit.name for unit in held if statements.superseded(unit))
        self.units = [unit for unit in held if unit.name not in self.superseded]
        #: Of each source the rows that do not count, by reason; those of superseded units too.
        self.restated: dict[str, Counter[str]] = {}
        self._again: dict[str, list[pa.Array]] = {}
        stating = {unit.source for unit in every if unit.scopes is None or unit.scopes}
        seen: dict[str, set[int]] = {source: set() for source in stating}
        for unit in sorted(held, key=lambda unit: unit.number, reverse=True):
            if unit.source in stating:
                self._judge(unit, seen[unit.source])

    def rows(self, unit: Unit) -> Iterator[pa.Table]:
        """The rows of a unit that count, in bounded pieces."""
        masks = self._again.get(unit.name)
        for place, rows in enumerate(self._batches(unit)):
            yield rows if masks is None else rows.filter(pc.invert(masks[place]))

    def whole(self, unit: Unit) -> bool:
        """Whether every row of a unit's file counts."""
        return unit.name not in self._again

    def path(self, unit: Unit) -> Path:
        """A unit's file."""
        return self._directory / str(unit.quarantine)

    def _batches(self, unit: Unit) -> Iterator[pa.Table]:
        path = self.path(unit)
        return iter(()) if self._missing_ok and not path.is_file() else read_batches(path)

    def _judge(self, unit: Unit, seen: set[int]) -> None:
        """Which rows of a unit do not count; `seen` are those of later ones, as hashes."""
        own: set[int] = set()
        masks = []
        for rows in self._batches(unit):
            told = [hash(raw) for raw in rows["raw"].to_pylist()]
            gone = unit.name in self.superseded
            mask = pa.array([gone or one in seen for one in told], pa.bool_())
            own.update(told)
            masks.append(mask)
            codes = rows["code"].combine_chunks().filter(mask).to_pylist()
            self.restated.setdefault(unit.source, Counter()).update(codes)
        seen |= own
        self._again[unit.name] = masks
