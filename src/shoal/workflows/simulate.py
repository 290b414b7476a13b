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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import iso
from shoal.events import worlds
from shoal.events.worlds import encode, sample
from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.funnel import RECORD

if TYPE_CHECKING:
    from shoal.workflows.progress import Progress

#: Largest shops that ids of fixed width and 32-bit positions allow.
MOST_CUSTOMERS: Final = 50_000_000
MOST_DAYS: Final = 3_650
#: Rough number of events of a customer and day, to choose how finely to cut time.
_EVENTS_PER_CUSTOMER_DAY: Final = 0.22
_EVENTS_PER_STRETCH: Final = 400_000
_MOST_STRETCHES: Final = 400
_ROWS_PER_GROUP: Final = 131_072


@dataclass(frozen=True)
class SimulationResult:
    """What was written, and where. `segments` counts customers by planted segment."""

    out: Path
    world: str
    world_version: int
    world_digest: str
    seed: int
    customers: int
    days: int
    events: int
    items: int
    first: datetime
    last: datetime
    segments: dict[str, int]

    def as_document(self) -> dict[str, Any]:
        """The result as one JSON document, `shoal.simulate/1`."""
        return {
            "schema": "shoal.simulate/1", "out": str(self.out), "world": self.world,
            "world_version": self.world_version, "world_digest": self.world_digest,
            "seed": self.seed, "customers": self.customers, "days": self.days,
            "events": self.events, "items": self.items, "from": iso(self.first),
            "to": iso(self.last), "segments": self.segments,
        }  # fmt: skip


def simulate(
    out: Path, *, customers: int, days: int, world: str = "steady", seed: int = 0,
    progress: Progress | None = None,
) -> SimulationResult:  # fmt: skip
    """Write a simulated shop into the directory `out`, replacing an earlier one there.

    `events.parquet` (canonical columns, ordered by time, money in currency units),
    `items.parquet` (facts of items), and in `_truth/` `customers.parquet`, `segments.parquet`,
    `items.parquet` and `world.json`. The same arguments give the same bytes (with the same
    versions of numpy and pyarrow). Nothing is left behind when it fails.

    Raises:
        UsageError: a dial is impossible, or `unknown_world`.
        OperationError: `disk_full`, `no_permission`.
    """
    out = Path(out)
    _check(out, customers, days, seed)
    chosen = worlds.load(world)
    with _disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".simulate-", dir=out))
        try:
            result = _Run(chosen, out, work, customers, days, seed, progress).write()
            _publish(work, out)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return result


def _check(out: Path, customers: int, days: int, seed: int) -> None:
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
        prefix = self._prefix()
        _write_table(encode.items_table(self.world, goods, prefix), self.work / "items.parquet")
        truth = self.work / "_truth"
        _write_table(encode.truth_items(goods), truth / "items.parquet")
        _write_table(encode.truth_segments(self.world), truth / "segments.parquet")
        result = SimulationResult(
            out=self.out, world=self.world.name, world_version=self.world.version,
            world_digest=self.world.digest(), seed=self.seed, customers=self.customers,
            days=self.days, events=events, items=len(goods.leaf), first=self._moment(first),
            last=self._moment(last),
            segments={s.name: int(n) for s, n in zip(self.world.segments, counts, strict=True)},
        )  # fmt: skip
        document = {**result.as_document(), "definition": self.world.definition()}
        document["schema"] = "shoal.world/1"
        del document["out"]
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
        (truth / "world.json").write_text(text + "\n", encoding="utf-8")
        return result

    def _prefix(self) -> str:
        """Ids of different worlds and seeds do not meet: two simulated shops can be one."""
        return f"{self.world.name}{self.seed}-"

    def _moment(self, second: int) -> datetime:
        return self.world.dials.start + timedelta(seconds=second)

    def _edges(self) -> npt.NDArray[np.int64]:
        """Last second (excluded) of each stretch of time: whole days, in equal numbers."""
        expected = self.customers * self.days * _EVENTS_PER_CUSTOMER_DAY
        stretches = int(min(max(1, expected // _EVENTS_PER_STRETCH), _MOST_STRETCHES, self.days))
        last_days = (np.arange(1, stretches + 1) * self.days) // stretches
        return last_days.astype(np.int64) * DAY_S

    def _spill(self, goods: Catalogue, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Draw every block into the files of the stretches; customers by segment."""
        counts = np.zeros(len(self.world.segments), np.int64)
        if self.progress:
            self.progress.start("Drawing customers", self.customers, "customers")
        with ExitStack() as stack:
            files = [stack.enter_context(self._stretch(n).open("wb")) for n in range(len(edges))]
            truth = stack.enter_context(_TableWriter(self.work / "_truth" / "customers.parquet"))
            for block in sample.blocks(
                self.world, goods, customers=self.customers, days=self.days, seed=self.seed
            ):
                people, rows = block.customers, block.events
                owner = rows["customer"] - people.number[0]
                events = np.bincount(owner, minlength=len(people.number))
                truth.write(encode.truth_customers(self.world, people, events))
                counts += np.bincount(people.segment, minlength=len(counts))
                _spread(rows, edges, files)
                if self.progress:
                    self.progress.advance(len(people.number))
        if self.progress:
            self.progress.done()
        return counts

    def _stretch(self, number: int) -> Path:
        return self.work / f"stretch-{number:04d}.rows"

    def _write_events(self, goods: Catalogue, stretches: int) -> tuple[int, int, int]:
        """Sort and write the stretches in order of time; number of events, first, last second."""
        events, first, last = 0, 0, 0
        if self.progress:
            self.progress.start("Writing events", stretches, "stretches")
        with _TableWriter(self.work / "events.parquet") as writer:
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


class _TableWriter:
    """A Parquet file written table by table. Text columns are plain texts to every reader."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _TableWriter:
        return self

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            ids = [n for n in ("event_id", "sequence") if n in table.column_names]
            self._writer = pq.ParquetWriter(
                self._path, table.schema, compression="zstd", compression_level=1,
                use_dictionary=[n for n in table.column_names if n not in ids],
                store_schema=False,
            )  # fmt: skip
        self._writer.write_table(table, row_group_size=_ROWS_PER_GROUP)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def _write_table(table: pa.Table, path: Path) -> None:
    with _TableWriter(path) as writer:
        writer.write(table)


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
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise OperationError(
                "no_permission", f"the directory cannot be written: {error.strerror}",
                where=str(out), hint="Choose a directory you may write to.",
            ) from error  # fmt: skip
        raise
