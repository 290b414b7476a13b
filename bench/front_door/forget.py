"""`python -m bench.front_door.forget`: forgetting one person and a hundred, and Delta's own delete.

A simulated shop is taken through ingest, compact and segment; then one person and a hundred others
are forgotten through the command line, each time in a copy of the shop. The peer, in the same run
and on copies of the event table: deltalake's `DeltaTable.delete(predicate)` and `vacuum`, which
cleans the event table alone and keeps its log. Writes `docs/results/front-door-forget.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from deltalake import DeltaTable

from bench.front_door.stages import ROOT, shoal, table, total_bytes

OUT = ROOT / "docs/results/front-door-forget.json"


def main() -> None:
    """Make the shop, forget, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=225_000)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--work", type=Path, help="where shops are made; default: temporary")
    parser.add_argument("--shop", type=Path, help="a shop that an earlier run made, to be copied")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        shop = options.shop or made(Path(work), options)
        figures = {
            "command": "python -m bench.front_door.forget",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {name: version(name) for name in ("shoal", "deltalake", "pyarrow")},
            "customers": options.customers,
            "seed": options.seed,
            **measured(Path(work), shop),
        }
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    rows = [[name, f"{one['seconds']:.2f} s"] for name, one in figures["runs"].items()]
    print(table(["what", "time"], rows))


def made(work: Path, options: argparse.Namespace) -> Path:
    """A simulated shop with segments."""
    source, shop = work / "source", work / "shop"
    arguments = ("--customers", options.customers, "--days", options.days, "--seed", options.seed)
    shoal("simulate", "simulate", "--out", source, *arguments)
    shoal("init", "init", shop)
    shoal("ingest", "ingest", shop, source / "events.parquet", "--preset", "shoal")
    shoal("compact", "compact", shop)
    shoal("segment", "segment", shop, "--k", 7)
    shutil.rmtree(source)
    return shop


def measured(work: Path, shop: Path) -> dict[str, Any]:
    """Seconds of each way to forget, each in a copy of its own."""
    members = next((shop / "artefacts/segmentation").glob("kmeans-*")) / "members.parquet"
    ids = pq.read_table(members)["customer_id"].to_pylist()
    chosen = ids[:: len(ids) // 102]
    runs: dict[str, Any] = {}
    for name, people in (("one", chosen[:1]), ("a hundred", chosen[1:101])):
        home = work / "copy"
        shutil.copytree(shop, home)
        seconds = _delta(home / "events", people)
        runs[f"deltalake delete and vacuum, {name}"] = {"seconds": round(seconds, 2)}
        shutil.rmtree(home)
        shutil.copytree(shop, home)
        asked = work / "ids.txt"
        asked.write_text("\n".join(people), encoding="utf-8")
        done = shoal(name, "forget", home, "--file", asked, "--yes")
        runs[f"shoal forget, {name} (every store)"] = {
            "seconds": round(done.seconds, 2),
            "processor_seconds": round(done.cpu_seconds, 2),
            "peak_gib": round(done.peak_gib, 2),
            "removed": done.document["removed"],
        }
        shutil.rmtree(home)
    status = shoal("status", "status", shop).document
    return {
        "events": status["events"],
        "event_table_bytes": total_bytes(shop / "events"),
        "state_store_bytes": (shop / "shop.sqlite").stat().st_size,
        "load": round(os.getloadavg()[0], 1),
        "runs": runs,
    }


def _delta(path: Path, ids: Sequence[str]) -> float:
    """Delta's own way, of the event table alone."""
    quoted = ", ".join(f"'{name}'" for name in ids)
    started = time.perf_counter()
    own = DeltaTable(str(path))
    own.delete(f"customer_id IN ({quoted})")
    own.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
