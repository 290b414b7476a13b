"""What a model in training is measured on: later days than those it learns from.

The log is split in time: training sees nothing at or after `valid_from`. A validation asks about
moments in [valid_from, until): about each customer's history at `valid_from`, and about slices of
the events since, so that a customer must be known again by events that no training saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from shoal.domain.sequence import EventSequences
from shoal.domain.time import DAY_US
from shoal.model.augment import augment, strengths
from shoal.model.config import TrainConfig
from shoal.model.objectives.base import TrainingBatch
from shoal.model.sampler import drawn, sliced
from shoal.model.targets import Ints, first_at

_MOST_DAYS: Final = 28
_SHARE: Final = 0.1
#: Apart from every seed of training.
_SEED_KEY: Final = 7_919


def valid_from_us(
    sequences: EventSequences, config: TrainConfig, until_us: int, from_us: int | None = None
) -> int:
    """The moment at which training ends and validation begins.

    Args:
        until_us: the cut-off.
        from_us: training begins here; None: with the first event.
    """
    if from_us is None:
        firsts = sequences.fields["us"][sequences.offsets[:-1]]
        from_us = int(firsts.min()) if len(firsts) else until_us
    span = max(until_us - from_us, 0)
    days = config.validation_days * DAY_US or min(int(span * _SHARE), _MOST_DAYS * DAY_US)
    return until_us - min(days, span // 2)


def validation_batches(
    sequences: EventSequences,
    config: TrainConfig,
    sizes: Mapping[str, int],
    *,
    from_us: int,
    until_us: int,
    value_kind: int,
    seed: int,
) -> list[TrainingBatch]:
    """Fixed batches whose moments lie in [from, until); none if nobody was there before `from`.

    Of each of `validation_customers` customers: its last `slice_max` events before `from`, asked
    about then; and up to `slices - 1` slices of its events since. Augmented only where an
    objective needs hidden events.
    """
    us, offsets = sequences.fields["us"], sequences.offsets
    rng = np.random.default_rng((seed, _SEED_KEY))
    known = np.flatnonzero(first_at(us, offsets[:-1], offsets[1:], from_us) > offsets[:-1])
    if not len(known):
        return []
    some = np.sort(rng.permutation(known)[: config.validation_customers])
    parts = np.array_split(some, max(1, round(len(some) / config.batch_customers)))
    hidden = {name: one for name, one in strengths(config).items() if name == "mask"}
    batches = []
    for place, customers in enumerate(parts):
        draws = np.random.default_rng((seed, _SEED_KEY, place))
        starts, stops, who, limits, now_us = _asked(
            sequences, customers, config, draws, from_us, until_us
        )
        made = sliced(
            sequences, who, starts, stops, limits, now_us,
            until_us=until_us, categories=sizes["category1"], value_kind=value_kind,
        )  # fmt: skip
        batches.append(augment(made, hidden, draws) if config.weights.get("masked") else made)
    return batches


def _asked(
    sequences: EventSequences,
    customers: Ints,
    config: TrainConfig,
    rng: np.random.Generator,
    from_us: int,
    until_us: int,
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Starts and stops of slices, whose they are, what may be known of whom, moments."""
    us, first = sequences.fields["us"], sequences.offsets[customers]
    limits = first_at(us, first, sequences.offsets[customers + 1], until_us)
    begun = first_at(us, first, limits, from_us)
    take = np.minimum(limits - begun, config.slices - 1)
    row = np.repeat(np.arange(len(customers)), take)
    starts, stops, now_us = drawn(us, begun[row], limits[row], config, rng, until_us=until_us)
    return (
        np.concatenate([np.maximum(begun - config.slice_max, first), starts]),
        np.concatenate([begun, stops]),
        np.concatenate([customers, customers[row]]),
        np.concatenate([limits, limits[row]]),
        np.concatenate([np.full(len(customers), from_us), now_us]),
    )
