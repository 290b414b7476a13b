"""`python -m bench.faults`: nothing acknowledged is lost or doubled, whatever happens.

    python -m bench.faults                   20 kills and every other fault in small, ten minutes
    python -m bench.faults --kills 500       what is published, three quarters of an hour
    python -m bench.faults --only full lying
    python -m bench.faults --merge --only kills --kills 500
                                             these into the figures of a run before
    python -m bench.faults --page            only the page, from the figures in faults.json

Kills are made in services of ten each; finished ones are kept in --cache and taken from there the
next time, also after Ctrl-C, until the code that they test changes. The shop of one that is not
right is kept in `wrong` there. Writes faults.json and faults.md to --out, and exits with 1 where
anything was not right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.faults import page
from bench.harness import merging, results
from bench.harness.data import CACHE
from bench.harness.run import Unit, code_hash, run, say
from bench.load.site import prepared

FAULTS = ("kills", "full", "lying", "disordered", "jumping", "overloaded", "away", "parted")
_KILLS = 10
_TIMEOUT_S = 1_800.0


def main() -> int:
    """Run the bench; 1 where something is not right, or after Ctrl-C."""
    options = _options()
    if options.page:
        document = json.loads((options.out / "faults.json").read_text(encoding="utf-8"))
    else:
        try:
            document = _bench(options)
        except merging.MergeError as error:
            say(str(error))
            return 1
        except KeyboardInterrupt:
            say("interrupted: what is finished is kept, the same command goes on from here")
            return 1
    told = page.markdown(document)
    results.write("faults", document, told, options.out)
    print(told)
    return int(not all(row.get("right", "not_measured" in row) for row in document["rows"]))


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Published figures with the faults of this run in place of what was there of each.

    Raises:
        MergeError: the runs differ in the shop.
    """
    merging.same(old["settings"], new["settings"], ("customers",))
    made = [fault for fault in FAULTS if any(row["peer"] == fault for row in new["rows"])]
    kept = [row for row in old["rows"] if row["peer"] not in made]
    rows = sorted([*new["rows"], *kept], key=lambda row: FAULTS.index(row["peer"]))
    settings = new["settings"] if "kills" in made else old["settings"]
    return {
        **old, "settings": settings, "rows": rows, merging.ADDED: merging.noted(old, new, made),
    }  # fmt: skip


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    before = merging.published(options.out, "faults") if options.merge else None
    shop = prepared(options.cache, options.customers, options.days)
    document = results.header(
        "bench.faults/1", "bench.faults", [options.seed],
        settings={"customers": options.customers, "kills": options.kills},
    )  # fmt: skip
    rows = run(
        "bench.faults.unit:run", list(_units(options, shop)), kept=options.cache / "units",
        keep=not options.again, timeout_s=_TIMEOUT_S,
    )  # fmt: skip
    document["rows"] = [{k: v for k, v in row.items() if k != "kept"} for row in rows]
    return document if before is None else merged(before, document)


def _units(options: argparse.Namespace, shop: Path) -> Iterator[Unit]:
    code = code_hash("bench/faults", "bench/load", "src/shoal/service", "src/shoal/adapters",
                     "src/shoal/workflows", "src/shoal/events")  # fmt: skip
    small: dict[str, dict[str, Any]] = {
        "full": {}, "lying": {"positions": options.positions},
        "disordered": {"events": options.events, "seed": options.seed},
        "jumping": {"seconds": 16.0}, "overloaded": {"seconds": 10.0},
        "away": {"seconds": 36.0}, "parted": {"kills": options.killed, "seed": options.seed},
    }  # fmt: skip
    for fault in options.only:
        runs = (
            [
                (f"kills-{first + 1}", {"kills": min(_KILLS, options.kills - first),
                                        "seed": options.seed + first // _KILLS})
                for first in range(0, options.kills, _KILLS)
            ]
            if fault == "kills"
            else [(fault, small[fault])]
        )  # fmt: skip
        for label, settings in runs:
            arguments = {"fault": fault, "shop": str(shop), **settings}
            yield Unit(fault, label, options.seed, arguments, {"code": code})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.faults", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--positions", type=int, default=20, help="syncs that fail one by one")
    parser.add_argument("--events", type=int, default=2_000, help="of the disorder")
    parser.add_argument("--killed", type=int, default=20, help="partitions, of a service")
    parser.add_argument("--customers", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=60, help="of the shop's history")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--again", action="store_true", help="nothing is taken from the cache")
    parser.add_argument("--merge", action="store_true", help="into the figures in faults.json")
    parser.add_argument("--page", action="store_true", help="only the page")
    parser.add_argument("--cache", type=Path, default=CACHE / "load")
    parser.add_argument("--out", type=Path, default=results.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
