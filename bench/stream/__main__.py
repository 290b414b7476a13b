"""`python -m bench.stream`: do segments follow means that move, split, are born, merge and jump?

    python -m bench.stream --quick                a quarter of a stream, few methods: does it run?
    python -m bench.stream                        what is published, about 25 minutes on one core
    python -m bench.stream --peers shoal,kmeans --seeds 1
    python -m bench.stream --page                 only the page, from the figures in stream.json

Finished units are kept in --cache; one is made again when the code that it depends on changes.
Writes stream.json and stream.md to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.harness import results
from bench.harness.data import CACHE
from bench.harness.environment import EnvironmentMissingError, python_of, versions_of
from bench.harness.run import Unit, code_hash, run, say
from bench.stream import oracle, page
from bench.stream.peers import BATCH, ENTRIES, SHOAL, K
from bench.stream.planted import Plan

#: Reported; settings were found on 1 to 5.
SEEDS = (11, 12, 13, 14, 15)
PEERS = (*oracle.NAMES, *ENTRIES)
QUICK = ("ceiling-memory", "kmeans", "minibatch", "shoal")
_TIMEOUT_S = 1_800.0


def main() -> int:
    """Run the bench; 1 after Ctrl-C, with everything finished kept for the next run."""
    options = _options()
    if options.page:
        document = json.loads((options.out / "stream.json").read_text(encoding="utf-8"))
        results.write("stream", document, page.markdown(document), options.out)
        return 0
    try:
        return _bench(options)
    except KeyboardInterrupt:
        say("interrupted: finished units are kept, the same command goes on from here")
        return 1


def _bench(options: argparse.Namespace) -> int:
    say(f"cache {options.cache}")
    for name in sorted(
        {ENTRIES[one].environment for one in options.peers if one in ENTRIES} - {""}
    ):
        try:
            python_of(name)
        except EnvironmentMissingError as error:
            say(f"  {error}")
    document = results.header(
        "bench.stream/1", "bench.stream", options.seeds,
        settings={"plan": asdict(Plan()), "batch": BATCH, "k": K, "quick": options.quick},
    )  # fmt: skip
    units = [
        Unit(
            peer,
            f"stream-{seed}",
            seed,
            {"peer": peer, "seed": seed, "quick": options.quick},
            {"code": _code(peer)},
        )
        for seed in options.seeds
        for peer in options.peers
    ]
    rows = run("bench.stream.unit:run", units, kept=options.cache / "units", timeout_s=_TIMEOUT_S)
    document["rows"] = [rounded({k: v for k, v in row.items() if k != "kept"}) for row in rows]
    document["environments"] = {"river": versions_of("river")}
    told = page.markdown(document)
    results.write("stream", document, told, options.out)
    print(told)
    return 0


def _code(peer: str) -> str:
    """What a method's figures depend on."""
    paths = [f"bench/stream/{name}.py" for name in ("planted", "scores", "unit", "peers")]
    paths += [f"src/shoal/evaluation/{name}.py" for name in ("matching", "tracking", "agreement")]
    if peer in oracle.NAMES:
        paths.append("bench/stream/oracle.py")
    if peer in SHOAL:
        paths += ["bench/stream/shoal_.py", "src/shoal/adjust", "src/shoal/segments/methods",
                  "src/shoal/segments/assign.py", "src/shoal/segments/clustered.py"]  # fmt: skip
        paths += [f"src/shoal/workflows/adjuster{name}.py" for name in _ADJUSTER]
    return code_hash(*paths)


_ADJUSTER = (
    "",
    "_challenge",
    "_change",
    "_changes",
    "_gates",
    "_live",
    "_look",
    "_looks",
    "_state",
)


def rounded(told: Any) -> Any:
    """Figures with the four digits that may mean something."""
    if isinstance(told, float):
        return round(told, 4)
    if isinstance(told, dict):
        return {name: rounded(one) for name, one in told.items()}
    return [rounded(one) for one in told] if isinstance(told, list) else told


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.stream", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true", help="write the page anew, measure nothing")
    parser.add_argument("--seeds", type=_numbers, help="such as 11,12,13")
    parser.add_argument("--peers", type=_names)
    parser.add_argument("--cache", type=Path, default=CACHE / "stream")
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: the cache)")
    options = parser.parse_args()
    options.seeds = options.seeds or ((1,) if options.quick else SEEDS)
    options.peers = options.peers or (QUICK if options.quick else PEERS)
    options.out = options.out or (options.cache if options.quick else results.RESULTS)
    return options


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: whole numbers with commas between") from None


def _names(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    unknown = [one for one in found if one not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(PEERS)}")
    return found


if __name__ == "__main__":
    sys.exit(main())
