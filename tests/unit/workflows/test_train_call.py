"""What a training is asked for, with the shop's settings and those of the model it goes on from."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from shoal.config import BehaviourConfig
from shoal.domain.errors import UsageError
from shoal.features.ngrams import NGrams
from shoal.features.queries import Rules
from shoal.features.tokens import TokenSettings
from shoal.model.config import recipe
from shoal.workflows.train_call import Asked, recipe_of, settings_of

SHOP = BehaviourConfig(recipe="base", backbone="gru", minutes=7.0, seed=4)
EARLIER = {
    "recipe": "nano",
    "text": "ngrams",
    "config": asdict(replace(recipe("nano").model, embedding_dim=8, backbone="lstm")),
}


def test_a_flag_wins_over_the_shop_and_the_shop_over_the_recipe() -> None:
    call = Asked(seed=9).call(SHOP, None)
    assert (call["recipe"], call["backbone"], call["minutes"], call["seed"]) == (
        "base",
        "gru",
        7,
        9,
    )
    made = recipe_of(call)
    assert (made.name, made.model.backbone, made.train.minutes) == ("base", "gru", 7.0)
    plain = recipe_of(Asked().call(BehaviourConfig(), None))
    assert plain == recipe("laptop")


def test_a_warm_start_keeps_the_shape_of_its_model() -> None:
    made = recipe_of(Asked(warm_start="behaviour-0001").call(SHOP, EARLIER), EARLIER)
    assert (made.name, made.model.backbone, made.model.embedding_dim) == ("nano", "lstm", 8)
    other = recipe_of(Asked(recipe="base").call(SHOP, EARLIER), EARLIER)
    assert other.model.embedding_dim == recipe("base").model.embedding_dim


def test_an_encoder_is_told_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "encoder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Asked(text="encoder").given() == {"text": str(tmp_path / "encoder")}
    assert Asked(text="all-MiniLM-L6-v2").given() == {"text": "all-MiniLM-L6-v2"}
    asked = Asked().call(BehaviourConfig(text="./encoder"), None)
    assert asked["text"] == str(tmp_path / "encoder")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"steps": -1}, "steps is -1"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"tune": 2, "warm_start": "current"}, "a warm start keeps those of its model"),
        ({"search": "luck"}, "there is no search 'luck'"),
    ],
)
def test_what_cannot_be(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Asked(**asked)


def test_all_that_decides_the_result_is_among_the_settings() -> None:
    def settings(call: dict[str, Any], **changes: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "table_version": 3,
            "rules": Rules(),
            "counted": "abc",
            "tokens": TokenSettings(),
            "text": NGrams(),
        }
        return settings_of(call, recipe_of(call), **{**given, **changes})

    call = Asked(until="2024-01-01T00:00:00Z").call(BehaviourConfig(), None)
    plain = settings(call)
    assert json.loads(json.dumps(plain)) == plain
    others = [
        settings({**call, name: value})
        for name, value in {
            "until": "2024-01-02T00:00:00Z", "recipe": "nano", "backbone": "cnn", "seed": 1,
            "steps": 5, "minutes": 5.0, "tune": 5, "warm_start": "behaviour-0001",
        }.items()
    ]  # fmt: skip
    others += [
        settings(call, **{name: value})
        for name, value in {
            "table_version": 4, "rules": Rules("review"), "counted": "abd",
            "tokens": TokenSettings(items=5), "text": NGrams(buckets=7),
        }.items()
    ]  # fmt: skip
    assert all(one != plain for one in others)
    assert settings(call, rules=Rules(tail=8)) == plain, "what a model does not read"
