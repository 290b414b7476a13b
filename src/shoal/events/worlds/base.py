"""What a simulated world is made of: dials, segments, changes, a version and a hash to quote."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import UsageError
from shoal.events.worlds.drifts import Change, Drift
from shoal.events.worlds.segments import Segment, blended

if TYPE_CHECKING:
    from shoal.events.worlds.layers import Layer

#: The difficulty at which a world is as declared.
DECLARED_DIFFICULTY: Final = 0.5
#: At difficulty 1 so much of what a segment is comes from the mean of all segments.
BLENDED: Final = 0.6


@dataclass(frozen=True)
class Dials:
    """The knobs of a world that are not a segment's own.

    Shares and probabilities lie in [0, 1]; times are the shop's local times, which are UTC. A
    `..._scale` multiplies what every segment says (odds where that is a probability).
    """

    start: datetime = datetime(2025, 1, 6, tzinfo=UTC)
    #: share of customers who leave one or two events and never come back
    one_off: float = 0.47
    #: spread of customers within their segment (1 = as published; more = more overlap)
    spread: float = 1.0
    #: standard deviation of the logarithm of a customer's session rate: the heavy tail
    rate_sigma: float = 0.7
    #: concentration of a customer's category tastes around those of the segment
    taste_concentration: float = 14.0
    #: yearly swing of sessions: factor 1 + season x cos, highest in mid December
    season: float = 0.2
    #: yearly swing of each category's share, each with its peak in another month
    taste_season: float = 0.0
    #: share of views that go to the session's first category
    focus: float = 0.85
    #: visits that follow a visit within days, on average: 0 for none
    gap_burst: float = 0.3
    #: a customer pauses once in so many days, on average; 0 for never
    pause_every_days: float = 240.0
    #: median length of a pause, in days
    pause_days: float = 35.0
    #: share of leavers who come less often in the month before they are gone
    fading: float = 1.0
    #: days between sales of the shop (0: none), their length and their depth
    sale_every_days: int = 35
    sale_days: int = 3
    sale_depth: float = 0.2
    #: share of buyers who never buy again
    one_time_buyers: float = 0.0
    items: int = 2400
    #: share of items that arrive while the log runs
    arriving_items: float = 0.12
    #: items are met by rank to the power of minus this
    item_concentration: float = 0.8
    rate_scale: float = 1.0
    lifetime_scale: float = 1.0
    views_scale: float = 1.0
    conversion_scale: float = 1.0
    lines_scale: float = 1.0
    units_scale: float = 1.0
    price_scale: float = 1.0
    refund_scale: float = 1.0
    #: factors on the segments' own weights of the 24 hours and the 7 weekdays (Monday first)
    hours: tuple[float, ...] = ()
    weekdays: tuple[float, ...] = ()
    #: weights of equal parts of the log in which newcomers come; empty: evenly
    arrivals: tuple[float, ...] = ()
    #: share of lasting customers who were there before the log; -1: so many that as many come as go
    established: float = -1.0
    #: exponent on a price over the middle price of the catalogue: 0 makes all prices alike
    price_spread: float = 1.0
    #: carts that are left, and odds of favourites, times what the segments say
    cart_scale: float = 1.0
    favourite_scale: float = 1.0
    currency: str = "EUR"
    tax_rate: float = 0.20
    shipping_fee_cents: int = 490
    free_shipping_from_cents: int = 5000


#: Least and greatest value of each dial; those not named are scales, above 0 and at most 1000.
_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "one_off": (0, 1), "spread": (0.01, 10), "rate_sigma": (0, 3), "season": (0, 0.95),
    "taste_concentration": (0.1, 10_000), "taste_season": (0, 0.95), "focus": (0, 1),
    "gap_burst": (0, 10), "pause_every_days": (0, 100_000), "pause_days": (1, 1000),
    "fading": (0, 1), "sale_every_days": (0, 1000), "sale_days": (1, 60), "sale_depth": (0, 0.9),
    "one_time_buyers": (0, 1), "items": (48, 1_000_000), "arriving_items": (0, 0.9),
    "item_concentration": (0, 3), "tax_rate": (0, 1), "shipping_fee_cents": (0, 100_000),
    "free_shipping_from_cents": (0, 10_000_000), "established": (-1, 1), "price_spread": (0, 5),
}  # fmt: skip
#: Lists of weights, and how many each holds; 0: any number, up to `_MOST_WEIGHTS`.
_WEIGHTS: Final = {"hours": 24, "weekdays": 7, "arrivals": 0}
_MOST_WEIGHTS: Final = 100
#: Dials that came later: they are no part of the definition of a world that leaves them alone.
_LATER: Final = ("arrivals", "established", "price_spread", "cart_scale", "favourite_scale")
#: Not to be turned: the first day and the currency are the world's own.
_FIXED: Final = frozenset({"start", "currency"})


@dataclass(frozen=True)
class World:
    """A simulated shop. `version` is raised with every change of dials, segments or sampling.

    A test pins `digest()` and a small sample to the version. `transitions` holds a row of weights
    a segment for where its customers move when their time in it is over (empty: evenly).
    """

    name: str
    version: int
    summary: str
    dials: Dials
    segments: tuple[Segment, ...]
    catalogue: str
    transitions: tuple[tuple[float, ...], ...] = ()
    changes: tuple[Change, ...] = ()
    drifts: tuple[Drift, ...] = ()
    layers: tuple[Layer, ...] = ()
    difficulty: float = DECLARED_DIFFICULTY

    def definition(self) -> dict[str, object]:
        """Everything declared about the world, as plain JSON values."""
        neutral = asdict(Dials())
        dials = {
            name: value
            for name, value in asdict(self.dials).items()
            if name not in _LATER or value != neutral[name]
        }
        dials["start"] = self.dials.start.isoformat()
        return {
            "name": self.name,
            "version": self.version,
            "difficulty": self.difficulty,
            "dials": dials,
            "segments": [asdict(segment) for segment in self.segments],
            "transitions": self.transitions,
            "changes": [asdict(change) for change in self.changes],
            "drifts": [asdict(drift) for drift in self.drifts],
            "layers": [{"layer": type(one).__name__, **asdict(one)} for one in self.layers],  # type: ignore[call-overload]
            "catalogue": self.catalogue,
        }

    def digest(self) -> str:
        """sha256 of the definition, in hex: the same on every machine."""
        text = json.dumps(self.definition(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def effective_spread(self) -> float:
        """Spread of customers within segments: a third at difficulty 0, three times at 1."""
        return float(self.dials.spread * 3.0 ** (2 * self.difficulty - 1))

    def place(self, segment: str) -> int:
        """Index of the segment of that name."""
        return [one.name for one in self.segments].index(segment)


def with_dials(
    world: World, changes: dict[str, Any] | None = None, difficulty: float | None = None
) -> World:
    """The world with other dials or another difficulty; its digest says so, its version stays.

    Raises:
        UsageError: `unknown_dial`; `bad_dial`, a value that no world can have.
    """
    turned = {name: _checked(name, value) for name, value in (changes or {}).items()}
    if difficulty is not None and not 0 <= difficulty <= 1:
        raise UsageError(
            "bad_dial", f"difficulty {difficulty!r} is not a share", where="--difficulty",
            hint="Give a number from 0 (easy) to 1 (hard); 0.5 is the world as published.",
        )  # fmt: skip
    world = replace(world, dials=replace(world.dials, **turned))
    if difficulty is None or difficulty == world.difficulty:
        return world
    if world.difficulty != DECLARED_DIFFICULTY:
        raise ValueError("the difficulty of a world is set once, from the world as published")
    share = BLENDED * max(0.0, 2 * difficulty - 1)
    return replace(world, difficulty=float(difficulty), segments=blended(world.segments, share))


def _checked(name: str, value: Any) -> Any:
    known = {entry.name: entry.type for entry in fields(Dials) if entry.name not in _FIXED}
    if name not in known:
        raise UsageError(
            "unknown_dial", f"no world has a dial {name!r}", where="--dial",
            hint=f"Dials: {', '.join(sorted(known))}.",
        )  # fmt: skip
    if name in _WEIGHTS:
        return _weights(name, value)
    low, high = _BOUNDS.get(name, (1e-3, 1000))
    whole = known[name] == "int"
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high or (whole and number != int(number)):
        raise UsageError(
            "bad_dial", f"dial {name} cannot be {value!r}", where="--dial",
            hint=f"Give a {'whole ' if whole else ''}number from {low:g} to {high:g}.",
        )  # fmt: skip
    return int(number) if whole else number


def _weights(name: str, value: Any) -> tuple[float, ...]:
    wanted = _WEIGHTS[name]
    parts = value.split(",") if isinstance(value, str) else value
    try:
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        found = ()
    right = len(found) <= _MOST_WEIGHTS if wanted == 0 else len(found) in (0, wanted)
    enough = right and all(0 <= one < float("inf") for one in found)
    if not enough or (found and sum(found) <= 0) or (value and not found):
        raise UsageError(
            "bad_dial", f"dial {name} cannot be {value!r}", where="--dial",
            hint=f"Give {wanted or f'1 to {_MOST_WEIGHTS}'} numbers of at least 0, some of them "
            "above, with commas between.",
        )  # fmt: skip
    return found
