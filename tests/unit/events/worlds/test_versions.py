"""A world does not change without a new version: results that quote one mean the same shop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.events import worlds
from shoal.events.worlds import sample
from shoal.events.worlds.base import with_dials

# What a version of a world is: the digest of its declarations, and how many events of each kind
# 500 customers leave in 60 days under seed 7 (which a change of the sampling code moves). When
# this fails, the world has changed: raise its version and add a line, never edit one.
PINNED: dict[tuple[str, int], tuple[str, dict[str, int]]] = {
}  # fmt: skip


def counted(name: str) -> tuple[str, dict[str, int]]:
    world = worlds.load(name)
    goods = sample.build_catalogue(world, 7)
    (block,) = sample.blocks(world, goods, customers=500, days=60, seed=7)
    code, count = np.unique(block.events["kind"], return_counts=True)
    return world.digest(), {kinds.KINDS[c]: int(n) for c, n in zip(code, count, strict=True)}


@pytest.mark.parametrize("name", worlds.names())
def test_a_world_does_not_change_without_a_new_version(name: str) -> None:
    assert counted(name) == PINNED[(name, worlds.load(name).version)]


def test_the_digest_moves_with_everything_that_is_declared() -> None:
    world = worlds.load("drift")
    others = [
        with_dials(world, {"season": 0.21}),
        with_dials(world, None, 0.51),
        replace(world, segments=(replace(world.segments[0], views=3.7), *world.segments[1:])),
        replace(world, drifts=world.drifts[1:]),
        replace(world, layers=()),
        replace(world, transitions=()),
        replace(worlds.load("lineage"), changes=()),
    ]
    digests = {one.digest() for one in others} | {world.digest(), worlds.load("lineage").digest()}
    assert len(digests) == len(others) + 2


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"seasons": 0.1}, "no world has a dial 'seasons'"),
        ({"season": -0.1}, "dial season cannot be -0.1"),
        ({"rate_scale": "0"}, "dial rate_scale cannot be '0'"),
        ({"rate_scale": "-2"}, "dial rate_scale cannot be '-2'"),
        ({"one_off": "nan"}, "dial one_off cannot be 'nan'"),
        ({"one_off": "many"}, "dial one_off cannot be 'many'"),
        ({"items": "100.5"}, "dial items cannot be '100.5'"),
        ({"hours": "1,2,3"}, "dial hours cannot be '1,2,3'"),
        ({"weekdays": "1,1,1,1,1,-1,1"}, "dial weekdays cannot be"),
        ({"weekdays": "0,0,0,0,0,0,0"}, "dial weekdays cannot be"),
        ({"start": "2020-01-01"}, "no world has a dial 'start'"),
    ],
)
def test_impossible_dials_are_refused(dials: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        with_dials(worlds.load("steady"), dials)
    assert caught.value.code in ("unknown_dial", "bad_dial")
    assert caught.value.hint


@pytest.mark.parametrize("difficulty", [-0.1, 1.1, float("nan")])
def test_difficulty_is_a_share(difficulty: float) -> None:
    with pytest.raises(UsageError, match="is not a share"):
        with_dials(worlds.load("steady"), None, difficulty)


def test_dials_are_read_from_texts() -> None:
    world = with_dials(
        worlds.load("steady"), {"season": "0.4", "items": "500", "weekdays": "1,1,1,1,1,2,2"}
    )
    assert (world.dials.season, world.dials.items) == (0.4, 500)
    assert world.dials.weekdays == (1, 1, 1, 1, 1, 2, 2)
