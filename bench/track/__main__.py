"""`python -m bench.track`: do segments follow customers, and segments, that change?

    python -m bench.track --quick                 two tiny worlds, few peers: does it still run?
    python -m bench.track                         what is published, about 25 minutes on one core
    python -m bench.track --peers kmeans,shoal --worlds drift --parts worlds
    python -m bench.track --page                  only the page, from the figures in track.json
    python -m bench.track --merge --parts worlds,newcomers --peers shoal-embedding,shoal-both
                                                  these rows into the figures of a run before
    python -m bench.track --merge --parts worlds --seeds 14,15
                                                  rows of further seeds
    python -m bench.track --merge --parts generator
                                                  this part (one that is not of peers) into them

Worlds, snapshots and finished units are kept in --cache; a unit is made again when its world or the
code of its peer or of the bench changes. Writes track.json and track.md to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.harness import merging, results
from bench.harness.data import CACHE, WorldSpec
from bench.harness.environment import EnvironmentMissingError, python_of, versions_of
from bench.harness.run import ROOT, Unit, code_hash, run, say
from bench.harness.source import catalog_fingerprint
from bench.peers import SPECS
from bench.peers.registry import EMBEDDED
from bench.peers.shoal_embedded import ENTRY_CODE, TIMEOUT_S
from bench.track import beside, generator, lineage, real, report
from bench.track.unit import CEILING

PARTS = ("worlds", "generator", "ablation", "broken", "newcomers", "lineage", "real")
WORLDS = ("steady", "drift", "season", "festival", "lineage", "awkward", "noise")
SEEDS = (11, 12, 13)
#: Seeds of the lineage worlds begin here; none of them, nor of SEEDS, was ever used for tuning.
LINEAGE_SEED = 101
#: Peers that see all columns instead of those that tell of style; `name:all` in tables.
ALL_COLUMNS = ("kmeans:all",)
PEERS = (CEILING, *SPECS, *ALL_COLUMNS)
#: Methods that can place somebody new without having seen their cuts before.
PLACING = (
    CEILING, "rfm-grid", "kmeans-rfm", "kmeans", "kmeans:all", "minibatch", "gmm", "birch",
    "lightgbm-bins", "cart-leaves", "river-kmeans", "river-streamkmeans", "river-denstream",
    "shoal", "shoal-embedding", "shoal-both",
)  # fmt: skip


def main() -> int:
    """Run the bench; 1 after Ctrl-C, with everything finished kept for the next run."""
    options = _options()
    if options.page:
        document = json.loads((options.out / "track.json").read_text(encoding="utf-8"))
        results.write("track", document, report.markdown(document), options.out)
        return 0
    try:
        return _bench(options)
    except merging.MergeError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted: finished units are kept, the same command goes on from here")
        return 1


def _bench(options: argparse.Namespace) -> int:
    say(f"cache {options.cache}")
    before = merging.published(options.out, "track") if options.merge else None
    document = results.header(
        "bench.track/1", "bench.track", options.seeds,
        settings={
            "customers": options.customers, "days": options.days, "learn_days": options.learn_days,
            "every_days": options.every_days, "worlds": list(options.worlds),
            "newcomer_customers": options.newcomer_customers,
            "lineage_customers": options.lineage_customers,
            "lineage_worlds": options.lineage_worlds,
        },
    )  # fmt: skip
    _environments(options.peers)
    if "worlds" in options.parts:
        document["worlds"] = _worlds(options)
    if "generator" in options.parts:
        document["generator"] = generator.rows(_specs(options), document["settings"], options.cache)
    if "ablation" in options.parts:
        document["ablation"] = _beside(
            "ablation", beside.ABLATION_WORLDS, beside.ABLATION_PEERS, options
        )
    if "broken" in options.parts:
        document["broken"] = _beside("broken", beside.BROKEN_WORLDS, beside.BROKEN_PEERS, options)
    if "newcomers" in options.parts:
        document["newcomers"] = _newcomers(options)
    if "lineage" in options.parts:
        document["lineage"] = _lineage(options)
    if "real" in options.parts:
        document["real"] = _real(options)
    document["environments"] = {"river": versions_of("river")}
    if before is not None:
        document = merged(before, document, added(options, before["seeds"]))
    page = report.markdown(document)
    results.write("track", document, page, options.out)
    print(page)
    return 0


#: Parts whose rows are of peers; those of the second have peers of their own.
_OF_PEERS = ("worlds", "newcomers", "lineage")
_BESIDE = {"ablation": beside.ABLATION_PEERS, "broken": beside.BROKEN_PEERS}


def added(options: argparse.Namespace, published: Sequence[int]) -> tuple[str, ...]:
    """What a run with --merge adds: rows of peers (or of all seeds that are not among the published
    ones), of logs with a seed, or parts by names."""
    of_peers = [part for part in options.parts if part in (*_OF_PEERS, *_BESIDE)]
    further = [str(seed) for seed in options.seeds if seed not in published]
    if further:
        rows = [f"{part}, seeds {' and '.join(further)}" for part in of_peers]
    else:
        rows = list(options.peers) if set(of_peers) & set(_OF_PEERS) else []
        for part in (one for one in of_peers if one in _BESIDE):
            mine = [one for one in _BESIDE[part] if one in options.peers]
            rows.append(part if len(mine) == len(_BESIDE[part]) else f"{part}: {', '.join(mine)}")
    seen = options.seeds if "real" in options.parts else ()
    logs = [f"{log}-{seed}" for log in options.logs for seed in seen]
    known = (*_OF_PEERS, *_BESIDE, "real")
    return (*rows, *logs, *(part for part in options.parts if part not in known))


#: What both runs have to agree about; the worlds' own rows tell what they were made of.
_PROTOCOL = ("customers", "days", "learn_days", "every_days", "newcomer_customers")


def merged(old: dict[str, Any], new: dict[str, Any], peers: tuple[str, ...]) -> dict[str, Any]:
    """Published figures with the rows of these peers, and with whole parts of this run.

    Raises:
        MergeError: the runs differ in protocol or data, or in worlds, which would leave means of
            other worlds beside one another. A method that lacks a seed which others have is told
            with its own (`summing.titled`).
    """
    merging.same(old["settings"], new["settings"], _PROTOCOL)
    found = {**old, merging.ADDED: merging.noted(old, new, peers)}
    of_peers = (*_OF_PEERS, *_BESIDE)
    found |= {part: new[part] for part in PARTS if part in new and part not in of_peers}
    if "real" in new:
        found["real"] = merging.rows(old.get("real", []), new["real"], "digest")
    for part in of_peers:
        if part not in new:
            continue
        there, now = ({row["label"] for row in one.get(part, [])} for one in (old, new))
        if now and (lacking := _wanted(part, there, now) - now):
            raise merging.MergeError(f"{part}: this run lacks {', '.join(sorted(lacking))}")
        found[part] = merging.rows(old.get(part, []), new[part], "world_digest")
    found["seeds"] = sorted({*old["seeds"], *new["seeds"]})
    return found


def _wanted(part: str, there: set[str], now: set[str]) -> set[str]:
    """Labels that a run has to have: every world that was published, of each of its own seeds; of
    lineage, whose worlds differ in their seeds alone, all that was published."""
    if part == "lineage":
        return there
    seeds = {one.rpartition("-")[2] for one in now}
    return {f"{one.rpartition('-')[0]}-{seed}" for one in there for seed in seeds}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.track", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true", help="write the page anew, measure nothing")
    parser.add_argument("--merge", action="store_true",
                        help="add the rows of --peers to the figures in --out")  # fmt: skip
    parser.add_argument("--seeds", type=_numbers, help="such as 11,12,13")
    parser.add_argument("--worlds", type=_names(WORLDS))
    parser.add_argument("--peers", type=_names(PEERS))
    parser.add_argument("--parts", type=_names(PARTS))
    parser.add_argument("--customers", type=int)
    parser.add_argument("--days", type=int)
    parser.add_argument("--lineage-worlds", type=int, help="how many (default 30)")
    parser.add_argument("--logs", type=_names(tuple(real.LOGS)), default=tuple(real.LOGS))
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: the cache)")
    options = parser.parse_args()
    quick = options.quick
    options.seeds = options.seeds or ((1,) if quick else SEEDS)
    options.worlds = options.worlds or (("steady", "lineage") if quick else WORLDS)
    options.peers = options.peers or ((CEILING, "kmeans", "never", "shoal") if quick else PEERS)
    if options.merge and not options.parts:
        parser.error("--merge: say with --parts what is added")
    options.parts = options.parts or PARTS
    options.customers = options.customers or (250 if quick else 1_500)
    options.days = options.days or (84 if quick else 154)
    options.learn_days, options.every_days = 56, 7
    options.newcomer_customers = 300 if quick else 3_000
    options.lineage_customers = 300 if quick else 800
    if options.lineage_worlds is None:
        options.lineage_worlds = 1 if quick else 30
    options.out = options.out or (options.cache if quick else results.RESULTS)
    return options


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: whole numbers with commas between") from None


def _names(allowed: tuple[str, ...]) -> Any:
    def read(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        unknown = [one for one in found if one not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown)}: not among {', '.join(allowed)}"
            )
        return found

    return read


def _environments(peers: tuple[str, ...]) -> None:
    """Make what peers need now, so that no unit's time holds it; a failure is told in its rows."""
    for name in sorted({SPECS[one].environment for one in peers if one in SPECS} - {""}):
        try:
            python_of(name)
        except EnvironmentMissingError as error:
            say(f"  {error}")


def _specs(options: argparse.Namespace) -> list[WorldSpec]:
    return [
        WorldSpec(name, options.customers, options.days, seed)
        for seed in options.seeds
        for name in options.worlds
    ]


def _worlds(options: argparse.Namespace) -> list[dict[str, Any]]:
    settings = {"learn_days": options.learn_days, "every_days": options.every_days}
    others = tuple(one for one in options.peers if one not in EMBEDDED)
    models = tuple(one for one in options.peers if one in EMBEDDED)
    specs, found = _specs(options), list[dict[str, Any]]()
    if others:
        found += _units("worlds", "bench.track.unit", others, specs, settings, options)
    if models:
        found += _units("worlds", "bench.track.embedded", models, specs, settings, options)
    return found


def _beside(
    part: str, worlds: tuple[str, ...], peers: tuple[str, ...], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """A part with worlds and methods of its own; --quick: one small world of it."""
    settings = {"learn_days": options.learn_days, "every_days": options.every_days}
    specs = [
        WorldSpec(name, options.customers, options.days, seed)
        for seed in options.seeds
        for name in (worlds[:1] if options.quick else worlds)
    ]
    chosen = ("shoal-style", "shoal-adjust-style") if options.quick else peers
    if options.merge:
        chosen = tuple(one for one in peers if one in options.peers)
    return _units(part, "bench.track.unit", chosen, specs, settings, options)


def _newcomers(options: argparse.Namespace) -> list[dict[str, Any]]:
    specs = [
        WorldSpec("steady", options.newcomer_customers, options.days, seed)
        for seed in options.seeds
    ]
    peers = tuple(one for one in PLACING if one in options.peers)
    return _units("newcomers", "bench.track.newcomers", peers, specs, {}, options)


def _lineage(options: argparse.Namespace) -> list[dict[str, Any]]:
    specs = [
        WorldSpec("lineage", options.lineage_customers, 154, LINEAGE_SEED + place)
        for place in range(options.lineage_worlds)
    ]
    settings = {"learn_days": options.learn_days, "every_days": 28}
    methods = (*lineage.METHODS, *lineage.ADJUSTED)
    if options.quick:
        methods = ("kmeans", "gmm-bic", "shoal-adjust-style")
    if options.merge:
        methods = tuple(one for one in methods if one in options.peers)
    return _units("lineage", "bench.track.lineage", methods, specs, settings, options)


def _real(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Public logs; one whose file is not there says so in its row."""
    logs = real.QUICK if options.quick else {name: real.LOGS[name] for name in options.logs}
    say(f"real: {', '.join(logs)}")
    code = code_hash("bench/track/real.py", "src/shoal/workflows", "src/shoal/segments",
                     "src/shoal/adjust", "src/shoal/heads")  # fmt: skip
    units = [
        Unit(name, f"{name}-{seed}", seed,
             {"name": name, "seed": seed, "cache": str(options.cache), **asdict(log)},
             {"code": code + catalog_fingerprint()})
        for seed in options.seeds
        for name, log in logs.items()
    ]  # fmt: skip
    rows = run("bench.track.real:run", units, kept=options.cache / "units", timeout_s=4 * TIMEOUT_S)
    return [rounded({key: one for key, one in row.items() if key != "kept"}) for row in rows]


def _units(
    what: str,
    module: str,
    peers: tuple[str, ...],
    specs: list[WorldSpec],
    settings: dict[str, Any],
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Worlds first, then every peer on every world; rows of worlds that failed say so."""
    cache = str(options.cache)
    say(f"{what}: {len(specs)} worlds")
    made = run(
        f"{'bench.track.unit' if what == 'lineage' else module}:prepare",
        [
            Unit("world", spec.label, place, {"spec": asdict(spec), "settings": settings,
                                              "cache": cache})
            for place, spec in enumerate(specs)
        ],
        kept=options.cache / "units", keep=False,
    )  # fmt: skip
    units, failed, named = [], [], list[str]()
    for spec, world in zip(specs, made, strict=True):
        for peer in peers:
            name, _, columns = peer.partition(":")
            told = {"peer": peer, "label": spec.label, "seed": spec.seed}
            if "failed" in world:
                failed.append({**told, "world": spec.name, "failed": f"world: {world['failed']}"})
                continue
            arguments = {
                "peer": name, "spec": asdict(spec), "settings": settings, "cache": cache,
                "columns": columns or "style",
            }  # fmt: skip
            # Processes of a lineage world cost more to start than to run: a few seeds share one.
            turn = spec.seed // 10 if what == "lineage" else spec.seed
            stamp = {"world": world["digest"], "code": _code(name)}
            # Entries of one model share what a process read of a world.
            turns = _SHARED if name in EMBEDDED else peer
            units.append((spec, Unit(turns, spec.label, turn, arguments, stamp)))
            named.append(peer)
    embedded = any(name in EMBEDDED for name in named)
    adjusting = any(name.startswith(_ADJUSTED) for name in named)
    rows = run(
        f"{module}:run", [unit for _, unit in units], kept=options.cache / "units",
        timeout_s=TIMEOUT_S if embedded or adjusting else 300.0,
    )  # fmt: skip
    digests = {spec.label: world for spec, world in zip(specs, made, strict=True)}
    for (spec, _), peer, row in zip(units, named, rows, strict=True):
        row |= {"peer": peer, "world": spec.name, "seed": spec.seed}
        world = digests[spec.label]
        row |= {"world_version": world["version"], "world_digest": world["digest"]}
        row.pop("kept", None)
    return [rounded(row) for row in rows] + failed


def rounded(told: Any) -> Any:
    """Figures with the four digits that may mean something."""
    if isinstance(told, float):
        return round(told, 4)
    if isinstance(told, dict):
        return {name: rounded(one) for name, one in told.items()}
    return [rounded(one) for one in told] if isinstance(told, list) else told


#: Whose turn it is where several entries share a process.
_SHARED = "shoal-embedded"
#: Beginning of the names of peers whose segments adjust: a unit takes minutes.
_ADJUSTED = "shoal-adjust"
#: Parts of this bench that figures depend on; how they are told does not count.
_FIGURES = ("unit", "replay", "scores", "truth", "ceiling", "newcomers", "lineage")


def _code(peer: str) -> str:
    """What a peer's figures depend on beside the data."""
    paths = [f"bench/track/{name}.py" for name in _FIGURES]
    paths += ["bench/peers/base.py", "bench/peers/clusterers.py"]
    paths += [f"src/shoal/evaluation/{name}.py" for name in ("matching", "tracking", "lineage")]
    spec = SPECS.get(peer)
    if spec is not None:
        paths.append(spec.module.replace(".", "/") + ".py")
    if peer in EMBEDDED:
        paths += [*ENTRY_CODE, "bench/track/embedded.py"]
    if spec is not None and spec.environment:
        paths.append("bench/peers/river_worker.py")
    if spec is None or spec.needs_shop:
        paths += ["src/shoal/segments", "src/shoal/heads", "src/shoal/workflows/replay.py"]
        paths += [f"src/shoal/workflows/segment_{name}.py" for name in ("learn", "outlook")]
    if peer.startswith(_ADJUSTED):
        paths += ["src/shoal/adjust", "src/shoal/workflows/replay_adjust.py"]
        paths += sorted(
            str(one.relative_to(ROOT)) for one in ROOT.glob("src/shoal/workflows/adjuster*.py")
        )
    return code_hash(*paths) + catalog_fingerprint()


if __name__ == "__main__":
    sys.exit(main())
