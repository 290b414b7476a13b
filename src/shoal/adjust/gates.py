"""What has to hold before other segments go live, and what a person may let through.

A gate that is not passed is shut; where it asks for a person, a person's word opens it. A first
promotion has nothing before it to be compared with: what is odd about it is a warning.

Dimensions: n customers, k segments, e columns of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.adjust.settings import AdjustSettings
from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FINITE: Final = "finite"
ASSIGNED: Final = "assigned"
LARGEST: Final = "largest"
RANK: Final = "rank"
PSI: Final = "psi"
MOVED: Final = "moved"
FORETOLD: Final = "foretold"

#: Of the effective rank, a share of the columns.
_RANK_SHARE: Final = 0.25
#: A share of nobody counts as this one in the stability index.
_LEAST_SHARE: Final = 1e-4
#: Standard errors by which the held-out error may be higher by chance (one-sided 5 %).
_ERRORS: Final = 1.645
#: Rows of the embedding that its rank is told of.
_RANK_ROWS: Final = 20_000


@dataclass(frozen=True)
class Side:
    """What a segmentation says of the same customers, in the same order.

    Args:
        segment_ids: by column of the weights; the tier `new` is one of them where there is one.
        weights: (n, k) soft weights.
        places: (n,) where they belong, with margin; -1 for nowhere.
        active: (n,) who has been active lately; None: all.
        embeddings: (n, e) of the behaviour model; None where none is used.
        error: (n,) each customer's part in the error of what was foretold of it, held out; less
            is better; None where nothing is foretold.
    """

    segment_ids: tuple[str, ...]
    weights: Floats
    places: Places
    active: Mask | None = None
    embeddings: Floats | None = None
    error: Floats | None = None

    @property
    def placed(self) -> Mask:
        """(n,) who has a segment, the tier of the too little known apart."""
        real = np.array([one != TIER_NEW for one in self.segment_ids] + [False])
        return np.asarray(real[self.places])

    @property
    def shares(self) -> Floats:
        """(k,) of those placed in each segment; the tier has 0."""
        counts = np.bincount(self.places[self.placed], minlength=len(self.segment_ids))
        return np.asarray(counts / max(counts.sum(), 1))


@dataclass(frozen=True)
class Gate:
    """One gate.

    Args:
        code: `finite`, `assigned`, `largest`, `rank`, `psi`, `moved` or `foretold`.
        value, limit: what is and what is allowed; None: nothing to tell.
        passed: whether it is open.
        approval: where it is shut, whether a person may open it.
        warning: it is odd, but there was nothing before it: it is told and open.
        text: what it asks for, with both figures.
    """

    code: str
    value: float | None
    limit: float | None
    passed: bool
    approval: bool
    text: Text
    warning: bool = False

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "code": self.code, "value": self.value, "limit": self.limit, "passed": self.passed,
            "approval": self.approval, "warning": self.warning, **self.text.as_document(),
        }  # fmt: skip


def gates(live: Side | None, candidate: Side, settings: AdjustSettings) -> tuple[Gate, ...]:
    """The gates that can be asked, in the order of the module's codes.

    Args:
        live: of the segmentation in force; None: this is the first one.

    Raises:
        ValueError: both are not of the same number of customers.
    """
    if live is not None and len(live.places) != len(candidate.places):
        raise ValueError(
            f"{len(live.places)} customers before and {len(candidate.places)} now are not the same"
        )
    found = [_finite(candidate)]
    if found[0].passed:
        found += [_assigned(live, candidate, settings), _largest(live, candidate, settings)]
        if candidate.embeddings is not None:
            found.append(_rank(candidate.embeddings))
        if live is not None:
            found += [_psi(live, candidate, settings), _moved(live, candidate, settings)]
            if live.error is not None and candidate.error is not None:
                found.append(_foretold(live.error, candidate.error))
    if live is None:
        found = [one if one.passed or one.code == FINITE else _warned(one) for one in found]
    return tuple(found)


def shut(found: Sequence[Gate]) -> tuple[str, ...]:
    """Codes of the gates that nobody may open."""
    return tuple(one.code for one in found if not one.passed and not one.approval)


def asks(found: Sequence[Gate]) -> tuple[str, ...]:
    """Codes of the gates that a person may open."""
    return tuple(one.code for one in found if not one.passed and one.approval)


def _warned(gate: Gate) -> Gate:
    return replace(gate, passed=True, approval=False, warning=True)


def _finite(side: Side) -> Gate:
    strange = int((~np.isfinite(side.weights).all(axis=1)).sum())
    if side.embeddings is not None:
        strange += int((~np.isfinite(side.embeddings).all(axis=1)).sum())
    return Gate(
        FINITE, float(strange), 0.0, strange == 0, False,
        Text(
            f"Customers whose weights or embedding are no numbers: {strange:,}; allowed: none.",
            f"权重或嵌入不是有限数值的客户：{strange:,}；不允许有。",
        ),
    )  # fmt: skip


def _assigned(live: Side | None, candidate: Side, settings: AdjustSettings) -> Gate:
    """Of active customers that are known well enough, who has a segment."""
    active = candidate.active
    asked = np.ones(len(candidate.places), dtype=bool) if active is None else active
    tier = np.array([one == TIER_NEW for one in candidate.segment_ids] + [False])
    # who had a segment is known well enough, whatever the candidate says
    asked = asked & (~tier[candidate.places] | (False if live is None else live.placed))
    value = float(candidate.placed[asked].mean()) if asked.any() else 1.0
    return Gate(
        ASSIGNED, value, settings.assigned, value >= settings.assigned, False,
        Text(
            f"Active customers with a segment: {value:.2%}; at least {settings.assigned:.2%}.",
            f"有分群的活跃客户：{value:.2%}；至少 {settings.assigned:.2%}。",
        ),
    )  # fmt: skip


def _largest(live: Side | None, candidate: Side, settings: AdjustSettings) -> Gate:
    value = float(candidate.shares.max(initial=0.0))
    before = 0.0 if live is None else float(live.shares.max(initial=0.0))
    limit = settings.largest
    if live is not None:
        limit = max(limit, before + settings.larger_by)
    return Gate(
        LARGEST, value, limit, value <= limit, False,
        Text(
            f"Share of the largest segment: {value:.1%}; at most {limit:.1%}.",
            f"最大分群的占比：{value:.1%}；至多 {limit:.1%}。",
        ),
    )  # fmt: skip


def effective_rank(embeddings: Floats) -> float:
    """Exponential of the entropy of the singular values of centred rows (Roy and Vetterli, 2007);
    0 where all rows are the same.

    >>> round(effective_rank(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    rows = embeddings[:: max(len(embeddings) // _RANK_ROWS, 1)]
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    if not len(values) or values.sum() <= 1e-12:
        return 0.0
    part = values[values > 0] / values.sum()
    return float(np.exp(-(part * np.log(part)).sum()))


def _rank(embeddings: Floats) -> Gate:
    value, limit = effective_rank(embeddings), _RANK_SHARE * embeddings.shape[1]
    return Gate(
        RANK, value, limit, value >= limit, False,
        Text(
            f"Effective rank of the embedding: {value:.1f}; at least {limit:.1f}.",
            f"嵌入的有效秩：{value:.1f}；至少 {limit:.1f}。",
        ),
    )  # fmt: skip


def stability_index(before: Floats, now: Floats) -> float:
    """Population stability index of shares: sum of (q - p) log(q / p).

    >>> stability_index(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    0.0
    """
    p, q = np.maximum(before, _LEAST_SHARE), np.maximum(now, _LEAST_SHARE)
    return float(((q - p) * np.log(q / p)).sum())


def _psi(live: Side, candidate: Side, settings: AdjustSettings) -> Gate:
    """Sizes where a segment that is new counts to the one that most of it come from, and one that
    is gone to the one that most of it go to: lineage is no shift."""
    value = stability_index(*_sizes(live, candidate))
    return Gate(
        PSI, value, settings.psi, value < settings.psi, True,
        Text(
            f"Population stability index of segment sizes: {value:.3f}; below {settings.psi:g}.",
            f"分群规模的群体稳定性指数：{value:.3f}；应低于 {settings.psi:g}。",
        ),
    )  # fmt: skip


def _sizes(live: Side, candidate: Side) -> tuple[Floats, Floats]:
    both = live.placed & candidate.placed
    old = np.array([*live.segment_ids, ""], dtype=object)[live.places[both]]
    new = np.array([*candidate.segment_ids, ""], dtype=object)[candidate.places[both]]
    lives, comes = set(live.segment_ids), set(candidate.segment_ids)
    from_ = {one: _most(old[new == one]) for one in sorted(set(new) - lives)}
    to = {one: _most(new[old == one]) for one in sorted(set(old) - comes)}
    before = np.array([from_.get(to.get(one, one), to.get(one, one)) for one in old], dtype=object)
    now = np.array([from_.get(one, one) for one in new], dtype=object)
    names = sorted({*before, *now})
    total = max(int(both.sum()), 1)
    return (
        np.array([(before == one).sum() / total for one in names]),
        np.array([(now == one).sum() / total for one in names]),
    )


def _most(names: npt.NDArray[Any]) -> str:
    found, counts = np.unique(names.astype(str), return_counts=True)
    return str(found[counts.argmax()])


def _moved(live: Side, candidate: Side, settings: AdjustSettings) -> Gate:
    both = live.placed & candidate.placed
    old = np.array([*live.segment_ids, ""])[live.places[both]]
    new = np.array([*candidate.segment_ids, ""])[candidate.places[both]]
    value = float((old != new).mean()) if both.any() else 0.0
    return Gate(
        MOVED, value, settings.moved, value <= settings.moved, True,
        Text(
            f"Customers who change segment: {value:.1%}; at most {settings.moved:.1%}.",
            f"更换分群的客户：{value:.1%}；至多 {settings.moved:.1%}。",
        ),
    )  # fmt: skip


def _foretold(before: Floats, now: Floats) -> Gate:
    """The same customers' errors, paired."""
    there = np.isfinite(before) & np.isfinite(now)
    worse = now[there] - before[there]
    count = len(worse)
    value = float(worse.mean()) if count else 0.0
    limit = _ERRORS * float(worse.std(ddof=1)) / np.sqrt(count) if count > 1 else 0.0
    return Gate(
        FORETOLD, value, float(limit), value <= limit + 1e-12, False,
        Text(
            f"Held-out error is higher by {value:.4g} a customer; chance explains {limit:.4g}.",
            f"留出误差每位客户高出 {value:.4g}；随机波动可解释 {limit:.4g}。",
        ),
    )  # fmt: skip
