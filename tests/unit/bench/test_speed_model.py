"""The bench of what the model costs: its page says what was measured, and its tasks run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench.speed.model import accelerator_page, made
from bench.speed.model.page import markdown
from bench.speed.model.tasks import measure


def document(units: list[dict[str, Any]]) -> dict[str, Any]:
    machine = {
        "cores": 2, "processor": "p", "memory_gib": 8, "system": "s", "python": "3.11",
        "load": 0.1, "packages": {"shoal": "0"},
    }  # fmt: skip
    return {"command": "c", "seeds": [1], "repeats": 1, "machine": machine, "units": units}


def update(runtime: str, customers: int, p50: float, **more: Any) -> dict[str, Any]:
    return {
        "what": "update", "backbone": "gru", "runtime": runtime, "customers": customers,
        "history": 100, "p50_ms": p50, "p99_ms": 2 * p50, "cpu_p50_ms": p50,
        "events_per_s": 1e3 * customers / p50, "carry_bytes": 5 * 1024, "stored_bytes": 9 * 1024,
        **more,
    }  # fmt: skip


def train(what: str, rate: float, **more: Any) -> dict[str, Any]:
    told = {"what": what, "length": 128, "tokens_per_s": rate, "parameters": 400_000}
    return {**told, **({"least": 128} if what == "train" else {}), **more}


def test_goals_are_judged_by_what_was_measured() -> None:
    page = markdown(
        document(
            [
                update("onnx", 1, 0.3), update("eager", 1, 2.0), update("onnx", 256, 10.0),
                update("eager", 256, 40.0),
                train("train", 9_000, objectives={"next_event": 1.0}),
                train("train_transformer", 10_000),
                {"what": "train_sasrec", "length": 128, "failed": "no network"},
            ]
        )
    )  # fmt: skip
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines()}
    assert "0.30 ms | met" in lines["one event of one customer under 0.5 ms (median), ONNX Runtime"]
    assert "2.00 ms | missed" in lines["one event of one customer under 0.5 ms (median), PyTorch"]
    assert (
        "25,600.00 events/s | met"
        in (lines["over 10,000 events/s in batches of 256, ONNX Runtime"])
    )
    assert "missed" in lines["over 10,000 events/s in batches of 256, PyTorch"]
    assert (
        "0.90 x | missed" in (lines["training at length 128 at least 1.1 x nn.TransformerEncoder"])
    )
    assert "- train_sasrec: no network" in page


def test_a_page_of_nothing_has_no_tables() -> None:
    assert "|" not in markdown(document([])).split("Recipe")[1]


def test_gains_of_bucketing_are_a_ratio() -> None:
    ragged = {"least": 8, "objectives": {"next_event": 1.0}}
    page = markdown(
        document(
            [train("train", 10_000, **ragged, groups=1), train("train", 14_000, **ragged, groups=4)]
        )
    )
    assert "| 8 to 128 | 10.0 k | 14.0 k | 1.40 |" in page


def test_made_up_histories_are_in_order_and_known() -> None:
    events = made.sequences(np.array([3, 1, 5]), seed=1)
    assert events.lengths.tolist() == [3, 1, 5]
    for first, last in zip(events.offsets[:-1], events.offsets[1:], strict=True):
        assert (np.diff(events.fields["us"][first:last]) > 0).all()
    for name, size in made.sizes().items():
        assert events.fields[name].max() < size


def test_an_update_is_measured() -> None:
    pytest.importorskip("onnxruntime")
    told = measure(
        "update", backbone="gru", runtime="eager", customers=2, history=40, steps=2, seed=1
    )
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert told["carry_bytes"] < told["stored_bytes"]


def on(device: str, **more: Any) -> dict[str, Any]:
    threads = 1 if device == "cuda" else 16
    return {
        "device": device, "threads": threads, "recipe": "laptop", "length": 128, "events": 8_192,
        **more,
    }  # fmt: skip


def rate(what: str, device: str, events_per_s: float, **more: Any) -> dict[str, Any]:
    return on(
        device, what=what, events_per_s=events_per_s, step_ms=40.0, step_events=8_192.0,
        memory_mib=300.0 if device == "cuda" else 0.0, draw_ms=4.0, **more,
    )  # fmt: skip


def test_an_accelerators_page_compares_and_names_the_machine() -> None:
    units = [
        rate("train_on", "cuda", 200e3, backbone="gru"), rate("encoder_on", "cuda", 800e3),
        rate("train_on", "cpu", 30e3, backbone="gru"), rate("encoder_on", "cpu", 30e3),
        rate("train_on", "cuda", 150e3, backbone="cnn"),
        on("cuda", what="train_on", backbone="lstm", failed="no memory"),
        {"what": "scan_on", "rows": 4, "length": 8, "width": 2, "by_steps_ms": 3.0,
         "by_doubling_ms": 1.5},
        {"what": "embed_on", "device": "cuda", "threads": 1, "recipe": "laptop", "customers": 100,
         "events": 4_500, "customers_per_s": 30e3, "memory_mib": 200.0},
    ]  # fmt: skip
    given = document(units) | {"accelerator": {"name": "X1", "memory_gib": 80, "cuda": "13.0"}}
    given["machine"]["packages"] = {"torch": "2", "shoal": "absent"}
    page = accelerator_page.markdown(given)
    assert "One X1 (80 GiB, CUDA 13.0), 2 cores" in page
    assert "absent" not in page
    assert (
        "| accelerator | laptop | 128 | 8,192 | 200.0 k | 40.0 | 4.0 | 300 | 800.0 k | 300 |"
        in page
    )
    assert "| 300 | 0.25 |" in page
    assert (
        "| 16 threads | laptop | 128 | 8,192 | 30.0 k | 40.0 | 4.0 | – | 30.0 k | – | 1.00 |"
        in page
    )
    assert "| cnn | 150.0 k | 40.0 | 300 |" in page
    assert "| 4 x 8 x 2 | 3.00 | 1.50 | 2.0 |" in page
    assert "| accelerator | laptop | 100 | 45 | 30000 | 200 |" in page
    assert "- train_on (laptop lstm): no memory" in page
    assert "## What was seen" in page


def test_what_runs_on_an_accelerator_runs_on_a_processor() -> None:
    told = measure(
        "train_on", device="cpu", threads=1, recipe="nano", backbone="gru", length=16, events=64,
        steps=1, seed=1,
    )  # fmt: skip
    assert told["step_events"] >= 64
    assert told["events_per_s"] > 0
    assert 0 < told["draw_ms"] < told["step_ms"]
    shape = {"device": "cpu", "threads": 1, "recipe": "nano", "length": 16, "events": 64}
    assert measure("encoder_on", **shape, steps=1, seed=1)["step_events"] == 128
    assert measure("scan_on", device="cpu", rows=2, length=5, width=3, steps=1, seed=1)[
        "by_doubling_ms"
    ]
    made_ = {"device": "cpu", "threads": 1, "recipe": "nano", "customers": 20, "mean": 5.0}
    assert measure("embed_on", **made_, seed=1)["customers_per_s"] > 0
