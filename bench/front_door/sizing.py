"""`python -m bench.front_door.sizing`: time, memory and disk of a shop, by its number of customers.

Simulates the world `steady` (half of whose customers leave one or two events), and takes it through
ingest, segment, features and report as a user would. Writes `docs/results/sizing.md` and `.json`;
sizes measured before stay in the file until they are measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bench.front_door.stages import ROOT, Stage, shoal, table, total_bytes

RESULTS = ROOT / "docs/results"
DAYS = 90
#: How to read the tables.
NOTE = (
    "Other work ran on the same two cores during all three sizes (for two million a load of up to "
    "10), so the times are those of a busy machine. Forming segments needs most memory, about "
    "8 KiB a customer: two million want a machine of 24 GiB."
)
SEED = 1


def main() -> None:
    """Measure the sizes asked for and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--work", type=Path, help="where the shops are made and removed again")
    options = parser.parse_args()
    kept = RESULTS / "sizing.json"
    found = json.loads(kept.read_text())["sizes"] if kept.exists() else []
    known: dict[tuple[int, int], dict[str, Any]] = {(s["customers"], s["days"]): s for s in found}
    for customers in options.customers:
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            size = measure(Path(work), customers, options.days)
        known[customers, options.days] = size
        sizes = [known[key] for key in sorted(known)]
        document = {"command": _command(sizes), "sizes": sizes}
        kept.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "sizing.md").write_text(page(document), encoding="utf-8")


def measure(work: Path, customers: int, days: int) -> dict[str, Any]:
    """One size through every stage."""
    load = os.getloadavg()[0]
    source, shop = work / "source", work / "shop"
    arguments = ("--customers", customers, "--days", days, "--seed", SEED)
    stages: list[Stage] = [shoal("simulate", "simulate", "--out", source, *arguments)]
    events = source / "events.parquet"
    shoal("init", "init", shop)
    stages.append(shoal("ingest", "ingest", shop, events, "--preset", "shoal"))
    rows = stages[-1].document["rows"]
    input_bytes = events.stat().st_size
    shutil.rmtree(source)
    stages.append(shoal("segment", "segment", shop))
    stages.append(shoal("features", "features", shop, "--out", work / "features.parquet"))
    stages.append(shoal("report", "report", shop))
    stages.append(shoal("reconcile", "reconcile", shop))
    stages.append(shoal("quality", "quality", shop))
    return {
        "customers": customers,
        "days": days,
        "seed": SEED,
        "events": rows["stored"],
        "load_before": round(load, 1),
        "input_gib": round(input_bytes / 2**30, 2),
        "shop_gib": round(total_bytes(shop) / 2**30, 2),
        "events_gib": round(total_bytes(shop / "events") / 2**30, 2),
        "store_gib": round((shop / "shop.sqlite").stat().st_size / 2**30, 2),
        "stages": [stage.as_document() for stage in stages],
    }


def page(document: dict[str, Any]) -> str:
    """The tables as Markdown."""
    sizes = document["sizes"]
    names = [stage["stage"] for stage in sizes[0]["stages"]]
    time = [
        [f"{s['customers']:,}", f"{s['events']:,}", s["days"]]
        + [_seconds(stage["seconds"]) for stage in s["stages"]]
        for s in sizes
    ]
    room = [
        [f"{s['customers']:,}", f"{s['input_gib']} GiB", f"{s['shop_gib']} GiB",
         f"{s['events_gib']} GiB", f"{s['store_gib']} GiB"]
        + [f"{stage['peak_gib']} GiB" for stage in s["stages"]]
        for s in sizes
    ]  # fmt: skip
    return "\n".join(
        [
            "# Sizing",
            "",
            f"`{document['command']}`: the simulated world `steady`, seed {SEED}, on "
            f"{os.cpu_count()} cores. About half of its customers leave one or two events. The "
            "load before each size was "
            + ", ".join(f"{s['load_before']} ({s['customers']:,})" for s in sizes)
            + "; a quiet machine has 0.",
            "",
            "## Time",
            "",
            table(["customers", "events", "days", *names], time),
            "",
            "## Disk, and peak memory of each stage",
            "",
            table(["customers", "input", "shop", "event table", "states", *names], room),
            "",
            NOTE,
            "",
        ]
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _command(sizes: list[dict[str, Any]]) -> str:
    customers = " ".join(str(size["customers"]) for size in sizes)
    return f"python -m bench.front_door.sizing --customers {customers}"


if __name__ == "__main__":
    main()
