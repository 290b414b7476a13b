"""What calibrating a world to a log found: as a JSON document and as rows for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shoal.evaluation.moments import (
    MOMENTS,
    Value,
    distances,
    total_distance,
    why_untold,
)

if TYPE_CHECKING:
    from shoal.evaluation.two_sample import TwoSample
    from shoal.events.worlds.base import World
    from shoal.workflows.likeness import Likeness
    from shoal.workflows.simulate import SimulationResult

SCHEMA: Final = "shoal.calibration/1"

FORMULA: Final = (
    "mean over the moments that the log tells; a number's distance is |ln(simulated / real)|, a "
    "share's |simulated - real|, a shape's total variation; each at most ln 10"
)
#: Dials are written with so many significant digits, and used as they are written.
_DIGITS: Final = 4


@dataclass(frozen=True)
class Checked:
    """Two sizes of the same sampling: what was compared with the log, and by which seed."""

    customers: int
    visible: int
    days: int
    seed: int


@dataclass(frozen=True)
class Calibration:
    """A world whose log is like another.

    Args:
        world: with the fitted dials; `own` as it was before, but for the first day and currency.
        like: the log.
        dials: the fitted ones, by name.
        rounds: total distance of every sample that fitting took.
        fit_seed: of those samples; the figures below are of other seeds.
        checked: size and seed of the samples in which `before` (`own`) and `after` (`world`) were
            measured.
        real, before, after: moments; `floor` the distance of each between random halves of the
            log's customers, which no simulation can be expected to beat.
        two_sample: by `before`, `after` and `null` (half of the log against the other half); None
            where there were too few customers.
        written: the simulated shop; None before it was written.
    """

    world: World
    own: World
    like: Likeness
    dials: dict[str, Any]
    rounds: tuple[float, ...]
    fit_seed: int
    checked: Checked
    real: Mapping[str, Value]
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    floor: Mapping[str, float]
    two_sample: Mapping[str, TwoSample | None]
    written: SimulationResult | None = None

    @property
    def total(self) -> dict[str, float]:
        """Total distance before and after, and that between halves of the log."""
        return {
            "before": total_distance(distances(self.real, self.before)),
            "after": total_distance(distances(self.real, self.after)),
            "floor": total_distance(self.floor),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a moment: values, distances, and why it is not told."""
        was, now = distances(self.real, self.before), distances(self.real, self.after)
        return [
            {
                "name": one.name, "says": one.says, "unit": self._unit(one.unit),
                "measure": one.measure,
                "real": _plain(self.real[one.name]), "before": _plain(self.before[one.name]),
                "simulated": _plain(self.after[one.name]),
                "distance_before": _plain(was.get(one.name)),
                "distance": _plain(now.get(one.name)),
                "floor": _plain(self.floor.get(one.name)),
                "untold": "" if self.real[one.name] is not None
                else why_untold(one.name, self.like.contents),
            }
            for one in MOMENTS
        ]  # fmt: skip

    def notes(self) -> list[str]:
        """What a reader of the figures must know."""
        told, read = self.like.contents, self.like.log
        found = []
        if read.read < read.customers:
            found.append(
                f"The log was read in part: {read.read:,} of {read.customers:,} customers, chosen "
                "at random, with all their events."
            )
        if not told.views:
            found.append(
                "The log has no views, so simulated logs were compared on "
                f"{_listed(told.kinds)} alone, and how many visits end without an order is the "
                "world's own guess. It was given no customers who pass by once."
            )
        elif len(told.kinds) < 6:
            found.append(f"Simulated logs were compared on {_listed(told.kinds)} alone.")
        if told.left_out:
            found.append(f"Not compared, because no simulated event is like it: "
                         f"{_listed(told.left_out)}.")  # fmt: skip
        if not told.hours:
            found.append("A visit is a day: the log has dates without hours.")
        elif not told.sessions:
            found.append("Visits end after 30 minutes of silence: the log has no session ids.")
        if not told.orders:
            found.append("What was bought in one visit is one order: the log has no order ids.")
        return found

    def as_document(self) -> dict[str, Any]:
        """The result as one JSON document, `shoal.calibration/1`."""
        return {
            "schema": SCHEMA,
            "like": self.like.as_document(),
            "world": {
                "name": self.world.name, "version": self.world.version,
                "digest": self.world.digest(), "digest_before": self.own.digest(),
            },
            "dials": {name: list(value) if isinstance(value, tuple) else value
                      for name, value in self.dials.items()},
            "fit": {"seed": self.fit_seed, "samples": len(self.rounds),
                    "distances": [_plain(one) for one in self.rounds]},
            "checked": vars(self.checked),
            "total_distance": {name: _plain(one) for name, one in self.total.items()},
            "formula": FORMULA,
            "moments": self.rows(),
            "two_sample": {name: None if one is None else one.as_document()
                           for name, one in self.two_sample.items()},
            "notes": self.notes(),
            "simulated": None if self.written is None else self.written.as_document(),
        }  # fmt: skip

    def _unit(self, unit: str) -> str:
        return self.like.currency or "currency units" if unit == "currency" else unit


def significant(value: float) -> float:
    """The number with a few significant digits, as it is written in a document."""
    return float(f"{value:.{_DIGITS}g}")


def _plain(value: Value) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, tuple):
        return [round(one, 5) for one in value]
    return significant(float(value))


def _listed(names: tuple[str, ...]) -> str:
    """Names of kinds as an enumeration.

    >>> _listed(("view", "purchase"))
    'view and purchase'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
