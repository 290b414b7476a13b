"""`python -m bench.front_door.forget`: forgetting one person and a hundred, and Delta's own delete.

A simulated shop is taken through ingest and segment; then one person and a hundred others are
forgotten through the command line. The peer, in the same run and on a copy of the event table:
deltalake's `DeltaTable.delete(predicate)` and `vacuum`, which cleans the event table alone and
keeps its log. Writes `docs/results/front-door-forget.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from deltalake import DeltaTable

from bench.front_door.stages import ROOT, shoal, table

OUT = ROOT / "docs/results/front-door-forget.json"


def main() -> None:
    """Make the shop, forget, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=210_000)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        figures = measure(Path(work), options)
    OUT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    rows = [[name, f"{seconds:.2f} s"] for name, seconds in figures["seconds"].items()]
    print(table(["what", "time"], rows))


def measure(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each way to forget."""
    source, shop = work / "source", work / "shop"
    arguments = ("--customers", options.customers, "--days", options.days, "--seed", options.seed)
    shoal("simulate", "simulate", "--out", source, *arguments)
    shoal("init", "init", shop)
    ingested = shoal("ingest", "ingest", shop, source / "events.parquet", "--preset", "shoal")
    shoal("segment", "segment", shop, "--k", 7)
    shutil.rmtree(source)
    members = next((shop / "artefacts/segmentation").glob("kmeans-*")) / "members.parquet"
    ids = pq.read_table(members)["customer_id"].to_pylist()
    chosen = ids[:: max(1, len(ids) // 102)]
    one, hundred = chosen[:1], chosen[1:101]
    copy = work / "copy"
    shutil.copytree(shop / "events", copy)
    seconds = {"deltalake delete and vacuum, one": _delta(copy, one)}
    seconds["deltalake delete and vacuum, a hundred"] = _delta(copy, hundred)
    first = shoal("one", "forget", shop, *one, "--yes")
    seconds["shoal forget, one (every store)"] = first.seconds
    many = work / "ids.txt"
    many.write_text("\n".join(hundred))
    second = shoal("hundred", "forget", shop, "--file", many, "--yes")
    seconds["shoal forget, a hundred (every store)"] = second.seconds
    return {
        "command": "python -m bench.front_door.forget",
        "events": ingested.document["rows"]["stored"],
        "customers": options.customers,
        "seed": options.seed,
        "load": round(os.getloadavg()[0], 1),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "removed": {"one": first.document["removed"], "hundred": second.document["removed"]},
        "peak_gib": {"one": round(first.peak_gib, 2), "hundred": round(second.peak_gib, 2)},
    }


def _delta(path: Path, ids: list[str]) -> float:
    """Delta's own way, of the event table alone."""
    quoted = ", ".join(f"'{name}'" for name in ids)
    started = time.perf_counter()
    own = DeltaTable(str(path))
    own.delete(f"customer_id IN ({quoted})")
    own.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
