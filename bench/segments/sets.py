"""The logs of the bench: which set, up to which moment it is known, and what period is foretold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.harness import data
from bench.harness.splits import horizon

#: Seeds that are reported and never used to choose anything; settings were found on others.
REPORTED, TUNING = (11, 12, 13), (1, 2)

#: Size of a simulated world.
CUSTOMERS, DAYS = 4_000, 126
QUICK_CUSTOMERS, QUICK_DAYS = 500, 84

#: Of more customers a random sample takes part: what a run may cost.
MOST_CUSTOMERS = 5_000

#: Days of the period that is foretold, and whose outcomes supervised peers learn from before. A
#: quarter of the log is the most; amazon_beauty's customers review a few times a year.
HORIZON_DAYS = {"online_retail": 28, "cdnow": 91, "amazon_beauty": 91}
WORLD_HORIZON_DAYS = 28

WORLDS = ("steady", "drift", "awkward", "noise")
SETS = ("online_retail", "cdnow", "amazon_beauty", *WORLDS)

#: What each set can carry, and why not; None: it can.
ORDERS, SPEND, DAYS_TO_NEXT, MIX = TASKS = ("orders", "spend", "days", "mix")
CANNOT: Mapping[str, Mapping[str, str]] = {
    "online_retail": {MIX: "no categories"},
    "cdnow": {MIX: "no categories"},
    "amazon_beauty": {SPEND: "no prices", MIX: "no categories"},
    "retailrocket": dict.fromkeys(
        TASKS, "the slice is sessions of eight days: of 9,211 early visitors 240 return"
    ),
    "taobao_2017": dict.fromkeys(
        TASKS,
        "filtered on activity over its whole window: who has not bought yet buys later with "
        "certainty",
    ),
}


@dataclass(frozen=True)
class Log:
    """One set at one cut.

    Args:
        set: one of `SETS`.
        seed: of the world; of starts and halves.
        back: how many horizons before the end the foretold period ends. Of a public set each seed
            has another cut; of a world each seed is another world.
        quick: the small form.
    """

    set: str
    seed: int
    back: int = 0
    quick: bool = False

    @property
    def label(self) -> str:
        return f"{self.set}-{self.seed}"

    @property
    def arguments(self) -> dict[str, Any]:
        return asdict(self)

    def open(self, cache: Path | None = None) -> Opened:
        """The log, made or found in the cache.

        Raises:
            MissingDataError: the set or world is not there.
        """
        if self.set in data.PUBLIC:
            source, days = data.public(self.set, cache), HORIZON_DAYS[self.set]
        else:
            customers, length = (QUICK_CUSTOMERS, QUICK_DAYS) if self.quick else (CUSTOMERS, DAYS)
            spec = data.WorldSpec(self.set, customers, length, self.seed)
            source, days = data.world(spec, cache), WORLD_HORIZON_DAYS
        days = horizon(source.start, source.end, days)
        return Opened(self, source, source.end - timedelta(days=(1 + self.back) * days), days)


@dataclass(frozen=True)
class Opened:
    """A log that is there: `moment` is the cut T; outcomes are those of [T, T + horizon)."""

    log: Log
    source: data.Source
    moment: datetime
    horizon_days: int

    @property
    def horizon(self) -> timedelta:
        return timedelta(days=self.horizon_days)

    @property
    def before(self) -> datetime:
        """Start of the earlier period, of which supervised peers know the outcomes."""
        return self.moment - self.horizon


def logs(sets: Sequence[str], seeds: Sequence[int], quick: bool = False) -> list[Log]:
    """Every set with every seed.

    Of a public set the first reported seed has the latest cut, the next one a horizon earlier;
    seeds for tuning have cuts before all of these.
    """
    found = []
    for name in sets:
        for place, seed in enumerate(seeds):
            back = place + (0 if seed in REPORTED else len(REPORTED))
            found.append(Log(name, seed, back if name in data.PUBLIC else 0, quick))
    return found
