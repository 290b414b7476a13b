"""The versions of a shop's segments and what became of each, as plain data beside `document.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shoal.domain.segment import TIER_NEW


@dataclass(frozen=True)
class VersionSegment:
    """A segment as one version had it."""

    segment_id: str
    name: str
    customers: int


@dataclass(frozen=True)
class VersionFlow:
    """Customers whom the version before had in `source` and this one has in `target`, both asked
    about the same state: what differs is the model alone."""

    source: str
    target: str
    customers: int


@dataclass(frozen=True)
class VersionChange:
    """What became of segments: `kind` is continue, split, merge, birth or death.

    `confidence` is 0 to 1, None where no refits told it.
    """

    kind: str
    parents: tuple[str, ...]
    children: tuple[str, ...]
    customers: int
    confidence: float | None = None


@dataclass(frozen=True)
class Version:
    """One version of the line; `causes` says in words what differs from the one before."""

    segmentation_id: str
    as_of: datetime
    customers: int
    segments: tuple[VersionSegment, ...]
    causes: tuple[str, ...] = ()
    changes: tuple[VersionChange, ...] = ()
    flows: tuple[VersionFlow, ...] = ()

    @property
    def compared(self) -> int:
        """Customers whom this version and the one before both place."""
        return sum(one.customers for one in self.flows if _placed(one))

    @property
    def moved(self) -> int:
        """Those of them whom this one puts elsewhere."""
        return sum(one.customers for one in self.flows if _placed(one) and one.source != one.target)


def _placed(one: VersionFlow) -> bool:
    return TIER_NEW not in (one.source, one.target)


@dataclass(frozen=True)
class Parted:
    """Movement from a version to the next, parted by its cause.

    Of `common` customers known at both moments, `stayed` did not move, `behaviour` did with the
    same model, `model` did in the same state, `both` did twice, and `returned` were put back by the
    new model where the old one had had them. `segments` holds of each segment: id, customers then,
    arrived, gone, net by behaviour, net by model, customers now.
    """

    common: int
    stayed: int
    behaviour: int
    model: int
    both: int
    returned: int
    arrived: int
    gone: int
    segments: tuple[tuple[str, int, int, int, int, int, int], ...] = ()


@dataclass(frozen=True)
class Lineage:
    """The versions that led to the one reported, oldest first; `parted` is of the last step.

    `why_not_parted` says why that is not told: `large`, `same_moment` or `unreadable`.
    """

    versions: tuple[Version, ...]
    parted: Parted | None = None
    why_not_parted: str = ""


@dataclass(frozen=True)
class LoggedCause:
    """Changes of segment that the membership log gives one cause: `version`, `event`, `silence` or
    `rollback`. `worth` is what these customers brought in the last `Logged.window_days`."""

    cause: str
    changes: int
    customers: int
    worth: float


@dataclass(frozen=True)
class Logged:
    """Changes of segment that the membership log holds since a date, by cause, most first.

    `later` of them lie after the moment of the report.
    """

    since: datetime
    window_days: int
    causes: tuple[LoggedCause, ...] = ()
    later: int = 0
