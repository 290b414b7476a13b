"""Campaigns laid over a world: mails sent by a known lottery to customers who answer in known ways.

Every campaign draws, for every customer it could have been sent to, what they do without it and
with each of its mails, from one shared noise. The log shows the one that happened; all of them
stand in the truth. See `mailings_draw` for the draws and `mailings_truth` for the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.events.worlds.layers import Draft, Setting
from shoal.events.worlds.mailings import Mailing, Reaction, Schedule
from shoal.events.worlds.mailings_draw import Block, draw_block
from shoal.events.worlds.mailings_events import happened_events, mail_events
from shoal.events.worlds.mailings_truth import Tally, outcomes, treatments_table

# segment, weights of the answers, chance of an order by content and by discount, fondness
_REACTIONS: Final = (
    Reaction("bargain_hunters", (0.42, 0.23, 0.25, 0.10), 0.10, 0.50, 0.9),
    Reaction("weekend_browsers", (0.40, 0.15, 0.33, 0.12), 0.36, 0.28, 0.3),
    Reaction("tech_enthusiasts", (0.22, 0.33, 0.25, 0.20), 0.40, 0.16, 0.1),
    Reaction("young_families", (0.36, 0.39, 0.20, 0.05), 0.18, 0.36, 0.5),
    Reaction("fashion_returners", (0.35, 0.28, 0.15, 0.22), 0.30, 0.34, 0.8),
    Reaction("routine_restockers", (0.12, 0.62, 0.10, 0.16), 0.10, 0.20, 1.2),
    Reaction("night_readers", (0.28, 0.22, 0.25, 0.25), 0.42, 0.14, -0.6),
)  # fmt: skip
_OTHERS: Final = Reaction("", (0.30, 0.30, 0.25, 0.15), 0.25, 0.25, 0.0)
_CALENDAR: Final = (
    Mailing(0.30, ("discount",)), Mailing(0.34, ("content",)),
    Mailing(0.38, ("content", "discount")), Mailing(0.42, ("discount",)),
    Mailing(0.58, ("content",)), Mailing(0.72, ("content", "discount")),
    Mailing(0.86, ("discount",)),
)  # fmt: skip


@dataclass(frozen=True)
class Campaigns:
    """The declared campaigns, and how customers answer them.

    `reactions` are by segment, `others` holds for segments without one. Probabilities are those of
    difficulty 0.5; effects are twice as large at difficulty 0 and half as large at 1, while
    `personal_sigma`, the spread of a customer's own effect (standard deviation of its logarithm),
    stays. Money is in currency units.
    """

    mailings: tuple[Mailing, ...] = _CALENDAR
    reactions: tuple[Reaction, ...] = _REACTIONS
    others: Reaction = _OTHERS
    personal_sigma: float = 0.4
    #: chance that a mail keeps a sleeping dog from an order they would have placed, by arm
    loss_content: float = 0.45
    loss_discount: float = 0.30
    #: chance of a withdrawn consent after one mail, of sleeping dogs and of others
    withdraws_dog: float = 0.12
    withdraws: float = 0.008
    #: an earlier mail in the last `fatigue_days` takes this share of the first effect away
    fatigue: float = 0.40
    fatigue_days: int = 30
    #: days to a conversion: Lomax with this scale and shape, cut at the longest
    delay_scale_days: float = 2.0
    delay_shape: float = 1.4
    delay_most_days: float = 21.0
    #: orders up to so many days after a campaign, or up to the next one, are its outcome
    outcome_days: int = 21
    #: who has visited within so many days may be written to
    known_days: int = 90
    cost_content: float = 0.60
    cost_discount: float = 1.50
    #: what an order is counted at, and the share of its list price that is not cost of goods
    margin: float = 30.0
    margin_share: float = 0.45

    def plan(self, setting: Setting, rng: np.random.Generator) -> _Plan:
        """The campaigns on the days of this log."""
        return _Plan(self, setting, Schedule.of(self, setting))


@dataclass
class _Plan:
    """The campaigns of one shop."""

    layer: Campaigns
    setting: Setting
    schedule: Schedule

    def __post_init__(self) -> None:
        self._block: Block | None = None
        self._tally = Tally(self.schedule)

    def shape_sessions(self, draft: Draft, rng: np.random.Generator) -> None:
        """Add the visits that mails may bring, and mark those that they may take away."""
        self._block = draw_block(self.schedule, draft, rng)
        draft.sessions = self._block.sessions

    def shape_visits(
        self, draft: Draft, rows: npt.NDArray[np.void], rng: np.random.Generator
    ) -> npt.NDArray[np.void]:
        """Nothing: the visits that mails bring are ordinary ones."""
        return rows

    def shape_events(self, draft: Draft, rng: np.random.Generator) -> None:
        """Keep what happened, write down what would have, and add the mails themselves."""
        block = self._block
        if block is None:
            return
        found = outcomes(self.schedule, block, draft)
        kept = happened_events(self.schedule, block, draft)
        mails = mail_events(self.schedule, block, found.converted_s, draft, rng)
        draft.events = np.concatenate((kept, mails))
        draft.truth.setdefault("treatments", []).append(
            treatments_table(self.schedule, block, found)
        )
        self._tally.add(block, found)
        self._block = None

    def tables(self) -> dict[str, pa.Table]:
        """`campaigns`: one row a campaign and arm, over the customers of the shop."""
        return {"campaigns": self._tally.table()}
