"""`python -m bench.speed.replay`: what a whole log replayed through the one step costs.

    python -m bench.speed.replay --quick             0.1 M events: does it still run?
    python -m bench.speed.replay                     1 M events, by weeks and by days

The log is followed in the order of time: segments are learned at the first cut, from a tenth of the
period on, and every cut moves all customers on: events folded into states, features, weights,
memberships with cause and margin. Data is simulated into --data and kept for the next run. Writes
speed-replay.json and speed-replay.md to --out.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.speed.harness import ROOT, Task, machine, measure, run, say

_DAYS: Final = 200
#: Seconds that a replay of a million events may take, and that it should.
ALLOWED: Final = 120
GOAL: Final = 30
EVERY: Final = ("7d", "1d")


def main() -> int:
    options = _options()
    home = options.data / f"{options.events}-{options.seed}"
    home.mkdir(parents=True, exist_ok=True)
    say("  preparing")
    shop = {"directory": str(home), "events": options.events, "days": _DAYS, "seed": options.seed}
    told = run("prepare", {**shop, "csv": False})
    tasks = [
        Task(
            f"every {every}",
            "replay",
            {"directory": str(home), "every": every, "method": options.method, "days": _DAYS},
            options.repeats,
        )
        for every in options.every
    ]
    document = {
        "schema": "bench.speed.replay/1",
        "command": shlex.join(["python", "-m", "bench.speed.replay", *sys.argv[1:]]),
        "seed": options.seed,
        "method": options.method,
        "machine": machine(),
        "events": told["events"],
        "customers": told["customers"],
        "world": told["world"],
        "replays": measure(tasks),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    text = markdown(document)
    (options.out / "speed-replay.json").write_text(json.dumps(document, indent=1) + "\n")
    (options.out / "speed-replay.md").write_text(text)
    print(text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speed.replay", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="0.1 M events, one run of each")
    parser.add_argument("--events", type=lambda text: int(float(text)))
    parser.add_argument("--every", nargs="+", default=list(EVERY), metavar="SPAN")
    parser.add_argument("--method", default="kmeans")
    parser.add_argument("--repeats", type=int, help="runs of each task (default 3)")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "shoal-bench")
    parser.add_argument(
        "--out", type=Path, help="default docs/results (--quick: the data's folder)"
    )
    options = parser.parse_args()
    options.events = options.events or (100_000 if options.quick else 1_000_000)
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.out = options.out or (options.data if options.quick else ROOT / "docs" / "results")
    return options


def markdown(document: Mapping[str, Any]) -> str:
    """The page: a row a replay, medians with least and greatest."""
    host = document["machine"]
    measured = (
        f"`{document['command']}`, seed {document['seed']}. {host['cores']} cores "
        f"({host['processor']}), {host['memory_gib']} GiB, Python {host['python']}."
    )
    reading = (
        f"{document['events']:,} events of {document['customers']:,} customers over {_DAYS} days "
        f"(world {document['world']}), segmented once by {document['method']}. Every cut moves all "
        "customers on by the one step. Median of runs in fresh processes, least and greatest in "
        "brackets; *a cut* leaves out the first, which learns; CPU seconds are those of all cores."
    )
    lines = [
        "# Speed of a replay",
        "",
        measured,
        "",
        reading,
        "",
        "| replay | cuts | seconds | CPU seconds | seconds a cut | changes | memory, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for label, row in document["replays"].items():
        if "failed" in row:
            lines.append(f"| {label} | failed: {row['failed'].splitlines()[-1]} | | | | | |")
            continue
        names = ("seconds", "cpu_seconds", "seconds_a_cut")
        seconds, cpu, a_cut = (_spread(row[name]) for name in names)
        lines.append(
            f"| {label} | {row['cuts']['median']:.0f} | {seconds} | {cpu} | {a_cut} "
            f"| {row['changes']['median']:,.0f} | {row['peak_mib']['median']:,.0f} |"
        )
    at_hand = [row for row in document["replays"].values() if "failed" not in row]
    if document["events"] >= 900_000 and at_hand:
        worst = max(row["seconds"]["median"] for row in at_hand)
        kept = "kept" if worst <= ALLOWED else "not kept"
        lines += ["", f"The bound of {ALLOWED} s a million events is {kept}; the goal is {GOAL} s."]
    return "\n".join(lines) + "\n"


def _spread(figure: Mapping[str, float]) -> str:
    return f"{figure['median']:.2f} [{figure['min']:.2f}, {figure['max']:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
