"""The generator's own accuracy: on the rows that methods are scored on, and told on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.harness.data import WorldSpec, world
from bench.peers import inputs_of
from bench.track import generator, report
from bench.track.truth import Truth
from bench.track.unit import cuts_of

SETTINGS = {"learn_days": 56, "every_days": 14}


def test_the_oracle_is_asked_about_the_scored_rows_and_is_mostly_right(tmp_path: Path) -> None:
    spec = WorldSpec("steady", 300, 84, 1)
    (row,) = generator.rows([spec, WorldSpec("noise", 300, 84, 1)], SETTINGS, tmp_path)
    source = world(spec, tmp_path)
    cuts = cuts_of(source, SETTINGS)
    scored = sum(
        customer in Truth(source).at(moment)
        for moment in cuts.moments
        for customer in inputs_of(source.features(moment)).customers
    )
    assert row["rows"] == scored > 100
    assert 0.85 < row["accuracy"] <= 1
    assert (row["world"], row["seed"]) == ("steady", 1)
    assert len(row["world_digest"]) == 64


def test_the_page_sets_it_beside_the_ceiling_and_the_best_method() -> None:
    rows = [
        {"peer": peer, "world": "steady", "seed": 1, "accuracy": accuracy}
        for peer, accuracy in (("ceiling", 0.88), ("kmeans", 0.45), ("shoal", 0.7))
    ]
    told = [{"world": "steady", "seed": 1, "accuracy": 0.93}]
    title, _, table = report._generator(told, rows)
    assert title == "## What the generator could tell"
    cells = [cell.strip().split(" ")[0] for cell in table.splitlines()[-1].strip("|").split("|")]
    assert cells == ["steady", "0.930", "0.880", "0.700"]
    assert report._generator([], rows) == []


def test_nothing_is_told_of_a_world_with_one_segment(tmp_path: Path) -> None:
    assert generator.rows([WorldSpec("noise", 100, 84, 1)], SETTINGS, tmp_path) == []
    with pytest.raises(StopIteration):
        next(tmp_path.iterdir())
