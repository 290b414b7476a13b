"""The harm gate: a change that leaves segments and forecasts as good as they were asks for nothing.

Customers of a festival do other things than those of last week, and are back the week after. What
makes a change one's business is that customers lie further from their segments, that more of them
have no close one, or that what is foretold does not come: by more than noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from shoal.adjust.drift.assignment import ASKED
from shoal.adjust.drift.contrast import Contrasts
from shoal.adjust.drift.correct import holm
from shoal.adjust.drift.outcomes import Calibration

#: Chance that a change which harms nothing is taken for harmful.
LEVEL: Final = 0.01


@dataclass(frozen=True)
class Harm:
    """What is worse.

    Args:
        harmful: whether anything is; None where nothing could be asked.
        worse: names of what is.
        p_values: adjusted, by name.
    """

    harmful: bool | None
    worse: tuple[str, ...]
    p_values: dict[str, float]

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {"harmful": self.harmful, "worse": list(self.worse), "p_values": self.p_values}


def harm(assignment: Contrasts | None, outcomes: Sequence[Calibration]) -> Harm:
    """Ask everything that a change could have made worse, together (Holm)."""
    p: dict[str, float] = {}
    if assignment is not None:
        p |= dict(zip(ASKED, assignment.p_value.tolist(), strict=True))
    p |= {f"{one.outcome} {one.asked}": one.p_value for one in outcomes}
    if not p:
        return Harm(None, (), {})
    adjusted = holm(np.array(list(p.values())))
    told = dict(zip(p, adjusted.tolist(), strict=True))
    worse = tuple(name for name, value in told.items() if value <= LEVEL)
    return Harm(bool(worse), worse, told)
