"""Cuts in time: what may be learned before one, and what is scored after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise


class LeakError(AssertionError):
    """Something was learned from what came after the moment it is scored at."""


@dataclass(frozen=True)
class Cuts:
    """Moments T of a replay. At each, only events with `event_time < T` may be known.

    `first` is the moment up to which a method may learn before it says anything.
    """

    moments: tuple[datetime, ...]

    @property
    def first(self) -> datetime:
        return self.moments[0]

    def pairs(self) -> list[tuple[datetime, datetime]]:
        """Each moment but the first with the one before it."""
        return list(pairwise(self.moments))


def cuts(start: datetime, end: datetime, *, learn_days: int, every_days: int) -> Cuts:
    """Cuts from `start + learn_days` to `end`, `every_days` apart.

    Raises:
        ValueError: not one cut fits.

    >>> from datetime import UTC
    >>> found = cuts(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 31, tzinfo=UTC),
    ...              learn_days=14, every_days=7)
    >>> [moment.day for moment in found.moments]
    [15, 22, 29]
    """
    if learn_days < 1 or every_days < 1:
        raise ValueError(f"{learn_days} days to learn and cuts {every_days} days apart: at least 1")
    moments = []
    moment = start + timedelta(days=learn_days)
    while moment <= end:
        moments.append(moment)
        moment += timedelta(days=every_days)
    if not moments:
        raise ValueError(f"no cut after {learn_days} days lies between {start} and {end}")
    return Cuts(tuple(moments))


def horizon(start: datetime, end: datetime, wanted_days: int) -> int:
    """Days of a target period: as wanted, at most a quarter of the log.

    Raises:
        ValueError: the log is shorter than four days.
    """
    days = min(wanted_days, (end - start).days // 4)
    if days < 1:
        raise ValueError(f"a log from {start} to {end} is too short for a target period")
    return days


def refuse_later(trained_until: datetime, moment: datetime, who: str = "the method") -> None:
    """Hold that nothing scored at `moment` was trained on what came at or after it.

    Raises:
        LeakError: it was.
    """
    if trained_until > moment:
        raise LeakError(
            f"{who} was trained until {trained_until:%Y-%m-%d %H:%M} and is asked about "
            f"{moment:%Y-%m-%d %H:%M}: it would know what was still to come"
        )


def refuse_unordered(moments: Sequence[datetime]) -> None:
    """Hold that moments go forward in time.

    Raises:
        LeakError: one does not lie after the one before it.
    """
    for before, after in pairwise(moments):
        if after <= before:
            raise LeakError(f"cut {after} does not lie after {before}")
