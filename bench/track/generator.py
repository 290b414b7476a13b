"""`python -m bench.track.generator`: what the generator itself would say, beside the ceiling.

The oracle of the worlds (`shoal.events.worlds.oracle`) applies Bayes' rule with every planted
number and knows when a customer's stay began. It is asked about the same customers at the same cuts
as every method. Adds its rows to a `track.json` that is there and writes the page anew; a whole run
of `bench.track` holds them already.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import results
from bench.harness.data import CACHE, SimulatedWorld, WorldSpec, world
from bench.harness.run import say
from bench.harness.splits import Cuts
from bench.peers import inputs_of
from bench.track.truth import Truth, known
from bench.track.unit import cuts_of

#: World `noise` has one segment; everybody is in it.
_NOISE = "noise"


def rows(specs: Sequence[WorldSpec], settings: dict[str, Any], cache: Path) -> list[dict[str, Any]]:
    """One row a world and seed: accuracy of the oracle over all scored customers and cuts."""
    found = []
    for spec in specs:
        if spec.name == _NOISE:
            continue
        say(f"  generator {spec.label}")
        source = world(spec, cache)
        found.append(
            {
                "world": spec.name, "seed": spec.seed, "label": spec.label,
                "world_version": source.facts["version"], "world_digest": source.digest,
                **accuracy(source, cuts_of(source, settings), spec),
            }
        )  # fmt: skip
    return found


def accuracy(source: SimulatedWorld, cuts: Cuts, spec: WorldSpec) -> dict[str, Any]:
    """Accuracy over the rows that methods are scored on; whom the oracle lacks counts as wrong."""
    from shoal.events.worlds import load, oracle_cuts

    days = [round((moment - source.start) / timedelta(days=1)) for moment in cuts.moments]
    said = oracle_cuts.memberships(
        load(spec.name), customers=spec.customers, days=spec.days, seed=spec.seed, cuts=days
    )
    likeliest = dict(
        zip(
            zip(said["day"].to_pylist(), said["customer_id"].to_pylist(), strict=True),
            said["likeliest"].to_pylist(),
            strict=True,
        )
    )
    truth = Truth(source)
    right = []
    for day, moment in zip(days, cuts.moments, strict=True):
        customers = inputs_of(source.features(moment)).customers
        there, segments = known(truth.at(moment), customers)
        right += [
            likeliest.get((day, customer)) == segment
            for customer, segment in zip(customers[there].tolist(), segments.tolist(), strict=True)
        ]
    return {"rows": len(right), "accuracy": round(float(np.mean(right)), 4)}


def main() -> int:
    """Add the rows to the figures that are there."""
    parser = argparse.ArgumentParser(prog="bench.track.generator", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, default=results.RESULTS)
    options = parser.parse_args()
    from bench.track import report

    document = json.loads((options.out / "track.json").read_text(encoding="utf-8"))
    settings = document["settings"]
    specs = [
        WorldSpec(name, settings["customers"], settings["days"], seed)
        for seed in document["seeds"]
        for name in settings["worlds"]
    ]
    document["generator"] = rows(specs, settings, options.cache)
    results.write("track", document, report.markdown(document), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
