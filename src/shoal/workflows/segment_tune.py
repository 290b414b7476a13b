"""Search for the settings of segments, judged by the period that followed an earlier moment.

A trial makes segments from what was known, and expected, a horizon before the moment, by one
method, number, styles among them, inputs and weights; its score is what those segments foretell
of the horizon that followed (`shoal.segments.choose`): nothing at or after the moment is touched.
The default settings are the first trial. Taken is the smallest number of segments within one
standard error of the best trial, of these the best. Silhouette and other indices stand beside and
decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.features.row_order import sample_rows
from shoal.features.tastes import Vocabulary
from shoal.segments.clustered import ClusterSegmenter, Preparation
from shoal.segments.inputs import BOTH, EMBEDDING, FEATURES, VOLUME, WEIGHTS, inputs
from shoal.segments.judge import Future, Judge, Limits
from shoal.segments.methods.hierarchy import Hierarchy
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture
from shoal.segments.methods.registry import Options, make
from shoal.segments.methods.staged import Staged
from shoal.segments.staging import Space
from shoal.workflows.segment_outlook import OUTLOOK, STYLE
from shoal.workflows.segment_past import Past
from shoal.workflows.train_space import Dial, Parameters, of_optuna

if TYPE_CHECKING:
    from shoal.workflows.known import Known
    from shoal.workflows.segment_learn import Learner

SCHEMA: Final = "shoal.segment_search/1"
#: Methods that are tried; others find their own number, need labels, or take minutes a trial.
METHODS: Final = (KMeansClusterer.method, Mixture.method, Hierarchy.method)
MOST_TRIALS: Final = 500
_INDEX_CUSTOMERS: Final = 2_000
#: Shares of the segments that differ by style: from stages of one style to styles alone.
_STYLES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Setting:
    """What a trial makes segments by."""

    method: str
    k: int
    styles: int
    on: str
    preparation: Preparation

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        weights = self.preparation.group_weights
        return {
            "method": self.method, "k": self.k, "styles": self.styles, "on": self.on,
            "variance_share": self.preparation.variance_share,
            "category_weight": weights.get("tastes:category", 1.0),
            "volume_weight": weights.get(VOLUME, 1.0),
        }  # fmt: skip


def reason(setting: Setting, trials: int) -> Text:
    """Why segments are as they are, after a search."""
    return Text(
        f"A search of {trials} trials found the method {setting.method} with k = {setting.k}, "
        f"{setting.styles} of them styles, on {setting.on}: the smallest number within one "
        "standard error of what foretold the last period best.",
        f"经 {trials} 次试验搜索，选用方法 {setting.method}，k = {setting.k}，其中风格 "
        f"{setting.styles} 类，输入为 {setting.on}：与最能预测上一时期的设置"
        "相差不超过一个标准误的最小数量。",
    )


def check_trials(trials: int) -> None:
    """Refuse a number of trials that makes no search.

    Raises:
        UsageError: `usage`.
    """
    if not 1 <= trials <= MOST_TRIALS:
        raise UsageError(
            "usage", f"--tune is {trials}", hint=f"Allowed: 1 to {MOST_TRIALS} trials."
        )


@dataclass
class SegmentSearch:
    """Trials around a learner's own settings; `run` gives the best setting and the evidence.

    Args:
        learner: reads the shop; a k or an aim that it was told stays.
        known: at the moment that segments are wanted for.
        methods: that may be tried, some of `METHODS`.
    """

    learner: Learner
    known: Known
    vocabulary: Vocabulary
    methods: tuple[str, ...] = METHODS
    _done: list[dict[str, Any]] = field(default_factory=list)
    _judged: list[tuple[Setting, Any, dict[str, float]]] = field(default_factory=list)
    _prepared: dict[tuple[Any, ...], npt.NDArray[np.float64]] = field(default_factory=dict)

    def run(self, trials: int) -> tuple[Setting, dict[str, Any]]:
        """The setting that foretold best, and what all trials came to.

        Raises:
            InputError: `too_little_data`, the log is too short or too few were known then.
            OperationError: `missing_extra`, Optuna is not installed.
        """
        future, table = self._past()
        rows = sample_rows(future.X, 2 * _LIMITS.sample_customers, self.learner.seed)
        judge = Judge(future, rows, _LIMITS.folds)
        if not judge.outcomes:
            raise _too_little("nothing that happened since differs between customers")
        dials = self._dials(table, future)
        self.learner.progress.start("settings", trials)
        for number in range(trials):
            values = self._first(dials) if number == 0 else self._next(dials, number)
            setting = self._setting(dials, values)
            found = self._labels(setting, future, table, rows)
            judged = None if found is None else judge.judged(found[0])
            self._judged.append((setting, judged, {} if found is None else found[1]))
            self._done.append({"parameters": values, "score": None})
            self._score(judge)
            self.learner.progress.advance()
        self.learner.progress.done()
        return self._best(future.horizon_days, judge)

    @property
    def past(self) -> Past:
        """The period that judges."""
        return Past(self.learner)

    # -- the past ----------------------------------------------------------------------------------

    def _past(self) -> tuple[Future, pa.Table]:
        """The period that judges, and the table of the customers who were known before it."""
        told = self.past.period(self.known, self.vocabulary)
        if told is None:
            raise _too_little("there is no period to judge settings by")
        return told

    def _dials(self, table: pa.Table, future: Future) -> dict[str, Dial]:
        on = [FEATURES, *self._embedded()]
        k = self.learner.k
        lowest, highest = self.learner.settings.k_min, self.learner.settings.k_max
        return {
            "method": Dial(tuple(map(float, range(len(self.methods))))),
            "k": Dial((float(k),) if k else tuple(map(float, range(lowest, highest + 1)))),
            "styles": Dial(self._styles(future)),
            "on": Dial(tuple(map(float, range(len(on))))),
            "variance_share": Dial((0.8, 0.9, 0.95)),
            "category": Dial((1.0, 2.0, 4.0)),
            "volume": Dial((0.25, 0.5, 1.0)),
        }

    def _styles(self, future: Future) -> tuple[float, ...]:
        """Shares of the segments that differ by style, as the aim allows."""
        aim = self.learner.aim
        if future.outlook is None or aim == STYLE:
            return (1.0,)
        return (0.0,) if aim == OUTLOOK else _STYLES

    def _embedded(self) -> list[str]:
        """Inputs with an embedding, where its model did not know what the trials are judged by."""
        model = self.learner.model
        if model is None:
            return []
        days = self.past.horizon(self.known)
        moment = self.known.as_of - timedelta(days=days or 0)
        return [EMBEDDING, BOTH] if model.found.trained_until <= moment else []

    # -- trials ------------------------------------------------------------------------------------

    def _first(self, dials: Mapping[str, Dial]) -> Parameters:
        """The default settings, or what of them is searched."""
        usual = {"method": 0.0, "k": 8.0, "styles": 0.5, "on": float(len(dials["on"].values) - 1),
                 "variance_share": 0.9, "category": WEIGHTS["tastes:category"],
                 "volume": WEIGHTS[VOLUME]}  # fmt: skip
        return {name: _nearest(dial.values, usual[name]) for name, dial in dials.items()}

    def _next(self, dials: Mapping[str, Dial], number: int) -> Parameters:
        return of_optuna(dials, self._done, self.learner.seed + number)

    def _setting(self, dials: Mapping[str, Dial], values: Mapping[str, float]) -> Setting:
        on = [FEATURES, *self._embedded()]
        weights = {**WEIGHTS, "tastes:category": values["category"], VOLUME: values["volume"]}
        k = int(values["k"])
        return Setting(
            self.methods[int(values["method"])], k, max(1, round(k * values["styles"])),
            on[int(values["on"])],
            Preparation(variance_share=float(values["variance_share"]), group_weights=weights),
        )  # fmt: skip

    def _labels(
        self, setting: Setting, future: Future, table: pa.Table, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], dict[str, float]] | None:
        """Places of the judged customers by a setting, and indices; None where it makes none."""
        chosen = setting.preparation
        key = (setting.on, chosen.variance_share, *sorted(chosen.group_weights.items()))
        if key not in self._prepared:
            segmenter = ClusterSegmenter(
                inputs(table, self.learner.fold.catalog, self.vocabulary, setting.on),
                setting.k, minimum_events=self.learner.settings.min_events, preparation=chosen,
            )  # fmt: skip
            self._prepared[key] = segmenter.prepare(table)
        space = Space(self._prepared[key], future.outlook).take(rows)
        if setting.k > len(space) // 2:
            return None
        X, width = space.style, space.style.shape[1]
        base = make(setting.method, min(setting.styles, setting.k), Options())
        if setting.styles < setting.k and space.outlook is not None:
            X = np.hstack([X, space.outlook])
            base = Staged(base, setting.k, width)
        fitted = base.fit(X, seed=self.learner.seed)
        places = np.asarray(fitted.weights(X).argmax(axis=1), np.int64)
        return places, _indices(X, places, self.learner.seed)

    # -- judging -----------------------------------------------------------------------------------

    def _score(self, judge: Judge) -> None:
        """Scores of all trials so far: shares of the best that any of them foretells."""
        scores = judge.of([judged for _, judged, _ in self._judged])
        for done, score in zip(self._done, scores, strict=True):
            done["score"] = None if score is None else score.score

    def _best(self, horizon_days: int, judge: Judge) -> tuple[Setting, dict[str, Any]]:
        scores = judge.of([judged for _, judged, _ in self._judged])
        there = [place for place, score in enumerate(scores) if score is not None]
        if not there:
            raise _too_little("no setting made segments of the customers known then")
        told = {place: score for place, score in enumerate(scores) if score is not None}
        best = max(there, key=lambda place: (told[place].score, -place))
        bound = told[best].score - told[best].error
        near = [place for place in there if told[place].score >= bound]
        least = min(self._judged[place][0].k for place in near)
        taken = max(
            (place for place in near if self._judged[place][0].k == least),
            key=lambda place: (told[place].score, -place),
        )
        evidence = {
            "schema": SCHEMA, "search": "optuna", "horizon_days": horizon_days, "best": best,
            "chosen": taken,
            "trials": [
                {"trial": place, **setting.as_document(), "indices": indices,
                 "score": None if score is None else score.score,
                 "score_se": None if score is None else score.error,
                 "shares": None if score is None else score.shares}
                for place, ((setting, _, indices), score)
                in enumerate(zip(self._judged, scores, strict=True))
            ],
        }  # fmt: skip
        return self._judged[taken][0], evidence


def _nearest(values: tuple[float, ...], wanted: float) -> float:
    return min(values, key=lambda value: abs(value - wanted))


def _indices(
    X: npt.NDArray[np.float64], places: npt.NDArray[np.int64], seed: int
) -> dict[str, float]:
    """Silhouette (Rousseeuw, 1987), Calinski-Harabasz (1974) and Davies-Bouldin (1979)."""
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    if len(np.unique(places)) < 2:
        return {}
    rows = np.random.default_rng(seed).permutation(len(X))[:_INDEX_CUSTOMERS]
    told = {}
    if 1 < len(np.unique(places[rows])) < len(rows):
        told["silhouette"] = float(silhouette_score(X[rows], places[rows]))
    told["calinski_harabasz"] = float(calinski_harabasz_score(X, places))
    told["davies_bouldin"] = float(davies_bouldin_score(X, places))
    return told


def _too_little(what: str) -> InputError:
    return InputError(
        "too_little_data",
        f"settings are judged by the period that followed an earlier moment, but {what}",
        hint="Segment without --tune, or ingest more of the past.",
    )
