"""When a replay cuts, and how it segments there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from shoal.config import SegmentConfig
from shoal.domain.errors import UsageError
from shoal.domain.time import iso, parse_span, span_text
from shoal.segments.inputs import FEATURES
from shoal.segments.rules import Rfm
from shoal.workflows.segment_methods import check_methods
from shoal.workflows.segment_outlook import check_aim

EACH: Final = "each"
FIRST: Final = "first"


@dataclass(frozen=True)
class Steps:
    """When to cut, and how to segment there.

    Args:
        since, until: the first cut, and the moment after which there is none.
        every: from one cut to the next.
        method: one that `shoal segment` knows, such as `kmeans` or `rfm`.
        k: number of segments; 0: chosen at every learning. RFM has its own.
        refit: `each` learns at every cut, `first` once; `28d` where so long has passed.
        seed: of the method.
        margin: between two learnings, a customer changes only to a segment that weighs more by more
            than this; 0: always to the heaviest.
        on: what learned segments are made on, one of `shoal.segments.inputs.ON`.
        aim: what they are for, one of `shoal.workflows.segment_outlook.AIMS`; None: the usual.
        adjust: after the first learning segments adjust, as the nightly job would have let them.

    Raises:
        UsageError: `bad_period`, `bad_time`, `unknown_method`, `unknown_aim`, `usage` (k).
    """

    since: datetime
    until: datetime
    every: timedelta
    method: str = "kmeans"
    k: int = 0
    refit: str = EACH
    seed: int = 0
    margin: float = SegmentConfig.switch_margin
    on: str = FEATURES
    aim: str | None = None
    adjust: bool = False

    def __post_init__(self) -> None:
        check_methods((self.method,))
        check_aim(self.aim)
        parse_span(self.every)
        if self.refit not in (EACH, FIRST):
            parse_span(self.refit)
        if self.k < 0 or self.k == 1:
            raise UsageError(
                "usage", f"k is {self.k}", hint="Allowed: a whole number of at least 2."
            )
        if self.k and self.method == Rfm.method:
            raise UsageError(
                "usage", f"k is {self.k}, but RFM has a fixed number of segments",
                hint="Leave k out, or take another method, such as kmeans.",
            )  # fmt: skip
        if self.adjust and (self.refit != FIRST or self.method == Rfm.method):
            told = f"refit {self.refit}" if self.refit != FIRST else f"the method {self.method}"
            raise UsageError(
                "usage", f"segments that adjust, with {told}",
                hint="Segments that adjust are learned at the first cut and go on from there: "
                "leave --refit out, and take a method that learns, such as kmeans.",
            )  # fmt: skip
        if not 0 <= self.margin < 1:
            raise UsageError(
                "usage", f"the margin is {self.margin}", hint="Allowed: 0 <= margin < 1."
            )
        if self.until < self.since:
            raise UsageError(
                "bad_period",
                f"the period is reversed: from {iso(self.since)} to {iso(self.until)}",
                hint="Give a --to that is not before --from.",
            )

    @cached_property
    def moments(self) -> tuple[datetime, ...]:
        """The cuts in order of time."""
        count = (self.until - self.since) // self.every + 1
        return tuple(self.since + place * self.every for place in range(count))

    def refit_due(self, learned_at: datetime, moment: datetime) -> bool:
        """Whether a cut learns anew."""
        if self.refit in (EACH, FIRST):
            return self.refit == EACH
        return moment - learned_at >= parse_span(self.refit)

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "from": iso(self.since),
            "to": iso(self.until),
            "every": span_text(self.every),
            "method": self.method,
            "k": self.k or (None if self.method == Rfm.method else "chosen"),
            "refit": self.refit,
            "seed": self.seed,
            "margin": self.margin,
            "on": self.on,
            "aim": self.aim,
            "adjust": self.adjust,
        }
