"""One peer on one world with one seed: what a child process of the bench does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.harness.data import SimulatedWorld, WorldSpec, world
from bench.harness.splits import Cuts, cuts
from bench.track.ceiling import ceiling
from bench.track.replay import replay
from bench.track.scores import figures
from bench.track.truth import Truth

CEILING = "ceiling"
#: Segments asked for where the world has a single one: what a person would ask for.
K_OF_NOISE = 7


def spec_of(document: dict[str, Any]) -> WorldSpec:
    """The world that a unit's arguments name."""
    dials = tuple((str(name), float(value)) for name, value in document.pop("dials", []))
    return WorldSpec(**document, dials=dials)


def cuts_of(source: SimulatedWorld, settings: dict[str, Any]) -> Cuts:
    return cuts(
        source.start, source.end, learn_days=settings["learn_days"],
        every_days=settings["every_days"],
    )  # fmt: skip


def planted_at(source: SimulatedWorld, replayed: Cuts) -> int:
    """Segments that exist at the first cut; every method that takes a k is told this one."""
    there = len(set(Truth(source).at(replayed.first).values()))
    return there if there > 1 else K_OF_NOISE


def prepare(spec: dict[str, Any], settings: dict[str, Any], cache: str) -> dict[str, Any]:
    """Make the world and its snapshots, so that no peer's time holds them."""
    source = world(spec_of(dict(spec)), Path(cache))
    replayed = cuts_of(source, settings)
    for moment in replayed.moments:
        source.features(moment)
    return {
        "events": source.facts["events"], "digest": source.digest,
        "version": source.facts["version"], "cuts": len(replayed.moments),
        "k": planted_at(source, replayed),
    }  # fmt: skip


def run(
    peer: str, spec: dict[str, Any], settings: dict[str, Any], cache: str, columns: str
) -> dict[str, Any]:
    """The figures of a peer on a world."""
    chosen = spec_of(dict(spec))
    source = world(chosen, Path(cache))
    replayed = cuts_of(source, settings)
    if peer == CEILING:
        said = ceiling(source, replayed, chosen.seed)
    else:
        k = planted_at(source, replayed)
        said = replay(peer, source, replayed, k, chosen.seed, columns)  # type: ignore[arg-type]
    return figures(said, source, replayed)
