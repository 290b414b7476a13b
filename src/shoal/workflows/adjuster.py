"""One look of the adjuster: notice what changed, decide what to do about it, do it in memory.

Nothing is published and nothing recorded: `shoal adjust`, replay and the live stream drive this and
add nothing, so that the same log, seed and settings give the same decisions everywhere.

    look       now and earlier looks as the live segmentation sees them; drift
    propose    nudge, splits, merges, births; at its cadence a challenger from several starts
    decide     `shoal.adjust.decide`: what pays, inside the budget, with whose approval
    apply      a new segmenter whose segments keep their permanent ids; gates; lineage
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from shoal.adjust.adjustment import LADDER
from shoal.adjust.settings import AdjustSettings
from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.workflows.adjuster_live import Adjusted, Live, Retrained, Waiting
from shoal.workflows.adjuster_looks import Past
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.known import Known
from shoal.workflows.segment_learn import Learner

if TYPE_CHECKING:
    from shoal.adjust.policy import Policy

__all__ = ["Adjusted", "Adjuster", "AdjusterState", "Live", "Retrained", "Waiting"]

#: Every action that there is.
ACTIONS: Final = frozenset(LADDER)


@dataclass(frozen=True)
class Adjuster:
    """Looks at a segmentation, and adjusts it.

    Args:
        live: the segmentation in force.
        learner: fits challengers, with the settings, the aim and on the inputs of `live`.
        state: of the look before; None: nobody looked yet.
        policy: chooses among what is admissible; None: the rules.
        approve: whether what needs a person's word is done without it, as in a backtest.
        actions: those that may be taken; keeping always may.
        watch: whether drift is looked for. Without it nothing is blocked and nothing alarms.
        retrained: a behaviour model that was trained on and is to be judged; None: none is.
        tries: whether segments made anew go to a share of customers first: what passed is `trial`
            then, and nothing is done.
    """

    live: Live
    learner: Learner
    settings: AdjustSettings = field(default_factory=AdjustSettings)
    state: AdjusterState | None = None
    policy: Policy | None = None
    approve: bool = False
    actions: frozenset[str] = ACTIONS
    watch: bool = True
    retrained: Retrained | None = None
    tries: bool = False

    def due(self, moment: datetime) -> bool:
        """Whether the cadence asks for a look."""
        looked = None if self.state is None else self.state.looked_at
        cadence = timedelta(days=self.settings.cadence_days)
        return moment - (looked or self.live.fitted_at) >= cadence

    def challenges(self, moment: datetime) -> bool:
        """Whether the cadence asks for a challenger; it should read items as they are known now."""
        last = None if self.state is None else self.state.challenged_at
        cadence = timedelta(days=self.settings.challenger_days)
        return moment - max(last or self.live.fitted_at, self.live.fitted_at) >= cadence

    def overdue(self, moment: datetime) -> bool:
        """Whether a challenger has been due for as long as one waits for the next."""
        last = None if self.state is None else self.state.challenged_at
        cadence = timedelta(days=self.settings.challenger_days)
        return moment - max(last or self.live.fitted_at, self.live.fitted_at) >= 2 * cadence

    def after(self, adjusted: Adjusted) -> Adjuster:
        """The adjuster of the next look."""
        return replace(self, live=adjusted.live, state=adjusted.state, retrained=None)

    def look(self, known: Known, past: Past, recorded: pa.Table) -> Adjusted:
        """Look at customers as they are known at a moment, and adjust.

        Args:
            known: all customers now, with what `live` reads.
            past: the same of an earlier moment, with the same item facts; asked for the last
                cadence, the last horizons and the year before, where the log reaches back so far.
            recorded: `MEMBERSHIPS_SCHEMA`: where each belongs at this moment, after the step
                (`advance`) with `live`.

        Raises:
            UsageError: `bad_period`, a look at a later moment was taken already.
        """
        looked_at = None if self.state is None else self.state.looked_at
        if looked_at is not None and known.as_of < looked_at:
            raise UsageError(
                "bad_period",
                f"segments were looked at as of {iso(looked_at)} already, which is later than "
                f"{iso(known.as_of)}",
                hint="Looks go on in the order of time. Leave out --as-of, or give a later moment.",
            )
        from shoal.workflows.adjuster_look import Looking

        return Looking(self, known, past, recorded).run()
