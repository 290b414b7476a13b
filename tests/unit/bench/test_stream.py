"""The planted stream, its scores and its methods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bench.stream import oracle, page
from bench.stream.peers import Adaptive, Frozen, Never, Refit
from bench.stream.planted import Plan, planted
from bench.stream.scores import HORIZON, Said, figures
from bench.stream.shoal_ import ShoalFollower, _turns
from bench.stream.unit import follow

from shoal.adjust.settings import AdjustSettings

SMALL = Plan(users=400, events=500)


def _late(stream: Any) -> slice:
    return slice(stream.of_epoch(2).start, None)


def test_the_same_seed_is_the_same_stream_and_another_is_not() -> None:
    one, same, other = planted(3, SMALL), planted(3, SMALL), planted(4, SMALL)
    assert (one.X == same.X).all() and (one.truth == same.truth).all()
    assert not np.allclose(one.X, other.X)


def test_segments_split_are_born_merge_and_jump_when_planned() -> None:
    stream = planted(1, SMALL)
    assert [len(means) for means in stream.means] == [6] * 3 + [7] * 2 + [8] * 2 + [7] * 5
    assert {epoch: what for epoch, (what, _, _) in stream.events.items()} == {
        4: "split", 6: "birth", 8: "merge", 10: "jump",
    }  # fmt: skip
    _, parents, (child,) = stream.events[8]
    assert not set(parents) & set(stream.means[7]) and child in stream.means[7]
    before, after = stream.means[8], stream.means[9]
    steps = [np.linalg.norm(after[one] - before[one]) for one in after]
    assert min(steps) > SMALL.jump - 3 * SMALL.drift * np.sqrt(SMALL.features)


def test_so_many_users_switch_and_sightings_are_outliers() -> None:
    stream = planted(2)
    share = len(stream.moves) / (stream.plan.users * (stream.plan.epochs - 1))
    assert share == pytest.approx(stream.plan.switch, abs=0.003)
    assert stream.outlier.mean() == pytest.approx(stream.plan.outliers, abs=0.004)
    for move in stream.moves[:50]:
        assert move.segment != move.origin


def test_the_truth_itself_is_right_at_once_and_never_flickers() -> None:
    stream = planted(1, SMALL)
    told = figures(Said(stream.truth[_late(stream)]), stream)
    assert told["ari"] == told["accuracy"] == told["macro_f1"] == 1.0
    assert told["flicker"] == 0.0
    assert told["delay"] == pytest.approx(1.0, abs=0.05)
    assert told["recovery"]["sightings"] == 0.0


def test_who_never_switches_waits_for_ever() -> None:
    stream = planted(1, SMALL)
    told = figures(follow(Never(), stream, 1), stream)
    assert told["flicker"] == 0.0
    assert told["delay"] > HORIZON - 0.5
    assert told["trade_off"] < 0.1


def test_renaming_costs_accuracy_and_flickers_but_no_ari() -> None:
    stream = planted(1, replace(SMALL, switch=0.0))
    labels = stream.truth[_late(stream)]
    renamed = labels + 100 * (stream.epoch[_late(stream)] % 2)
    plain, told = figures(Said(labels), stream), figures(Said(renamed), stream)
    assert told["ari"] == plain["ari"] == 1.0
    assert told["accuracy"] < 0.7 < plain["accuracy"]
    assert told["flicker"] > 0.2


def test_memory_is_the_higher_ceiling() -> None:
    stream = planted(1, SMALL)
    look, memory = oracle.look(stream), oracle.memory(stream)
    assert (memory == stream.truth).mean() > (look == stream.truth).mean() > 0.9


@pytest.mark.parametrize("make", [Frozen, Refit, lambda: Refit("centroids"), Adaptive])
def test_methods_label_every_sighting(make: Any) -> None:
    stream = planted(1, replace(SMALL, epochs=3, events=300))
    said = follow(make(), stream, 1)
    assert len(said.labels) == 600
    assert said.weights is not None and said.weights.shape[0] == 600
    assert (said.weights.argmax(axis=1) == said.labels).mean() > 0.99


def test_matching_on_centroids_keeps_labels_over_refits() -> None:
    stream = planted(1, replace(SMALL, epochs=3, switch=0.0))
    plain = figures(follow(Refit(), stream, 1), stream)
    matched = figures(follow(Refit("centroids"), stream, 1), stream)
    assert matched["flicker"] < plain["flicker"]
    assert matched["ari"] == plain["ari"]


def test_shoal_follows_with_its_own_parts() -> None:
    """A look an epoch: what it changes keeps permanent ids, and every user has a segment."""
    stream = planted(1, replace(SMALL, epochs=4, events=400, drift=0.4))
    settings = AdjustSettings(cadence_days=28.0, challenger_days=1e6)
    method = ShoalFollower(settings=settings)
    told = figures(follow(method, stream, 1), stream)
    assert method.told["looks"] == 3
    assert told["ari"] > 0.5
    assert (method.recorded[stream.users] >= 0).all()


def test_a_margin_makes_labels_of_shoal_calmer() -> None:
    stream = planted(1, replace(SMALL, epochs=3, drift=0.0, switch=0.0))
    never = AdjustSettings(cadence_days=1e6)
    rates = [
        figures(follow(ShoalFollower(margin=margin, settings=never), stream, 1), stream)["flicker"]
        for margin in (0.0, 0.6)
    ]
    assert rates[1] < rates[0]


def test_turns_hold_each_user_once_in_order() -> None:
    users = np.array([3, 1, 3, 3, 1])
    assert [rows.tolist() for rows in _turns(users)] == [[0, 1], [2, 4], [3]]


def test_the_page_tells_every_method_and_what_failed() -> None:
    stream = planted(1, SMALL)
    row = {"peer": "kmeans", "label": "stream-1", "seed": 1,
           **figures(follow(Frozen(), stream, 1), stream)}  # fmt: skip
    top = {"peer": "ceiling-memory", "label": "stream-1", "seed": 1,
           **figures(Said(stream.truth[_late(stream)]), stream)}  # fmt: skip
    failed = {"peer": "river-dbstream", "label": "stream-1", "failed": "no river"}
    document = {
        "command": "python -m bench.stream --quick", "seeds": [1],
        "machine": {"cores": 2, "processor": "p", "memory_gib": 1, "system": "s", "python": "3",
                    "packages": {}},
        "settings": {"plan": vars(stream.plan), "batch": 50, "k": 6},
        "rows": [row, top, failed],
    }  # fmt: skip
    told = page.markdown(document)
    assert "k-means, frozen" in told and "no river" in told and "100%" in told
