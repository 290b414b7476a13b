"""How far a training is: its budget of steps and time, and the learning rate they give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from shoal.model.config import TrainConfig

#: Share of the highest learning rate that is left at the end.
_LAST: Final = 0.02
#: Validations of a whole training at least.
_VALIDATIONS: Final = 10


@dataclass(frozen=True)
class Budget:
    """Steps and seconds that a training may take.

    Args:
        steps: planned.
        seconds: of wall clock; 0: no bound.
    """

    steps: int
    seconds: float = 0.0

    @classmethod
    def of(cls, config: TrainConfig, events: int, events_a_step: float) -> Budget:
        """The budget of a configuration for data of so many events.

        With `config.steps` exactly these, whatever time they take, so that the result does not
        depend on the machine's speed; else as many as `passes` of the data take, bounded by
        `minutes`.
        """
        if config.steps:
            return cls(config.steps)
        steps = math.ceil(config.passes * events / max(events_a_step, 1.0))
        return cls(max(steps, 1), config.minutes * 60.0)

    def done(self, step: int, elapsed_s: float) -> float:
        """Share of the budget that is used after `step` steps, 0 to 1: of steps or time, if more.

        >>> Budget(100, 60.0).done(10, 30.0), Budget(100).done(10, 1e9)
        (0.5, 0.1)
        """
        return min(1.0, max(step / self.steps, self.by_time(elapsed_s)))

    def by_time(self, elapsed_s: float) -> float:
        """Share of the time that is used."""
        return elapsed_s / self.seconds if self.seconds else 0.0


def rate(done: float, warmup_share: float) -> float:
    """Factor of the learning rate: rises linearly over the warm-up, then falls as half a cosine.

    Args:
        done: share of the budget that is used, 0 to 1.

    >>> [round(rate(done, 0.1), 2) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.02, 0.5, 1.0, 0.51, 0.02]
    """
    if done < warmup_share:
        return max(_LAST, done / warmup_share)
    left = (done - warmup_share) / max(1.0 - warmup_share, 1e-9)
    return _LAST + (1.0 - _LAST) * 0.5 * (1.0 + math.cos(math.pi * min(left, 1.0)))


def validates(before: float, after: float, step: int, every: int) -> bool:
    """Whether a training validates after a step that took the budget from one share to another.

    Every so many steps, at each tenth of the budget, and at its end.
    """
    crossed = math.floor(after * _VALIDATIONS) > math.floor(before * _VALIDATIONS)
    return step % every == 0 or crossed or after >= 1.0
