"""What a training reads: batches to learn from, to validate on, and of the time before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.domain.sequence import EventSequences
from shoal.model.augment import Similar
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import TrainConfig
from shoal.model.objectives.base import TrainingBatch
from shoal.model.sampler import Alternating, Sampler
from shoal.model.validation import valid_from_us, validation_batches


class TrainingData:
    """Batches to train on, to validate on, and of the time before a fine-tuning."""

    def __init__(
        self,
        train: Sampler | Alternating,
        valid: Sequence[TrainingBatch],
        earlier: Sequence[TrainingBatch],
        window: tuple[int, int],
    ) -> None:
        self.train, self.valid, self.earlier, self.window = train, valid, earlier, window

    @classmethod
    def split(
        cls,
        model: BehaviourModel,
        sequences: EventSequences,
        config: TrainConfig,
        sizes: Mapping[str, int],
        until_us: int,
        value_kind: int,
        from_us: int | None,
    ) -> TrainingData:
        """Split in time; with nobody there before the validation window there is none."""
        base: dict[str, Any] = {"value_kind": value_kind, "seed": config.seed}
        valid_from = valid_from_us(sequences, config, until_us, from_us)
        valid = validation_batches(
            sequences, config, sizes, from_us=valid_from, until_us=until_us, **base
        )
        if not valid or valid_from >= until_us:
            valid, valid_from = [], until_us
        sampling = {
            **base,
            "similar": _similar(model) if config.augment.get("substitute") else None,
        }
        earlier: Sequence[TrainingBatch] = ()
        train: Sampler | Alternating
        if from_us is None:
            train = Sampler(sequences, config, sizes, until_us=valid_from, **sampling)
        else:
            train = Sampler(
                sequences, config, sizes, until_us=valid_from, from_us=from_us, **sampling
            )
            old_from = valid_from_us(sequences, config, from_us)
            earlier = validation_batches(
                sequences, config, sizes, from_us=old_from, until_us=from_us, **base
            )
            if earlier and config.replay_share:
                old = Sampler(sequences, config, sizes, until_us=old_from, **sampling)
                train = Alternating(train, old, config.replay_share)
        return cls(train, valid, earlier, (valid_from, until_us))


def _similar(model: BehaviourModel) -> Similar:
    """Items that may stand for each other, of those that the model knows."""
    start = "known_"
    known = {
        name.removeprefix(start): one.cpu().numpy()
        for name, one in model.named_buffers(recurse=False)
        if name.startswith(start)
    }
    return Similar.of(known)
