"""Looking every day without crying wolf every month: evidence that may be read at any time.

`false_alarms` a year is the dial, and half of it goes to each of two ways of telling:

- *one look*: the chance of a false alarm of a look is its share of the year. Expectations add
  whatever depends on what, so looks may be as frequent and as alike as they like.
- *looks together*: small changes that no single look proves. Each test bets against its own
  p-values: a p-value earns e(p) = (1 - p + p ln p) / (p ln(p)^2), which is 1 on average where
  nothing changed (the mixture of the calibrators k p^(k-1) over k in (0, 1); Vovk and Wang 2021,
  "E-values: calibration, combination, and applications"). What is earned is bet again, and each
  look may be the one at which the change began: M <- (M + 1) e, the e-detector of Shiryaev-Roberts
  form of Shin, Ramdas and Rinaldo (2024, "E-detectors"). In looks, the time to the first false
  alarm at M >= c is at least c on average; so is that of an average of several M.

Bets in a row must not be on the same days: windows of 28 days overlap in looks of a week. So a test
bets in several lanes, each at least `LAG_DAYS` after its last bet, and their average is read, as
Henzi and Ziegel (2022) and Arnold, Henzi and Ziegel (2023) do for forecasts with a lag.
What the p-values leave to wish for (earlier looks that are compared with are estimates, and shared)
is left to the least differences of the tests, and measured (`bench.drift`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

import numpy as np

from shoal.adjust.drift.look import Floats
from shoal.domain.time import iso, parse_moment

#: From one bet of a lane to its next: the windows of most features do not overlap any more.
LAG_DAYS: Final = 28.0
#: Lanes that a test has at most; looks closer together than `LAG_DAYS` / lanes skip some bets.
_LANES: Final = 28
_YEAR_DAYS: Final = 365.25
#: Capital is worth no more than this: it says all there is to say.
_MOST: Final = 1e12
#: Looks whose evidence is kept to be drawn.
_HISTORY: Final = 60
#: An alarm that was told within so many days goes on.
_GOES_ON_DAYS: Final = 28.0
_FORM: Final = "shoal.monitors/1"


def earned(p_values: Floats) -> Floats:
    """The e-value of each p-value.

    >>> earned(np.array([0.01, 0.2, 1.0])).round(2).tolist()
    [4.45, 0.92, 0.5]
    """
    p = np.clip(p_values, 1e-300, 1.0)
    logs = np.log(p)
    near = logs > -1e-4
    safe = np.where(near, -1.0, logs)
    told = (1 - p + p * safe) / (p * safe**2)
    # the limit at 1 is 1/2
    return np.asarray(np.where(near, 0.5, told))


@dataclass(frozen=True)
class Lane:
    """Bets that are far enough apart: capital by what it is bet on, and the moment of the last."""

    moment: datetime
    capital: Mapping[str, float]


@dataclass(frozen=True)
class Monitors:
    """What is kept from look to look; nothing before the first.

    Args:
        moment: of the last look; None before the first.
        lanes: of each group of tests.
        history: of each group (moment, evidence), oldest first; to be drawn.
        told: alarms by key, since when they are told and when they were told last.
    """

    moment: datetime | None = None
    lanes: Mapping[str, tuple[Lane, ...]] = field(default_factory=dict)
    history: Mapping[str, tuple[tuple[datetime, float], ...]] = field(default_factory=dict)
    told: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)

    def stepped(self, group: str, bets: Mapping[str, float], moment: datetime) -> Monitors:
        """After a look's p-values of a group of tests; unchanged where no lane may bet yet."""
        lanes = list(self.lanes.get(group, ()))
        if any(lane.moment >= moment for lane in lanes):
            return self
        lag = timedelta(days=LAG_DAYS)
        free = [place for place, lane in enumerate(lanes) if moment - lane.moment >= lag]
        if not free and len(lanes) >= _LANES:
            return self
        names = list(bets)
        gain = earned(np.array([bets[name] for name in names]))
        before = lanes[free[0]].capital if free else {}
        # a test that is new begins now
        capital = {
            name: min((before.get(name, 0.0) + 1.0) * float(won), _MOST)
            for name, won in zip(names, gain, strict=True)
        }
        lane = Lane(moment, capital)
        if free:
            lanes[free[0]] = lane
        else:
            lanes.append(lane)
        changed = replace(self, lanes={**self.lanes, group: tuple(lanes)})
        seen = (*self.history.get(group, ()), (moment, changed.evidence(group)))[-_HISTORY:]
        return replace(changed, history={**self.history, group: seen})

    def evidence(self, group: str) -> float:
        """Average capital of a group: over its lanes, and over its tests."""
        told = [
            sum(lane.capital.values()) / len(lane.capital)
            for lane in self.lanes.get(group, ())
            if lane.capital
        ]
        return sum(told) / len(told) if told else 0.0

    def leading(self, group: str, most: int = 5) -> tuple[str, ...]:
        """The tests of a group with most capital, most first; none with a tenth of it or less."""
        sums: dict[str, float] = {}
        for lane in self.lanes.get(group, ()):
            for name, held in lane.capital.items():
                sums[name] = sums.get(name, 0.0) + held
        least = max(sums.values(), default=0.0) / 10
        ranked = sorted(sums, key=lambda name: (-sums[name], name))
        return tuple(name for name in ranked[:most] if sums[name] > least)

    def begun_anew(self, group: str) -> Monitors:
        """After the group told of a change: its capital is spent."""
        return replace(self, lanes={name: own for name, own in self.lanes.items() if name != group})

    def telling(self, key: str, moment: datetime, since: datetime) -> Monitors:
        """After an alarm was told."""
        first, last = self.told.get(key, (since, moment))
        if moment - last > timedelta(days=_GOES_ON_DAYS):
            first = since
        return replace(self, told={**self.told, key: (min(first, since), moment)})

    def goes_on(self, key: str, moment: datetime) -> datetime | None:
        """Since when an alarm was told already; None for a new one."""
        if key not in self.told:
            return None
        first, last = self.told[key]
        return first if moment - last <= timedelta(days=_GOES_ON_DAYS) else None

    def at(self, moment: datetime) -> Monitors:
        """After a look at that moment."""
        return replace(self, moment=moment)

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": _FORM,
            "moment": None if self.moment is None else iso(self.moment),
            "lanes": {
                group: [
                    {"moment": iso(lane.moment), "capital": dict(lane.capital)} for lane in lanes
                ]
                for group, lanes in self.lanes.items()
            },
            "history": {
                group: [[iso(moment), value] for moment, value in told]
                for group, told in self.history.items()
            },
            "told": {key: [iso(one) for one in pair] for key, pair in self.told.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` wrote.

        Raises:
            ValueError: another form.
        """
        if document.get("schema") != _FORM:
            raise ValueError(f"monitors of form {document.get('schema')!r}; read is {_FORM}")
        moment = document["moment"]
        return cls(
            None if moment is None else parse_moment(moment),
            {
                group: tuple(
                    Lane(parse_moment(lane["moment"]), dict(lane["capital"])) for lane in lanes
                )
                for group, lanes in document["lanes"].items()
            },
            {
                group: tuple((parse_moment(when), float(value)) for when, value in told)
                for group, told in document["history"].items()
            },
            {
                key: (parse_moment(first), parse_moment(last))
                for key, (first, last) in document["told"].items()
            },
        )


@dataclass(frozen=True)
class Allowance:
    """What a look may spend.

    Args:
        level: chance of any false alarm of this look alone.
        capital: what a group of tests must have earned over looks, before its share.
    """

    level: float
    capital: float

    @classmethod
    def of(cls, false_alarms: float, cadence_days: float, elapsed_days: float | None) -> Allowance:
        """Half of a year's false alarms each.

        Args:
            elapsed_days: since the look before; None for the first. After a long pause no more than
                four cadences are made good.
        """
        since = cadence_days if elapsed_days is None else min(elapsed_days, 4 * cadence_days)
        rate = max(false_alarms, 1e-6) / 2 / _YEAR_DAYS
        # e-values of a time between alarms count bets, and a look is one
        return cls(min(rate * max(since, 1e-3), 0.5), 1 / min(rate * cadence_days, 0.5))

    def shared(self, share: float) -> Allowance:
        """A group's part of it."""
        return Allowance(self.level * share, self.capital / share)


def confidence_sequence(
    total: float, variance: float, *, level: float, tuned_at: float
) -> tuple[float, float]:
    """An interval of the sum's expectation that holds at all times together.

    The normal mixture boundary of Robbins (1970), asymptotic as in Waudby-Smith, Arbour, Sinha,
    Kennedy and Ramdas (2024, "Time-uniform central limit theory").

    Args:
        total: sum of what came so far less what was foretold.
        variance: its estimated variance.
        level: chance that the expectation ever leaves the intervals.
        tuned_at: variance at which they are to be narrow.

    >>> low, high = confidence_sequence(0.0, 100.0, level=0.05, tuned_at=100.0)
    >>> 19.6 < high < 40 and low == -high
    True
    """
    held = max(tuned_at, 1e-12)
    width = math.sqrt(
        (variance + held) * (math.log((variance + held) / held) - 2 * math.log(level))
    )
    return total - width, total + width
