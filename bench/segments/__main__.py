"""`python -m bench.segments`: what membership alone foretells of the next period, beside peers.

    python -m bench.segments --quick          one small world, four methods, under a minute
    python -m bench.segments                  all sets and methods, seeds 11, 12 and 13
    python -m bench.segments --merge --ks 8 --peers shoal-embedding shoal-both
                                              these methods into the figures of a run before
    python -m bench.segments --parts labels   who customers are, beside the figures of a run before

Data is made into the cache of the benches (SHOAL_BENCH_CACHE) and public sets are read from
SHOAL_DATA; finished units are kept there and reused while code and data are the same. Writes
segments.json and segments.md to --out.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import merging, results
from bench.harness.data import CACHE, MissingDataError
from bench.harness.run import Unit, code_hash, run, say
from bench.peers.shoal_embedded import ENTRY_CODE, TIMEOUT_S
from bench.segments import document, merge, outside, outside_page, page
from bench.segments.embedded import ON
from bench.segments.peers import METHODS, PLANTED, QUICK
from bench.segments.scores import Scored, scored
from bench.segments.sets import REPORTED, SETS, TUNING, Log, Opened, logs
from bench.segments.unit import unpacked

MAIN_K = 8
#: What the result of a unit depends on beside its data.
_LABELLED = (
    "bench/segments/unit.py", "bench/segments/peers.py", "bench/segments/outcomes.py",
    "bench/segments/sets.py", "bench/segments/settings.py", "bench/peers", "src/shoal/segments",
    "src/shoal/features", "src/shoal/heads", "src/shoal/workflows/segment_learn.py",
    "src/shoal/workflows/segment_outlook.py",
)  # fmt: skip
#: And where it stands on a model.
_MODELLED = (*_LABELLED, *ENTRY_CODE, "bench/segments/embedded.py")
_ATTAINED = (
    "bench/segments/attain.py", "bench/segments/settings.py", "bench/segments/outcomes.py",
    "bench/segments/sets.py", "src/shoal/features", "src/shoal/evaluation/deviance.py",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 where nothing could be scored."""
    options = _options(arguments)
    return merging.or_told(lambda: _bench(options))


def _bench(options: argparse.Namespace) -> int:
    if "labels" in options.parts:
        return _beside(options)
    before = merging.published(options.out, "segments") if options.merge else None
    opened, missing = _prepared(logs(options.data, options.seeds, options.quick))
    found = _units(opened, options)
    by_k = {k: [_scored(one, found, k, options.splits) for one in opened] for k in options.ks}
    told = document.document(by_k, found, opened, missing, options)
    if before is not None:
        told = merge.merged(before, told, options.peers)
    if (options.out / "segments.json").exists():  # a part of its own
        kept = merging.published(options.out, "segments").get("labels")
        told |= {"labels": kept} if kept else {}
    results.write("segments", told, page.markdown(told), options.out)
    print(page.markdown(told))
    return int(not opened)


def _beside(options: argparse.Namespace) -> int:
    """Labels from outside into the figures that are published."""
    told = merging.published(options.out, "segments")
    command = shlex.join(["python", "-m", "bench.segments", *sys.argv[1:]])
    try:
        found = outside.part(
            options.peers, options.seeds, options.ks[0], cache=options.cache, command=command
        )
    except MissingDataError as error:
        say(str(error))
        return 1
    told["labels"] = found
    results.write("segments", told, page.markdown(told), options.out)
    print(outside_page.markdown(told))
    return int(not found["rows"])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.segments", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="one small world, four methods")
    parser.add_argument("--merge", action="store_true", help="add --peers to the figures in --out")
    parser.add_argument(
        "--parts", nargs="+", choices=("figures", "labels"), default=["figures"],
        help="labels: age, gender and occupation beside segments, into the figures in --out",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--data", nargs="+", choices=SETS, metavar="SET", help=", ".join(SETS))
    parser.add_argument("--peers", nargs="+", choices=METHODS, metavar="PEER")
    parser.add_argument("--ks", type=int, nargs="+", metavar="K", help="the first is the main one")
    parser.add_argument("--splits", type=int, help="random halves, each both ways (default 3)")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: the cache)")
    options = parser.parse_args(arguments)
    quick = options.quick
    options.seeds = options.seeds or ([TUNING[0]] if quick else list(REPORTED))
    options.data = options.data or (["steady"] if quick else list(SETS))
    options.peers = options.peers or (list(QUICK) if quick else list(METHODS))
    options.ks = options.ks or ([4] if quick else [MAIN_K, 4, 12])
    options.splits = options.splits or (1 if quick else 3)
    options.out = options.out or (options.cache if quick else results.RESULTS)
    return options


def _prepared(wanted: Sequence[Log]) -> tuple[list[Opened], dict[str, str]]:
    """Logs that are there with their snapshots made, and why the others are not."""
    opened, missing = [], {}
    for log in wanted:
        say(f"  preparing {log.label}")
        try:
            one = log.open()
        except MissingDataError as error:
            missing[log.set] = str(error)
            continue
        for moment in (one.before, one.moment):
            one.source.features(moment)
        opened.append(one)
    return opened, missing


def _units(opened: Sequence[Opened], options: argparse.Namespace) -> dict[str, Any]:
    """Results of every unit, by what it was and the log's label."""
    kept = options.cache / "segments"
    drawn = 2 if options.quick else 5
    label = [
        Unit(
            peer, one.log.label, 0,
            {"peer": peer, "log": one.log.arguments, "ks": options.ks, "main_k": options.ks[0],
             "bootstraps": drawn},
            {
                "data": one.source.digest,
                "code": code_hash(*(_MODELLED if peer in ON else _LABELLED)),
            },
        )
        for peer in options.peers
        for one in opened
        if peer != PLANTED or _has_truth(one)
    ]  # fmt: skip
    attain = [
        Unit(
            "attained", one.log.label, 0,
            {"log": one.log.arguments, "splits": options.splits},
            {"data": one.source.digest, "code": code_hash(*_ATTAINED)},
        )
        for one in opened
    ]  # fmt: skip
    say("what LightGBM attains")
    found = run("bench.segments.unit:attain", attain, kept=kept)
    say("labels")
    models = [unit for unit in label if unit.peer in ON]
    others = [unit for unit in label if unit.peer not in ON]
    found += run("bench.segments.unit:label", others, kept=kept)
    found += run("bench.segments.unit:label", models, kept=kept, timeout_s=TIMEOUT_S)
    told: dict[str, Any] = {}
    for one in found:
        told.setdefault(one["peer"], {})[one["label"]] = one
    return told


def _has_truth(one: Opened) -> bool:
    truth = getattr(one.source, "truth", None)
    return truth is not None and truth("spells") is not None


def _scored(one: Opened, found: Mapping[str, Any], k: int, splits: int) -> Scored:
    labels = {}
    for peer, units in found.items():
        told = units.get(one.log.label, {}).get("labels", {})
        there = told.get(str(k), told.get("0"))
        if there:
            labels[peer] = unpacked(there).astype("int64")
    return scored(one, labels, _forecasts(found, one), splits)


def _forecasts(found: Mapping[str, Any], one: Opened) -> Mapping[str, Any]:
    told = found["attained"][one.log.label]
    return {name: value for name, value in told.items() if isinstance(value, dict)}


if __name__ == "__main__":
    sys.exit(main())
