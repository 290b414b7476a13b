"""`python -m bench.worlds`: what simulating costs, a world, and how it grows with the log.

Each world is simulated through the command line at about a million events, `steady` at ten million
and, with `--large`, at a hundred million too. Beside it the least that the same bytes cost: reading
the written log and writing it again with the same compression. Writes docs/results/worlds.json and
.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.front_door.stages import shoal, table, total_bytes
from bench.harness.results import RESULTS, header, machine_line
from shoal.events import worlds

GOAL_SECONDS = 20.0
#: Events a customer leaves in 200 days, about: to choose how many customers make a million events.
EVENTS_A_CUSTOMER = {"awkward": 83.0, "noise": 50.0}
DEFAULT_EVENTS = 40.0
DAYS, SEED = 200, 11


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="a hundred million events too")
    parser.add_argument("--quick", action="store_true", help="small logs; writes nothing")
    parser.add_argument("--work", type=Path, default=None, help="where the logs go meanwhile")
    options = parser.parse_args()
    size = 20_000 if options.quick else 1_000_000
    sizes = [] if options.quick else [10_000_000, *([100_000_000] * options.large)]
    jobs = [(name, size) for name in worlds.names()] + [("steady", events) for events in sizes]
    rows = [_one(name, events, options.work) for name, events in jobs]
    document = header("shoal.bench.worlds/1", "bench.worlds", [SEED], days=DAYS, rows=rows)
    if options.quick:
        print(json.dumps(document))
        return 0
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "worlds.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "worlds.md").write_text(_page(document), encoding="utf-8")
    return 0


def _one(name: str, events: int, work: Path | None) -> dict[str, Any]:
    """One world at about so many events."""
    customers = round(events / EVENTS_A_CUSTOMER.get(name, DEFAULT_EVENTS))
    sys.stderr.write(f"{name}, about {events:,} events\n")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=work) as folder:
        out = Path(folder) / "world"
        stage = shoal(
            name, "simulate", "--out", out, "--customers", customers, "--days", DAYS,
            "--world", name, "--seed", SEED,
        )  # fmt: skip
        made = stage.document["events"]
        written = total_bytes(out)
        copied = _copied(out / "events.parquet", Path(folder) / "copy.parquet")
        shutil.rmtree(out)
    return {
        "world": name, "version": stage.document["world_version"],
        "digest": stage.document["world_digest"], "customers": customers, "events": made,
        "seconds": round(stage.seconds, 2), "cpu_seconds": round(stage.cpu_seconds, 2),
        "seconds_per_million": round(stage.seconds * 1e6 / made, 2),
        "peak_gib": round(stage.peak_gib, 2), "bytes": written,
        "copy_seconds": round(copied, 2), "load_before": round(load, 1),
    }  # fmt: skip


def _copied(source: Path, target: Path) -> float:
    """Seconds to read the written events and write them again, a row group at a time."""
    started = time.perf_counter()
    file = pq.ParquetFile(source)
    with pq.ParquetWriter(
        target, file.schema_arrow, compression="zstd", compression_level=1
    ) as writer:
        for number in range(file.num_row_groups):
            writer.write_table(file.read_row_group(number))
    return time.perf_counter() - started


def _page(document: dict[str, Any]) -> str:
    rows = [
        [
            f"`{row['world']}` {row['version']}", f"{row['customers']:,}", f"{row['events']:,}",
            f"{row['seconds']:.1f}", f"{row['cpu_seconds']:.1f}",
            f"{row['seconds_per_million']:.1f}", f"{row['peak_gib']:.2f} GiB",
            f"{row['bytes'] / 2**20:,.0f} MB", f"{row['copy_seconds']:.1f}",
        ]
        for row in document["rows"]
    ]  # fmt: skip
    every = document["rows"]
    late = [row["world"] for row in every if row["seconds_per_million"] > GOAL_SECONDS]
    said = (
        f"Above {GOAL_SECONDS:.0f} seconds a million events: {', '.join(late)}."
        if late
        else f"Every world makes a million events in less than {GOAL_SECONDS:.0f} seconds."
    )
    loads = [row["load_before"] for row in document["rows"]]
    head = [
        "world", "customers", "events", "seconds", "processor s", "seconds a million",
        "peak memory", "written", "copying alone, s",
    ]  # fmt: skip
    where = (
        f"`{document['command']}`, {document['days']} days, seed {SEED}, each world in a process "
        f"of its own, start included; load before a run {min(loads)} to {max(loads)}. "
        f"{machine_line(document['machine'])}"
    )
    how = (
        f"{said} Customers are drawn in blocks of 4,096 and their events spilled by stretches of "
        "time, so memory hardly grows with the log. *Copying alone* reads the written events and "
        "writes them again: the least that these bytes cost. Digests of the worlds stand in "
        "[the figures](worlds.json)."
    )
    return "\n\n".join(["# What simulating costs", where, table(head, rows), how]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
