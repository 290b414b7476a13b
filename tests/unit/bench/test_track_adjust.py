"""What the bench tells of segments that adjust, and of public logs."""

from __future__ import annotations

from typing import Any

import pytest
from bench.peers import SPECS, make
from bench.track import beside, real
from bench.track.report_adjust import adjustment

ADJUSTED = [name for name in SPECS if name.startswith("shoal-adjust")]


def look(**more: Any) -> dict[str, Any]:
    return {"at": "2025-03-03T00:00:00+00:00", "changed": False, "moved": 0.0, "blocked": [],
            "alarms": [], "actions": [], "changes": [], "k": 6} | more  # fmt: skip


def test_alarms_breaks_and_steps_are_counted_a_run() -> None:
    first = [
        look(alarms=[["inputs", "orders", True], ["embedding", "embedding", False]]),
        look(actions=["nudge"], changed=True, moved=0.02),
        look(actions=["refit"], changed=False),
    ]
    second = [look(blocked=["spend"]), look()]
    rows = [
        {"peer": "shoal-adjust", "world": "drift", "seed": seed, "adjusted": looks}
        for seed, looks in ((1, first), (2, second))
    ]
    [_, _, told] = adjustment(rows)
    line = told.splitlines()[-1]
    # A refit that was decided and not carried out is no step.
    assert [one.strip() for one in line.strip("|").split("|")][1:] == [
        "drift", "2", "1.0 (0.5)", "0.5", "0.5", "0.0", "0.0", "0.0", "0.4%",
    ]  # fmt: skip


def test_nothing_is_told_where_nobody_adjusts() -> None:
    assert adjustment([{"peer": "kmeans", "world": "drift", "seed": 1}]) == []


@pytest.mark.parametrize("name", ADJUSTED)
def test_peers_that_adjust_say_what_takes_part(name: str) -> None:
    peer = make(name)
    assert peer.adjusting is not None
    assert set(peer.adjusting) == {"without", "watch", "identity"}
    assert peer.refit == "first"


def test_each_ablation_takes_one_part_away() -> None:
    whole = make("shoal-adjust-style")
    for name in ADJUSTED:
        if name.startswith("shoal-adjust-style-"):
            one = make(name)
            differ = [key for key in whole.adjusting if one.adjusting[key] != whole.adjusting[key]]
            assert len(differ) + (one.margin != whole.margin) == 1, name


def figures(peer: str, world: str, accuracy: float) -> dict[str, Any]:
    return {
        "peer": peer, "world": world, "seed": 1, "label": f"{world}-1", "accuracy": accuracy,
        "macro_f1": 0.5, "ari": 0.3, "ari_worst": 0.2, "flicker": 0.1, "labels": 7,
        "adjusted": [look(blocked=["spend"])],
    }  # fmt: skip


def test_a_part_taken_away_is_told_over_its_worlds_and_nothing_where_one_is_missing() -> None:
    rows = [
        figures("shoal-adjust-style", "drift", 0.5),
        figures("shoal-adjust-style", "lineage", 0.7),
    ]
    [_, _, told, heading, *_] = beside.ablation([*rows, figures("shoal-style", "drift", 0.9)])
    both, without = told.splitlines()[-2:]
    assert "| 0.600 |" in both and heading.startswith("###")
    # A mean over other worlds is none that could be compared.
    assert "0.900" not in without and "| – |" in without
    assert beside.ablation([]) == beside.broken([]) == []


def test_broken_tracking_has_its_looks_that_learned_nothing() -> None:
    told = beside.broken([figures("shoal-adjust", "broken", 0.5)])
    assert "| broken | 1 | 0.0 (0.0) | 1.0 |" in told[-1]


@pytest.mark.parametrize("name", [*beside.ABLATION_PEERS, *beside.BROKEN_PEERS])
def test_parts_beside_know_their_peers(name: str) -> None:
    assert name in (*SPECS, "ceiling")


def document(share: float) -> dict[str, Any]:
    told = {"of_attainable": share}
    one = {
        "of_attainable": share, "turnover_a_month": 0.2, "relabelled_by_model_a_month": 0.05,
        "segments": {"first": 6, "last": 7, "kept": 5}, "adjustments": {"nudge": 2, "split": 1},
    }  # fmt: skip
    names = ("frozen", "monthly", "shoal")
    return {
        "peer": "cdnow", "label": "cdnow-11", "seed": 11, "from": "1997-08-01T00:00:00Z",
        "period_days": 28, "periods": [{"customers": 1000}, {"customers": 1200}],
        "outcomes": {"orders": {"strategies": dict.fromkeys(names, told)}},
        "strategies": dict.fromkeys(names, one),
    }  # fmt: skip


def test_public_logs_have_a_row_a_strategy_and_failures_none() -> None:
    told = "\n".join(real.report([document(0.5), document(0.7), {"peer": "x", "failed": "gone"}]))
    assert "**cdnow**, 2 periods of 28 days from 1997-08-01, 1,000 to 1,200 customers" in told
    assert told.count("0.60 (0.50-0.70)") == 2 * 3
    assert "10 of 12" in told and "20.0%" in told
    assert real.report([{"peer": "x", "failed": "gone"}]) == []
