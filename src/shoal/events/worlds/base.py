"""What a simulated world is made of: dials, segments, a version and a hash that results quote."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from shoal.events.worlds.segments import Segment


@dataclass(frozen=True)
class Dials:
    """The knobs of a world that are not a segment's own.

    Shares and probabilities lie in [0, 1]; times are the shop's local times, which are UTC.
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
    #: share of views that go to the session's first category
    focus: float = 0.85
    items: int = 2400
    currency: str = "EUR"
    tax_rate: float = 0.20
    shipping_fee_cents: int = 490
    free_shipping_from_cents: int = 5000


@dataclass(frozen=True)
class World:
    """A simulated shop. `version` is raised with every change of dials, segments or sampling.

    A test pins `digest()` and a small sample to the version.
    """

    name: str
    version: int
    summary: str
    dials: Dials
    segments: tuple[Segment, ...]
    catalogue: str

    def definition(self) -> dict[str, object]:
        """Everything declared about the world, as plain JSON values."""
        dials = asdict(self.dials)
        dials["start"] = self.dials.start.isoformat()
        return {
            "name": self.name,
            "version": self.version,
            "dials": dials,
            "segments": [asdict(segment) for segment in self.segments],
            "catalogue": self.catalogue,
        }

    def digest(self) -> str:
        """sha256 of the definition, in hex: the same on every machine."""
        text = json.dumps(self.definition(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()
