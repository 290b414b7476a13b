"""The model's own settings and its recipes; a recipe is a function that returns all of them.

Loads no library, so that the command line can name recipes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final

from shoal.domain.errors import UsageError

#: What an embedding is asked to foretell: days after the moment.
HORIZON_DAYS: Final = (7, 14, 28)

BACKBONES: Final = ("recurrence", "transformer", "bidirectional", "gru", "lstm", "cnn")
OBJECTIVES: Final = ("contrastive", "next_event", "horizon", "masked", "order")
CONTRASTS: Final = ("supcon", "margin")
#: Fields that tell where a customer was met.
TOUCH: Final = ("channel", "device")
AUGMENTATIONS: Final = ("crop", "mask", "time_warp", "reorder", "substitute")


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a behaviour model.

    Args:
        backbone: one of `BACKBONES`.
        d_model: width of an event's encoding and of the hidden states.
        layers, heads: of the backbone.
        window: events that attention (or the CNN's first kernel) looks back on, itself included.
        context: the same of each layer of the transformers; no kernel of the CNN looks further.
        kv_dim: width of keys and of values of the recurrence's attention, shared by its heads.
        embedding_dim: width of a customer's embedding.
        outlook_dim: how much of it, at its end, is left to what comes next alone; the contrast of
            customers is measured on the rest, the traits. 0: all of it serves both.
        text_dim: width of a text before it is projected.
        table_dim: width of the tables of categories, brands and the like; items and kinds have
            twice, channels and devices half of it.
        touch: those of `TOUCH` that events are told by. None by default: a device hardly changes,
            so it tells slices of a customer from others' without any behaviour, and segments become
            those of phones and desktops.
        id_dropout: share of events in training whose item is told by content alone.
        dropout: of hidden states in training.
    """

    backbone: str = "gru"
    d_model: int = 128
    layers: int = 2
    heads: int = 4
    window: int = 16
    context: int = 64
    kv_dim: int = 32
    embedding_dim: int = 64
    outlook_dim: int = 0
    text_dim: int = 32
    table_dim: int = 16
    touch: tuple[str, ...] = ()
    id_dropout: float = 0.2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise UsageError(
                "bad_setting",
                f"no backbone is called {self.backbone!r}",
                hint=f"Backbones: {', '.join(BACKBONES)}.",
            )
        object.__setattr__(self, "touch", tuple(self.touch))  # a list as it stands in a document
        if unknown := set(self.touch) - set(TOUCH):
            raise ValueError(f"touch {sorted(unknown)} is not of {TOUCH}")
        if not 0 <= self.outlook_dim < self.embedding_dim:
            raise ValueError(f"outlook_dim {self.outlook_dim} leaves no traits")
        if self.d_model % self.heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of {self.heads} heads")

    def to_document(self) -> dict[str, Any]:
        """As JSON; `ModelConfig(**document)` reads it back."""
        return {**asdict(self), "touch": list(self.touch)}

    @property
    def traits_dim(self) -> int:
        """How much of the embedding, at its beginning, tells lasting traits."""
        return self.embedding_dim - self.outlook_dim


@dataclass(frozen=True)
class ObjectiveConfig:
    """How the objectives measure.

    Args:
        contrast: one of `CONTRASTS`: a softmax over the batch, or distances with a margin.
        temperature: of the softmax.
        margin, hard_negatives: distance beyond which another customer's slice is far enough, and
            how many of the nearest ones count for each slice.
        projection: width of a projection that the contrast is measured on; 0: the embedding itself.
        item_samples: items that stand for the whole vocabulary in the loss of an item; shops with
            no more items than that use all.
        item_places: events a step, at most, whose item is told.
        horizon_width: hidden units of the head of the horizons; 0: linear in the embedding.
    """

    contrast: str = "supcon"
    temperature: float = 0.1
    margin: float = 0.5
    hard_negatives: int = 5
    projection: int = 0
    item_samples: int = 512
    item_places: int = 1_024
    horizon_width: int = 0

    def __post_init__(self) -> None:
        if self.contrast not in CONTRASTS:
            raise UsageError(
                "bad_setting",
                f"no contrast is called {self.contrast!r}",
                hint=f"There are: {', '.join(CONTRASTS)}.",
            )
        least = {
            "temperature": 1e-3, "margin": 0.0, "hard_negatives": 1, "projection": 0,
            "item_samples": 2, "item_places": 1, "horizon_width": 0,
        }  # fmt: skip
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise UsageError(
                    "bad_setting",
                    f"{name} of the objectives is {getattr(self, name)}",
                    hint=f"It is at least {bound:g}.",
                )


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained.

    Args:
        weights: objective -> its weight in the loss; those absent are not computed.
        augment: augmentation -> its strength; those absent are off.
        objective: how the objectives measure; a mapping of its fields will do.
        batch_customers, slices: a step takes `slices` slices of so many customers; more customers
            where some have too few events for so many.
        slice_min, slice_max: events a slice; of shorter histories from half to all of them.
        fresh_share: share of slices asked about at the moment of their last event; the others at a
            random moment of the customer's life, so that silence is learned too.
        length_groups: portions, by length, that the rows of a step are computed in; 1: as one.
        minutes: bound of wall-clock time; 0: none.
        steps: optimizer steps exactly, whatever the time; 0: planned from the data by `passes`.
        passes: how often each event is seen, on average, where `steps` is 0.
        learning_rate, weight_decay, warmup_share, clip: of AdamW; warm-up and cosine span the
            budget.
        fine_tune_rate: share of the learning rate where a version before is trained on.
        replay_share: share of such training's steps that take slices of the time before.
        checkpoint_minutes: a checkpoint is written that often.
        validate_every_steps, patience: stop when so many validations in a row were not better.
        validation_days: the last days before the cut-off, which training does not see; 0: a tenth
            of the log, at most 28.
        validation_customers: customers that a validation looks at.
        seed: of everything random.

    Raises:
        UsageError: `bad_setting`.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {"contrastive": 1.0, "next_event": 3.0, "horizon": 1.0}
        )
    )
    augment: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    objective: ObjectiveConfig = ObjectiveConfig()
    batch_customers: int = 32
    slices: int = 4
    slice_min: int = 8
    slice_max: int = 64
    fresh_share: float = 0.5
    length_groups: int = 6
    minutes: float = 2.5
    steps: int = 0
    passes: float = 10.0
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup_share: float = 0.05
    clip: float = 1.0
    fine_tune_rate: float = 0.3
    replay_share: float = 0.3
    checkpoint_minutes: float = 5.0
    validate_every_steps: int = 200
    patience: int = 6
    validation_days: int = 0
    validation_customers: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.objective, Mapping):  # as it stands in a document
            object.__setattr__(self, "objective", ObjectiveConfig(**self.objective))
        for known, given, what in (
            (OBJECTIVES, self.weights, "objective"),
            (AUGMENTATIONS, self.augment, "augmentation"),
        ):
            unknown = [name for name in given if name not in known]
            if unknown:
                raise UsageError(
                    "bad_setting",
                    f"no {what} is called {unknown[0]!r}",
                    hint=f"There are: {', '.join(known)}.",
                )
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                allowed = f"{least} to {most}" if math.isfinite(most) else f"{least} or more"
                raise UsageError(
                    "bad_setting",
                    f"{name} is {value}",
                    where=name,
                    hint=f"Allowed: {allowed}.",
                )
        if self.slice_max < self.slice_min:
            raise UsageError(
                "bad_setting",
                f"slice_max is {self.slice_max}, below slice_min {self.slice_min}",
                where="slice_max",
                hint="A slice has at least slice_min events and at most slice_max.",
            )

    def to_document(self) -> dict[str, Any]:
        """As JSON; `TrainConfig(**document)` reads it back."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            **plain,
            "weights": dict(self.weights),
            "augment": dict(self.augment),
            "objective": asdict(self.objective),
        }


#: What each number of `TrainConfig` may be.
_BOUNDS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "batch_customers": (2, math.inf),
        "slices": (1, math.inf),
        "slice_min": (1, math.inf),
        "fresh_share": (0, 1),
        "length_groups": (1, math.inf),
        "minutes": (0, math.inf),
        "steps": (0, math.inf),
        "passes": (1e-6, math.inf),
        "learning_rate": (0, math.inf),
        "weight_decay": (0, math.inf),
        "warmup_share": (0, 1),
        "clip": (1e-12, math.inf),
        "fine_tune_rate": (0, math.inf),
        "replay_share": (0, 1),
        "checkpoint_minutes": (0, math.inf),
        "validate_every_steps": (1, math.inf),
        "patience": (1, math.inf),
        "validation_days": (0, math.inf),
        "validation_customers": (1, math.inf),
        "seed": (0, 2**63 - 1),
    }
)


@dataclass(frozen=True)
class Recipe:
    """All settings of a model and its training."""

    name: str
    model: ModelConfig
    train: TrainConfig


def nano() -> Recipe:
    """As small as it can be: for tests."""
    model = ModelConfig(d_model=32, heads=2, kv_dim=16, embedding_dim=16, text_dim=8)
    train = TrainConfig(batch_customers=16, slice_min=4, slice_max=16, minutes=0.2)
    return Recipe("nano", model, train)


def laptop() -> Recipe:
    """Two layers of 128: minutes on two cores."""
    return Recipe("laptop", ModelConfig(), TrainConfig())


def base() -> Recipe:
    """Six layers of 256: hours on a processor, minutes on an accelerator."""
    model = ModelConfig(d_model=256, layers=6, heads=8, embedding_dim=128, text_dim=64)
    train = TrainConfig(
        batch_customers=64,
        slice_max=128,
        minutes=60.0,
        learning_rate=1e-3,
        validate_every_steps=500,
    )
    return Recipe("base", model, train)


def large() -> Recipe:
    """Twelve layers of 768: for an accelerator."""
    model = ModelConfig(d_model=768, layers=12, heads=12, embedding_dim=256, text_dim=128)
    train = TrainConfig(
        batch_customers=256,
        slice_max=256,
        minutes=600.0,
        learning_rate=4e-4,
        validate_every_steps=1_000,
    )
    return Recipe("large", model, train)


RECIPES: Final[Mapping[str, Callable[[], Recipe]]] = MappingProxyType(
    {"nano": nano, "laptop": laptop, "base": base, "large": large}
)


def recipe(name: str) -> Recipe:
    """The settings of a recipe.

    Raises:
        UsageError: `unknown_recipe`, naming the known ones.
    """
    if name not in RECIPES:
        raise UsageError(
            "unknown_recipe",
            f"no recipe of a model is called {name!r}",
            hint=f"Recipes: {', '.join(RECIPES)}.",
        )
    return RECIPES[name]()


def with_backbone(of: Recipe, backbone: str) -> Recipe:
    """The recipe with another backbone."""
    return replace(of, model=replace(of.model, backbone=backbone))
