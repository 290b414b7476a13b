"""`python -m bench.load`: requests a second, time to an answer and to a visible membership.

    python -m bench.load                     some seconds a phase, four minutes in all
    python -m bench.load --minutes 10        what is published, about 40 minutes
    python -m bench.load --only paced visible --rate 500
    python -m bench.load --workers 2         connections are taken by two processes
    python -m bench.load --partitions 2      customers are divided among two processes
    python -m bench.load --merge --minutes 10 --only single
                                             this phase into the figures of a run before
                                             (--servers shoal: not that of the bare server)
    python -m bench.load --page              only the page, from the figures in load.json

Beside Shoal runs a bare server that only syncs. Finished phases are kept in --cache and taken from
there the next time, also after Ctrl-C; a phase is measured anew when its settings or the code that
it measures change, or with --again. Writes load.json and load.md to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.harness import merging, results
from bench.harness.data import CACHE
from bench.harness.run import Unit, code_hash, run, say
from bench.load import page
from bench.load.site import prepared
from bench.load.unit import BARE, SHOAL

PHASES = ("single", "batch", "paced", "visible", "reads", "replay", "steps")
_SHORT_S = 15.0
_SLACK_S = 2_400.0


def main() -> int:
    """Run the bench; 1 after Ctrl-C, with everything finished kept for the next run."""
    options = _options()
    if options.page:
        document = json.loads((options.out / "load.json").read_text(encoding="utf-8"))
    else:
        try:
            document = _bench(options)
        except merging.MergeError as error:
            say(str(error))
            return 1
        except KeyboardInterrupt:
            say("interrupted: finished phases are kept, the same command goes on from here")
            return 1
    told = page.markdown(document)
    results.write("load", document, told, options.out)
    print(told)
    return 0


#: What runs have to agree about whose rows stand beside one another.
_PROTOCOL = ("customers", "days", "rate", "every_s", "workers", "partitions")


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Published figures with the phases of this run in their place.

    Raises:
        MergeError: the runs differ in the shop or in how it is served.
    """
    earlier, later = ({"partitions": 1, **one["settings"]} for one in (old, new))
    merging.same(earlier, later, _PROTOCOL)
    labels = tuple(dict.fromkeys(row["label"] for row in new["rows"]))
    return {
        **old, "rows": merging.rows(old["rows"], new["rows"], "digest"),
        merging.ADDED: merging.noted(old, new, labels),
    }  # fmt: skip


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    before = merging.published(options.out, "load") if options.merge else None
    say(f"preparing a shop of {options.customers:,} customers in {options.cache}")
    shop = prepared(options.cache, options.customers, options.days)
    document = results.header(
        "bench.load/1", "bench.load", [1],
        settings={"customers": options.customers, "days": options.days, "rate": options.rate,
                  "minutes": options.minutes, "every_s": options.every,
                  "workers": options.workers, "partitions": options.partitions},
    )  # fmt: skip
    units = list(_units(options, shop))
    longest = max(unit.arguments["seconds"] for unit in units)
    rows = run(
        "bench.load.unit:run", units, kept=options.cache / "units", keep=not options.again,
        timeout_s=longest + _SLACK_S,
    )  # fmt: skip
    arguments = [{"rate": None, "batch": 1, **unit.arguments} for unit in units]
    document["rows"] = [
        {**{key: told[key] for key in ("rate", "batch", "seconds")}, **_without_kept(row)}
        for told, row in zip(arguments, rows, strict=True)
    ]
    return document if before is None else merged(before, document)


def _without_kept(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "kept"}


def _units(options: argparse.Namespace, shop: Path) -> Iterator[Unit]:
    """Phases, Shoal and its peer taking turns."""
    full = 60.0 * options.minutes if options.minutes else _SHORT_S
    part = max(_SHORT_S, full / 5)
    phases: list[tuple[str, str, dict[str, Any]]] = [
        ("single", "single", {"seconds": full}),
        *(("batch", f"batch-{n}", {"seconds": part, "batch": n}) for n in options.batches),
        ("paced", f"paced-{options.rate:g}", {"seconds": full, "rate": options.rate}),
        ("visible", "visible-20", {"seconds": part, "rate": 20.0}),
        ("visible", f"visible-{options.rate / 2:g}", {"seconds": part, "rate": options.rate / 2}),
        ("reads", f"reads-{options.reads:g}", {"seconds": part, "rate": options.reads}),
        ("replay", f"replay-{options.calls}", {"seconds": part, "calls": options.calls}),
        *(("steps", f"steps-{n}", {"seconds": part, "partitions": n}) for n in (1, 2)),
    ]
    code = code_hash("bench/load", "src/shoal/service", "src/shoal/adapters", "src/shoal/workflows")
    for place, (phase, label, more) in enumerate(phases):
        if phase not in options.only:
            continue
        for server in options.servers:
            if server == BARE and phase in ("visible", "reads", "replay", "steps"):
                continue
            arguments = {"server": server, "phase": phase, "shop": str(shop), **more}
            if server == SHOAL:
                arguments = {
                    "every_s": options.every, "workers": options.workers,
                    "partitions": options.partitions, **arguments,
                }  # fmt: skip
            yield Unit(server, label, place, arguments, {"code": code})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.load", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=0.0, help="of the long phases")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=90, help="of the shop's history")
    parser.add_argument("--rate", type=float, default=1_000.0, help="single requests a second")
    parser.add_argument("--reads", type=float, default=500.0, help="profile reads a second")
    parser.add_argument("--calls", type=int, default=1_000_000, help="of the log that is replayed")
    parser.add_argument("--batches", type=int, nargs="+", default=[50, 100])
    parser.add_argument("--every", type=float, default=1.0, help="shoal serve --every")
    parser.add_argument("--workers", type=int, default=1, help="shoal serve --workers")
    parser.add_argument("--partitions", type=int, default=1, help="shoal serve --partitions")
    parser.add_argument("--only", nargs="+", choices=PHASES, default=list(PHASES))
    parser.add_argument("--servers", nargs="+", choices=(SHOAL, BARE), default=[SHOAL, BARE])
    parser.add_argument("--again", action="store_true", help="nothing is taken from the cache")
    parser.add_argument("--merge", action="store_true", help="into the figures in load.json")
    parser.add_argument("--page", action="store_true", help="only the page")
    parser.add_argument("--cache", type=Path, default=CACHE / "load")
    parser.add_argument("--out", type=Path, default=results.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
