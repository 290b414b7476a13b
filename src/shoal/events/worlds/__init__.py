"""Simulated shops with a known truth."""

from __future__ import annotations

from shoal.domain.errors import UsageError
from shoal.events.worlds import (
    awkward,
    broken,
    campaigns,
    drift,
    festival,
    fraud,
    lineage,
    noise_world,
    season,
    steady,
)
from shoal.events.worlds.base import World

_WORLDS: dict[str, World] = {
    one.WORLD.name: one.WORLD
    for one in (
        steady,
        drift,
        season,
        festival,
        lineage,
        awkward,
        noise_world,
        campaigns,
        broken,
        fraud,
    )
}


def names() -> list[str]:
    """Names of all worlds, in alphabetical order.

    >>> "steady" in names()
    True
    """
    return sorted(_WORLDS)


def load(name: str) -> World:
    """The world of that name.

    Raises:
        UsageError: `unknown_world`.
    """
    try:
        return _WORLDS[name]
    except KeyError:
        raise UsageError(
            "unknown_world",
            f"there is no world named {name!r}",
            hint=f"Known worlds: {', '.join(names())}.",
        ) from None
