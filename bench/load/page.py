"""The page of the bench: figures beside what they are to reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import merging
from bench.harness.results import machine_line, table

NOTES = Path(__file__).with_name("notes.md")
Row = Mapping[str, Any]
#: What is asked of the service: must and goal.
ASKED = {
    "single": ("single-event requests a second", 1_000, 2_000),
    "batch": ("events a second in batches", 5_000, 10_000),
    "acknowledged": ("time to an answer, p99, ms", 150, 75),
    "visible": ("event to visible membership, p99, ms", 5_000, 1_000),
    "reads": ("profile read, p99, ms", 50, 10),
    "replay": ("1 M events through the whole step, s", 120, 30),
}


def markdown(document: Mapping[str, Any]) -> str:
    """The page."""
    settings, rows = document["settings"], document["rows"]
    blocks = [
        "# The service under load",
        f"`{document['command']}`. {machine_line(document['machine'])}",
        *filter(None, [merging.note(document, {})]),
        (
            f"A shop of {settings['customers']:,} simulated customers over {settings['days']} days "
            "with eight k-means segments. Requests hold views, cart additions and orders of these "
            "customers and show a write key by HTTP Basic; the service deduplicates them and moves "
            f"customers meanwhile. {_workers(settings)}"
            "The generator (a process of its own, raw connections that stay "
            "open) shares the cores with the server. *Bare*: the same ASGI server and HTTP parser, "
            "which appends each body to a file, syncs it together with those that came meanwhile "
            "and answers: no key, no JSON, no deduplication, no events. *Load* is the mean number "
            "of runnable processes of the machine; what it is above three or so is other people's, "
            "and takes from every figure but the core time a request."
        ),
        *_asked(rows),
        *_closed(rows),
        *_paced(rows),
        *_visible(rows),
        *_reads(rows),
        *_replay(rows),
        *_steps(rows),
        *_memory(rows),
        *_failed(rows),
    ]
    if NOTES.exists():
        blocks.append(NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(blocks) + "\n"


def _workers(settings: Mapping[str, Any]) -> str:
    """How many processes take connections, where it is not the one that does everything."""
    told, count = "", settings.get("workers", 1)
    if count > 1:
        told = (
            f"`--workers {count}`: so many of its processes take connections beside the one that "
            "moves customers; core time and memory are of all of them. "
        )
    if (parts := settings.get("partitions", 1)) > 1:
        told += f"`--partitions {parts}`: so many processes share in moving customers. "
    return told


def _asked(rows: Sequence[Row]) -> list[str]:
    found = {
        "single": _one(rows, "single", "requests_s"),
        "batch": max(
            (row["calls_s"] for row in _of(rows, "batch") if row["peer"] == "shoal"), default=None
        ),
        "acknowledged": _p99(_first(rows, "paced")),
        "visible": _p99(_first(rows, "visible").get("visible", {})),
        "reads": _p99(_first(rows, "reads")),
        "replay": _million(_first(rows, "replay")),
    }
    lines = []
    for name, (title, must, goal) in ASKED.items():
        value = found[name]
        more = name in ("single", "batch")
        met = "not measured"
        if value is not None:
            good = [value >= one if more else value <= one for one in (must, goal)]
            met = "goal met" if good[1] else "must met" if good[0] else "missed"
        lines.append([title, _number(value), f"{must:,}", f"{goal:,}", met])
    return [table(["", "found", "must", "goal", ""], lines)]


def _closed(rows: Sequence[Row]) -> list[str]:
    lines = [
        [
            row["peer"], str(row["batch"]), f"{row['requests_s']:,.0f}", f"{row['calls_s']:,.0f}",
            _number(row["least_in_a_second"]), *_took(row, "p50", "p95", "p99"),
            f"{1000 * row['server_cpu_s'] / row['requests']:.2f}",
            f"{1000 * row['generator_cpu_s'] / row['requests']:.2f}",
            f"{row['seconds']:.0f}", _kept(row), f"{row['load']:.1f}",
        ]
        for row in [*_of(rows, "single"), *_of(rows, "batch")]
    ]  # fmt: skip
    return [
        "## As fast as answers come",
        "64 connections with single calls, 8 with batches; each sends when it was answered.",
        table(
            ["server", "calls a request", "requests/s", "events/s", "least in a second", "p50 ms",
             "p95 ms", "p99 ms", "server core ms a request", "generator core ms a request",
             "seconds", "stored once", "load"], lines,
        ),
    ]  # fmt: skip


def _paced(rows: Sequence[Row]) -> list[str]:
    lines = [
        [row["peer"], f"{row['rate']:,.0f}", f"{row['requests_s']:,.0f}",
         *_took(row, "p50", "p95", "p99", "max"), _number(row["most_due_at_once"]),
         _number(row.get("waiting")), _number(row.get("caught_up_s")), f"{row['seconds']:.0f}",
         _kept(row), f"{row['load']:.1f}"]
        for row in _of(rows, "paced")
    ]  # fmt: skip
    return [
        "## At a rate",
        (
            "Requests are due at a rate whether or not earlier ones were answered, and time counts "
            "from when each was due. *Waiting*: calls that were not events yet when the last was "
            "sent, and how long these took."
        ),
        table(
            ["server", "asked/s", "answered/s", "p50 ms", "p95 ms", "p99 ms", "longest ms",
             "most due at once", "waiting", "caught up after s", "seconds", "stored once", "load"],
            lines,
        ),
    ]  # fmt: skip


def _visible(rows: Sequence[Row]) -> list[str]:
    lines = [
        [f"{row['rate']:,.0f}", str(row["visible"]["probes"]), str(row["visible"]["lost"]),
         *_took(row["visible"], "p50", "p95", "p99", "max"), f"{row['load']:.1f}"]
        for row in _of(rows, "visible")
    ]  # fmt: skip
    return [
        "## From an event to a membership that others see",
        (
            "Twice a second an event of a customer who lacks one to be placed is sent beside a "
            "rate of others; the state store is read by another process until the membership is "
            "there."
        ),
        table(["others/s", "probes", "lost", "p50 ms", "p95 ms", "p99 ms", "longest ms", "load"],
              lines),
    ]  # fmt: skip


def _reads(rows: Sequence[Row]) -> list[str]:
    found = []
    for row in [row for row in rows if row["label"].startswith("reads") and "failed" not in row]:
        if "not_there" in row:
            found.append(f"Not there: {row['not_there']}.")
        else:
            p50, p95, p99 = _took(row, "p50", "p95", "p99")
            found.append(
                f"{row['requests_s']:,.0f} reads a second of {row['rate']:,.0f}: p50 {p50} ms, "
                f"p95 {p95} ms, p99 {p99} ms; answers {row['statuses']}; load {row['load']:.1f}."
            )
    return ["## Profile reads", *found] if found else []


def _replay(rows: Sequence[Row]) -> list[str]:
    lines = [
        [f"{row['calls']:,}", _number(row["taken_s"]), _number(row["replayed_s"]),
         _number(row["server_cpu_s"]), f"{row['rss_mib']['most']:,.0f}", f"{row['load']:.1f}"]
        for row in _of(rows, "replay")
    ]  # fmt: skip
    return [
        "## A log at once",
        (
            "Calls of the last thirty days in one import of compressed lines: until it was "
            "answered (all on disk), and until the customer of a call sent just afterwards had "
            "moved, which is after everybody before."
        ),
        table(["calls", "taken after s", "all moved after s", "server core s", "most MiB", "load"],
              lines),
    ] if lines else []  # fmt: skip


def _steps(rows: Sequence[Row]) -> list[str]:
    lines = [
        [str(row["partitions"]), f"{one['calls']:,}", f"{one['customers']:,}",
         f"{one['took_s']:.2f}", f"{one['core_s']:.2f}", f"{row['mib']:,.0f}",
         f"{row['load']:.1f}"]
        for row in _of(rows, "steps")
        for one in row["steps"]
    ]  # fmt: skip
    return [
        "## Customers divided among processes",
        (
            "Steps of the stream alone, without a service: calls that wait become events and move "
            "their customers, in one transaction. Medians (core time: means) of eight steps after "
            "two others; core time and MiB are of all processes."
        ),
        table(["partitions", "calls a step", "customers", "s a step", "core s a step", "MiB",
               "load"], lines),
    ] if lines else []  # fmt: skip


def _million(row: Row) -> float | None:
    """Seconds a million events; None where fewer were replayed."""
    return row["replayed_s"] if row.get("calls", 0) >= 1_000_000 else None


def _memory(rows: Sequence[Row]) -> list[str]:
    lines = [
        [row["peer"], row["label"], f"{row['seconds']:.0f}",
         *(_number(one) for one in _quarters(row["rss_mib"])), _number(row["rss_mib"]["most"])]
        for row in rows
        if row.get("rss_mib")
    ]  # fmt: skip
    return [
        "## Memory",
        (
            "Resident MiB of the server: the median of each quarter, and the highest. The first "
            "sweep over all customers is in the first quarter."
        ),
        table(["server", "phase", "seconds", "first", "second", "third", "last", "highest"], lines),
    ]


def _quarters(told: Mapping[str, Any]) -> Sequence[float | None]:
    """The median of each quarter; runs of before kept the first and the last."""
    found: Sequence[float] | None = told.get("quarters")
    return found or [told["first"], None, None, told["last"]]


def _failed(rows: Sequence[Row]) -> list[str]:
    failed = [f"- {row['peer']} {row['label']}: {row['failed']}" for row in rows if "failed" in row]
    return ["Failed:\n" + "\n".join(failed)] if failed else []


def _of(rows: Sequence[Row], phase: str) -> list[Row]:
    return [
        row for row in rows
        if row["label"].startswith(phase) and "failed" not in row and "not_there" not in row
    ]  # fmt: skip


def _first(rows: Sequence[Row], phase: str) -> Row:
    return next((row for row in _of(rows, phase) if row["peer"] == "shoal"), {})


def _one(rows: Sequence[Row], phase: str, name: str) -> float | None:
    return _first(rows, phase).get(name)


def _p99(row: Row) -> float | None:
    found: float | None = row.get("took_ms", {}).get("p99")
    return found


def _took(row: Row, *names: str) -> list[str]:
    return [_number(row["took_ms"].get(name)) for name in names]


def _kept(row: Row) -> str:
    """Whether everything that was acknowledged is in the event table, each once."""
    if "stored" not in row:
        return "–"
    lacking, twice = row["calls"] - row["stored"]["calls"], row["stored"]["twice"]
    if row["caught_up_s"] is None:
        return "not caught up"
    return "yes" if lacking <= 0 and not twice else f"{lacking} lacking, {twice} twice"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 20 else f"{value:.1f}"
