"""The document of `bench.speed.model` as a Markdown page; every figure is computed from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.harness.results import machine_line, spread, table, told

Row = Mapping[str, Any]

#: What was aimed at for the default at 2 x 128.
SINGLE_MS: Final = 0.5
EVENTS_A_SECOND: Final = 10_000.0
CARRY_KIB: Final = 8.0
TIMES_TRANSFORMER: Final = 1.1
_RUNTIMES: Final = {"eager": "PyTorch", "onnx": "ONNX Runtime"}
_MILLION: Final = 1_000_000


def markdown(document: Mapping[str, Any]) -> str:
    """The page: goals first, then one section a part."""
    units, machine = document["units"], document["machine"]
    measured = (
        f"`{document['command']}`, seed {document['seeds'][0]}, {document['repeats']} runs of "
        f"each, load {machine['load']} at the end. {machine_line(machine)}"
    )
    reading = (
        "Recipe `laptop` (2 x 128), untrained: what it costs does not depend on what it learned. "
        "One thread, a process for each figure; means of the runs, least and greatest in brackets."
    )
    blocks = [
        "# What the behaviour model costs",
        measured,
        reading,
        _goals(units),
        _updates(units),
        _histories(units),
        _embedding(units),
        _training(units),
        _grouping(units),
        _failures(units),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _of(units: Sequence[Row], what: str, **wanted: Any) -> list[Row]:
    return [
        row
        for row in units
        if row["what"] == what
        and "failed" not in row
        and all(row[name] == value for name, value in wanted.items())
    ]


def _mean(rows: Sequence[Row], name: str) -> float | None:
    return statistics.fmean(row[name] for row in rows) if rows else None


def _figure(rows: Sequence[Row], name: str, digits: int = 2) -> str:
    return told(spread(row[name] for row in rows), digits)


def _thousands(rows: Sequence[Row], name: str) -> str:
    found = spread(row[name] / 1e3 for row in rows)
    return "–" if found is None else f"{told(found, 1)} k"


def _goals(units: Sequence[Row]) -> str:
    rows: list[list[str]] = []

    def judge(goal: str, value: float | None, met: bool, unit: str) -> None:
        if value is not None:
            rows.append([goal, f"{value:,.2f} {unit}", "met" if met else "missed"])

    default = {"backbone": "gru", "history": 100}
    found = {
        runtime: _mean(_of(units, "update", **default, customers=1, runtime=runtime), "p50_ms")
        for runtime in _RUNTIMES
    }
    for runtime, value in found.items():
        judge(
            f"one event of one customer under {SINGLE_MS} ms (median), {_RUNTIMES[runtime]}",
            value, value is not None and value < SINGLE_MS, "ms",
        )  # fmt: skip
    for runtime, name in _RUNTIMES.items():
        rate = _mean(_of(units, "update", **default, customers=256, runtime=runtime),
                     "events_per_s")  # fmt: skip
        judge(f"over {EVENTS_A_SECOND:,.0f} events/s in batches of 256, {name}", rate,
              rate is not None and rate > EVENTS_A_SECOND, "events/s")  # fmt: skip
    carry = _mean(_of(units, "update", **default), "carry_bytes")
    judge(f"state with its ring under {CARRY_KIB:.0f} KiB", carry and carry / 1024,
          carry is not None and carry < CARRY_KIB * 1024, "KiB")  # fmt: skip
    mine, theirs = (
        _mean(_next_event(units, 128), "tokens_per_s"),
        _mean(_of(units, "train_transformer", length=128), "tokens_per_s"),
    )
    if mine and theirs:
        judge(f"training at length 128 at least {TIMES_TRANSFORMER} x nn.TransformerEncoder",
              mine / theirs, mine / theirs >= TIMES_TRANSFORMER, "x")  # fmt: skip
    return table(["goal", "measured", ""], rows) if rows else ""


def _updates(units: Sequence[Row]) -> str:
    found = _of(units, "update", history=100)
    if not found:
        return ""
    rows = []
    for key in dict.fromkeys((row["backbone"], row["runtime"]) for row in found):
        mine = [row for row in found if (row["backbone"], row["runtime"]) == key]
        single, few, many = ([row for row in mine if row["customers"] == n] for n in (1, 32, 256))
        rows.append(
            [
                key[0], _RUNTIMES[key[1]], _figure(single, "cpu_p50_ms"),
                _figure(single, "p50_ms"), _figure(single, "p99_ms"),
                _figure(few, "p50_ms"), _figure(few, "p99_ms"), _figure(many, "p50_ms", 1),
                _figure(many, "p99_ms", 1), _thousands(many, "events_per_s"),
                f"{mine[0]['carry_bytes'] / 1024:.1f}", f"{mine[0]['stored_bytes'] / 1024:.1f}",
            ]
        )  # fmt: skip
    head = [
        "backbone", "runtime", "1: CPU ms", "1: p50 ms", "p99", "32: p50 ms", "p99",
        "256: p50 ms", "p99", "events/s at 256", "state KiB", "all KiB",
    ]  # fmt: skip
    text = (
        "## One event\n\nBytes of the states in, one event in order a customer, embeddings and "
        "bytes of the states out, for 1, 32 and 256 customers at once; reading the event into "
        "codes is not in it. Every 33rd event of a customer folds the older half of a full tail "
        "into the base, which is what p99 shows. `CPU ms` is the median time that the thread ran: "
        "p50 is more where other work was on the machine. `state` is what a step needs, `all` is "
        "stored of a customer: two states (after and before the tail) and the tail's events. "
        "`bidirectional` has no state and reads its last events again."
    )
    return f"{text}\n\n{table(head, rows)}"


def _histories(units: Sequence[Row]) -> str:
    single = _of(units, "update", customers=1)
    many = [row["backbone"] for row in single if row["history"] != 100]
    if not many:
        return ""
    found = [row for row in single if row["backbone"] == many[0]]
    lengths = sorted({row["history"] for row in found})
    rows = [
        [f"{history:,}", *(
            _figure([row for row in found if (row["history"], row["runtime"]) == (history, name)],
                    "p50_ms")
            for name in _RUNTIMES
        )]
        for history in lengths
    ]  # fmt: skip
    head = ["events before", *(f"{name}: p50 ms" for name in _RUNTIMES.values())]
    return f"## Cost and length of history: {many[0]}\n\n{table(head, rows)}"


def _embedding(units: Sequence[Row]) -> str:
    rows = []
    for what, name in (
        ("embed", "model alone, events tokenised and in memory"),
        ("embed_shop", "`shoal embed` of a simulated shop, from event table to file"),
    ):
        found = _of(units, what)
        if not found:
            continue
        customers, events = found[0]["customers"], found[0]["events"]
        million = [row["seconds"] / customers * _MILLION / 60 for row in found]
        rows.append(
            [
                name, f"{customers:,}", f"{events / customers:.0f}", _figure(found, "seconds", 1),
                f"{customers / statistics.fmean(row['seconds'] for row in found):,.0f}",
                f"{statistics.fmean(million):.0f}", f"{_mean(found, 'peak_mib'):,.0f}",
            ]
        )  # fmt: skip
    if not rows:
        return ""
    head = [
        "what", "customers", "events each", "seconds", "customers/s", "a million: minutes",
        "peak MiB",
    ]  # fmt: skip
    text = (
        "## All customers\n\nThe minutes of a million customers are not measured: they are "
        "what was measured, times the customers. Memory is bounded by the events read at once."
    )
    return f"{text}\n\n{table(head, rows)}"


def _next_event(units: Sequence[Row], length: int) -> list[Row]:
    return _of(units, "train", length=length, least=length, objectives={"next_event": 1.0})


def _training(units: Sequence[Row]) -> str:
    lengths = sorted({row["length"] for row in units if row["what"].startswith("train")})
    rows = []
    for length in lengths:
        base = _of(units, "train_transformer", length=length)
        whole = _of(units, "train", length=length, least=length)
        mix = [row for row in whole if row["objectives"] != {"next_event": 1.0}]
        for name, found in (
            ("Shoal, next event", _next_event(units, length)),
            (f"Shoal, {', '.join(mix[0]['objectives']) if mix else ''}", mix),
            ("nn.TransformerEncoder, next item", base),
            ("RecTools SASRec, next item", _of(units, "train_sasrec", length=length)),
        ):
            if not found:
                continue
            rate, other = _mean(found, "tokens_per_s"), _mean(base, "tokens_per_s")
            ratio = f"{rate / other:.2f}" if rate and other else "–"
            size = f"{found[0]['parameters'] / 1e3:,.0f} k"
            rows.append([str(length), name, _thousands(found, "tokens_per_s"), ratio, size])
    if not rows:
        return ""
    head = ["length", "what", "events/s", "over TransformerEncoder", "parameters of the layers"]
    text = (
        "## Training\n\nForward, loss, backward, clipping and AdamW, rows of one length, float32. "
        "Shoal reads all fields of an event, draws its slices and targets from the log and tells "
        "kind, item, category, price and gap; the transformers read and tell items alone. SASRec "
        "runs in an environment of its own: the second of two epochs."
    )
    return f"{text}\n\n{table(head, rows)}"


def _grouping(units: Sequence[Row]) -> str:
    found = [row for row in _of(units, "train") if row["least"] < row["length"]]
    rows = []
    for length in sorted({row["length"] for row in found}):
        mine = [row for row in found if row["length"] == length]
        one, several = ([row for row in mine if (row["groups"] > 1) == many] for many in (0, 1))
        before, after = _mean(one, "tokens_per_s"), _mean(several, "tokens_per_s")
        if before and after:
            rows.append(
                [f"8 to {length}", _thousands(one, "tokens_per_s"),
                 _thousands(several, "tokens_per_s"), f"{after / before:.2f}"]
            )  # fmt: skip
    if not rows:
        return ""
    head = ["slices", "as one block", "in portions by length", "gain"]
    return (
        "## Bucketing\n\nEvents a second (padding not counted) where slices are of any length."
        f"\n\n{table(head, rows)}"
    )


def _failures(units: Sequence[Row]) -> str:
    words = dict.fromkeys(f"- {row['what']}: {row['failed']}" for row in units if "failed" in row)
    return "Failed:\n\n" + "\n".join(words) if words else ""
