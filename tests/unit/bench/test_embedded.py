"""Shoal on the embedding in the benches: the model, nothing of the future, rows that are merged."""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from bench.harness import data, merging
from bench.harness.data import SimulatedWorld, WorldSpec
from bench.harness.splits import Cuts, LeakError, cuts
from bench.peers import SPECS, make, shoal_embedded
from bench.peers.registry import EMBEDDED
from bench.segments import merge
from bench.segments.embedded import Fits
from bench.segments.peers import METHODS
from bench.segments.sets import Log
from bench.track import __main__ as track
from bench.track.embedded import Timed, replayed
from bench.track.summing import mean_over_worlds, title, titled
from sklearn.metrics import adjusted_rand_score

ROOT = Path(__file__).parents[3]
K = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedWorld]:
    """A small world; models of it are tiny and take two steps."""
    cache = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shoal_embedded, "RECIPE", "nano")
        patch.setattr(shoal_embedded, "STEPS", (2, 2))
        yield data.world(WorldSpec("steady", 250, 84, 1), cache)


@pytest.fixture(scope="module")
def weekly(world: SimulatedWorld) -> Cuts:
    return cuts(world.start, world.end, learn_days=49, every_days=14)


@pytest.fixture(scope="module")
def timed(world: SimulatedWorld, weekly: Cuts) -> Iterator[Timed]:
    lab = shoal_embedded.Lab(world, weekly.first, seed=1)
    yield Timed(lab)
    lab.close()


def test_steps_follow_the_events_between_bounds() -> None:
    assert [shoal_embedded.steps_of(n) for n in (1_000, 40_960, 10**6)] == [150, 200, 250]


def test_a_model_is_trained_once_and_told_of(world: SimulatedWorld, weekly: Cuts) -> None:
    made = shoal_embedded.trained(world, weekly.first, seed=1)
    again = shoal_embedded.trained(world, weekly.first, seed=1)
    assert again == made
    assert made.trained_until == weekly.first
    assert made.facts["steps"] == 2
    # the log's own shop has none
    import shoal

    with shoal.open(world.shop_dir) as shop:
        assert shop._parts.store.get_pointer("model.main") is None


def test_a_replay_says_what_the_verbs_of_a_shop_say(
    world: SimulatedWorld, weekly: Cuts, timed: Timed, tmp_path: Path
) -> None:
    said = replayed(timed, "shoal-both", world, weekly, K, 1)
    entry = make("shoal-both").open(world, tmp_path).fit_at(weekly.first, K, 1)
    for place in (0, len(weekly.moments) - 1):
        customers, labels, _ = entry.predict_at(weekly.moments[place])
        at = np.searchsorted(customers.astype(str), said.customers[place].astype(str))
        assert len(set(said.labels[place].tolist())) >= 2
        assert adjusted_rand_score(labels[at], said.labels[place]) == 1.0
    # and neither says anything of a moment before the model
    early = weekly.first - timedelta(days=1)
    with pytest.raises(LeakError, match="it would know what was still to come"):
        entry.predict_at(early)
    with pytest.raises(LeakError, match="it would know what was still to come"):
        replayed(timed, "shoal-embedding", world, Cuts((early, weekly.first)), K, 1)
    entry.close()


def test_only_a_refit_learns_again_and_the_model_stays(
    world: SimulatedWorld, weekly: Cuts, timed: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[tuple[str, int, datetime]] = []
    lab_learned = timed.lab.learned

    def counting(on: str, k: int, seed: int, moment: datetime) -> tuple[Any, Any]:
        learned.append((on, k, moment))
        return lab_learned(on, k, seed, moment)

    monkeypatch.setattr(timed.lab, "learned", counting)
    for name in ("shoal-embedding", "shoal-embedding-chosen", "shoal-embedding-refit"):
        replayed(timed, name, world, weekly, K, 1)
    first, later = weekly.moments[0], weekly.moments[2]
    assert learned == [
        ("embedding", K, first), ("embedding", 0, first),
        ("embedding", K, first), ("embedding", K, later),
    ]  # fmt: skip


def test_segments_learn_again_from_customers_drawn_and_the_model_stays(
    world: SimulatedWorld, timed: Timed
) -> None:
    moment = timed.lab.until
    opened: Any = SimpleNamespace(log=Log("steady", 1), source=world, moment=moment)
    customers = np.asarray(timed.known(moment)[0].features["customer_id"].to_pylist(), object)
    events = np.asarray(timed.known(moment)[0].features["events"].to_numpy())
    customers = customers[events >= 3]
    fit = Fits(opened, "embedding", customers)
    assert fit.model == timed.lab.made.facts
    labels = fit(K, 1, None)
    segmenter, vocabulary = timed.lab.learned("embedding", K, 1, moment)
    table = timed.known(moment)[0].table(vocabulary)
    place = np.flatnonzero(events >= 3)
    assert labels.tolist() == segmenter.predict(table)[place].tolist()
    assert len(np.unique(fit(K + 2, 1, None))) == K + 2
    few: npt.NDArray[np.int64] = np.arange(len(customers) // 3)
    assert fit(K, 2, few).shape == labels.shape
    assert fit(K, 1, None).tolist() == labels.tolist()


def test_benches_know_the_same_entries() -> None:
    assert {"shoal-embedding", "shoal-both"} <= set(EMBEDDED) & set(METHODS)
    assert all(SPECS[name].needs_shop and make(name).name == name for name in EMBEDDED)


# --- Merging --------------------------------------------------------------------------------------


def _published(name: str) -> dict[str, Any]:
    file = ROOT / "docs" / "results" / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _document(
    *peers: str, accuracy: float = 0.5, digest: str = "d", seeds: tuple[int, ...] = (1,)
) -> dict[str, Any]:
    settings = {"customers": 9, "days": 9, "learn_days": 3, "every_days": 3,
                "newcomer_customers": 9}  # fmt: skip
    rows = [
        {"peer": peer, "label": label, "world_digest": digest, "accuracy": accuracy}
        for peer in peers
        for seed in seeds
        for label in (f"steady-{seed}", f"drift-{seed}")
    ]
    return {
        "command": "python -m bench.track " + " ".join(peers), "settings": settings,
        "machine": {"load": 1.5}, "seeds": list(seeds), "worlds": rows,
    }  # fmt: skip


def test_rows_of_a_run_take_their_place_beside_those_of_others() -> None:
    old, new = _document("kmeans", "shoal"), _document("shoal", "shoal-both", accuracy=0.7)
    old["real"], old["generator"], new["generator"] = [{"peer": "cdnow"}], [1], [2]
    found = track.merged(old, new, ("shoal", "shoal-both"))
    assert [(row["peer"], row["accuracy"]) for row in found["worlds"]] == [
        ("kmeans", 0.5), ("kmeans", 0.5), ("shoal", 0.7), ("shoal", 0.7),
        ("shoal-both", 0.7), ("shoal-both", 0.7),
    ]  # fmt: skip
    assert (found["command"], found["real"]) == (old["command"], old["real"])
    assert found["generator"] == [2]
    assert [(one["command"], one["peers"]) for one in found["added"]] == [
        (new["command"], ["shoal", "shoal-both"])
    ]
    again = track.merged(found, _document("shoal-both"), ("shoal-both",))
    assert [one["peers"] for one in again["added"]] == [["shoal"], ["shoal-both"]]


def test_further_seeds_are_added_and_a_method_without_them_says_so() -> None:
    old, new = _document("kmeans", "shoal"), _document("kmeans", seeds=(2, 3), accuracy=0.7)
    for document in (old, new):
        for row in document["worlds"]:
            row["world"], _, seed = row["label"].partition("-")
            row["seed"] = int(seed)
    options = argparse.Namespace(
        parts=("worlds", "ablation"), seeds=(2, 3), peers=("kmeans",), logs=()
    )
    found = track.merged(old, new, track.added(options, old["seeds"]))
    assert found["seeds"] == [1, 2, 3]
    assert [one["peers"] for one in found["added"]] == [
        ["worlds, seeds 2 and 3", "ablation, seeds 2 and 3"]
    ]
    figure = mean_over_worlds(found["worlds"], "kmeans", "accuracy")
    assert figure is not None and (figure["min"], figure["max"]) == (0.5, 0.7)
    assert titled(found["worlds"], "kmeans") == title("kmeans")
    assert titled(found["worlds"], "shoal") == f"{title('shoal')} (seeds 1 alone)"
    assert mean_over_worlds(found["worlds"], "shoal", "accuracy") is not None
    new["worlds"].pop()
    with pytest.raises(merging.MergeError, match="lacks drift-3"):
        track.merged(old, new, ())


def test_real_logs_and_seeds_that_were_not_run_again_stay() -> None:
    def real(*labels: str, digest: str = "d", share: float = 0.5) -> dict[str, Any]:
        rows = [{"peer": label.partition("-")[0], "label": label, "digest": digest, "share": share}
                for label in labels]  # fmt: skip
        return {**_document("kmeans"), "real": rows}

    old, new = real("cdnow-1", "beauty-1"), real("cdnow-1", "cdnow-2", share=0.7)
    found = track.merged(old, new, ("cdnow",))["real"]
    assert [(row["label"], row["share"]) for row in found] == [
        ("cdnow-1", 0.7), ("beauty-1", 0.5), ("cdnow-2", 0.7),
    ]  # fmt: skip
    with pytest.raises(merging.MergeError, match="cdnow-1 was made of other data"):
        track.merged(old, real("cdnow-1", digest="e"), ("cdnow",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda new: new["settings"].update(days=10), "settings|days"),
        (lambda new: new["worlds"][0].update(world_digest="e"), "steady-1 was made of other data"),
        (lambda new: new["worlds"].pop(), "lacks drift-1"),
    ],
)
def test_rows_of_another_protocol_or_other_data_are_refused(change: Any, words: str) -> None:
    new = _document("shoal-both")
    change(new)
    with pytest.raises(merging.MergeError, match=words):
        track.merged(_document("kmeans"), new, ("shoal-both",))


def test_there_must_be_something_to_merge_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    arguments = ["bench.track", "--merge", "--out", str(tmp_path), "--parts", "worlds"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert track.main() == 1
    assert "run without --merge first" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", arguments[:-2])
    with pytest.raises(SystemExit):
        track.main()
    assert "say with --parts what is added" in capsys.readouterr().err


def _run_of(old: dict[str, Any], name: str, like: str) -> dict[str, Any]:
    """A run of one method alone, whose figures are those that another one had."""
    new = copy.deepcopy(old)
    new["methods"] = {name: {**old["methods"][like], "title": METHODS[name].title}}
    for cell in new["cells"]:
        for key in ("shares", "of_attained"):
            cell[key] = {name: cell[key][like]}
    new["differences"], new["failed"], new["command"] = [], [], "python -m bench.segments --merge"
    return new


def test_merged_methods_are_ranked_with_all_others() -> None:
    old = _published("segments")
    old = {key: value for key, value in old.items() if key != merging.ADDED}
    for name in ("shoal-embedding", "shoal-both"):
        old["methods"].pop(name, None)
    methods = [name for name in old["methods"] if METHODS[name].ranked]
    main = str(old["main_k"])
    plain = merge.ranks(old["cells"], old["logs"], methods)
    found = merge.merged(old, _run_of(old, "shoal-both", "cart-all"), ("shoal-both",))
    ranks = found["ranks"][main]["all"]
    # the twin of the best has its rank, ties count against both
    assert ranks["shoal-both"] == ranks["cart-all"] == plain["all"]["cart-all"] + 1
    assert ranks["rfm-grid"] >= plain["all"]["rfm-grid"]
    assert list(found["methods"]) == [name for name in METHODS if name in found["methods"]]
    assert "shoal-both" in found["methods"]
    others = [k for k in old["ranks"] if k != main]
    assert [found["ranks"][k] for k in others] == [old["ranks"][k] for k in others]
    assert found["differences"] == old["differences"]
    from bench.segments import page

    told = page.markdown(found)
    assert "Rows that were added later, by the same protocol: `python -m bench.segments" in told
    assert "| **Shoal on embedding and features** |" in told


def test_methods_are_not_merged_where_lightgbm_attains_something_else() -> None:
    old = _published("segments")
    new = _run_of(old, "shoal-both", "kmeans")
    new["cells"][3]["attained"]["mean"] += 0.01
    with pytest.raises(merging.MergeError, match="LightGBM attained"):
        merge.merged(old, new, ("shoal-both",))
    new = _run_of(old, "shoal-both", "kmeans")
    new["logs"][0]["digest"] = "other"
    with pytest.raises(merging.MergeError, match="logs"):
        merge.merged(old, new, ("shoal-both",))


def test_ranks_made_anew_are_those_that_were_published() -> None:
    old = _published("segments")
    methods = [name for name in old["methods"] if METHODS[name].ranked]
    if set(old["ranks"][str(old["main_k"])]["all"]) != set(methods):
        pytest.fail("ranks at the main k are of other methods than the tables")
    again = merge.ranks(old["cells"], old["logs"], methods)
    assert again == old["ranks"][str(old["main_k"])]
