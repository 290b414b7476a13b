"""`python -m bench.speed.sync`: what one more day costs a shop, beside the length of its history.

    python -m bench.speed.sync --quick               0.1 M and 0.4 M events: does it still run?
    python -m bench.speed.sync                       1 M and 10 M events
    python -m bench.speed.sync --lengths 1 4         1 M and 4 M
    python -m bench.speed.sync --on both             segments on features and a behaviour model

One day's events are ingested (their customers' states follow) and every customer's membership is
moved on. The history is a simulated log told several times, one after the other, by the same
customers; the day is the same at each length. `events` is the same refresh told to read the whole
event table. Data is made in --data. Writes speed-sync.json and speed-sync.md to --out.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.speed.harness import ROOT, Task, machine, measure, run, say

_DAYS: Final = 200
_A_DAY: Final = 0.233
#: A refresh may take so many times as long where the history is ten times as long.
FLAT: Final = 2.0
STEPS: Final = ("ingest", "refresh")
#: Runnable processes, on average, beyond which others are at work too.
_OTHERS: Final = 2.0


def main() -> int:
    options = _options()
    home = options.data / f"sync-{options.on}-{options.customers}-{options.seed}"
    home.mkdir(parents=True, exist_ok=True)
    say("  growing shops")
    grown = run(
        "grow",
        {"directory": str(home), "customers": options.customers, "days": _DAYS,
         "lengths": options.lengths, "on": options.on, "seed": options.seed},
    )  # fmt: skip
    tasks = [
        Task(
            f"{length} {read}", "day",
            {"directory": str(home), "length": length, "read": read}, options.repeats,
        )
        for length in options.lengths
        for read in options.read
    ]  # fmt: skip
    document = {
        "schema": "bench.speed.sync/1",
        "command": shlex.join(["python", "-m", "bench.speed.sync", *sys.argv[1:]]),
        "seed": options.seed,
        "on": options.on,
        "machine": machine(),
        "grown": grown,
        "days": measure(tasks),
        "memberships": measure(
            [Task("memberships", "memberships", {"customers": options.members}, options.repeats)]
        )["memberships"],
        "load": round(os.getloadavg()[1], 1),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    text = markdown(document)
    name = "speed-sync" if options.on == "features" else f"speed-sync-{options.on}"
    (options.out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (options.out / f"{name}.md").write_text(text)
    print(text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speed.sync", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="a tenth of the customers, one run")
    parser.add_argument(
        "--customers", type=int, help="of the log: 1 M events by 21,459 in 200 days"
    )
    parser.add_argument("--lengths", nargs="+", type=int, metavar="N", help="default 1 10")
    parser.add_argument("--on", choices=("features", "both"), default="features")
    parser.add_argument("--read", nargs="+", choices=("states", "events"),
                        default=["states", "events"])  # fmt: skip
    parser.add_argument("--members", type=int, help="customers of the membership step alone")
    parser.add_argument("--repeats", type=int, help="runs of each day (default 3)")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "shoal-bench")
    parser.add_argument(
        "--out", type=Path, help="default docs/results (--quick: the data's folder)"
    )
    options = parser.parse_args()
    events = 100_000 if options.quick else 1_000_000
    options.customers = options.customers or round(events / (_A_DAY * _DAYS))
    options.lengths = options.lengths or ([1, 4] if options.quick else [1, 10])
    options.members = options.members or (50_000 if options.quick else 1_000_000)
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.out = options.out or (options.data if options.quick else ROOT / "docs" / "results")
    return options


def markdown(document: Mapping[str, Any]) -> str:
    """The page: a row a length of history and way of reading, medians with least and greatest."""
    host, grown = document["machine"], document["grown"]
    measured = (
        f"`{document['command']}`, seed {document['seed']}. {host['cores']} cores "
        f"({host['processor']}), {host['memory_gib']} GiB, Python {host['python']}."
    )
    if document["load"] > _OTHERS:
        measured += (
            f" Other work ran beside it (load {document['load']} at the end): seconds are upper "
            "bounds, read CPU seconds."
        )
    reading = (
        f"The same {grown['day']:,} events of one more day come into shops of "
        f"{grown['customers']:,} customers whose log of {grown['days']} days was told once or "
        f"several times over; segments on {document['on']} and by RFM are moved on for everybody. "
        "*states*: as `shoal refresh` reads; *events*: the same refresh made to read the event "
        "table. *ingest* holds *states followed*. Median of runs in fresh processes, least and "
        "greatest in brackets; memory is the greatest resident memory within the step."
    )
    head = (
        "history, events", "refresh reads", "ingest, s", "states followed, s", "refresh, s",
        "refresh, CPU s", "ingest, MiB", "refresh, MiB",
    )  # fmt: skip
    lines = [
        "# Speed of a day's sync",
        "",
        measured,
        "",
        reading,
        "",
        "| " + " | ".join(head) + " |",
    ]
    lines.append("| ---: | --- |" + 6 * " ---: |")
    for label, row in document["days"].items():
        length, read = label.split()
        events = f"{grown['shops'][length]['events']:,}"
        if "failed" in row:
            lines.append(
                f"| {events} | {read} | failed: {row['failed'].splitlines()[-1]} |" + 5 * " |"
            )
            continue
        names = ("ingest_seconds", "catch_up_seconds", "refresh_seconds", "refresh_cpu")
        figures = " | ".join(_spread(row[name]) for name in names)
        memory = " | ".join(f"{row[f'{step}_mib']['median']:,.0f}" for step in STEPS)
        lines.append(f"| {events} | {read} | {figures} | {memory} |")
    lines += ["", *_growth(document), "", *_members(document["memberships"])]
    return "\n".join(lines) + "\n"


def _growth(document: Mapping[str, Any]) -> list[str]:
    """How much longer each way takes where the history is longest."""
    shops, days = document["grown"]["shops"], document["days"]
    short, long = min(shops, key=int), max(shops, key=int)
    times = shops[long]["events"] / shops[short]["events"]
    found = []
    for read in ("states", "events"):
        rows = [days.get(f"{length} {read}", {}) for length in (short, long)]
        if all("refresh_cpu" in row for row in rows):
            first, last = (row["refresh_cpu"]["median"] for row in rows)
            found.append((read, last / first))
    if not found:
        return []
    told = "; ".join(f"from {read} {ratio:.1f} times" for read, ratio in found)
    judged = "" if times < 9 or found[0][0] != "states" else (
        f" At most {FLAT:.0f} times was aimed at: "
        + ("reached." if found[0][1] <= FLAT else "not reached.")
    )  # fmt: skip
    return [f"With {times:.1f} times the history a refresh takes, in CPU seconds, {told}.{judged}"]


def _members(row: Mapping[str, Any]) -> list[str]:
    if "failed" in row:
        return [f"The membership step alone failed: {row['failed'].splitlines()[-1]}"]
    counted = (
        f"{row['customers']['median']:,.0f} customers with a recorded membership, of whom "
        f"{row['changed']['median']:,.0f} change."
    )
    lines = ["## The membership step alone", "", counted, "", "| part | seconds | MiB |"]
    lines.append("| --- | ---: | ---: |")
    named = (
        ("record_all", "a version comes into force: everybody is written"),
        ("read", "the recorded memberships are read"), ("decide", "who changes is decided"),
        ("record_changes", "the changes are written"),
    )  # fmt: skip
    for name, words in named:
        lines.append(
            f"| {words} | {_spread(row[f'{name}_seconds'])} | {row[f'{name}_mib']['median']:,.0f} |"
        )
    return lines


def _spread(figure: Mapping[str, float]) -> str:
    return f"{figure['median']:.2f} [{figure['min']:.2f}, {figure['max']:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
