"""`python -m bench.real_methods`: every method of `shoal segment` on every public set.

    python -m bench.real_methods --sets rees46 --methods density     one of them

Each set is ingested once; every method then makes segments of it by the command line, k chosen, one
after the other in one shop, so that each is a version beside those before. The known customers of
`seeded` are a tenth of those that k-means placed, by the segment it placed them in. Writes
`docs/results/real-methods.md`. Sets that are not there are named as missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from bench.harness.results import machine, machine_line, table
from bench.harness.run import say
from bench.real_data import ROOT, SETS, PublicSet, shoal

RULES: Final = "rules"
#: k-means comes first: `seeded` takes its known customers from it.
METHODS: Final = (
    "kmeans", "mixture", "hierarchy", "density", "deep", "seeded", "consensus", "rfm", RULES,
)  # fmt: skip
#: One customer in so many is known to `seeded`.
_KNOWN: Final = 10
#: Of what every set holds: who came often, who came lately, and the rest.
_SEGMENTS: Final = {
    "schema": "shoal.rules/1",
    "rest": {"en": "Everybody else", "zh": "其余客户"},
    "segments": [
        {"id": "often", "name": {"en": "Often here", "zh": "常客"},
         "rule": {"feature": "events", "op": ">=", "value": 20}},
        {"id": "lately", "name": {"en": "Here lately", "zh": "近期来过"},
         "rule": {"feature": "recency_days", "op": "<", "value": 28}},
    ],
}  # fmt: skip


def main() -> int:
    """Run every method on every set; 1 where one failed."""
    options = _options()
    lines, wrong = list[list[str]](), 0
    with tempfile.TemporaryDirectory() as work:
        for one in SETS:
            if one.preset not in options.sets:
                continue
            path = options.data / one.file
            if not path.exists():
                lines.append([f"`{one.preset}`", "not there", *[""] * 5])
                continue
            rows, failed = _through(one, path, Path(work) / one.preset, options.methods)
            lines += rows
            wrong += failed
    options.out.write_text(_page(lines), encoding="utf-8")
    say(f"written: {options.out}")
    return int(wrong > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.real_methods", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    presets = [one.preset for one in SETS]
    default = os.environ.get("SHOAL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--sets", nargs="+", choices=presets, default=presets, metavar="SET")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS),
                        metavar="METHOD")  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/real-methods.md")
    return parser.parse_args()


def _through(
    one: PublicSet, path: Path, home: Path, methods: Sequence[str]
) -> tuple[list[list[str]], int]:
    """A row a method, and how many failed."""
    home.mkdir(parents=True)
    shop = home / "shop"
    shoal("init", shop)
    shoal("ingest", shop, path, "--preset", one.preset, "--yes")
    lines, failed = [], 0
    for method in methods:
        say(f"  {one.preset} {method}")
        started = time.perf_counter()
        try:
            made = _made(shop, home, method)
        except SystemExit as error:
            failed += 1
            lines.append([f"`{one.preset}`", method, "–", "–", "–", "–", _why(str(error))])
            continue
        lines.append([f"`{one.preset}`", method, *_cells(made, time.perf_counter() - started)])
    return lines, failed


def _made(shop: Path, home: Path, method: str) -> Mapping[str, Any]:
    """What `shoal segment` says of a segmentation by this method."""
    if method == RULES:
        rules = home / "rules.json"
        rules.write_text(json.dumps(_SEGMENTS), encoding="utf-8")
        told = shoal("segment", shop, "--rules", rules)
    elif method == "seeded":
        told = shoal("segment", shop, "--method", method, "--labels", _labels(shop, home))
    else:
        told = shoal("segment", shop, "--method", method)
    found: Mapping[str, Any] = told["segmentations"][0]
    return found


def _labels(shop: Path, home: Path) -> Path:
    """Known customers: some of those that are placed in a segment now."""
    members = home / "members.parquet"
    shoal("memberships", shop, "--out", members)
    placed = pq.read_table(members, columns=["customer_id", "segment_id"])
    rows = [one for one in placed.to_pylist() if one["segment_id"] != "new"][::_KNOWN]
    file = home / "known.csv"
    named = pa.table(
        {"customer_id": [one["customer_id"] for one in rows],
         "segment": [one["segment_id"] for one in rows]}
    )  # fmt: skip
    pacsv.write_csv(named, file)
    return file


def _cells(made: Mapping[str, Any], seconds: float) -> list[str]:
    customers = made["customers"]
    noise = (made.get("method_facts") or {}).get("noise")
    note = f"noise {noise['share']:.0%}" if noise else ""
    largest = max(one["share"] for one in made["segments"])
    return [
        str(made["k"]), f"{customers['placed']:,} of {customers['total']:,}", f"{largest:.0%}",
        f"{seconds:.0f}", note,
    ]  # fmt: skip


def _why(text: str) -> str:
    return " ".join(text.split())[-200:].replace("|", "/")


def _page(lines: Sequence[Sequence[str]]) -> str:
    command = shlex.join(["python", "-m", "bench.real_methods", *sys.argv[1:]])
    head = ["set", "method", "k", "customers placed", "largest", "seconds", "note"]
    return f"""# Every method on real data

`{command}`. {machine_line(machine())}
Each method through `shoal segment --method M` as a user would type it, k chosen; the known
customers of `seeded` are every tenth of those that k-means placed. Largest: the share of the
largest segment, the tier of the too little known counted as one. Seconds are those of the whole
command, on a machine that had other work.

{table(head, lines)}
"""


if __name__ == "__main__":
    sys.exit(main())
