"""Training of a behaviour model: from nothing, from a checkpoint, from a version before.

A step depends on its number, the seed and the weights alone; random numbers are begun anew at each
one. So a training that was killed and goes on from its checkpoint ends with the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from shoal.domain.errors import OperationError
from shoal.domain.sequence import Array, EventSequences
from shoal.domain.time import stopwatch
from shoal.model import checkpoint
from shoal.model.adamw import AdamW
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import TrainConfig
from shoal.model.device import begin, enough_memory, forked, mixed
from shoal.model.grouping import places_computed, portion_cost, step_in_portions
from shoal.model.interrupts import undisturbed
from shoal.model.objectives import TrainingBatch, make, total
from shoal.model.sampler import enough
from shoal.model.schedule import Budget, rate, validates
from shoal.model.training_data import TrainingData
from shoal.model.training_log import Forgetting, Report, TrainingLog, Validation

#: Weight of a step in the running means of losses.
_NEW_SHARE: Final = 0.05
#: Customers that a message names at most.
_NAMED: Final = 10
#: Writing checkpoints after validations may take this share of the time at most.
_WRITING_SHARE: Final = 0.05

#: Draws that belong to no step.
_HEADS: Final = 2**40
_LOOKING: Final = 2**40 + 1

Watch = Callable[[], Callable[[], float]]


def fit(
    model: BehaviourModel,
    sequences: EventSequences,
    *,
    config: TrainConfig,
    sizes: Mapping[str, int],
    item_counts: Array,
    until_us: int,
    value_kind: int,
    directory: Path,
    resume: bool = False,
    device: str = "cpu",
    report: Report | None = None,
    start: Mapping[str, Tensor] | None = None,
    start_heads: Mapping[str, Tensor] | None = None,
    from_us: int | None = None,
    watch: Watch = stopwatch,
) -> TrainingLog:
    """Train a model in place; it ends with the weights that were best on later days.

    Args:
        model: made with `config.seed`, so that a resumed training begins with the same weights.
        sequences: customers' events; may reach beyond `until_us`.
        sizes: rows of each embedding table (`Tokenizer.sizes`).
        item_counts: events with each known item (`Tokenizer.items.counts`).
        until_us: nothing at or after it is seen. The last days before it only validate.
        value_kind: code of the kind whose amounts are spend.
        directory: of the checkpoint.
        resume: go on from the checkpoint there, or from the beginning if none was written yet.
        device: `cpu` or `cuda`, as `shoal.model.device.device_of` says.
        report: called after each step.
        start: weights of a version before to train on; the learning rate is then `fine_tune_rate`
            of the usual.
        start_heads: weights of its objectives (`TrainingLog.heads`), if they are known.
        from_us: with `start`, what is new begins here: batches ask about moments since then, and
            `replay_share` of them about moments before. None takes all as new.
        watch: measures seconds.

    Raises:
        OperationError: `training_diverged`, naming step, objective and customers; `interrupted`;
            `disk_full`; `out_of_memory`; `checkpoint_unusable`. The last good checkpoint stays.
        InputError: `too_little_data`, no customer has an event to learn from; `enough` tells more.
    """
    with enough_memory(), forked(device):
        data = TrainingData.split(model, sequences, config, sizes, until_us, value_kind, from_us)
        begin(_seed(config.seed, _HEADS), device)
        objectives = make(config.weights, model.config, sizes, item_counts, config.objective)
        training = _Training(model.to(device), objectives.to(device), data, config, directory)
        training.fingerprint = checkpoint.fingerprint(
            model.config, config, sizes, sequences, until_us, value_kind, from_us,
            start is not None,
        )  # fmt: skip
        before = {} if start is None else training.started(start, start_heads)
        if resume and checkpoint.exists(directory):
            training.restore()
        stopped = training.run(report, watch())
        log = training.finish(stopped)
        if before:
            log = replace(log, forgetting=Forgetting(before, training.losses_before()))
        model.to("cpu").eval()
        return log


class _Training:
    """A training under way: weights, moments, step, and what was best."""

    def __init__(
        self,
        model: BehaviourModel,
        objectives: nn.ModuleDict,
        data: TrainingData,
        config: TrainConfig,
        directory: Path,
    ) -> None:
        self.model, self.objectives, self.data = model, objectives, data
        self.config, self.directory = config, directory
        self.device = next(model.parameters()).device
        parts = {"model": model, "objectives": objectives}
        self.optimizer = AdamW(parts, config.weight_decay)
        #: Portions of rows at most, and what a further one must save.
        recurrent = model.backbone.recurrent
        self.portions = (
            config.length_groups,
            *portion_cost(model.config.d_model, self.device.type, recurrent),
        )
        self.highest_rate = config.learning_rate
        self.heads_known = False
        self.budget = Budget.of(config, data.train.events, data.train.events_a_step)
        self.fingerprint = ""
        self.step, self.events = 0, 0
        self.padding = [0, 0]  # places with an event or NOW, and all that were computed
        self.seconds_before = 0.0
        self.watch: Callable[[], float] = lambda: 0.0
        self.saved_at, self.saving_s, self.saved_step = 0.0, 0.0, -1
        self.timed = False
        self.resumed_from: int | None = None
        self.means: dict[str, float] = {}
        self.validations: list[Validation] = []
        self.best: dict[str, Tensor] = {}
        self.best_step = 0

    # -- the loop ----------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resumption counted."""
        return self.seconds_before + self.watch()

    def run(self, report: Report | None, watch: Callable[[], float]) -> str:
        """Steps until the budget is used or validations get no better; says which."""
        self.watch = watch
        self.saved_at = self.elapsed
        try:
            while not (stopped := self._stopped()):
                with undisturbed():
                    self._advance()
                if report:
                    report(self.step, self.budget.steps, self._figures())
            with undisturbed():
                self._save_once()
        except KeyboardInterrupt:
            with undisturbed():
                self._save_once()
            raise OperationError(
                "interrupted",
                f"training was interrupted after step {self.step:,} of {self.budget.steps:,}",
                where=str(self.directory),
                hint="Nothing is lost: go on with the same command and --resume.",
            ) from None
        return stopped

    def _stopped(self) -> str:
        if self.step >= self.budget.steps:
            return "planned"
        if self.budget.by_time(self.elapsed) >= 1.0:
            return "time"
        return "patience" if self._worse() >= self.config.patience else ""

    def _worse(self) -> int:
        """Validations in a row, up to now, that were not better."""
        return sum(one.step > self.best_step for one in self.validations)

    def _advance(self) -> None:
        """A step, and what is due after it."""
        before = self.budget.done(self.step, self.elapsed)
        self.timed |= self.budget.by_time(self.elapsed) > self.step / self.budget.steps
        batch = self.data.train.batch(self.step)
        self._learn(batch, before)
        self.step += 1
        lengths = batch.events.lengths.numpy()
        self.events += int(lengths.sum())
        self.padding[0] += len(lengths) + int(lengths.sum())
        self.padding[1] += places_computed(lengths, *self.portions)
        after = self.budget.done(self.step, self.elapsed)
        due = self.elapsed - self.saved_at >= self.config.checkpoint_minutes * 60.0
        if validates(before, after, self.step, self.config.validate_every_steps):
            self._validate()
            due |= self.saving_s <= _WRITING_SHARE * (self.elapsed - self.saved_at)
        if due:
            self._save()

    def _learn(self, batch: TrainingBatch, done: float) -> None:
        begin(_seed(self.config.seed, self.step), self.device.type)
        self.model.train()
        self.objectives.train()
        loss, figures = self._losses(batch, self.objectives)
        self._check(figures)
        self.optimizer.forget_gradients()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.optimizer.parameters, self.config.clip)
        self._check({"gradient": float(norm)})
        self.optimizer.step(self.highest_rate * rate(done, self.config.warmup_share))
        for name, value in figures.items():
            mean = self.means.get(name, value)
            self.means[name] = mean + _NEW_SHARE * (value - mean)

    def _losses(
        self, batch: TrainingBatch, objectives: nn.ModuleDict
    ) -> tuple[Tensor, dict[str, float]]:
        batch = batch.to(self.device)
        with mixed(self.device):
            output = step_in_portions(self.model, batch.events, *self.portions)
            return total(objectives, self.config.weights, self.model, batch, output)

    # -- a version before --------------------------------------------------------------------------

    def started(
        self, start: Mapping[str, Tensor], heads: Mapping[str, Tensor] | None
    ) -> dict[str, float]:
        """Begin with the weights of a version before; its losses on the time before."""
        self.highest_rate *= self.config.fine_tune_rate
        self.model.load_state_dict(start)
        self.heads_known = heads is not None
        if heads is not None:
            self.objectives.load_state_dict(heads)
        return self.losses_before()

    def losses_before(self) -> dict[str, float]:
        """Losses on the time before, of objectives whose heads are those of the version before."""
        told = {
            name: one
            for name, one in self.objectives.items()
            if self.heads_known or not any(True for _ in one.parameters())
        }
        if not told or not self.data.earlier:
            return {}
        return self.losses_on(self.data.earlier, nn.ModuleDict(told))

    def _check(self, figures: Mapping[str, float]) -> None:
        """Stop at a loss that is no number, before it gets into the weights."""
        if all(map(math.isfinite, figures.values())):
            return
        names = self.data.train.names(self.step)
        told = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        raise self._diverged(
            f"step {self.step + 1:,} gave {_not_finite(figures)} on a batch of "
            f"{len(names):,} customers: {told}"
        )

    def _diverged(self, what: str) -> OperationError:
        kept = " The last good checkpoint was kept." if checkpoint.exists(self.directory) else ""
        return OperationError(
            "training_diverged",
            what,
            where=str(self.directory),
            hint="Train with a lower learning rate or another seed, and look for absurd amounts "
            f"among these customers' events.{kept}",
        )

    # -- validation --------------------------------------------------------------------------------

    def losses_on(
        self, batches: Sequence[TrainingBatch], objectives: nn.ModuleDict
    ) -> dict[str, float]:
        """Means of the losses over batches, by the weights as they are."""
        self.model.eval()
        self.objectives.eval()
        begin(_seed(self.config.seed, _LOOKING), self.device.type)
        with torch.no_grad():
            found = [self._losses(batch, objectives)[1] for batch in batches]
        names = dict.fromkeys(name for one in found for name in one)
        return {name: float(np.mean([one[name] for one in found if name in one])) for name in names}

    def _validate(self) -> None:
        if not self.data.valid:
            return
        losses = self.losses_on(self.data.valid, self.objectives)
        if not all(map(math.isfinite, losses.values())):
            raise self._diverged(
                f"the validation after step {self.step:,} gave {_not_finite(losses)}"
            )
        score = self._score(losses)
        if not self.validations or score < min(one.score for one in self.validations):
            self.best_step = self.step
            self.best = {name: one.detach().clone() for name, one in self._weights().items()}
        self.validations.append(Validation(self.step, losses, score))

    def _score(self, losses: Mapping[str, float]) -> float:
        """Weighted mean of each objective's loss as a share of what it was first.

        In the plain sum the largest and noisiest loss would decide alone: contrast, whose
        validation has few pairs, hides that the others still get better.
        """
        first = self.validations[0].losses if self.validations else losses
        weights = {
            name: weight
            for name, weight in self.config.weights.items()
            if weight and first[name] > 0.0
        }
        shares = [weight * losses[name] / first[name] for name, weight in weights.items()]
        return sum(shares) / max(sum(weights.values()), 1e-9)

    def _figures(self) -> dict[str, float]:
        done = self.budget.done(self.step, self.elapsed)
        figures = {
            **self.means,
            "done": done,
            "eta_s": self.elapsed * (1.0 - done) / max(done, 1e-9),
            "events_s": self.events / max(self.elapsed, 1e-9),
        }
        if self.validations:
            figures["validation"] = self.validations[-1].losses["loss"]
        return figures

    # -- checkpoints -------------------------------------------------------------------------------

    def _weights(self) -> dict[str, Tensor]:
        return checkpoint.named("model", self.model) | checkpoint.named(
            "objectives", self.objectives
        )

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        self.model.load_state_dict(checkpoint.within("model", tensors))
        self.objectives.load_state_dict(checkpoint.within("objectives", tensors))

    def _save_once(self) -> None:
        if self.saved_step != self.step:
            self._save()

    def _save(self) -> None:
        begun = self.elapsed
        tensors = self._weights()
        tensors |= {f"adam.{name}": one for name, one in self.optimizer.state_dict().items()}
        tensors |= {f"best.{name}": one for name, one in self.best.items()}
        document = {
            "fingerprint": self.fingerprint,
            "step": self.step,
            "seconds": self.elapsed,
            "timed": self.timed,
            "events": self.events,
            "padding": self.padding,
            "means": self.means,
            "best_step": self.best_step,
            "validations": [[one.step, dict(one.losses), one.score] for one in self.validations],
        }
        checkpoint.write(self.directory, tensors, document)
        self.saved_step = self.step
        self.saved_at = self.elapsed
        self.saving_s = self.saved_at - begun

    def restore(self) -> None:
        """Go on where the checkpoint was written."""
        tensors, document = checkpoint.read(self.directory, self.fingerprint)
        try:
            self._load(tensors)
            self.optimizer.load_state_dict(checkpoint.within("adam", tensors))
        except (KeyError, RuntimeError) as error:
            raise checkpoint.of_other_parts(self.directory, error) from error
        self.best = {
            name: one.to(self.device) for name, one in checkpoint.within("best", tensors).items()
        }
        self.step = self.resumed_from = self.saved_step = document["step"]
        self.seconds_before = document["seconds"]
        self.timed, self.events = document["timed"], document["events"]
        self.padding, self.means = document["padding"], document["means"]
        self.best_step = document["best_step"]
        self.validations = [Validation(*one) for one in document["validations"]]

    def finish(self, stopped: str) -> TrainingLog:
        """The best weights in the model, and the log."""
        if self.best:
            self._load(self.best)
        heads = self.objectives.state_dict()
        seconds = self.elapsed
        return TrainingLog(
            steps=self.step,
            planned=self.budget.steps,
            stopped=stopped,
            timed=self.timed,
            seconds=seconds,
            events=self.events,
            events_s=self.events / max(seconds, 1e-9),
            padded_share=1.0 - self.padding[0] / max(self.padding[1], 1),
            valid_from_us=self.data.window[0],
            until_us=self.data.window[1],
            validations=tuple(self.validations),
            best_step=self.best_step if self.best else self.step,
            losses=dict(self.means),
            resumed_from=self.resumed_from,
            heads={name: one.detach().cpu().clone() for name, one in heads.items()},
        )


def _seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])


def _not_finite(figures: Mapping[str, float]) -> str:
    """The objective, or the figure, that is no number."""
    bad = [name for name, value in figures.items() if not math.isfinite(value)]
    name = next((one for one in bad if one != "loss"), bad[0])
    return f"{name} = {figures[name]}"


__all__ = ["TrainingLog", "enough", "fit"]
