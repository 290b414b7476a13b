"""Drift: one look compared with earlier ones, everything asked, and what is to be done anything of.

broken       of what nothing is learned; left out of the rest
inputs       features, pairs of features, and a classifier on all of them
embedding    a classifier on the behaviour model's embedding
assignment   how well segments hold customers
outcomes     whether what was foretold came
harm         whether segments or forecasts are worse for it: only then an alarm is answered
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from shoal.adjust.adjustment import ASSIGNMENT, BROKEN, EMBEDDING, INPUTS, OUTCOMES, Alarm
from shoal.adjust.drift import assignment, classifier, inputs, outcomes
from shoal.adjust.drift.anytime import Allowance, Monitors
from shoal.adjust.drift.breaks import Broken, broken
from shoal.adjust.drift.contrast import LEAST, Contrasts, Panel
from shoal.adjust.drift.correct import benjamini_yekutieli, holm
from shoal.adjust.drift.harm import Harm, harm
from shoal.adjust.drift.look import RECENCY, Look
from shoal.adjust.drift.series import change_point, drawn, histogram
from shoal.adjust.drift.windows import Windows, matched
from shoal.adjust.settings import AdjustSettings
from shoal.domain.text import Text
from shoal.domain.time import iso

__all__ = ["Detection", "Look", "Monitors", "detect"]

#: States of a look: all was asked; too few customers; nothing to compare with; nobody of now was
#: there before; no event since the last look; the clock went back.
OK: Final = "ok"
FEW: Final = "few_customers"
NO_REFERENCE: Final = "no_reference"
ALL_NEW: Final = "all_new"
NO_EVENTS: Final = "no_events"
CLOCK_BACK: Final = "clock_back"

#: Part of the allowed false alarms of each group of tests.
FEATURES: Final = "features"
PAIRS: Final = "pairs"
JOINT: Final = "joint"
SHARES: Final[Mapping[str, float]] = {
    FEATURES: 0.3, PAIRS: 0.15, JOINT: 0.15, EMBEDDING: 0.15, ASSIGNMENT: 0.15, OUTCOMES: 0.1,
}  # fmt: skip
#: A share of customers below which those known before tell nothing of the others.
_SAME: Final = 0.02
#: Earlier looks from before a change that are enough to leave later ones out.
_FEWEST_CLEAN: Final = 2
#: Features that an alarm names.
_NAMED: Final = 8


@dataclass(frozen=True)
class Detection:
    """What a look found.

    Args:
        alarms: broken first, then by subject.
        monitors: to be handed to the next look.
        blocked: what nothing may be learned from: broken features and parts of the tracking.
        notes: what a person should know.
        state: `ok`, or why not everything was asked.
    """

    alarms: tuple[Alarm, ...]
    monitors: Monitors
    blocked: tuple[str, ...] = ()
    notes: tuple[Text, ...] = ()
    state: str = OK


def detect(
    now: Look,
    references: Sequence[Look],
    *,
    monitors: Monitors | None,
    settings: AdjustSettings,
    seed: int = 0,
) -> Detection:
    """Compare a look with earlier ones.

    Args:
        references: earlier looks through the same segmentation, any number; which of them fit is
            found here (`windows.wanted` tells which are worth making).
        monitors: of the look before; None for the first, and after all segments were made anew.
        seed: of samples and sign flips.
    """
    kept = monitors or Monitors()
    if kept.moment is not None and now.moment < kept.moment:
        note = _note(CLOCK_BACK, iso(now.moment), iso(kept.moment))
        return Detection((), kept, (), (note,), CLOCK_BACK)
    enough = [one for one in references if one.customers >= LEAST]
    windows = matched(now, _unaffected(now, enough, kept))
    state = _state(now, windows)
    if state in (FEW, NO_REFERENCE):
        found = broken(None, now.rhythm, now.moment)
        return Detection(
            found.alarms, kept.at(now.moment), found.blocked, (*windows.notes, _note(state)), state
        )
    panel = Panel.of(now, windows, seed=seed)
    if state == OK and not _met(panel):
        state = ALL_NEW
    found, kept = _going_on(broken(panel, now.rhythm, now.moment), kept, now.moment)
    notes = windows.notes if state == OK else (*windows.notes, _note(state))
    if state != OK:
        return Detection(found.alarms, kept.at(now.moment), found.blocked, notes, state)
    alarms, kept = _Asked(now, windows, panel, found, kept, settings, seed).alarms()
    return Detection((*found.alarms, *alarms), kept.at(now.moment), found.blocked, notes, state)


def _unaffected(now: Look, references: Sequence[Look], kept: Monitors) -> Sequence[Look]:
    """Looks from before what is told already: later ones would make it look usual in a few weeks.

    What is told goes on being told until it is answered, or is over.
    """
    since = [first for key in kept.told if (first := kept.goes_on(key, now.moment)) is not None]
    clean = [one for one in references if not since or one.moment <= min(since)]
    recent = matched(now, clean).recent
    return clean if len(recent) >= _FEWEST_CLEAN else references


def _going_on(found: Broken, kept: Monitors, moment: datetime) -> tuple[Broken, Monitors]:
    """Features that are broken since they were told to be, and monitors that know it: looks of
    since then are not compared with, or what is broken would soon be usual."""
    alarms = []
    for one in found.alarms:
        if one.features:
            key = f"{BROKEN} {one.what}"
            since = min(one.since, kept.goes_on(key, moment) or one.since)
            kept, one = kept.telling(key, moment, since), replace(one, since=since)
        alarms.append(one)
    return replace(found, alarms=tuple(alarms)), kept


def _state(now: Look, windows: Windows) -> str:
    if now.customers < LEAST:
        return FEW
    if not windows.recent:
        return NO_REFERENCE
    recency = now.feature(RECENCY)
    if np.isfinite(recency).any() and float(np.nanmin(recency)) >= 7:
        return NO_EVENTS
    return OK


def _met(panel: Panel) -> bool:
    """Whether enough of now's customers were there at an earlier look."""
    before = np.unique(np.concatenate(panel.who[: panel.recent]))
    return bool(np.isin(panel.who[-1], before).mean() >= _SAME)


@dataclass
class _Asked:
    """Everything that is asked of a look."""

    now: Look
    windows: Windows
    panel: Panel
    broken: Broken
    monitors: Monitors
    settings: AdjustSettings
    seed: int

    def alarms(self) -> tuple[list[Alarm], Monitors]:
        """What is told, and the monitors after it."""
        last = self.monitors.moment
        elapsed = None
        if last is not None and last != self.now.moment:
            elapsed = (self.now.moment - last) / timedelta(days=1)
        self.allowed = Allowance.of(self.settings.false_alarms, self.settings.cadence_days, elapsed)
        self.moments = [look.moment for look in self.panel.looks]
        held = assignment.assigned(self.panel)
        told = outcomes.calibrated(self.now, self.windows.recent)
        self.gate: Harm = harm(held, told)
        scores = inputs.scores(self.panel, self.broken.features)
        found = [
            self._features(scores), self._pairs(scores), self._joint(scores), self._embedding(),
            self._assignment(held), *self._outcomes(told),
        ]  # fmt: skip
        return [one for one in found if one is not None], self.monitors

    # -- the groups --------------------------------------------------------------------------------

    def _features(self, scores: inputs.Scores) -> Alarm | None:
        asked = inputs.marginals(self.panel, scores)
        if asked is None:
            return None
        names = [f"{name} {question}" for name, question in asked.asked]
        p, over = self._told(FEATURES, names, asked.contrasts.p_value)
        if p is None:
            return None
        lead = self._lead(asked.contrasts, names, over)
        feature, question = asked.asked[lead]
        before = self.windows.recent[-1].feature(feature)[self.windows.recent[-1].known]
        after = self.now.feature(feature)[self.now.known]
        unit = "share" if question == inputs.MISSING else "deviations"
        return self._alarm(
            INPUTS, feature, asked.contrasts, lead, unit, p, over,
            [name for name, _ in asked.asked],
            {"asked": question, "histogram": histogram(before, after)},
        )  # fmt: skip

    def _pairs(self, scores: inputs.Scores) -> Alarm | None:
        asked = inputs.pairs(self.panel, scores)
        if asked is None:
            return None
        names = [f"{one} x {other}" for one, other in asked.asked]
        p, over = self._told(PAIRS, names, asked.contrasts.p_value)
        if p is None:
            return None
        lead = self._lead(asked.contrasts, names, over)
        return self._alarm(
            INPUTS, names[lead], asked.contrasts, lead, "correlation", p, over,
            [name for name, _ in asked.asked],
            {"asked": "together", "pair": list(asked.asked[lead])},
        )  # fmt: skip

    def _joint(self, scores: inputs.Scores) -> Alarm | None:
        if not scores.names:
            return None
        told = classifier.told_apart(self.panel, scores.looks, self.seed)
        return self._classified(INPUTS, JOINT, "all features", told, scores.names)

    def _embedding(self) -> Alarm | None:
        looks = self.panel.looks
        widths = {None if one.embeddings is None else one.embeddings.shape[1] for one in looks}
        if None in widths or len(widths) != 1:
            return None
        columns = self.panel.each(
            lambda look, _, placed: np.asarray(look.embeddings, np.float64)[placed]
        )
        if any(not np.isfinite(one).all() for one in columns):
            columns = [np.where(np.isfinite(one), one, np.nan) for one in columns]
        told = classifier.told_apart(self.panel, columns, self.seed)
        names = tuple(f"e{place}" for place in range(columns[0].shape[1]))
        return self._classified(EMBEDDING, EMBEDDING, "embedding", told, names)

    def _classified(
        self, subject: str, group: str, what: str, told: classifier.Told | None,
        names: Sequence[str],
    ) -> Alarm | None:  # fmt: skip
        if told is None:
            return None
        p, over = self._told(group, [what], np.array([told.p_value]))
        if p is None:
            return None
        order = np.argsort(-np.abs(told.telling), kind="stable")[:_NAMED]
        evidence = {
            "usual": told.usual, "harm": self.gate.as_document(), "over_looks": over is not None,
            "telling": [{"name": names[place], "deviations": float(told.telling[place])}
                        for place in order],
        }  # fmt: skip
        since = self._since(f"{subject} {what}", self.windows.recent[-1].moment)
        return Alarm(
            subject, what, told.auc, "AUC", p, told.people, since,
            tuple(names[place] for place in order), self.gate.harmful, evidence,
        )  # fmt: skip

    def _assignment(self, held: Contrasts) -> Alarm | None:
        names = list(assignment.ASKED)
        p, over = self._told(ASSIGNMENT, names, held.p_value)
        if p is None:
            return None
        lead = self._lead(held, names, over)
        return self._alarm(
            ASSIGNMENT, names[lead], held, lead, assignment.UNITS[lead], p, over, [], {}
        )

    def _outcomes(self, told: Sequence[outcomes.Calibration]) -> list[Alarm]:
        if not told:
            return []
        names = [f"{one.outcome} {one.asked}" for one in told]
        p, _ = self._told(OUTCOMES, names, np.array([one.p_value for one in told]))
        if p is None:
            return []
        one = min(told, key=lambda one: (one.p_value, one.outcome))
        held = [look for look in self.windows.recent if one.outcome in (look.expected or {})]
        moments = [look.moment for look in (*held, self.now)][-len(one.series) :]
        since = self._since(f"{OUTCOMES} {one.outcome}", change_point(moments, one.series))
        evidence = {
            **one.evidence, "asked": one.asked, "harm": self.gate.as_document(),
            "series": drawn(moments, one.series, one.error, len(moments) - 1),
        }  # fmt: skip
        return [Alarm(
            OUTCOMES, one.outcome, one.size, "share of expected", p, one.customers, since, (),
            self.gate.harmful, evidence,
        )]  # fmt: skip

    # -- what they share ---------------------------------------------------------------------------

    def _told(
        self, group: str, names: Sequence[str], p_values: Any
    ) -> tuple[float | None, tuple[str, ...] | None]:
        """The p-value to tell, None for no alarm; and what told, where only looks together do."""
        allowed = self.allowed.shared(SHARES[group])
        adjusted = holm(np.asarray(p_values, np.float64))
        bets = dict(zip(names, np.asarray(p_values, np.float64).tolist(), strict=True))
        self.monitors = self.monitors.stepped(group, bets, self.now.moment)
        evidence = self.monitors.evidence(group)
        over = None
        if evidence >= allowed.capital:
            over = self.monitors.leading(group)
            self.monitors = self.monitors.begun_anew(group)
        least = float(adjusted.min(initial=1.0))
        if least <= allowed.level:
            return least, None
        if over:
            return min(1.0, 1 / evidence), over
        return None, None

    def _lead(self, found: Contrasts, names: Sequence[str], over: tuple[str, ...] | None) -> int:
        """The most telling test."""
        if over and over[0] in names:
            return names.index(over[0])
        strength = np.abs(found.difference) / found.error
        return int(np.lexsort((-strength, found.p_value))[0])

    def _alarm(
        self, subject: str, what: str, found: Contrasts, lead: int, unit: str, p: float,
        over: tuple[str, ...] | None, names: Sequence[str], evidence: Mapping[str, Any],
    ) -> Alarm:  # fmt: skip
        places = [*range(self.panel.recent), len(self.moments) - 1]
        when = [self.moments[place] for place in places]
        series = found.means[places, lead]
        since = self._since(f"{subject} {what}", change_point(when, series))
        telling = benjamini_yekutieli(found.p_value, 0.05)
        order = np.argsort(found.p_value, kind="stable")
        features = [names[place] for place in order if telling[place]] if names else []
        more = {
            "harm": self.gate.as_document(),
            "series": drawn(when, series, float(found.error[lead]), len(when) - 1),
            "over_looks": over is not None,
        }
        first = [names[lead]] if names else []
        return Alarm(
            subject, what, float(found.difference[lead]), unit, p, self.now.customers, since,
            tuple(dict.fromkeys([*first, *features]))[:_NAMED], self.gate.harmful,
            {**evidence, **more},
        )  # fmt: skip

    def _since(self, key: str, since: datetime) -> datetime:
        """Since when an alarm is told: of one that goes on since it was told first."""
        before = self.monitors.goes_on(key, self.now.moment)
        since = since if before is None else min(before, since)
        self.monitors = self.monitors.telling(key, self.now.moment, since)
        return since


def _note(state: str, *more: str) -> Text:
    """What a state means."""
    told = {
        FEW: Text(
            f"Fewer than {LEAST} customers are placed: drift is not looked for.",
            f"已归入分群的客户不足 {LEAST} 人:不检测漂移。",
        ),
        NO_REFERENCE: Text(
            "There is no earlier look to compare with: drift is not looked for yet.",
            "没有可比较的更早观察:暂不检测漂移。",
        ),
        ALL_NEW: Text(
            "Hardly any customer of now was there before: drift is not looked for.",
            "目前的客户几乎都是新的:不检测漂移。",
        ),
        NO_EVENTS: Text(
            "No event came for a week: there is nothing to look for drift in.",
            "一周没有任何事件:无从检测漂移。",
        ),
    }  # fmt: skip
    if state == CLOCK_BACK:
        return Text(
            f"The look is of {more[0]}, before the last one of {more[1]}: nothing was asked.",
            f"本次观察({more[0]})早于上一次({more[1]}):未作检测。",
        )
    return told[state]
