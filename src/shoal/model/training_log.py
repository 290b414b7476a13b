"""What is told of a training when it is over, and of a step while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

#: Called after each step with the step, the steps planned and figures: `done` (0 to 1), `eta_s`,
#: `events_s`, `loss` and each objective's loss as running means, `validation` once there is one.
Report = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Validation:
    """The losses on the validation window after a step.

    `loss` among them is their weighted sum; `score`, which decides what is best, is the weighted
    mean of each loss as a share of what it was at the first validation.
    """

    step: int
    losses: Mapping[str, float]
    score: float


@dataclass(frozen=True)
class Forgetting:
    """Losses on a fixed sample of the time before a fine-tuning, by the model before and after.

    Without the heads of the model before, only objectives without parameters can be compared.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True)
class TrainingLog:
    """How a training went.

    Args:
        steps, planned: steps made and planned.
        stopped: `planned` (all steps), `time` (minutes) or `patience` (no better for long).
        timed: whether the time had a say in the learning rate; if not, the same seed and data give
            the same weights on the same machine.
        seconds: of all runs, if it was resumed; `resumed_from` is the step of the last resumption.
        events, events_s: events in the slices of all steps, and a second.
        padded_share: share of the computed places that held nothing.
        valid_from_us, until_us: the validation window.
        validations: in order; none where there was nobody to validate on.
        best_step: the step whose weights were kept.
        losses: running means of the training's losses at its end.
        forgetting: of a fine-tuning.
        heads: weights of the objectives at the best step, for a later fine-tuning.
    """

    steps: int
    planned: int
    stopped: str
    timed: bool
    seconds: float
    events: int
    events_s: float
    padded_share: float
    valid_from_us: int
    until_us: int
    validations: tuple[Validation, ...]
    best_step: int
    losses: Mapping[str, float]
    resumed_from: int | None = None
    forgetting: Forgetting | None = None
    heads: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def best(self) -> Mapping[str, float]:
        """The validation losses of the weights that were kept; empty without a validation."""
        return next((one.losses for one in self.validations if one.step == self.best_step), {})

    def as_document(self) -> dict[str, Any]:
        """As JSON, without weights.

        `losses` are those of validation, `total` their weighted sum; of training where there was
        nobody to validate on.
        """
        plain = {
            name: getattr(self, name)
            for name in (
                "steps", "planned", "stopped", "timed", "seconds", "events", "padded_share",
                "valid_from_us", "until_us", "best_step", "resumed_from",
            )
        }  # fmt: skip
        forgetting = self.forgetting and {
            f"{name} {when}": value
            for when, losses in (
                ("before", self.forgetting.before), ("after", self.forgetting.after)
            )
            for name, value in _told(losses).items()
        }  # fmt: skip
        return {
            **plain,
            "events_per_s": self.events_s,
            "losses": _told(self.best or self.losses),
            "training_losses": _told(self.losses),
            "validations": [
                {"step": one.step, "score": one.score, **_told(one.losses)}
                for one in self.validations
            ],
            "forgetting": forgetting,
        }


def _told(losses: Mapping[str, float]) -> dict[str, float]:
    """Losses by name, the weighted sum as `total`."""
    return {"total" if name == "loss" else name: value for name, value in losses.items()}
