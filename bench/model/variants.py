"""The variants that are compared: each differs from the recipe `laptop` in what its name says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from shoal.model.config import AUGMENTATIONS, Recipe, recipe

DEFAULT: Final = "default"


@dataclass(frozen=True)
class Variant:
    """A change of the recipe.

    Args:
        group: table that it stands in.
        model, train, objective: fields of the recipe's parts that are other.
        recipe: recipe that it starts from.
        events: share of customers that it is trained on.
    """

    group: str
    title: str
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    objective: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = "laptop"
    events: float = 1.0

    def settings(self, seed: int) -> Recipe:
        """The whole recipe, bounded by the bench's budget alone."""
        from dataclasses import replace

        found = recipe(self.recipe)
        objective = replace(found.train.objective, **self.objective)
        train = {"objective": objective, "seed": seed, **self.train}
        return replace(
            found,
            model=replace(found.model, **self.model),
            train=replace(found.train, **train),
        )


def _weights(**weights: float) -> dict[str, Any]:
    return {"weights": MappingProxyType(weights)}


_BACKBONES = {
    f"backbone-{name}": Variant("Backbone", name, model={"backbone": name})
    for name in ("recurrence", "transformer", "bidirectional", "lstm", "cnn")
}
_OBJECTIVES = {
    f"objective-{name}": Variant("Objectives", title, train=_weights(**weights))
    for name, title, weights in (
        ("contrastive", "contrastive alone", {"contrastive": 1.0}),
        ("next", "next event alone", {"next_event": 1.0}),
        ("horizon", "horizons alone", {"horizon": 1.0}),
        ("masked", "masked events alone", {"masked": 1.0}),
        ("order", "order of slices alone", {"order": 1.0}),
        ("con-next", "contrastive 1, next event 3", {"contrastive": 1.0, "next_event": 3.0}),
        ("con-hor", "contrastive 1, horizons 1", {"contrastive": 1.0, "horizon": 1.0}),
        (
            "light", "contrastive 1, next event 0.5, horizons 0.5",
            {"contrastive": 1.0, "next_event": 0.5, "horizon": 0.5},
        ),
        (
            "heavier", "contrastive 1, next event 8, horizons 2",
            {"contrastive": 1.0, "next_event": 8.0, "horizon": 2.0},
        ),
        (
            "all", "the default's, masked 1, order 0.1",
            {"contrastive": 1.0, "next_event": 3.0, "horizon": 1.0, "masked": 1.0, "order": 0.1},
        ),
    )
}  # fmt: skip
_CONTRASTS = {
    "contrast-margin": Variant("Contrast", "margin", objective={"contrast": "margin"}),
    "contrast-projection": Variant("Contrast", "projection of 64", objective={"projection": 64}),
    "contrast-warm": Variant("Contrast", "temperature 0.2", objective={"temperature": 0.2}),
    "contrast-cold": Variant("Contrast", "temperature 0.05", objective={"temperature": 0.05}),
}
_STRENGTHS: Final = {
    "crop": 0.5, "mask": 0.2, "time_warp": 0.3, "reorder": 0.5, "substitute": 0.2,
}  # fmt: skip
_AUGMENTS = {
    f"augment-{name}": Variant(
        "Augmentation", f"{name} {_STRENGTHS[name]}", train={"augment": {name: _STRENGTHS[name]}}
    )
    for name in AUGMENTATIONS
}
_SLICES = {
    "slices-short": Variant("Slices", "4 to 32 events", train={"slice_min": 4, "slice_max": 32}),
    "slices-long": Variant("Slices", "16 to 128 events", train={"slice_min": 16, "slice_max": 128}),
    "slices-two": Variant(
        "Slices", "2 a customer, of 64", train={"slices": 2, "batch_customers": 64}
    ),
}
_INPUTS = {
    "input-touch": Variant(
        "Inputs", "with channel and device", model={"touch": ("channel", "device")}
    ),
    "input-no-id-dropout": Variant("Inputs", "ids never dropped", model={"id_dropout": 0.0}),
    "input-content": Variant("Inputs", "items by content alone", model={"id_dropout": 1.0}),
}
_READOUTS = {
    "readout-split": Variant(
        "Readout", "48 for traits, 16 for the outlook", model={"outlook_dim": 16}
    ),
    "readout-half": Variant(
        "Readout", "32 for traits, 32 for the outlook", model={"outlook_dim": 32}
    ),
    "readout-wide": Variant("Readout", "128 for both", model={"embedding_dim": 128}),
    "readout-narrow": Variant("Readout", "32 for both", model={"embedding_dim": 32}),
}
_SIZES = {
    "size-nano": Variant("Size", "nano (2 x 32)", recipe="nano"),
    "size-base": Variant("Size", "base (6 x 256)", recipe="base"),
}
_EVENTS = {
    "events-quarter": Variant("Events", "a quarter of the customers", events=0.25),
    "events-half": Variant("Events", "half of the customers", events=0.5),
}

VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType(
    {
        DEFAULT: Variant(
            "Default", "laptop: GRU; contrastive 1, next event 3, horizons 1"
        ),
        **_BACKBONES, **_OBJECTIVES, **_CONTRASTS, **_INPUTS, **_READOUTS, **_AUGMENTS,
        **_SLICES, **_SIZES, **_EVENTS,
    }
)  # fmt: skip
QUICK: Final = (DEFAULT, "objective-contrastive")
