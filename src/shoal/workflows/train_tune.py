"""Search for the settings of a training, judged by what happened after a moment inside its period.

Every trial is trained on what was known at a moment H days before the cut-off, with a part of the
budget, and its embeddings at that moment are scored by the H days that follow
(`shoal.workflows.train_score`). The recipe's own settings are the first trial. What comes at or
after the cut-off is never touched.

Trials are kept as they end, and each is a function of the seed, its number and those before, so
that a search that was killed goes on to the same result.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from shoal.domain.errors import InputError, OperationError
from shoal.domain.kinds import KINDS
from shoal.domain.sequence import EventSequences, TextFeatures
from shoal.domain.time import from_us, iso, parse_moment, to_us
from shoal.features.queries import Rules
from shoal.features.sequences import SequenceFile, read_sequences
from shoal.features.tokens import TokenSettings
from shoal.model.config import Recipe
from shoal.workflows.admission import Admission
from shoal.workflows.progress import Progress
from shoal.workflows.train_call import VERSION
from shoal.workflows.train_data import TrainData, prepared
from shoal.workflows.train_fit import fitted, new_model
from shoal.workflows.train_score import MEASURE, outcomes, score
from shoal.workflows.train_site import Site
from shoal.workflows.train_space import (
    Parameters,
    applied,
    of_grid,
    of_optuna,
    own,
    space,
)

#: Days after the moment that trials are judged by; at most this share of the log.
HORIZON_DAYS: Final = 28
SHORTEST_DAYS: Final = 7
_LOG_SHARE: Final = 4
#: A trial has this part of the budget of the training.
BUDGET: Final = 0.25
#: Customers with events before the moment that judging needs.
CUSTOMERS: Final = 50
_TRIALS: Final = "trials.json"


@dataclass
class Search:
    """Trials of one training; `run` gives the best.

    Args:
        site: of the training; trials are kept in it.
        recipe: what is searched around.
        whole: the training's own data, for the length of the log.
        method: `optuna`, `grid` or `random`.
    """

    site: Site
    recipe: Recipe
    whole: EventSequences
    admission: Admission
    rules: Rules
    text: TextFeatures
    tokens: TokenSettings
    device: str
    method: str
    progress: Progress
    _done: list[dict[str, Any]] = field(default_factory=list)

    def run(self, trials: int) -> tuple[Recipe, dict[str, Any]]:
        """The recipe with the best settings, and the evidence.

        Raises:
            InputError: `too_little_data`: too short a log, or too few customers, to judge by.
            OperationError: `missing_extra`, for the search `optuna`; `training_diverged`, no trial
                could be trained.
        """
        days = self._days()
        moment = parse_moment(self.site.call["until"]) - timedelta(days=days)
        data, after = self._data(moment)
        told = outcomes(data.sequences.customers, after, self._value_kind)
        kept = self.site.tune / _TRIALS
        self._done = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
        for number in range(len(self._done), trials):
            values = self._ask(number, trials)
            found = self._trial(number, trials, values, data, moment, told)
            self._done.append({"trial": number, "parameters": values, **found})
            _write(kept, self._done)
            shutil.rmtree(self._home(number), ignore_errors=True)
        return self._best(days, iso(moment))

    def _best(self, days: int, moment: str) -> tuple[Recipe, dict[str, Any]]:
        trained = [one for one in self._done if one["score"] is not None]
        if not trained:
            raise OperationError(
                "training_diverged",
                f"none of {len(self._done)} settings could be trained",
                hint="Train without --tune.",
            )
        best = max(trained, key=lambda one: (one["score"], -one["trial"]))
        evidence = {
            "search": self.method,
            "measure": MEASURE,
            "moment": moment,
            "days": days,
            "budget_share": BUDGET,
            "chosen": best["trial"],
            "trials": self._done,
        }
        return applied(self.recipe, best["parameters"]), evidence

    # -- data --------------------------------------------------------------------------------------

    @property
    def _value_kind(self) -> int:
        return 1 + KINDS.index(self.rules.value_event)

    def _days(self) -> int:
        until_us = to_us(parse_moment(self.site.call["until"]))
        first_us = int(np.asarray(self.whole.fields["us"]).min())
        span = (until_us - first_us) / 86_400e6
        days = min(HORIZON_DAYS, int(span / _LOG_SHARE))
        if days >= SHORTEST_DAYS:
            return days
        raise InputError(
            "too_little_data",
            f"settings are judged by at least {SHORTEST_DAYS} days that follow three times as "
            f"many; the log has {span:.0f} days from {iso(from_us(first_us))} on",
            hint="Train without --tune.",
        )

    def _data(self, moment: datetime) -> tuple[TrainData, EventSequences]:
        """What trials learn from, and the events of the days after."""
        version = self.site.settings[VERSION]
        counted = self.admission.at(moment, version=version)
        data = prepared(
            self.site.tune / "data", counted, self.rules, moment, version=version, text=self.text,
            settings=self.tokens, progress=self.progress,
        )  # fmt: skip
        if len(data.sequences) < CUSTOMERS:
            raise InputError(
                "too_little_data",
                f"settings are judged by customers with events before {iso(moment)}: there are "
                f"{len(data.sequences)}, {CUSTOMERS} are needed",
                hint="Train without --tune.",
            )
        until = parse_moment(self.site.call["until"])
        directory = self.site.tune / "after"
        if directory.exists():
            return data, SequenceFile.open(directory).sequences
        counted = self.admission.at(until, version=version)
        parts = read_sequences(
            counted, data.tokenizer, self.rules, as_of=until, since=moment, version=version
        )
        aside = self.site.tune / ".after"
        SequenceFile.write(aside, parts)
        aside.rename(directory)
        return data, SequenceFile.open(directory).sequences

    # -- trials ------------------------------------------------------------------------------------

    def _ask(self, number: int, trials: int) -> Parameters:
        """The settings of a trial."""
        if number == 0:
            return own(self.recipe)
        dials, seed = space(self.recipe), self.recipe.train.seed
        if self.method == "grid":
            return of_grid(dials, number, trials, seed)
        if self.method == "random":
            rng = np.random.default_rng([seed, number])
            return {name: dial.drawn(rng) for name, dial in dials.items()}
        return of_optuna(dials, self._done, seed + number)

    def _home(self, number: int) -> Path:
        return self.site.tune / f"trial-{number:03d}"

    def _trial(
        self,
        number: int,
        trials: int,
        values: Parameters,
        data: TrainData,
        moment: datetime,
        told: dict[str, Any],
    ) -> dict[str, Any]:
        from shoal.model.embedding import embed

        chosen = applied(self.recipe, values)
        train = chosen.train
        part = replace(
            train,
            minutes=train.minutes * BUDGET,
            passes=train.passes * BUDGET,
            steps=math.ceil(train.steps * BUDGET),
        )
        directory = self._home(number)
        directory.mkdir(exist_ok=True)
        model = new_model(data, chosen.model, train.seed)
        try:
            log = fitted(
                model, data, part, until=moment,
                value_event=self.rules.value_event, directory=directory, resume=True,
                device=self.device, progress=self.progress, check=self.site.check,
                label=f"trial {number + 1} of {trials}",
            )  # fmt: skip
        except OperationError as error:
            if error.code != "training_diverged":
                raise
            return {"score": None, "figures": {}, "steps": 0, "seconds": 0.0, "why": error.message}
        figures = score(embed(model.cpu(), data.sequences, to_us(moment)), told, train.seed)
        document = log.as_document()
        return {
            "score": figures["total"],
            "figures": figures,
            "steps": document["steps"],
            "seconds": document["seconds"],
        }


def _write(path: Path, trials: list[dict[str, Any]]) -> None:
    aside = path.with_name(f".{path.name}")
    aside.write_text(json.dumps(trials, indent=1), encoding="utf-8")
    aside.replace(path)
