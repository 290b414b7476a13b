"""Worlds whose customers come so often that a block of them fits in no memory are refused."""

from __future__ import annotations

import math
from typing import Final

from shoal.domain.errors import UsageError
from shoal.events.worlds.base import World
from shoal.events.worlds.sample import BLOCK_CUSTOMERS

#: Visits of one block of customers, which is drawn whole: some five gigabytes.
MOST_VISITS: Final = 1_000_000


def check_visits(world: World, days: int) -> None:
    """Refuse a world with too many visits a block of customers.

    Raises:
        UsageError: `bad_dial`.
    """
    visits = expected_visits(world, days)
    if visits > MOST_VISITS:
        raise UsageError(
            "bad_dial",
            f"every {BLOCK_CUSTOMERS:,} customers would come about {visits:,.0f} times",
            where="--dial rate_scale",
            hint=f"At most {MOST_VISITS:,} visits fit in memory: lower rate_scale, or give fewer "
            "days.",
        )


def expected_visits(world: World, days: int) -> float:
    """Visits of a block of customers, at most, before drifts and the seasons thin them."""
    dials, shares = world.dials, sum(segment.share for segment in world.segments)
    visits = 0.0
    for segment in world.segments:
        # Days that a customer who was there from the start spends in the log.
        stays = segment.lifetime_days * dials.lifetime_scale
        here = -stays * math.expm1(-days / stays)
        rate = segment.sessions_per_30_days / 30 * dials.rate_scale
        visits += segment.share / shares * rate * here
    return BLOCK_CUSTOMERS * (1 - dials.one_off) * visits
