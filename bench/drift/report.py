"""The bench's document as a Markdown page."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.drift import peers
from bench.drift.panel import SHIFTS, SIZES
from bench.drift.runs import ASKS, SHOAL
from bench.harness.results import machine_line, table

NOTES = Path(__file__).with_name("notes.md")
_METHODS = (SHOAL, ASKS, *peers.TESTS)
_MONTH = 30.0

Rows = Sequence[Mapping[str, Any]]


def markdown(document: Mapping[str, Any]) -> str:
    """The page: what was asked, tables, notes."""
    blocks = [
        "# Drift: false alarms, power and delay",
        f"`{document['command']}`. {machine_line(document['machine'])}",
    ]
    if "false" in document:
        blocks += _false(document["false"], document["settings"])
    if "power" in document:
        blocks += _power(document["power"], document["settings"])
    if "worlds" in document:
        blocks += _worlds(document["worlds"])
    if "speed" in document:
        blocks += _speed(document["speed"])
    if NOTES.exists():
        blocks.append(NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(blocks) + "\n"


def _false(rows: Rows, settings: Mapping[str, Any]) -> list[str]:
    kinds: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        "steady": lambda row: not row["season"], "season": lambda row: row["season"],
    }  # fmt: skip
    days = settings["watched"]["none"]
    blocks = [
        "## Where nothing changes",
        (
            f"{len(rows)} panels of {settings['customers']} customers and 30 features, watched for "
            f"{days} days: half of them young shops without a season, half with a season by which "
            "the best weeks have half as much again as the worst, and a year of log before. The "
            "dial is 1 false alarm a year. An alarm is a look at which anything is told; *runs* "
            "are those with any."
        ),
    ]
    lines = []
    for step, title in ((7, "every week"), (1, "every day")):
        own = [row for row in rows if f"every_{step}" in row]
        for name in _METHODS:
            cells = []
            for chosen in kinds.values():
                told = [row[f"every_{step}"]["days"][name] for row in own if chosen(row)]
                cells += _counts(told, days)
            lines.append([title, name, *cells])
    river = [row for row in rows if "river" in row]
    for name in peers.RIVER:
        cells = []
        for chosen in kinds.values():
            cells += _counts([row["river"][name] for row in river if chosen(row)], days)
        lines.append([f"stream, {len(river)} runs", f"{name} per feature", *cells])
    blocks.append(
        table(
            ["looks", "method", "steady: alarms in 30 days", "runs", "season: alarms in 30 days",
             "runs"],
            lines,
        )
    )  # fmt: skip
    return blocks


def _counts(told: Sequence[Sequence[int]], days: float) -> list[str]:
    if not told:
        return ["–", "–"]
    mean = statistics.fmean(len(one) for one in told) * _MONTH / days
    some = sum(bool(one) for one in told)
    return [f"{mean:.3f}" if mean < 0.1 else f"{mean:.1f}", f"{some}/{len(told)}"]


def _power(rows: Rows, settings: Mapping[str, Any]) -> list[str]:
    lines = []
    for shift in SHIFTS:
        own = [row for row in rows if row["shift"] == shift]
        if not own:
            continue
        weekly = [
            _found([row["every_7"]["days"][name] for row in own])
            for name in (SHOAL, ASKS, *peers.TESTS)
        ]
        daily = _found([row["every_1"]["days"][SHOAL] for row in own])
        river = [row for row in own if "river" in row]
        streams = [_found([row["river"][name] for row in river]) for name in peers.RIVER]
        lines.append([_shift(shift), str(len(own)), daily, *weekly, *streams])
    return [
        "## Where something changes",
        (
            "Share of runs in which it was told within 35 days (63 of the slow trend), and the "
            "median days until then, at the thresholds of the table above. What tells of "
            "everything (see there) has found nothing."
        ),
        table(
            ["shift", "runs", "Shoal, every day", "Shoal, every week", "asks for an answer",
             *peers.TESTS, *peers.RIVER],
            lines,
        ),
    ]  # fmt: skip


def _shift(shift: str) -> str:
    told = {
        "mean": f"mean: two rates times {SIZES['mean']}",
        "variance": f"variance: spread of a habit times {SIZES['variance']}",
        "correlation": f"correlation of two habits {SIZES['correlation']}, same values",
        "cluster": f"new cluster of {SIZES['cluster']:.0%} of customers",
        "null": "one feature null",
        "trend": f"slow trend: {SIZES['trend']} deviations a day",
    }
    return told[shift]


def _found(told: Sequence[Sequence[int]]) -> str:
    if not told:
        return "–"
    some = [min(one) for one in told if one]
    share = len(some) / len(told)
    delay = f" ({statistics.median(some):.0f} d)" if some else ""
    return f"{share:.2f}{delay}"


def _worlds(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        if "failed" in row:
            lines.append([row["label"], "failed", row["failed"], "", ""])
            continue
        looks = row["looks"]
        told = [one for one in looks if one["alarms"]]
        asks = [one for one in looks if one["asks"]]
        what = [f"day {one['day']}: {one['alarms'][0][1]}" for one in told[:3]]
        lines.append([f"{row['world']}, seed {row['seed']}", str(len(looks)), str(len(told)),
                      str(len(asks)), "; ".join(what) or "–"])  # fmt: skip
    return [
        "## Simulated worlds",
        (
            "Weekly looks from day 63 to 126 at shops that are simulated event by event, through "
            "k-means of features. Nothing changes in `steady`; `season` and `festival` change as "
            "shops do, with no year before to know it from; `drift` changes from day 50 on."
        ),
        table(["world", "looks", "with an alarm", "that asks for an answer", "first ones"], lines),
    ]


def _speed(told: Mapping[str, Any]) -> list[str]:
    return [
        "## Speed",
        (
            f"One look at {told['customers']:,} customers, {told['features']} features and an "
            f"embedding of {told['embedding']} dimensions against {told['earlier_looks']} earlier "
            f"looks: {told['processor_s']} s of one processor ({told['clock_s']} s by the clock of "
            f"a busy machine; the first one in a process, which loads SciPy, "
            f"{told['first_processor_s']} s); peak {told['peak_gib']} GiB with the panel."
        ),
    ]
