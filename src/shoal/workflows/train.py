"""Train a behaviour model on a shop's events, and make it the current one.

The shop's lease is held only to publish: events may come in while a model is trained, which then
has not seen them. What is trained on is read once, into a directory of this training, from which a
killed one goes on (`shoal.workflows.train_site`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.config import BehaviourConfig
from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import Clock, iso, parse_moment, system_clock
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.features.tokens import TokenSettings
from shoal.model.config import Recipe, TrainConfig
from shoal.ports import Registry, StateStore, Warehouse
from shoal.workflows import train_site
from shoal.workflows.admission import Admission
from shoal.workflows.embed import tokenizer_of
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.train_call import (
    CURRENT,
    VERSION,
    Asked,
    recipe_of,
    settings_of,
)
from shoal.workflows.train_data import TrainData, prepared
from shoal.workflows.train_fit import Start, fitted, new_model
from shoal.workflows.train_publish import document_of, publish
from shoal.workflows.train_result import TrainResult
from shoal.workflows.train_site import Site
from shoal.workflows.train_space import optuna_library

if TYPE_CHECKING:
    from shoal.domain.sequence import TextFeatures
    from shoal.model.artefact import ModelArtefact
    from shoal.model.behaviour import BehaviourModel
    from shoal.model.train import TrainingLog


def train(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    admission: Admission,
    work_dir: Path,
    text_cache: Path | None = None,
    settings: BehaviourConfig | None = None,
    asked: Asked | None = None,
    resume: bool = False,
    device: str = "auto",
    tokens: TokenSettings | None = None,
    promote: bool = True,
    clock_now: Clock = system_clock,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a model and let the pointer `model.main` name it.

    Args:
        work_dir: the shop's directory of work under way.
        text_cache: where sentence encoders keep vectors of titles; None keeps none.
        settings: the shop's; what is `asked` wins.
        resume: go on with the unfinished training that agrees with all that is asked. In steps
            the weights are those of a training that was never interrupted.
        device: `auto`, `cpu` or `cuda`; `auto` takes an accelerator where there is one.
        tokens: sizes of vocabularies.
        promote: whether the pointer is to name it; else it lies there to be compared first.

    Raises:
        UsageError: `unknown_recipe`, `bad_setting`, `no_device`, `nothing_to_resume`,
            `unknown_model`, `model_mismatch` (of a warm start).
        InputError: `too_little_data`: what there is, what is needed, what is possible with less.
        OperationError: `shop_locked` (the same training is under way, or the shop is being written
            to when the model is to be published), `training_diverged`, `interrupted`, `disk_full`,
            `out_of_memory` (of an accelerator), `missing_extra`. What was trained is kept for
            `resume`.
    """
    job = _Job(
        warehouse, store, registry, fold, admission, work_dir, text_cache,
        settings or BehaviourConfig(), asked or Asked(), tokens or TokenSettings(),
        _device(device), promote, clock_now, progress or NoProgress(),
    )  # fmt: skip
    with job.site(resume) as site:
        return job.run(site, resume)


def _device(name: str) -> str:
    from shoal.model.device import device_of

    return device_of(name)


@dataclass
class _Job:
    """One training; the steps in the order of `run`."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    admission: Admission
    work_dir: Path
    text_cache: Path | None
    settings: BehaviourConfig
    asked: Asked
    tokens: TokenSettings
    device: str
    promote: bool
    clock: Clock
    progress: Progress
    warnings: list[str] = field(default_factory=list)
    _texts: dict[str, TextFeatures] = field(default_factory=dict)
    _models: dict[str, ModelArtefact] = field(default_factory=dict)

    # -- what is asked for -------------------------------------------------------------------------

    @contextmanager
    def site(self, resume: bool) -> Iterator[Site]:
        """The directory of this training: a new one, or that of the one to go on with."""
        erased = self._erasures()
        asked = self.asked.given()
        if self.asked.tune and self.asked.search in (None, "optuna"):
            optuna_library()  # before anything is read
        if "warm_start" in asked:
            asked["warm_start"] = self._named(asked["warm_start"])
        if resume:
            found = train_site.matching(self.work_dir, asked)
            version = found.settings[VERSION]
            train_site.refuse_changed(found, self._settings(found.call, version))
            train_site.refuse_gone(found, version, self.warehouse)
            self._say_what_came(version)
            with train_site.gone_on_with(found) as site:
                yield site
            return
        earlier = self._told(asked.get("warm_start"))
        call = self.asked.call(self.settings, earlier) | asked
        version = self.warehouse.version()
        until = parse_moment(call["until"]) if call["until"] else latest_moment(self.warehouse)
        call["until"] = iso(until)
        settings = self._settings(call, version)
        self._say_unfinished(train_site.key_of(settings))
        with train_site.begun(self.work_dir, call, settings, self.clock()) as site:
            if self._erasures() != erased:
                site.remove()
                site.check()
            yield site

    def _settings(self, call: Mapping[str, Any], version: int) -> dict[str, Any]:
        return settings_of(
            call,
            self._recipe(call),
            table_version=version,
            rules=self.fold.rules,
            counted=self.admission.fingerprint,
            tokens=self.tokens,
            text=self._text(call["text"]),
        )

    def _text(self, name: str) -> TextFeatures:
        from shoal.features.text import text_features

        if name not in self._texts:  # a sentence encoder reads all its files
            self._texts[name] = text_features(name, cache=self.text_cache)
        return self._texts[name]

    def _recipe(self, call: Mapping[str, Any]) -> Recipe:
        return recipe_of(call, self._told(call["warm_start"]))

    def _named(self, model: str) -> str:
        if model != CURRENT:
            return model
        from shoal.workflows.models import current_id

        return current_id(self.store)

    def _earlier(self, model_id: str | None) -> ModelArtefact | None:
        """The model to go on from."""
        if model_id is None:
            return None
        from shoal.model.artefact import read

        if model_id not in self._models:
            self._models[model_id] = read(self.registry, model_id)
        return self._models[model_id]

    def _told(self, model_id: str | None) -> Mapping[str, Any] | None:
        """The document of the model to go on from."""
        earlier = self._earlier(model_id)
        return None if earlier is None else earlier.document

    def _erasures(self) -> int:
        return len(self.store.erasures.receipts()) + len(self.store.erasures.pending())

    def _say_what_came(self, version: int) -> None:
        if self.warehouse.version() != version:
            self.warnings.append(
                "Events came in since the training was begun: the model has not seen them. Train "
                "again, or go on from it: shoal train SHOP --warm-start current"
            )

    def _say_unfinished(self, key: str) -> None:
        known = train_site.unfinished(self.work_dir)
        if any(site.key == key for site in known):
            self.warnings.append(
                "A training of the same settings had been interrupted; it was begun anew. "
                "To go on with one: shoal train SHOP --resume"
            )
        others = [site for site in known if site.key != key]
        if others:
            self.warnings.append(
                f"Unfinished trainings lie in {self.work_dir} ({len(others)}; the last one of "
                f"{others[-1].started_at}, recipe {others[-1].call['recipe']}). To go on with "
                "one: shoal train SHOP --resume"
            )

    # -- steps -------------------------------------------------------------------------------------

    def run(self, site: Site, resume: bool) -> TrainResult:
        try:
            with site.watched():
                document, data, model, heads = self._trained(site, resume)
            model_id = publish(
                self.store, self.registry, site, data.tokenizer, model, document, heads, self.clock,
                promote=self.promote,
            )  # fmt: skip
        except (InputError, UsageError):  # the same call will never succeed
            site.remove()
            raise
        site.remove()
        return TrainResult(model_id, document, tuple(self.warnings))

    def _trained(
        self, site: Site, resume: bool
    ) -> tuple[dict[str, Any], TrainData, BehaviourModel, Mapping[str, Any]]:
        from shoal.model.device import seeded

        with seeded(site.call["seed"]):
            text = self._text(site.call["text"])
            recipe = self._recipe(site.call)
            data = self._data(site, text)
            self._enough(site, data, recipe.train)
            recipe, tuning = self._tuned(site, recipe, data, text)
            model, log = self._fit(site, data, recipe, resume)
        document = document_of(
            site.call, site.settings, self.fold, data, recipe, model, log, tuning, self.device
        )
        return document, data, model, log.heads

    def _data(self, site: Site, text: TextFeatures) -> TrainData:
        until = parse_moment(site.call["until"])
        version = site.settings[VERSION]
        earlier = self._earlier(site.call["warm_start"])
        return prepared(
            site.data,
            self.admission.at(until, version=version),
            self.fold.rules,
            until,
            version=version,
            text=text,
            settings=self.tokens,
            base=None if earlier is None else tokenizer_of(earlier),
            progress=self.progress,
        )

    def _enough(self, site: Site, data: TrainData, config: TrainConfig) -> None:
        from shoal.model.train import enough

        reason = enough(data.sequences, config)
        if reason is None:
            return
        raise InputError(
            "too_little_data",
            f"too little before {site.call['until']}: {reason}",
            hint="Ingest more events or give a later --until. What works with less: --recipe nano, "
            "features (shoal features SHOP), and segments by them or by RFM rules (shoal segment "
            "SHOP --on features, --method rfm).",
        )

    def _tuned(
        self, site: Site, recipe: Recipe, data: TrainData, text: TextFeatures
    ) -> tuple[Recipe, dict[str, Any] | None]:
        """The recipe with the best settings found, and the evidence."""
        if not site.call["tune"]:
            return recipe, None
        from shoal.workflows.train_tune import Search

        search = Search(
            site, recipe, data.sequences, self.admission, self.fold.rules, text, self.tokens,
            self.device, site.call["search"], self.progress,
        )  # fmt: skip
        return search.run(site.call["tune"])

    def _fit(
        self, site: Site, data: TrainData, recipe: Recipe, resume: bool
    ) -> tuple[BehaviourModel, TrainingLog]:
        model = new_model(data, recipe.model, site.call["seed"])
        start = self._start(site, data, recipe, model)
        log = fitted(
            model, data, recipe.train, until=parse_moment(site.call["until"]),
            value_event=self.fold.rules.value_event, directory=site.fit, resume=resume,
            device=self.device, progress=self.progress, check=site.check, start=start,
        )  # fmt: skip
        return model, log

    def _start(
        self, site: Site, data: TrainData, recipe: Recipe, fresh: BehaviourModel
    ) -> Start | None:
        """What the model goes on from."""
        earlier = self._earlier(site.call["warm_start"])
        if earlier is None:
            return None
        from shoal.model.artefact import read_heads
        from shoal.model.transfer import fitting
        from shoal.workflows.train_transfer import transfer

        weights = transfer(tokenizer_of(earlier), data.tokenizer, earlier.model.state_dict(), fresh)
        counts = data.tokenizer.items.counts
        heads = fitting(
            read_heads(self.registry, earlier.model_id), recipe.model, recipe.train,
            data.tokenizer.sizes, counts,
        )  # fmt: skip
        return Start(weights, heads, earlier.trained_until)
