"""Who is compared. A unit trains once and gives forecasts for each of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["peer", "shoal", "control"]

#: Shoal's row that the goal speaks of.
SHOAL, ALONE = "shoal+features", "shoal"


@dataclass(frozen=True)
class Method:
    """A row of the tables: its title, the unit that gives it, and its role. Controls stand beside
    and have no rank."""

    title: str
    unit: str
    role: Role


METHODS: Mapping[str, Method] = {
    "rfm": Method("RFM + LightGBM", "rfm", "peer"),
    "features": Method("features + LightGBM", "features", "peer"),
    "coles": Method("CoLES + LightGBM", "coles", "peer"),
    "coles+features": Method("CoLES + features + LightGBM", "coles", "peer"),
    "coles-linear": Method("CoLES, linear probe", "coles", "peer"),
    "supervised": Method("supervised GRU", "supervised", "peer"),
    ALONE: Method("Shoal + LightGBM", "shoal", "shoal"),
    SHOAL: Method("Shoal + features + LightGBM", "shoal", "shoal"),
    "shoal-linear": Method("Shoal, linear probe", "shoal", "shoal"),
    "shuffled": Method("Shoal, order shuffled, + LightGBM", "shuffled", "control"),
    "shuffled+features": Method("the same + features", "shuffled", "control"),
    "no-time": Method("Shoal, no time, + LightGBM", "no-time", "control"),
    "no-time+features": Method("the same + features", "no-time", "control"),
}
#: Of the small sample, learned and asked there alone.
SMALL: Mapping[str, str] = {
    "rfm": "RFM + LightGBM",
    "features": "features + LightGBM",
    "text": "text BERT + LightGBM",
    "text+features": "text BERT + features + LightGBM",
    "coles": "CoLES + LightGBM",
    ALONE: "Shoal + LightGBM",
    SHOAL: "Shoal + features + LightGBM",
}
UNITS = ("rfm", "features", "coles", "supervised", "shoal", "shuffled", "no-time", "text")
#: Units that run on the main seed of each set alone: what they cost.
MAIN_ONLY = ("shuffled", "no-time", "text")
QUICK = ("rfm", "features", "coles", "supervised", "shoal")
#: Units that train for the budget.
TRAINED = ("coles", "supervised", "shoal", "shuffled", "no-time")


def of_unit(unit: str, role: Role | None = None) -> list[str]:
    """Names of a unit's rows."""
    return [
        name
        for name, one in METHODS.items()
        if one.unit == unit and (role is None or one.role == role)
    ]


def ranked(units: tuple[str, ...] | list[str]) -> list[str]:
    """Rows of some units that have a rank."""
    return [name for name, one in METHODS.items() if one.unit in units and one.role != "control"]
