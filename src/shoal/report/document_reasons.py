"""Why segments are as they are, as plain data beside `document.py`: rules, value, number, traits.

Shares are fractions of 1. Texts are in the report's language, made of facts of the artefact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RulePath:
    """One way into a segment: in words, the share of placed customers that take it, and the share
    of these who belong there (None: nobody takes it)."""

    words: str
    share: float
    right: float | None


@dataclass(frozen=True)
class Borderline:
    """A member for whom another segment weighs almost as much."""

    customer_id: str
    weight: float
    next_id: str
    next_weight: float


@dataclass(frozen=True)
class Expected:
    """What the next period is expected to bring from `customers` members: mean chance of being
    active, sums of orders and spend; None where it could not be learned."""

    customers: int
    active: float | None
    orders: float | None
    spend: float | None


@dataclass(frozen=True)
class Explained:
    """What the explanation tells of one segment.

    `recall` is the share of its members that the tree finds (None without a tree).
    """

    persona: str = ""
    rule: str = ""
    paths: tuple[RulePath, ...] = ()
    recall: float | None = None
    borderline: tuple[Borderline, ...] = ()
    expected: Expected | None = None


@dataclass(frozen=True)
class TreeTold:
    """How true the rules are to the segments, on customers that they were not learned from.

    `balanced` is the mean over segments of the share of members found, `majority` the same of
    always naming the largest segment. `cost` is the inertia within the tree's cells over that
    within the segments. `kept` and `asked` count questions of the tree that the version before
    (`previous`) asked as well, and all.
    """

    leaves: int
    features: int
    balanced: float
    majority: float
    goal: float
    looked_at: int
    cost: float | None = None
    left_out: int = 0
    lost: float = 0.0
    previous: str = ""
    kept: int = 0
    asked: int = 0
    agreement: float | None = None

    @property
    def reached(self) -> bool:
        return self.balanced >= self.goal


@dataclass(frozen=True)
class Explanation:
    """The rules of all segments, and what is told of each by id; `horizon_days` is of the next
    period (None where nothing is expected)."""

    segments: Mapping[str, Explained]
    tree: TreeTold | None = None
    horizon_days: int | None = None


@dataclass(frozen=True)
class Candidate:
    """One number of segments that was tried, with the evidence on it (None: not measured)."""

    k: int
    score: float | None
    spread: float | None = None
    stability: float | None = None
    smallest: float | None = None
    eligible: bool = True
    note: str = ""
    strength: float | None = None


@dataclass(frozen=True)
class Tried:
    """A number of styles that was tried: its score and the score's standard error."""

    styles: int
    score: float
    spread: float


@dataclass(frozen=True)
class HeadFigure:
    """How well the next-period head foretold one outcome of the last period.

    `area` is that under the ROC curve, `rank` Spearman's correlation; `came` the mean that came,
    `foretold` the mean that had been foretold.
    """

    outcome: str
    came: float
    foretold: float
    area: float | None = None
    rank: float | None = None


@dataclass(frozen=True)
class Choice:
    """How the number of segments was chosen.

    `rule` is `told` (a person gave it), `next_period` (scores say how well the next `horizon_days`
    are foretold), `stability_only` or `no_groups` (one segment, because there are no more). Scores
    are shares of the best candidate's if `relative`, else of all that varies. `strengths` are
    prediction strengths by number of segments where there are no groups. `styles` of the
    segments differ by how customers shop, the others being stages (None: nobody can tell stages);
    `tried` the numbers that were tried; `alone` says that segments are of the outlook alone.
    """

    rule: str
    chosen: int
    candidates: tuple[Candidate, ...] = ()
    reason: str = ""
    horizon_days: int | None = None
    relative: bool = False
    strengths: Mapping[int, float] = field(default_factory=dict)
    aim: str = ""
    styles: int | None = None
    alone: bool = False
    tried: tuple[Tried, ...] = ()
    head: tuple[HeadFigure, ...] = ()


@dataclass(frozen=True)
class TraitGap:
    """The segment and value of a trait whose share differs most from everybody's."""

    segment_id: str
    value: str
    share: float
    share_of_all: float


@dataclass(frozen=True)
class TraitOfSegment:
    """Of a segment's members whose trait is known: how many, and their shares by value."""

    segment_id: str
    known: int
    unknown: int
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Trait:
    """How segments fall by one protected trait; `association` is Cramer's V, 0 to 1."""

    name: str
    known: int
    unknown: int
    values: tuple[str, ...]
    shares: tuple[float, ...]
    segments: tuple[TraitOfSegment, ...]
    gap: TraitGap | None = None
    association: float | None = None


@dataclass(frozen=True)
class Protected:
    """Protected traits: what the shop marks, which features learning left out for that, and how
    segments fall by those that are known of anybody.

    `fewest` known customers make a gap worth telling. `ruled` says that segments are made by rules,
    which may ask for what they like; `used` are features that tell a protected trait and that
    learning did not leave out, as in segmentations of old.
    """

    marked: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    traits: tuple[Trait, ...] = ()
    fewest: int = 0
    ruled: bool = False
    used: tuple[str, ...] = ()


@dataclass(frozen=True)
class CustomerMap:
    """Some customers on a plane: (across, up, segment id) each.

    `sampled` says that not every placed customer is there, `floor` how many of a small segment are
    at least (0: every segment by its share).
    """

    points: tuple[tuple[float, float, str], ...]
    sampled: bool = False
    floor: int = 0

    @property
    def flat(self) -> bool:
        """Whether it shows no plane: no points, or all on one line."""
        return any(len({point[axis] for point in self.points}) < 2 for axis in (0, 1))
