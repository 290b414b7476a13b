"""Simulate a shop: events, items, and the truth beside them.

Customers are drawn in blocks and spilled as compact rows to one file a stretch of time; each
stretch is then sorted and written. So the log is ordered by time and memory stays bounded, however
many customers there are.
"""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import iso
from shoal.events import worlds
from shoal.events.worlds import encode, sample
from shoal.events.worlds import truth as tables
from shoal.events.worlds.base import World, with_dials
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.funnel import RECORD
from shoal.events.worlds.layers import Setting, id_prefix
from shoal.workflows.simulate_files import TableFiles, TableWriter, write_table
from shoal.workflows.simulate_size import check_visits

if TYPE_CHECKING:
    from shoal.workflows.progress import Progress

#: Largest shops that ids of fixed width and 32-bit positions allow.
MOST_CUSTOMERS: Final = 50_000_000
MOST_DAYS: Final = 3_650
#: Rough number of events of a customer and day, to choose how finely to cut time.
_EVENTS_PER_CUSTOMER_DAY: Final = 0.22
_EVENTS_PER_STRETCH: Final = 400_000
_MOST_STRETCHES: Final = 400


@dataclass(frozen=True)
class SimulationResult:
    """What was written, and where. `segments` counts customers by planted segment."""

    out: Path
    world: str
    world_version: int
    world_digest: str
    difficulty: float
    seed: int
    customers: int
    days: int
    events: int
    items: int
    first: datetime
    last: datetime
    segments: dict[str, int]

    def _repr_html_(self) -> str:
        from shoal.report.notebook import facts

        return facts("Simulated shop", self.as_document())

    def as_document(self) -> dict[str, Any]:
        """The result as one JSON document, `shoal.simulate/1`."""
        return {
            "schema": "shoal.simulate/1", "out": str(self.out), "world": self.world,
            "world_version": self.world_version, "world_digest": self.world_digest,
            "difficulty": self.difficulty, "seed": self.seed,
            "customers": self.customers, "days": self.days,
            "events": self.events, "items": self.items, "from": iso(self.first),
            "to": iso(self.last), "segments": self.segments,
        }  # fmt: skip


def simulate(
    out: Path, *, customers: int, days: int, world: str | World = "steady", seed: int = 0,
    difficulty: float | None = None, dials: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> SimulationResult:  # fmt: skip
    """Write a simulated shop into the directory `out`, replacing an earlier one there.

    `events.parquet` (canonical columns, ordered by time, money in currency units),
    `items.parquet` (facts of items), and in `_truth/` what was planted (docs/concepts/worlds.md).
    The same arguments give the same bytes (with the same versions of numpy and pyarrow). Nothing
    is left behind when it fails.

    Args:
        world: its name, or a world of one's own.
        difficulty: from 0 (easy) to 1; None: as declared.
        dials: dials to turn, by name.

    Raises:
        UsageError: `unknown_world`, `unknown_dial`, `bad_dial`, or an impossible number.
        OperationError: `disk_full`, `no_permission`.
    """
    out = Path(out)
    chosen = worlds.load(world) if isinstance(world, str) else world
    chosen = with_dials(chosen, dict(dials or {}), difficulty)
    check(chosen, out, customers, days, seed)
    with _disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".simulate-", dir=out))
        try:
            result = _Run(chosen, out, work, customers, days, seed, progress).write()
            _publish(work, out)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return result


def check(world: World, out: Path, customers: int, days: int, seed: int) -> None:
    """Refuse what cannot be simulated.

    Raises:
        UsageError: `usage`.
    """
    limits = (("customers", customers, 1, MOST_CUSTOMERS), ("days", days, 1, MOST_DAYS))
    for name, value, low, high in limits:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UsageError(
                "usage",
                f"cannot simulate {value!r} {name}",
                where=f"--{name}",
                hint=f"Give a whole number of {name} from {low} to {high}.",
            )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(
            "usage", f"{seed!r} is no seed", where="--seed",
            hint="Give a whole number from 0 on.",
        )  # fmt: skip
    if out.exists() and not out.is_dir():
        raise UsageError(
            "usage", "the output is a file, not a directory", where=str(out),
            hint="Name a directory; it is made if it does not exist.",
        )  # fmt: skip
    _check_segments(world, customers, days)


def _check_segments(world: World, customers: int, days: int) -> None:
    """A world needs a customer for each segment, a day between its changes, and memory."""
    if customers < len(world.segments):
        raise UsageError(
            "usage",
            f"world {world.name} has {len(world.segments)} segments, more than {customers} "
            "customers",
            where="--customers",
            hint=f"Give at least {len(world.segments)} customers.",
        )
    dates = [change.day(days) for change in world.changes]
    short = any(drift.passing and drift.days(days)[0] >= drift.days(days)[1]
                for drift in world.drifts)  # fmt: skip
    if short or len(set(dates)) < len(dates) or any(not 0 < day < days for day in dates):
        raise UsageError(
            "usage",
            f"{days} days are too few for what changes in world {world.name}",
            where="--days",
            hint="Give at least 60 days.",
        )
    check_visits(world, days)


@dataclass
class _Run:
    """One simulation into a working directory."""

    world: World
    out: Path
    work: Path
    customers: int
    days: int
    seed: int
    progress: Progress | None

    def write(self) -> SimulationResult:
        (self.work / "_truth").mkdir()
        goods = sample.build_catalogue(self.world, self.seed)
        edges = self._edges()
        counts = self._spill(goods, edges)
        events, first, last = self._write_events(goods, len(edges))
        items = encode.items_table(self.world, goods, self._prefix(), self.days)
        write_table(items, self.work / "items.parquet")
        truth = self.work / "_truth"
        write_table(tables.truth_items(self.world, goods, self.days), truth / "items.parquet")
        write_table(tables.truth_segments(self.world, self.days), truth / "segments.parquet")
        result = SimulationResult(
            out=self.out, world=self.world.name, world_version=self.world.version,
            world_digest=self.world.digest(), difficulty=self.world.difficulty, seed=self.seed,
            customers=self.customers, days=self.days, events=events, items=len(goods.leaf),
            first=self._moment(first), last=self._moment(last),
            segments={s.name: int(n) for s, n in zip(self.world.segments, counts, strict=True)},
        )  # fmt: skip
        document = {**result.as_document(), "definition": self.world.definition()}
        document["schema"] = "shoal.world/1"
        del document["out"]
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
        (truth / "world.json").write_text(text + "\n", encoding="utf-8")
        return result

    def _prefix(self) -> str:
        return id_prefix(self.world, self.seed)

    def _moment(self, second: int) -> datetime:
        return self.world.dials.start + timedelta(seconds=second)

    def _edges(self) -> npt.NDArray[np.int64]:
        """Last second (excluded) of each stretch of time: whole days, in equal numbers."""
        expected = self.customers * self.days * _EVENTS_PER_CUSTOMER_DAY
        stretches = int(min(max(1, expected // _EVENTS_PER_STRETCH), _MOST_STRETCHES, self.days))
        last_days = (np.arange(1, stretches + 1) * self.days) // stretches
        return last_days.astype(np.int64) * DAY_S

    def _spill(self, goods: Catalogue, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Draw every block into the files of the stretches; customers by their first segment."""
        counts = np.zeros(len(self.world.segments), np.int64)
        if self.progress:
            self.progress.start("Drawing customers", self.customers, "customers")
        plans = sample.plans(Setting(self.world, goods, self.customers, self.days, self.seed))
        with ExitStack() as stack:
            files = [stack.enter_context(self._stretch(n).open("wb")) for n in range(len(edges))]
            truth = stack.enter_context(TableFiles(self.work / "_truth"))
            for block in sample.blocks(
                self.world, goods, customers=self.customers, days=self.days, seed=self.seed,
                layers=plans,
            ):  # fmt: skip
                people = block.customers
                self._write_truth(truth, block)
                counts += np.bincount(people.segment, minlength=len(counts))
                _spread(block.events, edges, files)
                if self.progress:
                    self.progress.advance(len(people.number))
            truth.write("lineage", tables.truth_lineage(self.world, self.days))
            truth.write("drifts", tables.truth_drifts(self.world, self.days))
            for plan in plans:
                for name, table in plan.tables().items():
                    truth.write(name, table)
        if self.progress:
            self.progress.done()
        return counts

    def _write_truth(self, truth: TableFiles, block: sample.Block) -> None:
        people, rows = block.customers, block.events
        owner = rows["customer"] - people.number[0]
        events = np.bincount(owner, minlength=len(people.number))
        truth.write("customers", tables.truth_customers(self.world, people, events))
        spells = tables.truth_spells(self.world, people, block.pieces, self.days)
        truth.write("spells", spells)
        for name, found in block.truth.items():
            for table in found:
                truth.write(name, tables.kept(table, self.customers))

    def _stretch(self, number: int) -> Path:
        return self.work / f"stretch-{number:04d}.rows"

    def _write_events(self, goods: Catalogue, stretches: int) -> tuple[int, int, int]:
        """Sort and write the stretches in order of time; number of events, first, last second."""
        events, first, last = 0, 0, 0
        if self.progress:
            self.progress.start("Writing events", stretches, "stretches")
        with TableWriter(self.work / "events.parquet") as writer:
            for number in range(stretches):
                rows = np.fromfile(self._stretch(number), RECORD)
                self._stretch(number).unlink()
                rows = rows[np.lexsort((rows["step"], rows["customer"], rows["time_s"]))]
                if len(rows):
                    first = first if events else int(rows["time_s"][0])
                    last = int(rows["time_s"][-1])
                writer.write(encode.encode_events(self.world, goods, rows, events, self._prefix()))
                events += len(rows)
                if self.progress:
                    self.progress.advance(1)
        if self.progress:
            self.progress.done()
        return events, first, last


def _spread(
    rows: npt.NDArray[np.void], edges: npt.NDArray[np.int64], files: Sequence[BinaryIO]
) -> None:
    """Append each row to the file of its stretch of time."""
    stretch = np.searchsorted(edges, rows["time_s"], side="right")
    order = np.argsort(stretch, kind="stable")
    rows = rows[order]
    bounds = np.searchsorted(stretch[order], np.arange(len(files) + 1))
    for number, file in enumerate(files):
        file.write(rows[bounds[number] : bounds[number + 1]].tobytes())


def _publish(work: Path, out: Path) -> None:
    """Move the finished files to their places."""
    truth = out / "_truth"
    if truth.exists():
        shutil.rmtree(truth)
    for name in ("_truth", "items.parquet", "events.parquet"):
        (work / name).replace(out / name)


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    """Say what the operating system refused."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OperationError(
                "disk_full", "no space is left on the device while simulating a shop",
                where=str(out),
                hint="Free space or simulate fewer customers: an event needs about 120 bytes.",
            ) from error  # fmt: skip
        if error.errno in (errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG):
            raise UsageError(
                "usage", f"no directory can be made there: {error.strerror}", where=str(out),
                hint="Name a directory; it is made if it does not exist.",
            ) from error  # fmt: skip
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise OperationError(
                "no_permission", f"the directory cannot be written: {error.strerror}",
                where=str(out), hint="Choose a directory you may write to.",
            ) from error  # fmt: skip
        raise
