"""Which piece of a customer's life a moment falls into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.customers import Customers

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: More seconds than any log and any life has.
_WIDEST_S = 1 << 36


@dataclass(frozen=True)
class Timeline:
    """The pieces of a block, to be looked up by customer number and moment.

    `place` holds their indices in order of customer and time; `since` and `end_s` theirs.
    """

    place: Ints
    number: Ints
    since: Floats
    end_s: Floats

    @classmethod
    def of(cls, pieces: Customers) -> Timeline:
        """The timeline of those pieces."""
        place = np.lexsort((pieces.birth_s, pieces.number))
        return cls(
            place=place, number=pieces.number[place], since=pieces.birth_s[place],
            end_s=pieces.end_s[place],
        )  # fmt: skip

    def at(self, number: Ints, moment_s: Ints | Floats | int) -> Ints:
        """Index of the piece of each customer at those seconds; -1 before and after their life."""
        base = self.number[0]
        key = (self.number - base) * float(_WIDEST_S) + self.since
        moment = np.broadcast_to(np.asarray(moment_s, np.float64), number.shape)
        found = np.searchsorted(key, (number - base) * float(_WIDEST_S) + moment, side="right") - 1
        inside = np.maximum(found, 0)
        alive = (found >= 0) & (self.number[inside] == number) & (moment < self.end_s[inside])
        return np.where(alive, self.place[inside], -1)

    def end(self, number: Ints) -> Floats:
        """Second at which the last piece of each customer ends."""
        last = np.searchsorted(self.number, number, side="right") - 1
        return self.end_s[last]
