"""Campaigns as they are declared, and as they fall on the days of one log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from shoal.domain.errors import UsageError
from shoal.events.worlds.customers import DAY_S

if TYPE_CHECKING:
    from shoal.events.worlds.layer_campaigns import Campaigns
    from shoal.events.worlds.layers import Setting

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: What a mail can be, by code; not sent is -1.
ARMS: Final = ("content", "discount")
#: How customers answer, by code: with an order more, as ever, never, with an order less.
ANSWERS: Final = ("persuadable", "sure_thing", "lost_cause", "sleeping_dog")
PERSUADABLE, SURE_THING, LOST_CAUSE, SLEEPING_DOG = range(4)
#: Most campaigns of a shop: ids of actions leave room for so many.
MOST_CAMPAIGNS: Final = 16

_SEND_HOUR: Final = 8
_CENTRE: Final = 0.5


@dataclass(frozen=True)
class Mailing:
    """One campaign: when, as a share of the log, and the arms that are tried beside sending none.

    Each arm is sent with a propensity of at least 0.1, and none of them with at least 0.1.
    """

    at: float
    arms: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < self.at < 1 or not self.arms or not set(self.arms) <= set(ARMS):
            raise UsageError(
                "bad_dial", f"no campaign can be at {self.at!r} of a log with arms {self.arms!r}",
                hint=f"Give a share between 0 and 1, and some of the arms: {', '.join(ARMS)}.",
            )  # fmt: skip


@dataclass(frozen=True)
class Reaction:
    """How a segment answers: weights of `ANSWERS`, and the chance of an order more, by arm.

    `target` is how fond of the segment the sender is (log odds).
    """

    segment: str
    answers: tuple[float, float, float, float]
    content: float
    discount: float
    target: float


@dataclass(frozen=True)
class Schedule:
    """The campaigns of one shop; times in seconds since the start.

    `sent_s` and `until_s` bound the outcome of each campaign, `used` (campaigns, arms) says which
    arms it has. Tables by segment: `answers`, `chance` (segments, arms), `target`.
    """

    layer: Campaigns
    setting: Setting
    sent_s: Ints
    until_s: Ints
    used: Bools
    answers: Floats
    chance: Floats
    target: Floats
    effect: float

    @classmethod
    def of(cls, layer: Campaigns, setting: Setting) -> Schedule:
        """The campaigns that fall on days of their own within the log, at most `MOST_CAMPAIGNS`."""
        planned: dict[int, Mailing] = {}
        for mailing in sorted(layer.mailings, key=lambda one: one.at):
            planned.setdefault(round(mailing.at * setting.days), mailing)
        days = [day for day in planned if 0 < day < setting.days][:MOST_CAMPAIGNS]
        sent = np.array(days, np.int64) * DAY_S + _SEND_HOUR * 3600
        later = np.append(sent, setting.days * DAY_S)[1:]
        used = [[arm in planned[day].arms for arm in ARMS] for day in days]
        known = {one.segment: one for one in layer.reactions}
        rows = [known.get(one.name, layer.others) for one in setting.world.segments]
        return cls(
            layer=layer, setting=setting, sent_s=sent,
            until_s=np.minimum(sent + layer.outcome_days * DAY_S, later),
            used=np.array(used, bool).reshape(-1, len(ARMS)),
            answers=np.array([one.answers for one in rows]),
            chance=np.array([(one.content, one.discount) for one in rows]),
            target=np.array([one.target for one in rows]),
            effect=2.0 ** (2 * (_CENTRE - setting.world.difficulty)),
        )  # fmt: skip

    @property
    def loss(self) -> Floats:
        """Chance, by arm, that a mail keeps a sleeping dog from an order."""
        both = np.array([self.layer.loss_content, self.layer.loss_discount])
        return np.asarray(np.minimum(both * self.effect, 0.95))

    def delay_s(self, quantile: Floats) -> Floats:
        """Seconds from mail to conversion at quantiles in [0, 1): a Lomax law, cut."""
        layer = self.layer
        most = 1 - (1 + layer.delay_most_days / layer.delay_scale_days) ** -layer.delay_shape
        days = ((1 - quantile * most) ** (-1 / layer.delay_shape) - 1) * layer.delay_scale_days
        return np.asarray(days * DAY_S)

    def delayed_share(self, seconds: Floats) -> Floats:
        """The share of conversions that come within so many seconds."""
        layer = self.layer
        most_s = layer.delay_most_days * DAY_S
        days = np.clip(seconds, 0, most_s) / DAY_S
        below = 1 - (1 + days / layer.delay_scale_days) ** -layer.delay_shape
        most = 1 - (1 + layer.delay_most_days / layer.delay_scale_days) ** -layer.delay_shape
        return np.asarray(below / most)
