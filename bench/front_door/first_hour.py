"""`python -m bench.front_door.first_hour`: the walk of a stranger, with the seconds of each step.

A simulated shop of three months is written as its systems would export it (`exports.py`); then
every command is run as a newcomer would type it: GA4 shards, Shopify's orders, Segment's calls, the
reconciliation with the books, quality, segments, a list. Writes `docs/results/first-hour.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from bench.front_door.exports import Exports, write_exports
from bench.front_door.stages import ROOT, Stage, shoal, table

OUT = ROOT / "docs/results/first-hour.json"


def main() -> None:
    """Walk and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        home = Path(work)
        source = home / "source"
        shoal(
            "simulate", "simulate", "--out", source, "--customers", options.customers,
            "--days", options.days, "--seed", options.seed,
        )  # fmt: skip
        exports = write_exports(source / "events.parquet", home / "exports")
        stages = walk(home / "shop", exports)
    figures = {
        "command": "python -m bench.front_door.first_hour",
        "customers": options.customers, "days": options.days, "seed": options.seed,
        "exported": {"ga4 events": exports.hits, "orders": exports.orders, "calls": exports.calls},
        "load": round(os.getloadavg()[0], 1),
        "stages": [stage.as_document() for stage in stages],
        "told": told(stages),
    }  # fmt: skip
    OUT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table(["step", "time"], [[s.name, f"{s.seconds:.1f} s"] for s in stages]))
    print(json.dumps(figures["told"], indent=1))


def walk(shop: Path, exports: Exports) -> list[Stage]:
    """Every command of the first hour."""
    stages = [shoal("init", "init", shop, "--currency", "EUR")]
    settings = shop / "shop.toml"
    text = settings.read_text(encoding="utf-8")
    named = text.replace("order_sources = []", 'order_sources = ["shopify-bulk"]')
    settings.write_text(named, encoding="utf-8")
    for preset, path in (
        ("ga4", exports.ga4), ("shopify-bulk", exports.shopify), ("segment-spec", exports.segment),
    ):  # fmt: skip
        stages.append(shoal(f"ingest {preset}", "ingest", shop, path, "--preset", preset))
    stages.append(shoal("reconcile", "reconcile", shop, "--against", exports.books))
    stages.append(shoal("quality", "quality", shop, "--fail-on", "never"))
    stages.append(shoal("segment", "segment", shop))
    stages.append(shoal("segments", "segments", shop))
    stages.append(shoal("export", "export", shop, "s01"))
    stages.append(shoal("report", "report", shop))
    return stages


def told(stages: list[Stage]) -> dict[str, Any]:
    """What the commands said, in short."""
    by_name = {stage.name: stage.document for stage in stages}
    ingested = {n.split()[1]: d["rows"] for n, d in by_name.items() if n.startswith("ingest")}
    comparison = by_name["reconcile"].get("against") or {}
    return {
        "rows": ingested,
        "customers": by_name["ingest segment-spec"]["customers"],
        "books agree": comparison.get("agrees"),
        "segments": [one["name"]["en"] for one in by_name["segments"]["segments"]],
        "listed": by_name["export"]["customers"],
    }


if __name__ == "__main__":
    main()
