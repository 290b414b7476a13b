"""The bench of the model's choices: later variants take their place beside those of before."""

from __future__ import annotations

from typing import Any

import pytest
from bench.harness import merging
from bench.model import page
from bench.model.__main__ import merged

MACHINE = {
    "cores": 2, "memory_gib": 8, "processor": "p", "system": "s", "python": "3.11", "load": 0.5,
    "packages": {},
}  # fmt: skip


def document(command: str, **ari: float) -> dict[str, Any]:
    """A run of these variants."""
    return {
        "command": command, "machine": MACHINE, "seeds": [1], "steps": 240, "worlds": ["steady"],
        "size": [4_000, 126],
        "variants": [
            {"name": name.replace("_", "-"), "group": name, "title": f"title of {name}",
             "units": [unit(value)]}
            for name, value in ari.items()
        ],
    }  # fmt: skip


def unit(ari: float) -> dict[str, Any]:
    names = ("ari", "accuracy", "segment_probe", "orders_auroc", "active_auroc", "rank")
    return {
        "peer": "", "figures": dict.fromkeys(names, ari), "parameters": 5, "events": 480,
        "steps": 240, "seconds_trained": 24.0,
    }  # fmt: skip


def test_variants_of_a_later_run_stand_in_their_order_and_the_page_tells_of_it() -> None:
    before = document("first", default=0.60, size_nano=0.43)
    later = document("second", size_base=0.71, default=0.62)

    found = merged(before, later, ["size-base", "default"])

    names = [one["name"] for one in found["variants"]]
    assert names == ["default", "size-nano", "size-base"]
    assert found["variants"][0]["units"][0]["figures"]["ari"] == 0.62
    told = page.markdown(found)
    assert "`first`" in told
    assert "`second`" in told
    assert "| title of size_base | 0.71 |" in told
    assert "| title of size_nano | 0.43 |" in told


@pytest.mark.parametrize(("key", "value"), [("steps", 100), ("seeds", [2]), ("size", [10, 10])])
def test_runs_of_another_protocol_are_not_merged(key: str, value: Any) -> None:
    before = document("first", default=0.60)
    with pytest.raises(merging.MergeError, match=key):
        merged(before, {**document("second", size_base=0.71), key: value}, ["size-base"])
