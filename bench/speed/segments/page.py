"""The document of `bench.speed.segments` as a Markdown page; every figure is computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.harness import merging
from bench.harness.results import machine_line, spread, table, told

Row = Mapping[str, Any]

#: What was aimed at.
_PARTS: Final = {
    "kmeans": "k-means", "assign": "assignment", "method": "methods",
    "density_loss": "what density loses",
}  # fmt: skip
ROWS_A_SECOND: Final = 2_000_000.0
SECONDS: Final = {"mixture": 120.0, "hierarchy": 120.0}
SAME_INERTIA: Final = 1.001


def markdown(document: Mapping[str, Any]) -> str:
    """The page: goals first, then one section a part."""
    units, machine = document["units"], document["machine"]
    measured = (
        f"`{document['command']}`, seed {document['seeds'][0]}, {document['repeats']} runs of "
        f"each, load {machine['load']} at the end. {machine_line(machine)}"
    )
    reading = (
        f"{document['customers']:,} simulated customers x {document['columns']} columns in "
        "overlapping groups, on one core. Means of the runs, least and greatest in brackets. CPU "
        "seconds are what a process worked, and are what is compared: the machine may have had "
        "other work."
    )
    blocks = [
        "# What segments cost", measured, merging.note(document, _PARTS), reading, _goals(units),
        _kmeans(units, document), _assign(units), _methods(units), _loss(units), _failures(units),
    ]  # fmt: skip
    return "\n\n".join(block for block in blocks if block) + "\n"


def _of(units: Sequence[Row], what: str, **wanted: Any) -> list[Row]:
    return [
        row for row in units
        if row["what"] == what and "failed" not in row
        and all(row[name] == value for name, value in wanted.items())
    ]  # fmt: skip


def _mean(rows: Sequence[Row], name: str) -> float | None:
    found = spread(row[name] for row in rows)
    return None if found is None else found["mean"]


def _figure(rows: Sequence[Row], name: str, digits: int = 2) -> str:
    return told(spread(row[name] for row in rows), digits)


def _goals(units: Sequence[Row]) -> str:
    rows: list[list[str]] = []

    def judge(goal: str, value: float | None, met: bool, unit: str) -> None:
        if value is not None:
            rows.append([goal, f"{value:,.2f} {unit}".strip(), "met" if met else "missed"])

    mine = _of(units, "kmeans", engine="shoal")
    for engine in ("scikit-learn", "faiss"):
        theirs = _of(units, "kmeans", engine=engine)
        if mine and theirs:
            ratio = _mean(mine, "cpu_seconds") / _mean(theirs, "cpu_seconds")  # type: ignore[operator]
            worse = _mean(mine, "inertia") / _mean(theirs, "inertia")  # type: ignore[operator]
            judge(f"k-means: at most the CPU seconds of {engine} on all rows", ratio, ratio <= 1,
                  "x")  # fmt: skip
            judge(f"... to the same inertia (at most {SAME_INERTIA} x)", worse,
                  worse <= SAME_INERTIA, "x")  # fmt: skip
    rate = _mean(_of(units, "assign", engine="shoal"), "rows_per_cpu_s")
    judge(f"assignment over {ROWS_A_SECOND / 1e6:.0f} M rows/s", rate and rate / 1e6,
          rate is not None and rate > ROWS_A_SECOND, "M rows/s")  # fmt: skip
    for name, limit in SECONDS.items():
        seconds = _mean(_of(units, "method", name=name), "cpu_seconds")
        judge(f"{name} under {limit:.0f} s", seconds, seconds is not None and seconds < limit, "s")
    return table(["goal", "measured", ""], rows) if rows else ""


def _kmeans(units: Sequence[Row], document: Mapping[str, Any]) -> str:
    found = _of(units, "kmeans")
    if not found:
        return ""
    best = min(row["inertia"] for row in found)
    rows = []
    for engine in dict.fromkeys(row["engine"] for row in found):
        own = [row for row in found if row["engine"] == engine]
        over = spread(row["inertia"] / best - 1 for row in own)
        assert over is not None
        rows.append(
            [engine, _figure(own, "cpu_seconds"), _figure(own, "seconds"),
             f"{over['mean']:.4%}", _figure(own, "peak_mib", 0)]
        )  # fmt: skip
    head = ["engine", "CPU seconds", "seconds", "inertia over the best", "peak MiB"]
    text = (
        f"## K-means, k = {document['groups']}, {document['starts']} starts\n\n"
        "The inertia is counted alike for all, over all rows. `faiss` is given all rows for its 25 "
        "iterations, `faiss sample` looks at 256 a centre as it does by default; Shoal starts on a "
        "sample and refines on all rows. Memory of faiss is that of the process that made the rows."
    )
    return f"{text}\n\n{table(head, rows)}"


def _assign(units: Sequence[Row]) -> str:
    found = _of(units, "assign")
    if not found:
        return ""
    rows = []
    for engine in dict.fromkeys(row["engine"] for row in found):
        own = [row for row in found if row["engine"] == engine]
        rates = spread(row["rows_per_cpu_s"] / 1e6 for row in own)
        rows.append([engine, told(rates), _figure(own, "seconds", 3)])
    text = "## Assignment to the nearest centre"
    return f"{text}\n\n{table(['engine', 'M rows a CPU second', 'seconds'], rows)}"


def _methods(units: Sequence[Row]) -> str:
    found = _of(units, "method")
    if not found:
        return ""
    rows = []
    for name in dict.fromkeys(row["name"] for row in found):
        own = [row for row in found if row["name"] == name]
        rows.append(
            [name, _figure(own, "cpu_seconds", 1), _figure(own, "weights_cpu_seconds", 1),
             str(own[0]["segments"]), _figure(own, "peak_mib", 0), " ".join(own[0]["notes"])]
        )  # fmt: skip
    head = ["method", "CPU seconds", "of them weights", "segments", "peak MiB", "it says"]
    text = (
        "## Every method\n\nLearned from everybody (by samples and micro-clusters, see "
        "[methods](../concepts/methods.md)), then the weights of everybody. Memory holds the rows "
        "twice, in single and double precision."
    )
    return f"{text}\n\n{table(head, rows)}"


def _loss(units: Sequence[Row]) -> str:
    found = _of(units, "density_loss")
    if not found:
        return ""
    one = found[0]
    rows = [
        ["customers", f"{one['customers']:,}"],
        ["CPU seconds, HDBSCAN of everybody", _figure(found, "whole_cpu_seconds", 1)],
        ["CPU seconds, from a sample", _figure(found, "cpu_seconds", 1)],
        ["adjusted Rand index of those in groups", _figure(found, "agreement", 3)],
        ["noise, HDBSCAN of everybody", f"{one['whole_noise_share']:.1%}"],
        ["noise, from a sample", f"{one['noise_share']:.1%}"],
        ["agreement about who is noise", f"{one['noise_agreement']:.1%}"],
    ]
    text = "## What density loses by its sample\n\nCurved groups in four columns, a tenth noise."
    return f"{text}\n\n{table(['what', ''], rows)}"


def _failures(units: Sequence[Row]) -> str:
    lines = [f"- {row['peer']}: {row['failed']}" for row in units if "failed" in row]
    return "## Failed\n\n" + "\n".join(lines) if lines else ""
