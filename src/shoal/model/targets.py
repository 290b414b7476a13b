"""What follows in the log: the targets that slices of histories are trained to tell.

Everything is found by searching moments, without a loop over events.
Dimensions: B slices, L events, H horizons (`HORIZON_DAYS`), K kinds, C1 codes of the first category
level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shoal.domain.sequence import KIND_CODES, Array, EventSequences
from shoal.domain.time import DAY_US
from shoal.model.config import HORIZON_DAYS

Ints = npt.NDArray[np.int64]

#: What is told of an event that follows, or that was hidden.
TOLD: Final = ("kind", "item", "category1", "price_bucket")
_SECOND_US: Final = 1e6


def first_at(us: Array, low: Ints, high: Ints, moments: Ints | int) -> Ints:
    """The first place in each range [low, high) whose moment is not before; `high` if none is.

    Args:
        us: moments, ascending within each range.
        low, high: ranges, any shape.
        moments: of that shape, or one for all.
    """
    low, high = low.copy(), high.copy()
    while (open_ := low < high).any():
        middle = (low + high) // 2
        earlier = np.zeros(low.shape, bool)
        wanted = moments if isinstance(moments, int) else moments[open_]
        earlier[open_] = us[middle[open_]] < wanted
        low = np.where(open_ & earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low


def told_at(
    sequences: EventSequences, places: Ints, valid: npt.NDArray[np.bool_]
) -> dict[str, Tensor]:
    """`TOLD` of the events at places of the flat arrays, int64; 0 where not valid."""
    safe = np.where(valid, places, 0)
    found = {}
    for name in TOLD:
        values = np.asarray(sequences.fields[name][safe], np.int64)
        found[name] = torch.from_numpy(np.where(valid, values, 0))
    return found


def following(
    sequences: EventSequences,
    places: Ints,
    valid: npt.NDArray[np.bool_],
    us: Ints,
    stops: Ints,
    limits: Ints,
) -> dict[str, Tensor]:
    """What follows each event of a slice.

    Args:
        places: (B, L) where each event of the slice stands in the flat arrays.
        valid: (B, L), which of them are events.
        us: (B, L) their moments as the slice tells them.
        stops: (B,) the place after the slice's last event.
        limits: (B,) the place after the customer's last event that may be known.

    Returns:
        `TOLD` of the event that comes next, and `gap_s`, the seconds until then; kind 0 where
        nothing is known to follow.
    """
    last = valid & ~np.pad(valid[:, 1:], ((0, 0), (0, 1)))
    later = np.where(last, stops[:, None], np.pad(places[:, 1:], ((0, 0), (0, 1))))
    known = valid & (later < limits[:, None])
    found = told_at(sequences, later, known)
    inside = np.diff(us, axis=1, append=us[:, -1:])
    safe = np.where(known & last, later, 0)
    beyond = sequences.fields["us"][safe] - sequences.fields["us"][np.where(last, places, 0)]
    gap = np.where(last, beyond, inside) / _SECOND_US
    gap = np.where(known, np.maximum(gap, 0.0), 0.0)
    return {**found, "gap_s": torch.from_numpy(gap.astype(np.float32))}


def coming(
    sequences: EventSequences,
    stops: Ints,
    limits: Ints,
    now_us: Ints,
    *,
    until_us: int,
    categories: int,
    value_kind: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """What came after a moment within each horizon, and whether all of it is known.

    Args:
        stops: (B,) the place of the first event after the moment.
        limits: (B,) as in `following`.
        now_us: (B,) the moment.
        until_us: the cut-off.
        categories: C1.
        value_kind: code of the kind that `spend` sums, price times quantity over the median price;
            an unknown quantity is one unit, an unknown price nothing.

    Returns:
        `future` and `known` of `TrainingBatch`. `days` counts spans of 24 hours from the moment.
    """
    B, H = len(stops), len(HORIZON_DAYS)
    spans = np.array(HORIZON_DAYS, np.int64) * DAY_US
    known = now_us[:, None] + spans <= until_us
    ends = first_at(sequences.fields["us"], stops, limits, now_us + spans[-1])
    row, place = ranges(stops, ends)
    fields: Mapping[str, Array] = {
        name: sequences.fields[name][place]
        for name in ("us", "kind", "category1", "price", "quantity")
    }
    day = np.maximum(fields["us"] - now_us[row], 0) // DAY_US
    cell = row * H + np.searchsorted(HORIZON_DAYS, day, side="right")

    def within(cells: Ints, width: int, weights: Array | None = None) -> npt.NDArray[np.float64]:
        """(B, H, width): sums by first horizon that reaches, added up over horizons."""
        counts: Any = np.bincount(cells, weights, minlength=B * H * width)
        return counts.reshape(B, H, width).cumsum(axis=1).astype(np.float64)

    some = fields["category1"] > 0
    units = np.where(np.isnan(fields["quantity"]), 1.0, np.expm1(fields["quantity"]))
    bought = fields["kind"] == value_kind
    value = np.nan_to_num(np.expm1(fields["price"][bought])) * units[bought]
    days, first = np.unique(row * (HORIZON_DAYS[-1] + 1) + day, return_index=True)
    assert len(days) == len(first)
    future = {
        "kinds": within(cell * KIND_CODES + fields["kind"], KIND_CODES),
        "categories": within(cell[some] * categories + fields["category1"][some], categories),
        "days": within(cell[first], 1)[..., 0],
        "spend": np.log1p(within(cell[bought], 1, value)[..., 0]),
    }
    tensors = {name: torch.from_numpy(one.astype(np.float32)) for name, one in future.items()}
    return tensors, torch.from_numpy(known)


def ranges(starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Of ranges [start, stop): the range of each of their places, and all places in order."""
    lengths = stops - starts
    row = np.repeat(np.arange(len(starts)), lengths)
    before = np.cumsum(lengths) - lengths
    return row, np.arange(int(lengths.sum())) - before[row] + starts[row]
