"""Search for how segments adjust, on periods that are over: k, half-life, margin and cadence.

A trial is a whole replay of the shop's own past with other settings. Two objectives are told: how
much of what could be foretold the live segments foretell, and which share of customers the segments
themselves move a month. The score weighs them openly: a month in which all customers are relabelled
costs as much as `RELABEL_PRICE` of what could be foretold. Trials that no other one beats in both
are the front (Pareto). The shop's own settings are the first trial and stay where none is better by
more than a standard error. Figures of choosing are no results: the periods are those that were
chosen by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from shoal.config import Config
from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.evaluation.tracking import dominated
from shoal.workflows.backtest import SHOAL, Backtest
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.train_space import Dial, of_optuna

SCHEMA: Final = "shoal.backtest_search/1"
MOST_TRIALS: Final = 200
#: What it costs to relabel all customers in a month, in shares of what could be foretold.
RELABEL_PRICE: Final = 0.5

_HALF_LIVES: Final = (14.0, 30.0, 60.0, 90.0, 180.0)
_MARGINS: Final = (0.0, 0.05, 0.1, 0.2, 0.4)
_CADENCES: Final = (7.0, 14.0, 28.0)


@dataclass(frozen=True)
class Setting:
    """What a trial adjusts by; k 0: chosen."""

    k: int
    half_life_days: float
    switch_margin: float
    cadence_days: float

    @classmethod
    def of(cls, config: Config) -> Setting:
        """The shop's own."""
        adjust, segment = config.adjust, config.segment
        return cls(segment.k, adjust.half_life_days, segment.switch_margin, adjust.cadence_days)

    def on(self, config: Config) -> Config:
        """A configuration with these settings."""
        return replace(
            config,
            segment=replace(config.segment, k=self.k, switch_margin=self.switch_margin),
            adjust=replace(
                config.adjust, half_life_days=self.half_life_days, cadence_days=self.cadence_days
            ),
        )

    @property
    def sections(self) -> dict[str, dict[str, float]]:
        """Of `shop.toml`: section -> key -> value."""
        return {
            "segment": {"k": self.k, "switch_margin": self.switch_margin},
            "adjust": {"half_life_days": self.half_life_days, "cadence_days": self.cadence_days},
        }

    def toml(self) -> str:
        """The lines of `shop.toml`."""
        return with_values("", self.sections).lstrip()


def with_values(text: str, sections: Mapping[str, Mapping[str, float]]) -> str:
    """The text of a `shop.toml` with other values; everything else, comments too, stays.

    >>> with_values("[segment]\\nk = 0  # chosen\\n", {"segment": {"k": 7}})
    '[segment]\\nk = 7\\n'
    """
    found, left, section = list[str](), {name: dict(one) for name, one in sections.items()}, ""
    for line in [*text.splitlines(), "["]:
        if line.lstrip().startswith("["):
            # What the section that ends here lacks stands at its end.
            missing = left.pop(section, {})
            found += [f"{key} = {value}" for key, value in missing.items()]
            section = line.strip().strip("[]").strip()
        key = line.partition("=")[0].strip()
        if key in left.get(section, {}):
            line = f"{key} = {left[section].pop(key)}"
        found.append(line)
    found.pop()
    for name, values in left.items():
        found += ["", f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]
    return "\n".join(found) + "\n"


def check_trials(trials: int, *, apply: bool) -> None:
    """Refuse a number of trials that makes no search, and what only a search can do.

    Raises:
        UsageError: `usage`.
    """
    if not 0 <= trials <= MOST_TRIALS:
        raise UsageError(
            "usage", f"--tune is {trials}", hint=f"Allowed: 1 to {MOST_TRIALS} trials."
        )
    if apply and not trials:
        raise UsageError(
            "usage", "--apply without --tune", hint="Give --tune N: what it finds is written."
        )


@dataclass
class Search:
    """Trials around a shop's own settings.

    Args:
        backtest: configuration -> the backtest of a shop that has it.
    """

    config: Config
    backtest: Callable[[Config], Backtest]
    seed: int = 0
    progress: Progress = field(default_factory=NoProgress)

    def run(self, trials: int, periods: int) -> dict[str, Any]:
        """The document of the search; `setting` is what it chose.

        Raises:
            InputError: `too_little_data`, no trial could be made.
            OperationError: `missing_extra`, Optuna is not installed.
        """
        own, dials = Setting.of(self.config), self._dials()
        done: list[dict[str, Any]] = []
        self.progress.start("settings", trials)
        for number in range(trials):
            values = _values(own) if not number else of_optuna(dials, done, self.seed + number)
            setting = _setting(values)
            told = self._tried(setting, periods, last=number == trials - 1 and not _any(done))
            done.append({"trial": number, "parameters": values, "setting": setting, **told})
            self.progress.advance()
        self.progress.done()
        return _document(done)

    def _dials(self) -> dict[str, Dial]:
        """What is searched; the shop's own values are among them."""
        own, bounds = Setting.of(self.config), self.config.segment
        ks = (0, *range(bounds.k_min, bounds.k_max + 1))
        return {
            "k": _dial(map(float, ks), float(own.k)),
            "half_life_days": _dial(_HALF_LIVES, own.half_life_days),
            "switch_margin": _dial(_MARGINS, own.switch_margin),
            "cadence_days": _dial(_CADENCES, own.cadence_days),
        }

    def _tried(self, setting: Setting, periods: int, *, last: bool) -> dict[str, Any]:
        """Both objectives and the score of a setting; None where it makes no segments."""
        try:
            found = self.backtest(setting.on(self.config)).run(periods, (SHOAL,))
        except InputError as error:
            if error.code != "too_little_data" or last:
                raise
            return {"of_attainable": None, "relabelled": None, "error": None, "score": None}
        one = found["strategies"][SHOAL]
        share, relabelled = one["of_attainable"], one["relabelled_by_model_a_month"]
        score = None if share is None else share - RELABEL_PRICE * relabelled
        return {
            "of_attainable": share, "relabelled": relabelled, "error": _error(found),
            "score": score,
        }  # fmt: skip


def _any(done: list[dict[str, Any]]) -> bool:
    return any(one["score"] is not None for one in done)


def _dial(values: Any, own: float) -> Dial:
    return Dial(tuple(sorted({*values, own})))


def _values(setting: Setting) -> dict[str, float]:
    return {name: float(value) for name, value in vars(setting).items()}


def _setting(values: Mapping[str, float]) -> Setting:
    return Setting(
        int(values["k"]), values["half_life_days"], values["switch_margin"],
        values["cadence_days"],
    )  # fmt: skip


def _error(found: Mapping[str, Any]) -> float:
    """Standard error of the mean share of what is attainable, by the intervals of the outcomes."""
    errors = [
        (one["strategies"][SHOAL]["share"]["high"] - one["strategies"][SHOAL]["share"]["low"])
        / (2 * 1.96 * one["attainable"])
        for one in found["outcomes"].values()
        if one["strategies"][SHOAL]["of_attainable"] is not None
    ]
    # The same customers are behind all outcomes: their errors are taken to go together.
    return float(np.mean(errors)) if errors else 0.0


def _document(done: list[dict[str, Any]]) -> dict[str, Any]:
    there = [one for one in done if one["score"] is not None]
    if not there:
        raise InputError(
            "too_little_data",
            "nothing that came in these periods can be foretold, so no setting is better",
            hint="Ask for other --periods, or leave --tune out.",
        )
    best = max(there, key=lambda one: (one["score"], -one["trial"]))
    own = done[0]
    stays = own["score"] is not None and best["score"] - own["score"] <= best["error"]
    chosen = own if stays else best
    points = {one["trial"]: (-one["of_attainable"], one["relabelled"]) for one in there}
    front = {
        trial for trial, point in points.items() if not dominated(point, list(points.values()))
    }
    return {
        "schema": SCHEMA,
        "weights": {"of_attainable": 1.0, "relabelled_by_model_a_month": -RELABEL_PRICE},
        "trials": [
            {"trial": one["trial"], "settings": vars(one["setting"]),
             "of_attainable": one["of_attainable"], "relabelled": one["relabelled"],
             "error": one["error"], "score": one["score"], "front": one["trial"] in front}
            for one in done
        ],
        "best": best["trial"],
        "chosen": chosen["trial"],
        "setting": vars(chosen["setting"]),
        "toml": chosen["setting"].toml(),
        "reason": _reason(own, best, stays=stays).as_document(),
        "applied": False,
    }  # fmt: skip


def _reason(own: Mapping[str, Any], best: Mapping[str, Any], *, stays: bool) -> Text:
    if stays:
        return Text(
            "No setting is better than the shop's own by more than a standard error: they stay.",
            "没有任何设置比商店现有设置好出一个标准误以上：保持不变。",
        )
    was = "nothing" if own["score"] is None else f"{own['score']:.3f}"
    return Text(
        f"Trial {best['trial']} scores {best['score']:.3f}, the shop's own settings {was}: more "
        f"than the standard error of {best['error']:.3f}. These periods were chosen by, so expect "
        "less of the next ones.",
        f"第 {best['trial']} 次试验得分 {best['score']:.3f}，商店现有设置为 {was}："
        f"差异超过标准误 {best['error']:.3f}。设置正是按这些时期选出的，"
        "因此对之后的时期应期望更低。",
    )
