"""The bench of tracking: truth, figures, newcomers' logs, lineage and the page."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bench.harness.data import SimulatedWorld
from bench.harness.splits import Cuts
from bench.track import __main__ as command
from bench.track import lineage, report, summing
from bench.track.ceiling import fold_of, out_of_fold
from bench.track.newcomers import first_events
from bench.track.replay import Replay, orders_since
from bench.track.scores import HORIZON_DAYS, Rows, figures
from bench.track.truth import Truth, known

from shoal.evaluation.tracking import Change

START = datetime(2025, 1, 6, tzinfo=UTC)
WEEK = timedelta(days=7)
_TIME = pa.timestamp("us", tz="UTC")


def _day(day: float) -> datetime:
    return START + timedelta(days=day)


@pytest.fixture
def small(tmp_path: Path) -> SimulatedWorld:
    """Six customers over eight weeks; c1 moves from a to b on day 24, and pauses before."""
    truth = tmp_path / "world" / "_truth"
    truth.mkdir(parents=True)
    spells = [
        ("c0", "a", 0, 56), ("c1", "a", 0, 10), ("c1", "a", 10, 24), ("c1", "b", 24, 40),
        ("c1", "b", 40, 56), ("c2", "b", 0, 56), ("c3", "b", 0, 56), ("c4", "a", 0, 56),
        ("c5", "b", 0, 30),
    ]  # fmt: skip
    rows = [
        {"customer_id": one, "segment": segment, "stage": "active", "since": _day(since),
         "until": _day(until), "cause": "start"}
        for one, segment, since, until in spells
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), truth / "spells.parquet")
    drifts = [
        {"family": "mix", "since": _day(24), "until": _day(56), "what": "share of b x 2, at once"},
        {
            "family": "within",
            "since": _day(30),
            "until": _day(56),
            "what": "views x 2, by the week",
        },
    ]
    pq.write_table(pa.Table.from_pylist(drifts), truth / "drifts.parquet")
    times = pa.array([_day(day) for day in range(56)], _TIME)
    log = pa.table({"customer_id": ["c0"] * 56, "event_time": times})
    pq.write_table(log, tmp_path / "log.parquet")
    world = SimulatedWorld(
        tmp_path, {"start": _day(0).isoformat(), "end": _day(56).isoformat(), "digest": "d"}
    )
    world.feature_seconds = lambda moment: 0.5  # type: ignore[method-assign]
    return world


CUTS = Cuts(tuple(_day(7 * week) for week in range(1, 8)))
CUSTOMERS = np.array([f"c{n}" for n in range(6)], dtype=object)


def _said(label: Any) -> Replay:
    """A replay whose label of a customer at a cut is `label(customer, day)`."""
    found = Replay()
    for moment in CUTS.moments:
        day = (moment - START).days
        labels = np.array([label(one, day) for one in CUSTOMERS], dtype=np.int64)
        found.add(CUSTOMERS, labels, None)
        found.step_seconds.append(0.01)
    return found


def _truth_label(customer: str, day: int, late: int = 0) -> int:
    if customer == "c1":
        return int(day >= 24 + late)
    return int(customer in {"c2", "c3", "c5"})


def test_moves_are_between_segments_and_not_between_stages(small: SimulatedWorld) -> None:
    truth = Truth(small)
    changes = truth.changes()
    assert changes == [Change("c1", 24.0, 56.0, "b", "a")]
    assert truth.at(_day(23.9))["c1"] == "a"
    assert truth.at(_day(24))["c1"] == "b"
    assert "c5" not in truth.at(_day(30))
    there, segments = known(truth.at(_day(35)), CUSTOMERS)
    assert there.tolist() == [True] * 5 + [False]
    assert segments.tolist() == ["a", "b", "b", "b", "a"]


def test_only_changes_at_once_are_abrupt(small: SimulatedWorld) -> None:
    assert [one["day"] for one in Truth(small).abrupt()] == [24.0]


def test_who_knows_the_truth_is_right_everywhere(small: SimulatedWorld) -> None:
    told = figures(_said(_truth_label), small, CUTS)
    assert (told["accuracy"], told["macro_f1"], told["ari"]) == (1.0, 1.0, 1.0)
    assert (told["flicker"], told["changes"]) == (0.0, 1)
    assert told["delay_days"] == pytest.approx(28 - 24)
    assert told["rows"] == 7 * 5 + 4
    assert told["recovery"] == [
        {"what": "mix: share of b x 2, at once", "day": 24.0, "days": 0.0, "before": 1.0,
         "lowest": 1.0}
    ]  # fmt: skip
    # 6 steps of 0.01 s over the 42 events between the cuts, features of 0.5 s each
    assert told["us_an_event"] == pytest.approx(1e6 * 0.06 / 42, abs=1e-4)
    assert told["us_an_event_features"] == pytest.approx(1e6 * 3.0 / 42, abs=1e-4)


def test_lateness_costs_delay_and_no_flicker(small: SimulatedWorld) -> None:
    told = figures(_said(lambda one, day: _truth_label(one, day, late=14)), small, CUTS)
    assert told["delay_days"] == pytest.approx(42 - 24)
    assert told["flicker"] == 0.0
    assert told["accuracy"] == pytest.approx(1 - 2 / 39)


def test_who_never_switches_waits_for_ever_and_has_no_trade_off(small: SimulatedWorld) -> None:
    told = figures(_said(lambda one, day: _truth_label(one, 0)), small, CUTS)
    assert told["delay_days"] == HORIZON_DAYS
    assert told["trade_off"] == 0.0


def test_renumbering_costs_accuracy_and_flicker_but_no_rand_index(small: SimulatedWorld) -> None:
    flipped = _said(lambda one, day: _truth_label(one, day) ^ (day // 7 % 2))
    told = figures(flipped, small, CUTS)
    assert told["ari"] == 1.0
    assert told["accuracy"] < 0.7
    assert told["flicker"] > 2.0


def test_the_curve_holds_the_filters_that_a_peer_allows(small: SimulatedWorld) -> None:
    said = _said(_truth_label)
    names = [one["filter"] for one in figures(said, small, CUTS)["curve"]]
    assert names == ["none", "patience 1", "patience 2", "patience 3"]
    said.weights = [np.eye(2)[labels] for labels in said.labels]
    curve = figures(said, small, CUTS)["curve"]
    assert [one["filter"] for one in curve][4:] == [
        "margin 0.1", "margin 0.2", "margin 0.4", "margin 0.6", "margin 0.8", "margin 0.95",
    ]  # fmt: skip
    by_filter = {one["filter"]: one for one in curve}
    # patience of 1 switches c1 a week later; a margin below 1 holds no certain weight back
    assert by_filter["patience 1"]["delay_days"] == pytest.approx(35 - 24)
    assert by_filter["margin 0.95"]["delay_days"] == pytest.approx(28 - 24)


def test_rows_are_those_the_truth_knows(small: SimulatedWorld) -> None:
    rows = Rows.of(_said(_truth_label), Truth(small), CUTS)
    assert (rows.customers == "c5").sum() == 4
    assert rows.called(rows.labels).tolist() == rows.truth.tolist()


def test_nobody_teaches_the_model_that_labels_them() -> None:
    pytest.importorskip("lightgbm")
    # The only column is the customer; without own labels nothing better than the others' majority
    customers = np.repeat([f"c{n}" for n in range(40)], 5)
    fold = fold_of(customers, 3)
    assert all(len(set(fold[customers == one])) == 1 for one in set(customers))
    random = np.random.default_rng(0)
    segment = dict(zip(sorted(set(customers)), random.permutation(["a", "b"] * 20), strict=True))
    y = np.array([segment[one] for one in customers])
    X = np.array([[float(one[1:])] for one in customers])
    assert (out_of_fold(X, y, fold, 0) == y).mean() < 0.7
    assert (out_of_fold(np.column_stack([X, y == "a"]), y, fold, 0) == y).all()


def _events(rows: list[tuple[str, float]]) -> pa.Table:
    rows = sorted(rows, key=lambda one: one[1])
    times = pa.array([_day(day) for _, day in rows], _TIME)
    return pa.table({"customer_id": [one for one, _ in rows], "event_time": times})


def test_first_events_keep_weekday_and_hour_and_end_in_the_last_week() -> None:
    events = _events([("x", 1.25), ("x", 3.5), ("x", 50), ("y", 2), ("z", 55.9), ("z", 55.95)])
    moved, moments = first_events(events, 2, _day(56))
    assert moments == {"x": _day(3.5), "z": _day(55.95)}
    found = {}
    for row in moved.to_pylist():
        found.setdefault(row["customer_id"], []).append(row["event_time"])
    assert found["x"] == [_day(1.25) + 7 * WEEK, _day(3.5) + 7 * WEEK]
    assert found["z"] == [_day(55.9), _day(55.95)]
    assert all(_day(49) <= times[-1] < _day(56) for times in found.values())


def test_an_outcome_is_what_came_after() -> None:
    class Log:
        def features(self, moment: datetime) -> pa.Table:
            return pa.table({"customer_id": ["a", "b", "c"], "orders": [3, 1, None]})

    from bench.peers import Inputs

    X = Inputs(np.array(["b", "a", "c"], dtype=object), ("orders",), ("zero",),
               np.array([[1.0], [1.0], [np.nan]]))  # fmt: skip
    assert orders_since(X, Log(), _day(9)).tolist() == [0.0, 2.0, 0.0]  # type: ignore[arg-type]


def test_found_events_are_dated_and_named_by_the_truth(small: SimulatedWorld) -> None:
    cuts = Cuts((_day(21), _day(28)))
    both = (CUSTOMERS[:5], np.array([0, 0, 1, 1, 0]))
    split = (CUSTOMERS[:5], np.array([5, 6, 7, 7, 6]))
    found = lineage.events([both, split], small, cuts)
    assert [(one.change, one.day) for one in found] == [("split", 28.0)]
    assert found[0].parents == {"a"}
    # 5 holds c0 (a); 6 holds c1 (b by then) and c4 (a): the first by name
    assert found[0].children == {"a"}


def _row(peer: str, world: str, seed: int, **figures: Any) -> dict[str, Any]:
    base = {
        "peer": peer, "world": world, "seed": seed, "label": f"{world}-{seed}", "accuracy": 0.5,
        "macro_recall": 0.5, "macro_f1": 0.5, "ari": 0.25, "labels": 7, "largest_share": 0.3,
        "flicker": 0.1, "delay_days": 30.0, "noticed": 0.5, "changes": 9, "chance_days": 50.0,
        "gained_days": 20.0,
        "trade_off": 0.2, "us_an_event": 12.0, "us_an_event_features": 300.0, "recovery": [],
        "curve": [{"flicker": 0.1, "gained_days": 20.0}],
    }  # fmt: skip
    return {**base, **figures}


def test_a_mean_over_worlds_needs_all_of_them() -> None:
    rows = [
        _row("kmeans", "steady", 1, accuracy=0.4), _row("kmeans", "drift", 1, accuracy=0.6),
        _row("kmeans", "steady", 2, accuracy=0.6), _row("kmeans", "drift", 2, accuracy=0.8),
    ]  # fmt: skip
    told = summing.mean_over_worlds(rows, "kmeans", "accuracy")
    assert told is not None
    assert (told["mean"], told["min"], told["max"]) == pytest.approx((0.6, 0.5, 0.7))
    gone = {"peer": "gmm", "world": "drift", "seed": 1, "label": "drift-1", "failed": "x"}
    rows += [_row("gmm", "steady", 1), gone]
    assert summing.mean_over_worlds(rows, "gmm", "accuracy") is None


def test_shares_of_the_ceiling_are_ratios_of_means_over_worlds() -> None:
    rows = [
        _row("ceiling", "steady", 1, accuracy=0.8), _row("ceiling", "drift", 1, accuracy=0.5),
        _row("kmeans", "steady", 1, accuracy=0.4), _row("kmeans", "drift", 1, accuracy=0.5),
    ]  # fmt: skip
    told = summing.share_of_ceiling(rows, "kmeans", "accuracy")
    assert told is not None and told["mean"] == pytest.approx((0.4 + 0.5) / (0.8 + 0.5))


def _curve(*points: tuple[float, float]) -> list[dict[str, float]]:
    return [{"flicker": flicker, "gained_days": gained} for flicker, gained in points]


def test_the_front_is_of_methods_that_gain_something() -> None:
    rows = [
        _row("ceiling", "drift", 1, curve=_curve((0.0, 50.0))),
        _row("kmeans", "drift", 1, curve=_curve((0.3, 9.0), (0.1, 4.0))),
        _row("gmm", "drift", 1, curve=_curve((0.2, 4.0), (0.4, 9.0))),
        _row("never", "drift", 1, curve=_curve((0.0, 0.0))),
    ]
    shares = {row["peer"]: summing.front_share(rows, row["peer"]) for row in rows}
    assert shares == {"ceiling": None, "kmeans": 1.0, "gmm": 0.0, "never": 0.0}


def test_the_page_tells_what_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "NOTES", tmp_path / "none.md")
    page = report.markdown(
        {
            "command": "python -m bench.track", "seeds": [11],
            "machine": {"cores": 2, "processor": "p", "memory_gib": 8, "system": "s",
                        "python": "3.11", "packages": {"shoal": "0"}},
            "settings": {"customers": 10, "days": 154, "learn_days": 56, "every_days": 7},
            "worlds": [
                _row("ceiling", "drift", 11), _row("kmeans", "drift", 11),
                {"peer": "river-kmeans", "world": "drift", "seed": 11, "label": "drift-11",
                 "failed": "EnvironmentMissingError: environment river could not be made"},
                _row("kmeans", "noise", 11, changes=0, delay_days=None, trade_off=None),
            ],
            "lineage": [
                {"peer": "kmeans", "label": "lineage-101",
                 "strict": {"right": 1, "found": 2, "planted": 4},
                 "loose": {"right": 2, "found": 2, "planted": 4},
                 "by_change": {name: {"right": 0, "found": 0, "planted": 1}
                               for name in ("split", "merge", "birth", "death")}},
            ],
        }
    )  # fmt: skip
    assert "| river KMeans | – | – |" in page
    assert "| worlds | river-kmeans | drift-11 | EnvironmentMissingError: environment" in page
    assert "| k-means on features, frozen | 7 | 0.30 | 0.10 |" in page
    assert "| k-means refit, k told, MONIC | 0.50 (0.50-0.50) | 0.25 (0.25-0.25)" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--peers", "kmeans,abacus"], "abacus: not among"),
        (["--worlds", "atlantis"], "atlantis: not among"),
        (["--seeds", "one"], "'one': whole numbers"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.track", *arguments])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_a_small_bench_runs_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(
        sys, "argv",
        ["bench.track", "--quick", "--cache", str(tmp_path), "--worlds", "lineage", "--parts",
         "worlds", "--peers", "kmeans,never", "--customers", "120"],
    )  # fmt: skip
    assert command.main() == 0
    document = json.loads((tmp_path / "track.json").read_text())
    rows = {row["peer"]: row for row in document["worlds"]}
    assert [row.get("failed") for row in rows.values()] == [None, None]
    assert rows["never"]["flicker"] == 0.0
    assert rows["kmeans"]["accuracy"] >= 1 / rows["kmeans"]["segments"]
    assert len(rows["kmeans"]["world_digest"]) == 64
    assert "| k-means on features, frozen |" in (tmp_path / "track.md").read_text()
