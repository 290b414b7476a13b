"""Whether a model may be used, and what its card says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from shoal.domain.errors import UsageError
from shoal.features.queries import Rules
from shoal.workflows.model_card import card
from shoal.workflows.models import check
from shoal.workflows.train_call import rules_document
from shoal.workflows.train_result import TrainResult

RULES = Rules("purchase", "EUR")


def found(rules: Rules) -> Any:
    return SimpleNamespace(model_id="behaviour-0001", document={"rules": rules_document(rules)})


def test_a_model_of_the_same_rules_may_be_used() -> None:
    check(found(RULES), RULES)
    check(found(RULES), Rules("purchase", "EUR", traits=("plan",), tail=8))


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (Rules("review", "EUR"), "the value event was purchase and is review now"),
        (Rules("purchase", "GBP"), "the currency was EUR and is GBP now"),
        (Rules("purchase", None), "the currency was EUR and is none now"),
        (
            Rules("purchase", "EUR", order_sources=("shopify", "till")),
            "the sources of orders was none and is shopify, till now",
        ),
    ],
)
def test_a_model_of_other_rules_is_refused(rules: Rules, told: str) -> None:
    with pytest.raises(UsageError) as error:
        check(found(RULES), rules)
    assert error.value.code == "model_mismatch"
    assert error.value.message == (
        f"the model behaviour-0001 does not fit the shop as it is now: {told}"
    )
    assert "shoal train SHOP" in error.value.hint


DOCUMENT: dict[str, Any] = {
    "recipe": "nano",
    "backbone": "gru",
    "text": "ngrams",
    "until": "2024-05-01T00:00:00Z",
    "trained_until": "2024-05-01T00:00:00Z",
    "table_version": 4,
    "fold_fingerprint": "f" * 16,
    "tokenizer_fingerprint": "t" * 16,
    "rules": rules_document(RULES),
    "seed": 5,
    "device": "cpu",
    "train": {"weights": {"contrastive": 1.0, "horizon": 0.5}},
    "customers": 1_200,
    "events": 34_000,
    "items": 70,
    "parameters": 250_000,
    "fit": {
        "steps": 300,
        "seconds": 300.0,
        "events_per_s": 9_000.0,
        "stopped": "patience",
        "timed": False,
        "best_step": 200,
        "losses": {"total": 2.0, "contrastive": 1.5, "contrastive.accuracy": 0.7},
        "validations": [{"step": 200}],
        "forgetting": None,
    },
    "tuning": None,
    "warm_start": None,
    "code_version": "1.0",
    "torch_version": "2.13.0",
    "created_at": "2024-05-02T10:00:00Z",
}


def test_the_card_tells_what_a_person_asks() -> None:
    text = card(DOCUMENT)
    for told in (
        "Recipe `nano`, backbone `gru`",
        "34,000 events of 1,200 customers",
        "`contrastive`, weight 1",
        "in 300 steps and 5.0 minutes",
        "it no longer got better on days that it had not seen",
        "the same seed and events give the same weights",
        "on the last days, which it did not train on",
        "| contrastive | 1.5000 |",
        "manifest.json",
    ):
        assert told in " ".join(text.split()), told
    assert "accuracy" not in text and "Settings tried" not in text and "What it forgot" not in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_card_tells_of_time_of_forgetting_and_of_what_was_tried() -> None:
    fit = {
        **DOCUMENT["fit"],
        "timed": True,
        "validations": [],
        "forgetting": {"total before": 1.0, "total after": 1.25},
    }
    tried = {"trial": 0, "score": 0.5, "parameters": {"learning_rate": 0.002}}
    failed = {"trial": 1, "score": None, "parameters": {"learning_rate": 0.2}}
    tuning = {"search": "grid", "measure": "a figure", "chosen": 0, "trials": [tried, failed]}
    text = card({**DOCUMENT, "fit": fit, "tuning": tuning, "warm_start": "behaviour-0001"})
    assert "It goes on from behaviour-0001." in text
    assert "another run gives other weights" in text
    assert "## Losses in training" in text
    assert "| total | 1.0000 | 1.2500 |" in text
    assert "| 1 | failed | learning_rate 0.2 |" in text


def test_a_notebook_shows_the_model() -> None:
    told = TrainResult("behaviour-0001", {**DOCUMENT, "warnings": []})._repr_html_()
    assert "Behaviour model behaviour-0001" in told and "34,000" in told and "patience" in told
