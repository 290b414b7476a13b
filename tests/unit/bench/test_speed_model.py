"""The bench of what the model costs: its page says what was measured, and its tasks run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench.speed.model import made
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
