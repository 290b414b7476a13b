"""The planted stream: users of Gaussian segments that drift, split, are born, merge and jump.

A sighting is one noisy observation of a user. `epochs` epochs of `events` sightings; users are
drawn with equal chance, sightings of an epoch are in random order. What happens, in this order, at
the start of an epoch t (counted from 1; nothing happens at the first):

    drift    every segment's mean takes a step N(0, drift^2) in each feature
    split    (t = 4)  half of the users of the largest segment leave it for one of their own; both
             means lie `apart` / 2 from where it was, on a random line
    birth    (t = 6)  a share of all users leaves for a new segment, its mean drawn as those of
             the beginning
    merge    (t = 8)  the two segments whose means are nearest become one, at their mean
    jump     (t = 10) every mean moves by a step of the length `jump` in a direction of its own
    switch   every user moves to another segment with the chance `switch`

Means at the beginning are N(0, scale^2) in each feature; a sighting is its segment's mean and
N(0, 1) noise in each feature, of a share `outliers` heavy-tailed noise: Student's t with 3 degrees
of freedom, times `tail`. What the pilot's protocol leaves open (`apart`, `born`, `jump`, `tail`)
was set on seeds 1 to 5 so that frozen k-means comes near what the pilot had for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

#: Days of an epoch: what half-lives and cadences count in. A month, so that a stream is a year.
EPOCH_DAYS = 28.0


@dataclass(frozen=True)
class Plan:
    """The dials of a stream; see the module."""

    users: int = 4_000
    features: int = 10
    segments: int = 6
    scale: float = 2.0
    epochs: int = 12
    events: int = 2_500
    drift: float = 0.12
    switch: float = 0.02
    outliers: float = 0.02
    split_at: int = 4
    birth_at: int = 6
    merge_at: int = 8
    jump_at: int = 10
    apart: float = 5.0
    born: float = 0.1
    jump: float = 3.0
    tail: float = 3.0


@dataclass(frozen=True)
class Move:
    """A user's own change of segment, before the sighting `at` of the stream."""

    user: int
    at: int
    segment: int
    origin: int


@dataclass
class Stream:
    """n sightings in order of time.

    Args:
        users, epoch, truth: (n,) who, when (from 1), and the true segment.
        X: (n, features).
        outlier: (n,) whose noise is heavy-tailed.
        means: of each epoch, segment -> its mean.
        moves: users' own changes; those of whole segments are in `events`.
        events: what happened to segments: epoch -> (what, parents, children).
    """

    plan: Plan
    users: Places
    epoch: Places
    truth: Places
    X: Floats
    outlier: npt.NDArray[np.bool_]
    means: list[dict[int, Floats]]
    moves: list[Move] = field(default_factory=list)
    events: dict[int, tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    @property
    def days(self) -> Floats:
        """(n,) days since the beginning: sightings of an epoch are evenly spaced."""
        return np.arange(len(self)) * (EPOCH_DAYS / self.plan.events)

    def of_epoch(self, epoch: int) -> slice:
        """The sightings of an epoch."""
        start = (epoch - 1) * self.plan.events
        return slice(start, start + self.plan.events)


class _World:
    """Where every user and mean is; each step changes it."""

    def __init__(self, plan: Plan, random: np.random.Generator) -> None:
        self.plan, self.random = plan, random
        self.means = {
            segment: random.normal(0, plan.scale, plan.features) for segment in range(plan.segments)
        }
        self.at = random.integers(plan.segments, size=plan.users)
        self.next = plan.segments

    def new(self, mean: Floats) -> int:
        self.means[self.next] = mean
        self.next += 1
        return self.next - 1

    def direction(self) -> Floats:
        found = self.random.normal(size=self.plan.features)
        return np.asarray(found / np.linalg.norm(found))

    def drift(self) -> None:
        for segment in self.means:
            self.means[segment] = self.means[segment] + self.random.normal(
                0, self.plan.drift, self.plan.features
            )

    def split(self) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        sizes = {segment: int((self.at == segment).sum()) for segment in self.means}
        parent = max(sizes, key=lambda one: (sizes[one], -one))
        step = self.direction() * self.plan.apart / 2
        child = self.new(self.means[parent] + step)
        self.means[parent] = self.means[parent] - step
        members = np.flatnonzero(self.at == parent)
        self.at[self.random.permutation(members)[: len(members) // 2]] = child
        return "split", (parent,), (parent, child)

    def birth(self) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        child = self.new(self.random.normal(0, self.plan.scale, self.plan.features))
        some = self.random.permutation(self.plan.users)[: int(self.plan.born * self.plan.users)]
        self.at[some] = child
        return "birth", (), (child,)

    def merge(self) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        names = sorted(self.means)
        pairs = [(a, b) for a in names for b in names if a < b]
        one, other = min(
            pairs, key=lambda pair: float(np.linalg.norm(self.means[pair[0]] - self.means[pair[1]]))
        )
        merged = self.new((self.means.pop(one) + self.means.pop(other)) / 2)
        self.at[(self.at == one) | (self.at == other)] = merged
        return "merge", (one, other), (merged,)

    def jump(self) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        for segment in self.means:
            self.means[segment] = self.means[segment] + self.plan.jump * self.direction()
        return "jump", tuple(sorted(self.means)), tuple(sorted(self.means))

    def switch(self, sighting: int) -> list[Move]:
        names = np.array(sorted(self.means))
        movers = np.flatnonzero(self.random.random(self.plan.users) < self.plan.switch)
        found = []
        for user in movers.tolist():
            origin = int(self.at[user])
            others = names[names != origin]
            self.at[user] = others[self.random.integers(len(others))]
            found.append(Move(user, sighting, int(self.at[user]), origin))
        return found


def planted(seed: int, plan: Plan | None = None) -> Stream:
    """The stream of a seed; the same plan and seed give the same stream."""
    plan = plan or Plan()
    random = np.random.default_rng(seed)
    world = _World(plan, random)
    what = {
        plan.split_at: world.split, plan.birth_at: world.birth, plan.merge_at: world.merge,
        plan.jump_at: world.jump,
    }  # fmt: skip
    blocks: list[tuple[Any, ...]] = []
    means, moves, events = [], list[Move](), {}
    for epoch in range(1, plan.epochs + 1):
        if epoch > 1:
            world.drift()
            if epoch in what:
                events[epoch] = what[epoch]()
            moves += world.switch((epoch - 1) * plan.events)
        means.append(dict(world.means))
        users = random.integers(plan.users, size=plan.events)
        truth = world.at[users].copy()
        noise = random.normal(size=(plan.events, plan.features))
        outlier = random.random(plan.events) < plan.outliers
        tails = plan.tail * random.standard_t(3, size=(plan.events, plan.features))
        X = np.stack([world.means[one] for one in truth.tolist()])
        X += np.where(outlier[:, None], tails, noise)
        blocks.append((users, np.full(plan.events, epoch), truth, X, outlier))
    users, epochs, truth, X, outlier = (np.concatenate(one) for one in zip(*blocks, strict=True))
    return Stream(plan, users, epochs, truth, X, outlier, means, moves, events)
