"""What changes while a world runs: drifts of dials, and segments that split, merge, come and go.

Dates are shares of the log, so that a world can be as long as one likes; they fall on whole days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIX: Final = "mix"
WITHIN: Final = "within"
RESPONSE: Final = "response"
SEASON: Final = "season"
FESTIVAL: Final = "festival"
FAULT: Final = "fault"

#: family -> (should an honest monitor alarm, should the segments be formed anew); None: either.
FAMILIES: Final[dict[str, tuple[bool | None, bool]]] = {
    MIX: (True, False),
    WITHIN: (True, True),
    RESPONSE: (True, True),
    SEASON: (False, False),
    FESTIVAL: (None, False),
    FAULT: (True, False),
}

#: The dials that a drift turns beside a segment's own: what newcomers are, and how many come.
SHARE: Final = "share"
NEWCOMERS: Final = "newcomers"

#: Days between the steps of a gradual drift.
_STEP_DAYS: Final = 7


@dataclass(frozen=True)
class Drift:
    """One dial that changes: by `by` times (odds for probabilities) between `since` and `until`.

    A gradual drift moves in weekly steps from `since` to `until` and stays; an abrupt one holds
    from `since`; a passing one (`passing`) holds until `until` and is over. `segment` "" means all;
    `dial` may be `taste_<category>`, `share` (newcomers' segment) or `newcomers` (how many).
    """

    family: str
    dial: str
    by: float
    since: float
    until: float = 1.0
    segment: str = ""
    gradual: bool = False
    passing: bool = False

    def days(self, span_days: int) -> tuple[int, int]:
        """First day, and the day on which it is complete (gradual) or over (passing)."""
        return day_of(self.since, span_days), day_of(self.until, span_days)

    def cuts(self, span_days: int) -> list[int]:
        """Days on which the dial takes another value."""
        first, last = self.days(span_days)
        if self.gradual:
            return [*range(first, last, _STEP_DAYS), last]
        return [first, last] if self.passing else [first]

    def factor(self, day: Floats | Ints, span_days: int) -> Floats:
        """The factor on the dial at each day."""
        first, last = self.days(span_days)
        day = np.asarray(day, np.float64)
        if self.gradual:
            done = np.clip((day - first) / max(last - first, 1), 0.0, 1.0)
            return np.asarray(self.by**done, np.float64)
        on = (day >= first) & (day < last) if self.passing else day >= first
        return np.where(on, self.by, 1.0)


@dataclass(frozen=True)
class Change:
    """A change of the planted segments at `at` (a share of the log).

    `split`: customers of the one parent go to the children by `shares`, newcomers too. `merge`:
    those of the parents become the one child. `birth`: the child appears; `shares` holds the share
    of everyone else's customers that moves in at once, and its share among newcomers. `death`: the
    parent's customers move to all other segments in proportion to their shares.
    """

    change: str
    at: float
    parents: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    def day(self, span_days: int) -> int:
        """The day on which it happens."""
        return day_of(self.at, span_days)


def day_of(share: float, span_days: int) -> int:
    """The day at a share of the log."""
    return round(share * span_days)
