"""The document of `--only accelerator` as a Markdown page; every figure is computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.harness.results import machine_line, spread, table, told

Row = Mapping[str, Any]

#: What was seen beside the figures, written by hand.
NOTES: Final = Path(__file__).with_name("accelerator_notes.md")


def markdown(document: Mapping[str, Any]) -> str:
    """The page: where it was measured, then a section a part."""
    units, machine, device = document["units"], document["machine"], document["accelerator"]
    there = {name: one for name, one in machine["packages"].items() if one != "absent"}
    machine = {**machine, "packages": there}
    measured = (
        f"`{document['command']}`, seed {document['seeds'][0]}, {document['repeats']} runs of "
        f"each. One {device['name']} ({device['memory_gib']} GiB, CUDA {device['cuda']}), "
        f"{machine_line(machine)}"
    )
    reading = (
        "Untrained models on made-up events: what it costs does not depend on what it learned. "
        "Means of the runs, least and greatest in brackets."
    )
    blocks = [
        "# The behaviour model on an accelerator", measured, reading, _training(units),
        _backbones(units), _embedding(units), _scan(units), _failures(units),
        NOTES.read_text(encoding="utf-8").strip(),
    ]  # fmt: skip
    return "\n\n".join(block for block in blocks if block) + "\n"


def _of(units: Sequence[Row], what: str, **wanted: Any) -> list[Row]:
    return [
        row
        for row in units
        if row["what"] == what
        and "failed" not in row
        and all(row[name] == value for name, value in wanted.items())
    ]


def _figure(rows: Sequence[Row], name: str, digits: int = 1, scale: float = 1.0) -> str:
    return told(spread(row[name] / scale for row in rows), digits)


def _mean(rows: Sequence[Row], name: str) -> float | None:
    found = spread(row[name] for row in rows)
    return None if found is None else found["mean"]


def _training(units: Sequence[Row]) -> str:
    mine = [row for row in _of(units, "train_on") if row["backbone"] == "gru"]
    keys = dict.fromkeys(
        (row["device"], row["threads"], row["recipe"], row["length"], row["events"]) for row in mine
    )
    rows = []
    for device, threads, recipe, length, events in keys:
        same = {
            "device": device, "threads": threads, "recipe": recipe, "length": length,
            "events": events,
        }  # fmt: skip
        ours, theirs = (
            _of(units, "train_on", backbone="gru", **same),
            _of(units, "encoder_on", **same),
        )
        one, other = _mean(ours, "events_per_s"), _mean(theirs, "events_per_s")
        rows.append(
            [
                "accelerator" if device == "cuda" else f"{threads} threads", recipe, str(length),
                f"{ours[0]['step_events']:,.0f}", f"{_figure(ours, 'events_per_s', 1, 1e3)} k",
                _figure(ours, "step_ms"), _figure(ours, "draw_ms"), _memory(ours),
                f"{_figure(theirs, 'events_per_s', 1, 1e3)} k" if theirs else "–", _memory(theirs),
                f"{one / other:.2f}" if one and other else "–",
            ]
        )  # fmt: skip
    if not rows:
        return ""
    head = [
        "on", "recipe", "length", "events a step", "Shoal: events/s", "step ms", "drawing ms",
        "memory MiB", "nn.TransformerEncoder: events/s", "memory MiB", "Shoal over it",
    ]  # fmt: skip
    text = (
        "## Training\n\nSteps as the trainer does them (default backbone GRU, the recipe's own "
        "objectives, rows of one length): drawing slices and their targets from the log on one "
        "core, forward in bfloat16 where that loses nothing, losses, backward, clipping, AdamW. "
        "`drawing` is part of a step and not overlapped with the device. Events a step are what "
        "was drawn: more than asked where customers had too few events for four slices. "
        "`nn.TransformerEncoder` has the recipe's width, layers and heads and the same precision; "
        "it reads and tells items alone and waits for nothing, so it is an upper bound rather "
        "than a peer. Memory is the most that tensors took on the device."
    )
    return f"{text}\n\n{table(head, rows)}"


def _memory(rows: Sequence[Row]) -> str:
    found = _mean(rows, "memory_mib")
    return f"{found:,.0f}" if found else "–"


def _backbones(units: Sequence[Row]) -> str:
    found = _of(units, "train_on", device="cuda", recipe="laptop")
    least = min((row["events"] for row in found), default=0)
    found = [row for row in found if row["events"] == least]
    lengths = sorted({row["length"] for row in found})
    rows = []
    for name in dict.fromkeys(row["backbone"] for row in found):
        cells = [name]
        for length in lengths:
            own = [row for row in found if (row["backbone"], row["length"]) == (name, length)]
            rate = f"{_figure(own, 'events_per_s', 1, 1e3)} k"
            cells += [rate, _figure(own, "step_ms"), _memory(own)]
        rows.append(cells)
    if len(rows) < 2:
        return ""
    head = ["backbone"]
    for length in lengths:
        head += [f"{length}: events/s", "step ms", "memory MiB"]
    return (
        f"## Backbones\n\nRecipe `laptop`, {least:,} events a step, on the accelerator."
        f"\n\n{table(head, rows)}"
    )


def _embedding(units: Sequence[Row]) -> str:
    keys = dict.fromkeys(
        (row["device"], row["threads"], row["recipe"]) for row in _of(units, "embed_on")
    )
    rows = []
    for device, threads, recipe in keys:
        found = _of(units, "embed_on", device=device, threads=threads, recipe=recipe)
        rows.append(
            [
                "accelerator" if device == "cuda" else f"{threads} threads", recipe,
                f"{found[0]['customers']:,}", f"{found[0]['events'] / found[0]['customers']:.0f}",
                _figure(found, "customers_per_s", 0), _memory(found),
            ]
        )  # fmt: skip
    if not rows:
        return ""
    head = ["on", "recipe", "customers", "events each", "customers/s", "memory MiB"]
    text = (
        "## Embedding\n\nThe model alone, events tokenised and in memory. Shoal's verbs embed on "
        "the processor; this is what the same code does where the model was moved."
    )
    return f"{text}\n\n{table(head, rows)}"


def _scan(units: Sequence[Row]) -> str:
    keys = dict.fromkeys(
        (row["rows"], row["length"], row["width"]) for row in _of(units, "scan_on")
    )
    rows = []
    for many, length, width in keys:
        found = _of(units, "scan_on", rows=many, length=length, width=width)
        steps, doubling = (_mean(found, f"by_{name}_ms") for name in ("steps", "doubling"))
        rows.append(
            [
                f"{many} x {length} x {width}", _figure(found, "by_steps_ms", 2),
                _figure(found, "by_doubling_ms", 2),
                f"{steps / doubling:.1f}" if steps and doubling else "–",
            ]
        )  # fmt: skip
    if not rows:
        return ""
    head = ["rows x events x width", "place by place: ms", "by doubling: ms", "times faster"]
    return (
        "## The recurrence's scan\n\nForward and backward, alone, on the accelerator."
        f"\n\n{table(head, rows)}"
    )


def _failures(units: Sequence[Row]) -> str:
    words = dict.fromkeys(
        f"- {row['what']} ({row.get('recipe', '')} {row.get('backbone', '')}): {row['failed']}"
        for row in units
        if "failed" in row
    )
    return "Failed:\n\n" + "\n".join(words) if words else ""
