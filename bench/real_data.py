"""`python -m bench.real_data`: the public sets through the command line, and through the demo.

Each set goes through init, ingest, segment and report as a user would type them; its row account is
compared with the official count. Then the demo makes a shop of it: months of change followed, the
behaviour model trained, segments on it. Writes `docs/results/real-data.md`. Sets that are not there
are named as missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness.run import say

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class PublicSet:
    """A public data set: its preset, file, and official number of rows."""

    preset: str
    file: str
    rows: int


SETS = (
    PublicSet("online-retail", "online_retail/transactions.parquet", 541_909),
    PublicSet("cdnow", "cdnow/transactions.parquet", 69_659),
    PublicSet("retailrocket", "retailrocket/events.parquet", 46_547),
    PublicSet("rees46", "rees46_sample/events.parquet", 17_434),
    PublicSet("taobao", "taobao_2017/events.parquet", 357_412),
    PublicSet("movielens", "movielens_100k/ratings.parquet", 100_000),
    PublicSet("amazon-reviews", "amazon_beauty/actions.parquet", 198_502),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("SHOAL_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/real-data.md")
    parser.add_argument("--minutes", type=float, help="of the demo's training; the recipe's")
    options = parser.parse_args()
    rows, choices, demos, wrong = [], [], [], 0
    with tempfile.TemporaryDirectory() as work:
        for one in SETS:
            path = options.data / one.file
            if not path.exists():
                rows.append(f"| `{one.preset}` | not there | | | | | |")
                continue
            say(f"  {one.preset}")
            row, choice, adds_up = _through(one, path, Path(work) / one.preset)
            rows.append(row)
            choices.append(choice)
            demo, done = _demo(one, path, Path(work) / f"{one.preset}-demo", options.minutes)
            demos.append(demo)
            wrong += not (adds_up and done)
    options.out.write_text(_page(rows, choices, demos, options.minutes), encoding="utf-8")
    sys.stderr.write(f"written: {options.out}\n")
    return 1 if wrong else 0


def _through(one: PublicSet, path: Path, shop: Path) -> tuple[str, str, bool]:
    shoal("init", shop)
    account = shoal("ingest", shop, path, "--preset", one.preset, "--yes")
    formed = shoal("segment", shop)
    overview = shoal("segments", shop)
    report = Path(shoal("report", shop)["path"])
    count = account["rows"]
    adds_up = (
        count["read"]
        == one.rows
        == sum(
            count[name] for name in ("stored", "duplicate", "conflicting", "quarantined", "skipped")
        )
    )
    reasons = ", ".join(f"{n} {code}" for code, n in account["quarantine"].items()) or "0"
    row = (
        f"| `{one.preset}` | {one.rows:,} | {count['read']:,} | {count['stored']:,} | {reasons} "
        f"| {account['customers']:,} | {'yes' if adds_up and report.stat().st_size else 'NO'} |"
    )
    main = formed["segmentations"][0]
    names = "; ".join(
        f"{entry['name']['en']} ({entry['share']:.0%})" for entry in overview["segments"]
    )
    return (
        row,
        f"**{one.preset}**, k = {main['k']}: {main['choice']['reason']['en']}\n{names}.\n",
        adds_up,
    )


def _demo(one: PublicSet, path: Path, out: Path, minutes: float | None) -> tuple[str, bool]:
    """`make demo` with this file: a row of the table, and whether it ended as it should."""
    started = time.perf_counter()
    bound = () if minutes is None else ("--minutes", str(minutes))
    done = subprocess.run(
        [sys.executable, "-m", "shoal.cli.demo", "--out", out, "--data", path,
         "--preset", one.preset, *bound],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if done.returncode:
        last = " ".join(done.stdout.split()[-40:] + done.stderr.split()[-40:])
        return f"| `{one.preset}` | {seconds:.0f} | exit {done.returncode}: {last} | | | |", False
    shop = out / "shop"
    models, overview = shoal("models", shop)["models"], shoal("segments", shop)
    versions = {one["segmentation_id"]: one for one in shoal("versions", shop)["versions"]}
    line = _line(versions, overview["segmentation_id"])
    trained = f"{models[0]['events']:,} events" if models else "no: the set is too small"
    names = "; ".join(
        f"{entry['name']['en']} ({entry['share']:.0%})" for entry in overview["segments"]
    )
    row = (
        f"| `{one.preset}` | {seconds:.0f} | {trained} | {line[0]['on']} | {len(line)} | {names} |"
    )
    return row, (shop / "report.html").stat().st_size > 0


def _line(versions: Mapping[str, dict[str, Any]], newest: str) -> list[dict[str, Any]]:
    """A version and those before it."""
    found, name = [], newest
    while name in versions:
        found.append(versions[name])
        name = versions[name]["previous_id"]
    return found


def shoal(*arguments: object) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "shoal.cli.main", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"shoal {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _page(rows: list[str], choices: list[str], demos: list[str], minutes: float | None) -> str:
    from bench.harness.results import machine, machine_line
    from shoal import __version__

    command = shlex.join(["python", "-m", "bench.real_data", *sys.argv[1:]])
    trained = "" if minutes is None else f" for {minutes:g} minutes"
    table, demo_table = "\n".join(rows), "\n".join(demos)
    return f"""# Real data

`{command}`, shoal {__version__}, Python {platform.python_version()}.
Each set through `shoal init`, `ingest`, `segment` and `report` as a user would type them, with the
default settings.

| preset | official rows | read | stored | quarantined | customers | adds up |
|---|---|---|---|---|---|---|
{table}

Rows without a customer (135,078 of `online-retail`) are stored as guests' events. The two
quarantined rows are bad-debt corrections with a negative price.

## What was found

Segments and their share of customers, as named by the program, and why that many. Where no
candidate was stable, the reason says so: such segments are a description, not groups that exist.

{chr(10).join(choices)}
## `make demo` with each

`make demo DATA=FILE PRESET=PRESET`: twelve weeks of change followed where the log is long enough,
the behaviour model trained by the recipe `laptop`{trained}, segments on it, report.
{machine_line(machine())}

| preset | seconds | model trained on | segments on | versions | segments, with their share |
|---|---|---|---|---|---|
{demo_table}
"""


if __name__ == "__main__":
    sys.exit(main())
