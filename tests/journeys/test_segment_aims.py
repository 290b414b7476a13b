"""What segments are for, how settings are searched, and when the answer is that there are none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import shoal as package
from shoal.domain.errors import InputError, UsageError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A shop with its first segments, and what was told of these."""
    folder = tmp_path_factory.mktemp("aims")
    package.simulate(out=folder / "log", customers=400, days=120, world="steady", seed=3)
    with package.init(folder / "shop") as shop:
        shop.ingest([folder / "log"], preset="shoal")
        first = shop.segment(k=4)
    return folder / "shop", first.documents[0]


@pytest.fixture(scope="module")
def first(made: tuple[Path, Any]) -> Any:
    return made[1]


@pytest.fixture
def home(made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the shop: the first segments are its current ones."""
    return shutil.copytree(made[0], tmp_path / "home")


def test_the_styles_are_chosen_by_what_stages_foretell(home: Path, first: Any) -> None:
    with package.open(home) as shop:
        best = shop.segment(k=4, aim="foretell", warm=False).documents[0]["choice"]
    choice = first["choice"]
    scores = {one["styles"]: one["score"] for one in choice["outlook"]["tried"]}
    assert choice["aim"] == "balance"
    assert set(scores) == {1, 2, 3, 4}
    assert choice["styles"] == choice["outlook"]["styles"] >= best["styles"]
    assert scores[best["styles"]] == max(scores.values())
    assert first["method_facts"]["styles"] == choice["styles"]
    assert choice["head"]["next_active"]["auroc"] > 0.6


def test_a_refit_keeps_the_styles_and_the_ids(home: Path, first: Any) -> None:
    with package.open(home) as shop:
        again = shop.segment(k=4, seed=9).documents[0]
    assert again["choice"]["styles"] == first["choice"]["styles"]
    ids = [{one["segment_id"] for one in made["segments"]} for made in (first, again)]
    assert ids[0] == ids[1]


def test_style_and_outlook_are_the_two_ends(home: Path) -> None:
    with package.open(home) as shop:
        style, outlook = (
            shop.segment(k=4, aim=aim, warm=False).documents[0] for aim in ("style", "outlook")
        )
    assert style["choice"]["styles"] is None
    assert not style["choice"]["outlook_alone"]
    assert outlook["choice"]["outlook_alone"]


def test_an_unknown_aim_is_refused(home: Path) -> None:
    with package.open(home) as shop, pytest.raises(UsageError) as told:
        shop.segment(aim="money")
    assert told.value.code == "unknown_aim"
    assert "balance, foretell, style, outlook" in told.value.hint


def test_a_search_keeps_what_it_tried_and_takes_the_smallest_within_an_error(home: Path) -> None:
    with package.open(home) as shop:
        made = shop.segment(method="kmeans", tune=6, seed=2).documents[0]
    search = made["choice"]["search"]
    scores = {one["trial"]: one for one in search["trials"]}
    assert len(scores) == 6
    best = scores[search["best"]]
    assert best["score"] == max(one["score"] for one in scores.values())
    near = [one for one in scores.values() if one["score"] >= best["score"] - best["score_se"]]
    assert scores[search["chosen"]]["k"] == min(one["k"] for one in near)
    assert made["method"] == scores[search["chosen"]]["method"]
    assert made["k"] == scores[search["chosen"]]["k"]
    assert made["choice"]["styles"] == scores[search["chosen"]]["styles"]
    assert {"silhouette", "calinski_harabasz"} <= set(best["indices"])
    assert "A search of 6 trials" in made["choice"]["reason"]["en"]


def test_what_is_told_is_not_searched(home: Path) -> None:
    with package.open(home) as shop:
        made = shop.segment(method="mixture", k=5, aim="style", tune=3).documents[0]
    trials = made["choice"]["search"]["trials"]
    assert {(one["method"], one["k"], one["styles"]) for one in trials} == {("mixture", 5, 5)}


def test_a_search_that_cannot_be_is_refused(home: Path, tmp_path: Path) -> None:
    with package.open(home) as shop:
        with pytest.raises(UsageError, match="--tune is 501"):
            shop.segment(tune=501)
        with pytest.raises(UsageError, match="--tune with the method density"):
            shop.segment(method="density", tune=5)
    package.simulate(out=tmp_path / "log", customers=300, days=20, world="steady", seed=3)
    with package.init(tmp_path / "shop") as short:
        short.ingest([tmp_path / "log"], preset="shoal")
        with pytest.raises(InputError, match="judged by the period that followed"):
            short.segment(tune=5)


def test_rules_may_ask_what_is_expected_of_a_customer(home: Path) -> None:
    rules = {
        "schema": "shoal.rules/1",
        "segments": [
            {
                "id": "about",
                "name": {"en": "About to buy", "zh": "即将购买"},
                "rule": {"feature": "next_ordered", "op": ">=", "value": 0.3},
            }
        ],
    }
    with package.open(home) as shop:
        about = set(shop.rules.members(rules, segment="about")["customer_id"].to_pylist())
        shop.rules.segment(rules)
        told = shop.memberships(segmentation=shop.current("rules")).to_pylist()
        features = shop.features()
    orders = dict(
        zip(features["customer_id"].to_pylist(), features["orders_90d"].to_pylist(), strict=True)
    )
    assert {row["customer_id"] for row in told if row["segment_id"] == "about"} == about
    assert 0 < len(about) < len(told)
    inside = [orders[one] or 0 for one in orders if one in about]
    outside = [orders[one] or 0 for one in orders if one not in about]
    assert sum(inside) / len(inside) > 3 * sum(outside) / len(outside)


def test_a_world_without_groups_is_one_segment_and_a_number_cuts_it_all_the_same(
    tmp_path: Path,
) -> None:
    package.simulate(out=tmp_path / "log", customers=2200, days=120, world="noise", seed=3)
    with package.init(tmp_path / "shop") as shop:
        shop.ingest([tmp_path / "log"], preset="shoal")
        made = shop.segment()
        assert made.documents[0]["k"] == 1
        assert made.documents[0]["choice"]["rule"] == "no_groups"
        assert any("No segments here" in text for text in made.warnings)
        assert shop.segment(k=3).documents[0]["k"] == 3
        assert shop.segment(aim="outlook").documents[0]["k"] > 1
