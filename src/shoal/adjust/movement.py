"""Movement between two versions in two parts: customers who changed, and the model that changed.

Everybody is asked about three times: by the old version at its own moment (*then*), by the old
version at the new moment (*between*), and by the new version at the new moment (*now*). From then
to between the model is the same and the customers' behaviour is another; from between to now the
states are the same and the model is another. So the parts add up exactly, customer by customer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[Any]

#: What a customer did who was known at both moments; every one is in exactly one.
STAYED: Final = "stayed"
BEHAVIOUR: Final = "behaviour"
MODEL: Final = "model"
BOTH: Final = "both"
RETURNED: Final = "returned"
KINDS: Final = (STAYED, BEHAVIOUR, MODEL, BOTH, RETURNED)


@dataclass(frozen=True)
class SegmentMovement:
    """How a segment's size came about: `then + arrived - gone + behaviour + model == now`.

    Args:
        then, now: customers of the segment at the old and at the new moment.
        arrived: customers who were not known then, where the old version puts them.
        gone: customers of then who are known no more.
        behaviour, model: net of those who came and who left, by cause.
    """

    segment_id: str
    then: int
    arrived: int
    gone: int
    behaviour: int
    model: int
    now: int


@dataclass(frozen=True)
class Movement:
    """Args:
    kinds: customers known at both moments by what they did (`KINDS`); sums to `common`.
    arrived, gone: customers known only at the new, only at the old moment.
    segments: in order of id.
    flows: (then, between, now) -> customers; "" where not known.
    """

    common: int
    kinds: dict[str, int]
    arrived: int
    gone: int
    segments: tuple[SegmentMovement, ...]
    flows: dict[tuple[str, str, str], int]

    @property
    def by_behaviour(self) -> int:
        """Customers whom the same model puts elsewhere at the new moment."""
        return self.kinds[BEHAVIOUR] + self.kinds[BOTH] + self.kinds[RETURNED]

    @property
    def by_model(self) -> int:
        """Customers known at both moments whom the new model puts elsewhere in the same state."""
        return self.kinds[MODEL] + self.kinds[BOTH] + self.kinds[RETURNED]

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "customers": {"common": self.common, "arrived": self.arrived, "gone": self.gone},
            "kinds": dict(self.kinds),
            "moved_by_behaviour": self.by_behaviour,
            "moved_by_model": self.by_model,
            "segments": [dict(vars(one)) for one in self.segments],
            "flows": [
                {"then": then or None, "between": between or None, "now": now or None,
                 "customers": customers}
                for (then, between, now), customers in self.flows.items()
            ],
        }  # fmt: skip


def movement(then: Labels, between: Labels, now: Labels) -> Movement:
    """The movement of customers, each of shape (n,): segment ids, "" where not known.

    A customer not known then has "" there; one who is gone has "" in between and now.

    Raises:
        ValueError: lengths differ, or one is known to one of the versions only at the new moment.

    >>> found = movement(np.array(["a", "a", ""]), np.array(["b", "a", "a"]),
    ...                  np.array(["b", "b", "a"]))
    >>> found.kinds["behaviour"], found.kinds["model"], found.arrived
    (1, 1, 1)
    """
    if not len(then) == len(between) == len(now):
        raise ValueError(f"columns of {len(then)}, {len(between)} and {len(now)} rows")
    then, between, now = (np.asarray(one, dtype=str) for one in (then, between, now))
    if ((between == "") != (now == "")).any():
        raise ValueError("a customer is known to one version only at the new moment")
    known, here = then != "", now != ""
    both = known & here
    changed, remodelled, back = then != between, between != now, then == now
    masks = {
        STAYED: ~changed & ~remodelled,
        BEHAVIOUR: changed & ~remodelled,
        MODEL: ~changed & remodelled,
        BOTH: changed & remodelled & ~back,
        RETURNED: changed & remodelled & back,
    }
    names = sorted({*then.tolist(), *between.tolist(), *now.tolist()} - {""})
    counted = Counter(zip(then.tolist(), between.tolist(), now.tolist(), strict=True))
    return Movement(
        common=int(both.sum()),
        kinds={kind: int((mask & both).sum()) for kind, mask in masks.items()},
        arrived=int((here & ~known).sum()),
        gone=int((known & ~here).sum()),
        segments=_segments(names, then, between, now),
        flows=dict(sorted(counted.items())),
    )


def _segments(
    names: Sequence[str], then: Labels, between: Labels, now: Labels
) -> tuple[SegmentMovement, ...]:
    known, here = then != "", now != ""
    found = []
    for name in names:
        was, mid, is_in = then == name, between == name, now == name
        found.append(
            SegmentMovement(
                segment_id=name,
                then=int(was.sum()),
                arrived=int((mid & ~known).sum()),
                gone=int((was & ~here).sum()),
                behaviour=int((mid & known).sum() - (was & here).sum()),
                model=int(is_in.sum() - mid.sum()),
                now=int(is_in.sum()),
            )
        )
    return tuple(found)
