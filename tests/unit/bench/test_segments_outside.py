"""Labels from outside: what segments say of who customers are, of tables and labels by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bench.harness.data import MissingDataError
from bench.segments import agreement, outside, outside_page
from bench.segments.__main__ import main
from bench.segments.peers import METHODS
from bench.segments.unit import packed

RATED = datetime(1997, 10, 1, 12, tzinfo=UTC)


def films(**genres: list[int]) -> pa.Table:
    count = len(next(iter(genres.values())))
    ids = pa.array(range(1, count + 1), pa.int16())
    return pa.table({"item_id": ids, **{f"genre_{one}": of for one, of in genres.items()}})


def test_a_film_is_of_its_rarest_genre() -> None:
    found = outside.genre_of(films(drama=[1, 1, 1, 0], comedy=[0, 1, 1, 0], war=[0, 0, 1, 0]))
    assert found == {1: "drama", 2: "comedy", 3: "war"}


def test_ratings_are_reviews_without_what_is_asked_of_them() -> None:
    ratings = pa.table({
        "user_id": pa.array([7, 7], pa.int16()), "item_id": pa.array([1, 4], pa.int16()),
        "rating": pa.array([5, 2], pa.int8()),
        "timestamp": pa.array([RATED, RATED], pa.timestamp("ms", tz="UTC")),
    })  # fmt: skip
    made = outside.events_of(ratings, films(drama=[1, 0, 0, 0], comedy=[0, 1, 1, 0]))
    assert made.to_pylist() == [
        {"customer_id": "7", "kind": "review", "event_time": RATED, "item_id": item,
         "category": category, "rating": rating}
        for item, category, rating in (("1", "drama", 5.0), ("4", None, 2.0))
    ]  # fmt: skip


def test_ages_are_told_in_bands() -> None:
    users = pa.table({
        "user_id": [1, 2, 3, 4], "age": [17, 18, 55, 56], "gender": ["F", "M", "M", "F"],
        "occupation": ["artist", "other", "other", "writer"],
    })  # fmt: skip
    known = outside.known_of(users)
    assert known["age"] == {"1": "0", "2": "1", "3": "5", "4": "6"}
    assert known["gender"]["4"] == "F" and known["occupation"]["1"] == "artist"


def planted(n: int = 2000) -> tuple[Any, Any]:
    """Segments, and a rare label that one of them holds nine times of ten."""
    random = np.random.default_rng(3)
    segments = random.integers(0, 4, n)
    y = ((segments == 2) ^ (random.random(n) < 0.1)).astype(np.int64)
    return segments, y


def test_segments_that_hold_a_label_tell_it_and_shuffled_ones_do_not() -> None:
    segments, y = planted()
    found, chance = agreement.figures(segments, y, 0), agreement.by_chance(segments, y, 0)
    # of the label's customers 3 of 4 lie in the segment, of the others 27 of 28 do not
    by_hand = (3 / 4 + 27 / 28) / 2
    assert found["balanced"] == pytest.approx(by_hand, abs=0.05)
    assert found["auc"] == pytest.approx(by_hand, abs=0.05) and found["ami"] > 0.2
    assert chance["balanced"] < 0.6 and chance["auc"] < 0.6 and abs(chance["ami"]) < 0.05
    mixed = np.random.default_rng(5).permutation(y)
    assert agreement.figures(segments, mixed, 0)["auc"] < 0.6


def test_a_segment_answers_for_customers_who_were_not_counted() -> None:
    # everybody a segment of his own: what he is like was never seen
    found = agreement.figures(np.arange(60), np.arange(60) % 2, 0)
    assert found["balanced"] == pytest.approx(0.5) and found["auc"] <= 0.5


def test_areas_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(1)
    y, chances = random.integers(0, 3, 90), random.integers(0, 4, (90, 3)) / 4
    fold = agreement.folds(y, 0)
    told = [
        roc_auc_score(y[fold == part] == label, chances[fold == part, label])
        for part in range(agreement.FOLDS) for label in range(3)
    ]  # fmt: skip
    assert agreement.auc(chances, y, fold) == pytest.approx(np.mean(told))


def test_balanced_accuracy_counts_labels_and_not_customers() -> None:
    y = np.array([0] * 9 + [1])
    assert agreement.balanced(np.zeros(10, np.int64), y) == pytest.approx(0.5)


def test_the_section_tells_of_every_method_and_of_what_failed() -> None:
    segments, y = planted()
    found = [
        {"peer": "shoal", "labels": packed(segments.astype(np.int16))},
        {"peer": "shoal", "labels": packed(segments.astype(np.int16))},
        {"peer": "gmm", "failed": "no"},
    ]
    rows = outside.rows(found, {"gender": y}, ["shoal", "gmm"])
    [shoal, gmm] = rows
    assert shoal["beyond"] == {"ami": 2, "balanced": 2, "auc": 2} and gmm["auc"] is None
    part = {
        "command": "python -m bench.segments --parts labels", "machine": {"load": 1.0}, "k": 4,
        "seeds": [11, 12], "customers": 2000, "events": 4000, "shuffles": agreement.SHUFFLES,
        "labels": {"gender": {"classes": 2, "chance": 0.5}}, "rows": rows,
        "failed": [{"peer": "gmm", "reason": "no"}],
    }  # fmt: skip
    text = outside_page.markdown({"labels": part})
    for name in ("shoal", "gmm"):
        title = METHODS[name].title
        assert text.count(f"{title} |") + text.count(f"{title}** |") == 3
    assert text.count(r"\*") == 4  # three figures, and what the mark means
    assert "| *one answer for all* | 0.50 |" in text and "| gmm | no |" in text
    assert outside_page.markdown({"methods": {}}) == ""


def test_without_the_set_the_published_figures_stay(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "segments.json").write_text('{"schema": "bench.segments/1"}')
    monkeypatch.setattr("bench.harness.data.DATA", tmp_path / "nowhere")
    with pytest.raises(MissingDataError):
        outside.source(tmp_path)
    assert main(["--parts", "labels", "--out", str(tmp_path)]) == 1
    assert "no file movielens_100k/ratings.parquet" in capsys.readouterr().err
    assert (tmp_path / "segments.json").read_text() == '{"schema": "bench.segments/1"}'
