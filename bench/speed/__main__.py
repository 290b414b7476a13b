"""`python -m bench.speed`: what folding, ingesting and updating cost, beside peers.

    python -m bench.speed --quick                    0.1 M events, a minute: does it still run?
    python -m bench.speed                            1 M and 10 M events
    python -m bench.speed --sizes 1e6 1e7 1e8        100 M too: Shoal alone, about 40 GB of disk

Data is simulated into --data and kept for the next run. Writes speed.json and speed.md to --out.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.speed import report
from bench.speed.equality import differences
from bench.speed.harness import ROOT, Task, machine, measure, run, say, wall_of

ENGINES = ("shoal", "sql", "polars", "pandas")
PARTS = ("simulate", "fold", "ingest", "incremental", "startup")
_DAYS = 200
_NEWS = 1_000
#: Beyond this many events only Shoal runs, and only what must stay bounded.
_PEERS_UP_TO = 20_000_000


def main() -> int:
    options = _options()
    document: dict[str, Any] = {
        "schema": "bench.speed/1",
        "command": shlex.join(["python", "-m", "bench.speed", *sys.argv[1:]]),
        "seed": options.seed,
        "machine": machine(),
        "sizes": {},
    }
    for size in options.sizes:
        say(f"{size:,} events")
        document["sizes"][str(size)] = _size(size, options)
        _write(document, options.out)  # what is measured stays, should a bigger size fail
    if "startup" in options.only:
        document["startup"] = _startup(options, min(options.sizes))
    _write(document, options.out)
    print(report.markdown(document))
    return int(any(part.get("different") for part in document["sizes"].values()))


def _write(document: dict[str, Any], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "speed.json").write_text(json.dumps(document, indent=1) + "\n")
    (out / "speed.md").write_text(report.markdown(document))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="0.1 M events, one run of each")
    parser.add_argument("--sizes", nargs="+", type=lambda text: int(float(text)), metavar="EVENTS")
    parser.add_argument("--repeats", type=int, help="runs of each task (default 3)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "shoal-bench")
    parser.add_argument(
        "--out", type=Path, help="default docs/results (--quick: the data's folder)"
    )
    options = parser.parse_args()
    options.sizes = options.sizes or ([100_000] if options.quick else [1_000_000, 10_000_000])
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.out = options.out or (options.data if options.quick else ROOT / "docs" / "results")
    return options


def _size(size: int, options: argparse.Namespace) -> dict[str, Any]:
    """All parts at one size."""
    home = options.data / f"{size}-{options.seed}"
    home.mkdir(parents=True, exist_ok=True)
    with_peers = size <= _PEERS_UP_TO
    shop = {"directory": str(home), "events": size, "days": _DAYS, "seed": options.seed}
    say("  preparing")
    told = run("prepare", {**shop, "csv": with_peers})
    # Big runs take minutes and vary little.
    repeats = options.repeats if size <= 2_000_000 else max(1, options.repeats - 1)
    at = {"directory": str(home)}
    result: dict[str, Any] = {key: told[key] for key in ("events", "customers", "world")}
    if "simulate" in options.only:
        result["simulate"] = measure([Task("shoal", "simulate_only", shop, repeats)])
    if "fold" in options.only:
        result["fold"], result["different"] = _fold(home, with_peers, repeats)
    if "ingest" in options.only:
        result["ingest"] = measure(_ingests(at, with_peers, repeats))
    if "incremental" in options.only:
        task = Task("shoal", "incremental", {**at, "events": _NEWS, "seed": options.seed}, 3)
        result["incremental"] = measure([task])
    return result


def _fold(
    home: Path, with_peers: bool, repeats: int
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    at = {"directory": str(home)}
    if not with_peers:
        return measure([Task("shoal to file", "fold_to_file", at, 1)]), {}
    tasks = [
        Task(engine, "fold", {**at, "engine": engine, "keep": True}, repeats) for engine in ENGINES
    ]
    tasks.append(Task("shoal to file", "fold_to_file", at, repeats))
    figures = measure(tasks)
    if "failed" in figures["shoal"]:
        return figures, {"shoal": [figures["shoal"]["failed"]]}
    mine = pq.read_table(home / "features-shoal.parquet")
    others = [engine for engine in ENGINES[1:] if "failed" not in figures[engine]]
    different = {
        engine: differences(mine, pq.read_table(home / f"features-{engine}.parquet"))
        for engine in others
    }
    return figures, {engine: names for engine, names in different.items() if names}


def _ingests(at: dict[str, str], with_peers: bool, repeats: int) -> list[Task]:
    forms = ("parquet", "csv") if with_peers else ("parquet",)
    tasks = [Task(f"shoal {form}", "ingest", {**at, "form": form}, repeats) for form in forms]
    if with_peers:
        tasks += [
            Task(f"{engine} {form}", "load", {**at, "form": form, "engine": engine}, repeats)
            for form in forms
            for engine in ("duckdb", "polars")
        ]
    return tasks


def _startup(options: argparse.Namespace, size: int) -> dict[str, Any]:
    shoal = [sys.executable, "-m", "shoal.cli.main"]
    program = Path(sys.executable).with_name("shoal")
    if program.exists():
        shoal = [str(program)]
    shop = options.data / f"{size}-{options.seed}" / "shop"
    repeats = 3 if options.quick else 10
    return {
        "shoal --help": wall_of([*shoal, "--help"], repeats),
        "shoal status": wall_of([*shoal, "status", str(shop)], repeats),
    }


if __name__ == "__main__":
    sys.exit(main())
