"""What an adjuster keeps from one look to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from shoal.domain.time import iso, parse_moment

if TYPE_CHECKING:
    from shoal.adjust.drift.detect import Monitors
    from shoal.adjust.online import Statistics
    from shoal.segments.base import Arrays

#: The budget of relabelling counts what was moved in so many days.
BUDGET_DAYS: Final = 30

_STATISTICS: Final = "statistics."


@dataclass(frozen=True)
class AdjusterState:
    """What is known of earlier looks.

    Args:
        looked_at: the moment of the last look; None before the first.
        fitted_at: when all segments were made together.
        challenged_at: when a challenger was fitted last; None: not yet.
        ledger: (moment, share of customers that an adjustment moved then), oldest first.
        statistics: decayed statistics of the segments in force; None: to be gathered anew.
        monitors: of drift; None: to begin anew.
    """

    fitted_at: datetime
    looked_at: datetime | None = None
    challenged_at: datetime | None = None
    ledger: tuple[tuple[datetime, float], ...] = ()
    statistics: Statistics | None = None
    monitors: Monitors | None = None

    def spent(self, moment: datetime) -> float:
        """Share of customers that adjustments moved in the `BUDGET_DAYS` before a moment.

        >>> begin = parse_moment("2024-01-01")
        >>> state = AdjusterState(begin, ledger=((begin, 0.5), (parse_moment("2024-03-01"), 0.1)))
        >>> state.spent(parse_moment("2024-03-08"))
        0.1
        """
        since = moment - timedelta(days=BUDGET_DAYS)
        return float(sum(share for when, share in self.ledger if since < when <= moment))

    def with_moved(self, moment: datetime, share: float) -> tuple[tuple[datetime, float], ...]:
        """The ledger with one entry more; what no budget counts any more is left out."""
        since = moment - timedelta(days=BUDGET_DAYS)
        kept = tuple(one for one in self.ledger if one[0] > since)
        return (*kept, (moment, share)) if share else kept

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """JSON and named arrays."""
        told, arrays = None, {}
        if self.statistics is not None:
            told, own = self.statistics.to_artefact()
            arrays = {_STATISTICS + name: array for name, array in own.items()}
        return {
            "fitted_at": iso(self.fitted_at),
            "looked_at": _iso(self.looked_at),
            "challenged_at": _iso(self.challenged_at),
            "ledger": [[iso(moment), share] for moment, share in self.ledger],
            "statistics": told,
            "monitors": None if self.monitors is None else self.monitors.to_document(),
        }, arrays

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        from shoal.adjust.drift.detect import Monitors
        from shoal.adjust.online import Statistics

        own = {
            name.removeprefix(_STATISTICS): array
            for name, array in arrays.items()
            if name.startswith(_STATISTICS)
        }
        told, monitors = document["statistics"], document["monitors"]
        return cls(
            parse_moment(document["fitted_at"]),
            _moment(document["looked_at"]),
            _moment(document["challenged_at"]),
            tuple((parse_moment(when), float(share)) for when, share in document["ledger"]),
            None if told is None else Statistics.from_artefact(told, own),
            None if monitors is None else Monitors.from_document(monitors),
        )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_moment(text)
