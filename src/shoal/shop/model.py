"""Verbs that train behaviour models and choose among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    from shoal.shop.base import Moment
    from shoal.workflows.progress import Progress
    from shoal.workflows.train_result import TrainResult


class ModelVerbs(Verbs):
    """Behaviour models: trained, listed, chosen."""

    def train(
        self,
        *,
        recipe: str | None = None,
        until: Moment | None = None,
        minutes: float | None = None,
        steps: int | None = None,
        seed: int | None = None,
        backbone: str | None = None,
        text: str | None = None,
        resume: bool = False,
        warm_start: str | None = None,
        device: str = "auto",
        tune: int | None = None,
        search: str | None = None,
        progress: Progress | None = None,
    ) -> TrainResult:
        """Train a behaviour model on the shop's events and make it the current one.

        What is not given is as the section [model] of `shop.toml` says. The shop can be written to
        meanwhile; the lease is held only while the model is published.

        Args:
            recipe: `nano`, `laptop`, `base` or `large`.
            until: T; nothing at or after it is used. None: just after the latest event.
            minutes: of training at most.
            steps: exactly so many optimizer steps: the same seed and data then give the same
                weights on the same machine.
            backbone: `recurrence`, `transformer`, `bidirectional`, `gru`, `lstm` or `cnn`.
            text: `ngrams`, or the name or path of a sentence encoder (extra `shoal[text]`).
            resume: go on with the unfinished training that agrees with what is given.
            warm_start: a model's id, or `current`: go on from it with what came since.
            device: `auto`, `cpu` or `cuda`.
            tune: try so many settings first, each on a part of the time (extra `shoal[tune]` for
                the search `optuna`).
            search: `optuna`, `grid` or `random`.

        Raises:
            UsageError: `unknown_recipe`, `unknown_model`, `no_device`, `nothing_to_resume`,
                `model_mismatch`.
            InputError: `too_little_data`.
            OperationError: `shop_locked`, `training_diverged`, `interrupted`, `disk_full`,
                `out_of_memory`, `missing_extra`.
        """
        from shoal.domain.time import iso
        from shoal.features.text import CACHE
        from shoal.workflows.train import train
        from shoal.workflows.train_call import Asked

        self.catch_up(progress)
        moment = moment_of(until)
        asked = Asked(
            recipe, None if moment is None else iso(moment), minutes, steps, seed, backbone, text,
            warm_start, tune, search,
        )  # fmt: skip
        parts = self._parts
        return train(
            warehouse=parts.warehouse,
            store=parts.store,
            registry=parts.registry,
            fold=parts.fold,
            admission=parts.admission,
            work_dir=self.directory / bootstrap.WORK_DIR,
            text_cache=self.directory / CACHE,
            settings=self.config.model,
            asked=asked,
            resume=resume,
            device=device,
            progress=progress,
        )

    def models(self) -> dict[str, Any]:
        """The document `shoal.models/1`: every model, oldest first, and which is current."""
        from shoal.workflows.models import models

        return models(store=self._parts.store, registry=self._parts.registry)

    def use_model(self, model_id: str) -> None:
        """Make a model the current one: forward, or back to an earlier one.

        Raises:
            UsageError: `unknown_model`.
            OperationError: `artefact_damaged`, `shop_locked`.
        """
        from shoal.domain.time import system_clock
        from shoal.workflows.models import use

        store, registry = self._parts.store, self._parts.registry
        use(store=store, registry=registry, model_id=model_id, now=system_clock())
