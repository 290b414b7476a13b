"""`python -m bench.front_door.sources`: each preset at scale, its account, its money, its speed.

A simulated shop is written as its systems would export it (`exports.py`), and each file is brought
into a shop of its own by the whole of `shoal ingest` in a process of its own. What was read must be
stored or accounted for to the row, and of the sources of orders the months must agree with the
books, which a query over the simulated events added up; the bench fails where they do not. Beside
it a DuckDB query that reads the same file into Parquet, and checks and unpacks nothing: what
reading alone costs. Writes `docs/results/front-door-sources.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from bench.front_door.exports import Exports, write_exports
from bench.front_door.stages import ROOT, shoal, table

OUT = ROOT / "docs/results/front-door-sources.json"


def main() -> int:
    """Measure every preset; 1 where an account or a month does not agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=60_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--work", type=Path, help="where the shops are made; default: temporary")
    options = parser.parse_args()
    sizes = ("--customers", options.customers, "--days", options.days, "--seed", options.seed)
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        home = Path(work)
        shoal("simulate", "simulate", "--out", home / "source", *sizes)
        exports = write_exports(home / "source/events.parquet", home / "exports")
        found = {
            preset: _measured(home, preset, path, exports)
            for preset, path in (
                ("segment-spec", exports.segment / "calls.jsonl"),
                ("shopify-orders", exports.shopify_csv),
                ("shopify-bulk", exports.shopify),
                ("woocommerce-orders", exports.woocommerce),
            )
        }
    document = {
        "schema": "shoal.bench.front_door.sources/1",
        "command": " ".join(["python -m bench.front_door.sources", *sys.argv[1:]]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("shoal", "duckdb", "pyarrow")},
        "customers": options.customers, "days": options.days, "seed": options.seed,
        "orders": exports.orders,
        "sources": found,
    }  # fmt: skip
    OUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(_page(found))
    return int(any(one["adds_up"] is False or one["agrees"] is False for one in found.values()))


def _measured(home: Path, preset: str, path: Path, exports: Exports) -> dict[str, Any]:
    """One file in a shop of its own."""
    load = os.getloadavg()[0]
    lines, by_hand = _by_hand(path, home / f"{preset}.parquet")
    shop = home / preset
    shoal("init", "init", shop, "--currency", "EUR")
    ingest = shoal("ingest", "ingest", shop, path, "--preset", preset)
    rows = ingest.document["rows"]
    told = rows["read"]
    parts = ("stored", "duplicate", "conflicting", "quarantined", "skipped")
    agrees = None
    if preset != "segment-spec":
        reconciled = shoal("reconcile", "reconcile", shop, "--against", exports.books)
        agrees = reconciled.document["against"]["agrees"]
    return {
        "load_before": round(load, 2),
        "bytes": path.stat().st_size,
        "lines": lines,
        "rows": rows,
        "adds_up": sum(rows[name] for name in parts) == told,
        "agrees": agrees,
        "seconds": round(ingest.seconds, 2),
        "cpu_seconds": round(ingest.cpu_seconds, 2),
        "lines_per_second": round(lines / ingest.seconds),
        "peak_gib": round(ingest.peak_gib, 2),
        "by_hand_seconds": round(by_hand, 2),
    }


def _by_hand(path: Path, target: Path) -> tuple[int, float]:
    """Lines of the file as DuckDB counts them, and the seconds in which it writes them down."""
    read = "read_csv" if path.suffix == ".csv" else "read_json"
    options = "all_varchar = true" if path.suffix == ".csv" else "format = 'newline_delimited'"
    started = time.perf_counter()
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT * FROM {read}('{path}', {options})) TO '{target}' "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        seconds = time.perf_counter() - started
        [(lines,)] = db.execute(f"SELECT count(*) FROM '{target}'").fetchall()
    return int(lines), seconds


def _page(found: dict[str, Any]) -> str:
    return table(
        ["preset", "lines", "lines/s", "processor s", "peak memory", "by hand", "books agree"],
        [
            [
                name, f"{one['lines']:,}", f"{one['lines_per_second']:,}", one["cpu_seconds"],
                f"{one['peak_gib']} GiB", f"{one['by_hand_seconds']} s", one["agrees"],
            ]
            for name, one in found.items()
        ],
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
