"""Who chooses among what may be done, and with which probability: the place for policies.

A policy is asked for one of some candidates and says with which probability it chose it, so that a
policy that learns from what came of earlier choices can be judged on them (inverse propensity
scoring; Horvitz and Thompson, 1952). Which candidates there are is not its business
(`shoal.adjust.decide`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shoal.adjust.adjustment import KEEP, LADDER, Evidence, Proposal
from shoal.domain.time import to_us


class Policy(Protocol):
    """Chooses one of some candidates."""

    @property
    def name(self) -> str:
        """By which a choice is told."""
        ...

    def choose(self, evidence: Evidence, candidates: Sequence[Proposal]) -> tuple[int, float]:
        """The place of the candidate chosen, and with which probability, above 0 and up to 1.

        The same evidence and candidates give the same answer. The first candidate is to keep.
        """
        ...


def worth(proposal: Proposal, price: float) -> float:
    """What a proposal brings for sure: gain, less one standard error, less what it costs.

    Of one that is due the gain is taken as it was measured, and whom it moves costs nothing: that
    more is known speaks for it before anything is measured.

    >>> round(worth(Proposal("nudge", gain=0.05, gain_error=0.01, moved=0.1), price=0.1), 4)
    0.03
    """
    if proposal.due:
        return proposal.gain - proposal.cost
    return proposal.gain - proposal.gain_error - price * proposal.moved - proposal.cost


@dataclass(frozen=True)
class RulePolicy:
    """Takes what is worth most; of equals the lower rung of the ladder. Nothing is left to chance.

    Args:
        price: of moving all customers, in the unit of the gain.
    """

    price: float
    name: str = "rules"

    def choose(self, evidence: Evidence, candidates: Sequence[Proposal]) -> tuple[int, float]:
        """See `Policy.choose`."""
        worths = [0.0 if one.action == KEEP else worth(one, self.price) for one in candidates]
        best = max(
            range(len(candidates)),
            key=lambda place: (worths[place], -LADDER.index(candidates[place].action), -place),
        )
        return best, 1.0


@dataclass(frozen=True)
class ExploringPolicy:
    """Now and then takes any candidate, so that something is learned of what is never chosen.

    Args:
        base: whose choice is taken otherwise; it is sure of its choice.
        epsilon: chance of any candidate, all with the same chance.
        seed: of the chances; with the moment of the evidence it gives them.

    Raises:
        ValueError: `epsilon` is not in 0 to 1.
    """

    base: Policy
    epsilon: float
    seed: int = 0
    name: str = "exploring"

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon is {self.epsilon}, allowed: 0 to 1")

    def choose(self, evidence: Evidence, candidates: Sequence[Proposal]) -> tuple[int, float]:
        """See `Policy.choose`."""
        best, _ = self.base.choose(evidence, candidates)
        random = np.random.default_rng([self.seed, to_us(evidence.moment) % 2**63])
        place = best
        if random.random() < self.epsilon:
            place = int(random.integers(len(candidates)))
        any_one = self.epsilon / len(candidates)
        return place, any_one + (1 - self.epsilon if place == best else 0.0)
