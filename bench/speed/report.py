"""The bench's document as a Markdown page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMES = {
    "shoal": "Shoal", "shoal to file": "Shoal, written to a file (reference built too)",
    "sql": "hand-written DuckDB SQL", "polars": "polars, streaming", "pandas": "pandas",
    "shoal parquet": "Shoal, from Parquet", "shoal csv": "Shoal, from CSV",
    "duckdb parquet": "DuckDB load + distinct, Parquet",
    "duckdb csv": "DuckDB load + distinct, CSV",
    "polars parquet": "polars load + unique, Parquet", "polars csv": "polars load + unique, CSV",
}  # fmt: skip


def markdown(document: Mapping[str, Any]) -> str:
    """The page: one section a part, medians with least and greatest."""
    machine = document["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    measured = (
        f"`{document['command']}`, seed {document['seed']}. {machine['cores']} cores "
        f"({machine['processor']}), {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}; {packages}."
    )
    worlds = sorted({size["world"] for size in document["sizes"].values()})
    reading = (
        f"Simulated shops (world {', '.join(worlds)}). Each figure is the median of runs in fresh "
        "processes that took turns, least and greatest in brackets. Memory is the greatest "
        "resident memory of the process."
    )
    blocks = [
        "# Speed and memory",
        measured,
        reading,
        _goals(document),
        _fold(document),
        *_ingest(document),
        *_incremental(document),
        *_rest(document),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _goals(document: Mapping[str, Any]) -> str:
    """What was aimed at, what was measured, and whether that is enough."""
    rows = []

    def judge(
        goal: str, value: float | None, limit: float, unit: str, *, least: bool = False
    ) -> None:
        if value is not None:
            enough = value >= limit if least else value <= limit
            told = f"{value:,.0f}" if value >= 1_000 else f"{value:.2f}"
            rows.append([goal, f"{told} {unit}".strip(), "met" if enough else "missed"])

    for size in document["sizes"].values():
        fold, told = size.get("fold", {}), _millions(size["events"])
        mine = _median(fold, "shoal", "seconds")
        for engine, limit in (("sql", 1.3), ("polars", 1.15), ("pandas", 1 / 1.5)):
            other = _median(fold, engine, "seconds")
            if mine and other:
                goal = f"fold of {told}: at most {limit:.2f} x {_NAMES[engine]}"
                judge(goal, mine / other, limit, "x")
        memory = _median(fold, "shoal", "peak_mib") or _median(fold, "shoal to file", "peak_mib")
        judge(f"fold of {told}: under 4 GiB", memory and memory / 1024, 4, "GiB")
        for form, limit in (("parquet", 150_000), ("csv", 60_000)):
            rate = _median(size.get("ingest", {}), f"shoal {form}", "events_per_second")
            judge(f"ingest of {told} from {form}", rate, limit, "events/s", least=True)
    for name, figure in document.get("startup", {}).items():
        judge(f"`{name}` under 0.7 s", _median({name: figure}, name, "seconds"), 0.7, "s")
    return _table(["goal", "measured", ""], rows) if rows else ""


def _median(figures: Mapping[str, Any], label: str, name: str) -> float | None:
    told = figures.get(label, {}).get(name)
    return float(told["median"]) if told else None


def _fold(document: Mapping[str, Any]) -> str:
    rows, notes = [], []
    for size in document["sizes"].values():
        figures = size.get("fold", {})
        base = figures.get("shoal", {}).get("seconds", {}).get("median")
        for label, figure in figures.items():
            told = [_millions(size["events"]), _NAMES[label]]
            if "failed" in figure:
                rows.append([*told, "failed", "", "", ""])
                continue
            seconds = figure["seconds"]["median"]
            ratio = (
                f"{base / seconds:.2f}" if base and label not in ("shoal", "shoal to file") else ""
            )
            rows.append(
                [*told, _seconds(figure, "seconds"), _seconds(figure, "first_seconds"), ratio,
                 _memory(figure)]
            )  # fmt: skip
        for engine, names in size.get("different", {}).items():
            notes.append(
                f"**{engine} differs at {_millions(size['events'])}: {', '.join(names)}.**"
            )
    if not rows:
        return ""
    head = ["events", "engine", "seconds", "first call", "Shoal / this", "memory"]
    text = (
        "## Fold of the whole catalog\n\nAll features of all customers from the same Parquet files "
        "of an ingested shop, with a frozen reference. `seconds` is the second call in a process; "
        "the first one also holds what is done once (Shoal compiles its queries). All engines give "
        "the same value and the same nulls in every column (relative difference below 1e-9); the "
        "bench fails where they do not."
    )
    return "\n\n".join([text, _table(head, rows), *notes])


def _ingest(document: Mapping[str, Any]) -> list[str]:
    rows = [
        [_millions(size["events"]), _NAMES[label], _rate(figure), _seconds(figure, "seconds"),
         _memory(figure)]
        for size in document["sizes"].values()
        for label, figure in size.get("ingest", {}).items()
    ]  # fmt: skip
    if not rows:
        return []
    text = (
        "## Ingest\n\nShoal reads, validates, deduplicates, commits and folds every customer's "
        "state. The peers, for scale only, read the file, keep one row an id and write Parquet."
    )
    return [text, _table(["events", "what", "events/s", "seconds", "memory"], rows)]


def _incremental(document: Mapping[str, Any]) -> list[str]:
    rows = []
    for size in document["sizes"].values():
        figure = size.get("incremental", {}).get("shoal")
        if figure is None or "failed" in figure:
            continue
        full = size.get("fold", {}).get("shoal", {})
        rows.append(
            [_millions(size["events"]), f"{figure['customers']['median']:,.0f}",
             _seconds(figure, "seconds"), _seconds(figure, "ingest_seconds"),
             _seconds(figure, "fold_seconds"), _seconds(figure, "features_seconds"),
             _seconds(full, "seconds"), f"{figure['state_bytes']['median']:,.0f} B"]
        )  # fmt: skip
    if not rows:
        return []
    text = (
        "## One thousand new events\n\nThe features of their customers from stored states and the "
        "new events alone. `ingest` holds reading, deduplication against the whole shop, commit "
        "and states; `states` is the part of it that folds and merges; `full` is the fold of all "
        "customers above."
    )
    head = ["events in the shop", "customers", "all", "ingest", "states", "features", "full",
            "a state"]  # fmt: skip
    return [text, _table(head, rows)]


def _rest(document: Mapping[str, Any]) -> list[str]:
    blocks = []
    rows = [
        [_millions(size["events"]), _seconds(figure, "seconds"), _rate(figure), _memory(figure)]
        for size in document["sizes"].values()
        for figure in size.get("simulate", {}).values()
    ]
    if rows:
        head = ["events", "seconds", "events/s", "memory"]
        blocks += ["## Simulating a shop", _table(head, rows)]
    if "startup" in document:
        rows = [[f"`{name}`", _seconds(f, "seconds")] for name, f in document["startup"].items()]
        blocks += ["## Start of the command line", _table(["command", "seconds"], rows)]
    return blocks


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _seconds(figure: Mapping[str, Any], name: str) -> str:
    if name not in figure:
        return "failed" if "failed" in figure else ""
    told = figure[name]
    return f"{told['median']:.2f} ({told['min']:.2f}-{told['max']:.2f})"


def _rate(figure: Mapping[str, Any]) -> str:
    if "failed" in figure:
        return "failed"
    return f"{figure['events_per_second']['median']:,.0f}"


def _memory(figure: Mapping[str, Any]) -> str:
    return f"{figure['peak_mib']['median'] / 1024:.2f} GiB" if "peak_mib" in figure else ""


def _millions(events: int) -> str:
    return f"{events / 1e6:.1f} M"
