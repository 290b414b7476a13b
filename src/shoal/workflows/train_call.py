"""What a training is asked for, and the settings that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.config import BehaviourConfig
from shoal.domain.errors import UsageError
from shoal.domain.sequence import TextFeatures
from shoal.features.tokens import TOKENS_VERSION, TokenSettings
from shoal.model.config import ModelConfig, Recipe, recipe, with_backbone

if TYPE_CHECKING:
    from shoal.features.queries import Rules

SEARCHES: Final = ("optuna", "grid", "random")
#: The setting that says what the event table held.
VERSION: Final = "version of the event table"
#: Calls the shop's current model, where one is to be named.
CURRENT: Final = "current"


@dataclass(frozen=True)
class Asked:
    """What a person asks of a training; None is left to the shop's settings.

    Args:
        recipe: a name of `shoal.model.config.RECIPES`.
        until: T, ISO 8601; nothing at or after it is used.
        minutes: of wall-clock time at most; 0: the recipe's.
        steps: exactly so many optimizer steps; 0: as many as fit.
        seed: of everything random.
        backbone: a name of `shoal.model.config.BACKBONES`.
        text: `ngrams`, or a sentence encoder's name or path.
        warm_start: the model to go on from, or `current`.
        tune: settings to try before; 0: those of the recipe.
        search: one of `SEARCHES`.

    Raises:
        UsageError: `usage`, a value that cannot be.
    """

    recipe: str | None = None
    until: str | None = None
    minutes: float | None = None
    steps: int | None = None
    seed: int | None = None
    backbone: str | None = None
    text: str | None = None
    warm_start: str | None = None
    tune: int | None = None
    search: str | None = None

    def __post_init__(self) -> None:
        for name in ("minutes", "steps", "seed", "tune"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 2**63:
                raise UsageError("usage", f"{name} is {value}", hint="Allowed: 0 or more.")
        if self.tune and self.warm_start is not None:
            raise UsageError(
                "usage",
                "settings are tried from the beginning, a warm start keeps those of its model",
                hint="Give --tune or --warm-start, not both.",
            )
        if self.search is not None and self.search not in SEARCHES:
            raise UsageError(
                "usage",
                f"there is no search {self.search!r}",
                hint=f"Searches: {', '.join(SEARCHES)}.",
            )

    def given(self) -> dict[str, Any]:
        """What was asked for in so many words."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        return found if self.text is None else {**found, "text": _encoder(self.text)}

    def call(self, settings: BehaviourConfig, earlier: Mapping[str, Any] | None) -> dict[str, Any]:
        """The same with every default filled in.

        Args:
            settings: the shop's.
            earlier: the document of the model to go on from, whose shape is kept.
        """
        defaults: dict[str, Any] = {
            "recipe": settings.recipe,
            "until": None,
            "minutes": settings.minutes,
            "steps": 0,
            "seed": settings.seed,
            "backbone": settings.backbone,
            "text": _encoder(settings.text),
            "warm_start": None,
            "tune": 0,
            "search": "optuna",
        }
        if earlier is not None:
            defaults |= {
                "recipe": earlier["recipe"],
                "backbone": earlier["config"]["backbone"],
                "text": earlier["text"],
            }
        return defaults | self.given()


def _encoder(name: str) -> str:
    """A text encoder's name; the path of one whole, so that it is found from anywhere."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def recipe_of(call: Mapping[str, Any], earlier: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe with what was asked for in its place.

    Raises:
        UsageError: `unknown_recipe`, `bad_setting` (an unknown backbone).
    """
    found = recipe(call["recipe"])
    if call["backbone"]:
        found = with_backbone(found, call["backbone"])
    changes: dict[str, Any] = {"seed": call["seed"], "steps": call["steps"]}
    if call["steps"]:
        changes["minutes"] = 0.0
    elif call["minutes"]:
        changes["minutes"] = float(call["minutes"])
    if earlier is not None and call["recipe"] == earlier["recipe"]:
        # a shape that was tuned is kept as well
        shape = {**earlier["config"], "backbone": found.model.backbone}
        found = replace(found, model=ModelConfig(**shape))
    return replace(found, train=replace(found.train, **changes))


def settings_of(
    call: Mapping[str, Any],
    found: Recipe,
    *,
    table_version: int,
    rules: Rules,
    counted: str,
    tokens: TokenSettings,
    text: TextFeatures,
) -> dict[str, Any]:
    """Everything that decides the result, by names that a person can read; JSON."""
    return {
        "moment": call["until"],
        VERSION: table_version,
        "rules of the shop": rules_document(rules),
        "identity, noise, rates and facts of items": counted,
        "vocabularies": {"version": TOKENS_VERSION, **asdict(tokens)},
        "text features": text.to_document(),
        "shape of the model": found.model.to_document(),
        "training": found.train.to_document(),
        "warm start": call["warm_start"],
        "search": [call["tune"], call["search"]] if call["tune"] else None,
    }


def rules_document(rules: Rules) -> dict[str, Any]:
    """The rules that decide which events a model reads, and what counts as buying."""
    return {
        "value_event": rules.value_event,
        "currency": rules.currency,
        "noise": list(rules.noise),
        "order_sources": list(rules.order_sources),
    }
