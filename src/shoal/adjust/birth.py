"""A group of customers of its own, far from every segment: a proposal of a birth.

Far is who lies farther from the nearest centre than all but 1 % of a normal segment would. Around
the far customer with most far ones near, a ball is moved to the mean of those within it who are
nearer to it than to any segment, until it rests (mean shift; Fukunaga and Hostetler, 1975).
Scattered outliers rest anywhere: a birth is proposed only where both halves of the customers rest
at the same place, and where the other half shows a valley between the ball and each of the nearest
segments (`shoal.adjust.modes`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, ndtr

from shoal.adjust.adjustment import SPLIT, Proposal
from shoal.adjust.ground import SAMPLE_CUSTOMERS, Ground, Past, overlap, roots_of
from shoal.adjust.modes import Windows, halves, together
from shoal.adjust.propose import NEWS_P, SPLIT_P, foretold
from shoal.adjust.reshape import BEARS, can
from shoal.adjust.settings import AdjustSettings
from shoal.features.row_order import sample_rows
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.judge import Future
from shoal.segments.kmeans import nearest, squared_distances

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

BIRTH: Final = "birth"
#: Share of a normal segment that lies nearer than far customers, and within the ball.
_FAR: Final = 0.99
_BALL: Final = 0.9
#: The share of each segment's members, the nearest, that say where it is and how it spreads.
_CORE: Final = 0.9
_STEPS: Final = 20
#: Segments that a valley is looked for to.
_NEIGHBOURS: Final = 3
#: A segment that gives less than this share of those born is not told.
_DRAWN: Final = 0.1


@dataclass(frozen=True)
class _Scene:
    """Customers in usual spreads: `W` (n, d), `centers` (k, d) of segments' cores, `squares` (n,)
    to the nearest of them, and `reach` and `ball`, squares of the far limit and of the ball."""

    W: Floats
    centers: Floats
    squares: Floats
    owner: Places
    reach: float
    ball: float

    @classmethod
    def of(cls, ground: Ground) -> tuple[_Scene, Floats]:
        """The scene, and the roots that make it of the rows."""
        roots = roots_of(ground.within(), len(ground.Z))
        W, d = ground.Z @ roots, ground.Z.shape[1]
        centers = ground.centers @ roots
        squares = np.square(W - centers[ground.places]).sum(axis=1)
        inner = np.zeros(len(W), dtype=bool)
        for place in range(len(centers)):
            own = np.flatnonzero(ground.places == place)
            if len(own):
                inner[own] = squares[own] <= np.quantile(squares[own], _CORE)
        core = _core(ground, inner)
        roots = roots_of(core.within(), int(inner.sum()))
        W, centers = ground.Z @ roots, core.centers @ roots
        owner, squares = nearest(W, centers)
        scale = float(np.median(squares)) / chdtri(d, 0.5)
        reach, ball = scale * chdtri(d, 1 - _FAR), scale * chdtri(d, 1 - _BALL)
        return cls(W / np.sqrt(scale), centers / np.sqrt(scale), squares / scale, owner,
                   reach / scale, ball / scale), roots / np.sqrt(scale)  # fmt: skip


def _core(ground: Ground, inner: npt.NDArray[np.bool_]) -> Ground:
    """The ground of some customers alone."""
    centers, scatter = ground.centers.copy(), np.zeros_like(ground.scatter)
    for place in range(len(centers)):
        own = ground.Z[inner & (ground.places == place)]
        if len(own):
            centers[place] = own.mean(axis=0)
            scatter[place] = (own - centers[place]).T @ (own - centers[place])
    sizes = np.bincount(ground.places[inner], minlength=len(centers))
    return replace(
        ground, Z=ground.Z[inner], places=ground.places[inner], centers=centers, scatter=scatter,
        sizes=sizes, settled=ground.settled[inner],
    )  # fmt: skip


def births(
    segmenter: ClusterSegmenter, Z: Floats, recorded: Places, future: Future | None, *,
    settings: AdjustSettings, seed: int = 0,
) -> list[Proposal]:  # fmt: skip
    """The group far from every segment, if there is one; see `shoal.adjust.propose.splits`.

    The proposal is a split without a parent: `segments` is empty, and the evidence has the kind
    `birth` and says whom the group is drawn from.
    """
    ground = Ground.of(segmenter, Z, recorded, settings, seed)
    if len(ground.Z) < 4 * len(ground.ids) or ground.loss <= 0:
        return []
    past = Past.of(segmenter, future)
    scene, roots = _Scene.of(ground)
    parts = halves(ground.Z, seed)
    one, other = (_rest(scene, part, seed) for part in parts)
    if one is None or other is None or float(np.square(one - other).sum()) > scene.ball:
        return []
    p_value = together([_valley(scene, one, parts[1]), _valley(scene, other, parts[0])])
    rest = _settled(scene.W, scene.squares, (one + other) / 2, scene.ball)
    members = _members(scene, rest)
    share = float(members.mean())
    if p_value > SPLIT_P or share < ground.share_least:
        return []
    center = ground.Z[members].mean(axis=0)
    told = None if past is None else past.born(center, scene.reach, roots)
    news = None if past is None else _more(scene, rest, share, past.X @ roots)
    if (told is not None and told.worse) or (news is not None and news > NEWS_P):
        return []
    if not can(segmenter, BEARS, center):
        return []
    return [_proposal(ground, scene, members, p_value, {"news": news, **foretold(told)})]


def _more(scene: _Scene, rest: Floats, share: float, before: Floats) -> float:
    """p-value of no larger a share of customers being there than in the past."""
    _, squares = nearest(before, scene.centers)
    near = squared_distances(before, rest[None])[:, 0] < np.minimum(squares, scene.reach)
    then, both = float(near.mean()), len(before) + len(scene.W)
    common = (then * len(before) + share * len(scene.W)) / both
    error = np.sqrt(max(common * (1 - common), 1e-12) * (1 / len(before) + 1 / len(scene.W)))
    return float(ndtr((then - share) / error))


def _proposal(
    ground: Ground, scene: _Scene, members: npt.NDArray[np.bool_], p_value: float,
    told: dict[str, float | None],
) -> Proposal:  # fmt: skip
    center = ground.Z[members].mean(axis=0)
    share = float(members.mean())
    fall = _falls(ground, members)
    scale = len(fall) * ground.spread_share
    sizes = np.bincount(ground.places[members], minlength=len(ground.ids)) / members.sum()
    near = np.bincount(scene.owner[members], minlength=len(ground.ids)).argmax()
    pair = np.array([scene.centers[near], scene.W[members].mean(axis=0)])
    doubt = overlap(scene.W[members], pair)
    return Proposal(
        SPLIT, (), gain=float(fall.mean()) * scale,
        gain_error=float(fall.std() / np.sqrt(len(fall))) * scale, moved=share,
        cost=ground.relabelled(doubt, share),
        evidence={
            "kind": BIRTH, "p_value": p_value, "overlap": doubt, **told,
            "customers": int(members.sum()), "centers": [center.tolist()], "shares": [share],
            "drawn_from": [
                ground.ids[place] for place in np.argsort(-sizes, kind="stable")
                if sizes[place] >= _DRAWN
            ],
        },
    )  # fmt: skip


def _falls(ground: Ground, members: npt.NDArray[np.bool_]) -> Floats:
    """(members,) by how much less the new centre leaves: one of the half they are not in."""
    Z, places = ground.Z[members], ground.places[members]
    own, fall = np.square(Z - ground.centers[places]).sum(axis=1), np.empty(len(Z))
    parts = halves(Z, ground.seed)
    for learned, asked in (parts, parts[::-1]):
        fall[asked] = own[asked] - np.square(Z[asked] - Z[learned].mean(axis=0)).sum(axis=1)
    return fall


def _rest(scene: _Scene, rows: Places, seed: int) -> Floats | None:
    """(d,) where the ball rests among the far ones of some rows; None where hardly any are far."""
    far = rows[scene.squares[rows] > scene.reach]
    if len(far) < 2:
        return None
    looked = far[sample_rows(scene.W[far], SAMPLE_CUSTOMERS, seed)]
    near = squared_distances(scene.W[looked], scene.W[looked]) < 2 * scene.ball
    start = scene.W[looked][near[near.sum(axis=1).argmax()]].mean(axis=0)
    return _settled(scene.W[rows], scene.squares[rows], start, scene.ball)


def _settled(W: Floats, squares: Floats, start: Floats, ball: float) -> Floats:
    """Where the mean of those within the ball who lie nearer to it than to a segment rests."""
    for _ in range(_STEPS):
        inside = squared_distances(W, start[None])[:, 0] < np.minimum(squares, ball)
        if not inside.any():
            break
        before, start = start, W[inside].mean(axis=0)
        if np.allclose(before, start):
            break
    return start


def _members(scene: _Scene, rest: Floats) -> npt.NDArray[np.bool_]:
    """Who is nearer to the place than to any segment, and not far from it."""
    squares = squared_distances(scene.W, rest[None])[:, 0]
    return np.asarray((squares < scene.squares) & (squares < scene.reach))


def _valley(scene: _Scene, rest: Floats, rows: Places) -> float:
    """p-value of no valley to one of the nearest segments, on rows that were not looked at."""
    apart = squared_distances(scene.centers, rest[None])[:, 0]
    told = []
    for place in np.argsort(apart, kind="stable")[:_NEIGHBOURS]:
        across = rest - scene.centers[place]
        length = float(np.linalg.norm(across))
        if length < 1e-9:
            return 1.0
        direction = across / length
        asked = rows[
            (scene.owner[rows] == place)
            | (squared_distances(scene.W[rows], rest[None])[:, 0] < scene.squares[rows])
        ]
        end = float(scene.centers[place] @ direction)
        windows = Windows(direction, (end, end + length / 2, end + length), 0.8 * length / 2)
        told.append(windows.p_value(scene.W[asked]))
    return max(told, default=1.0)
