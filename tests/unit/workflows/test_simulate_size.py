"""Shops that fit in no memory are refused before anything is drawn; odd places are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.domain.errors import UsageError
from shoal.events import worlds
from shoal.events.worlds import sample
from shoal.events.worlds.base import with_dials
from shoal.workflows.simulate import simulate
from shoal.workflows.simulate_size import MOST_VISITS, expected_visits


@pytest.mark.parametrize("dials", [{}, {"rate_scale": 3}, {"one_off": 0.1}, {"rate_scale": 0.2}])
def test_as_many_visits_are_expected_as_come_at_most(dials: dict[str, float]) -> None:
    world = with_dials(worlds.load("steady"), {"season": 0, "pause_every_days": 0, **dials})
    goods = sample.build_catalogue(world, 4)
    (block,) = sample.blocks(world, goods, customers=sample.BLOCK_CUSTOMERS, days=100, seed=4)
    rows = block.events[~block.customers.one_off[block.events["customer"]]]
    visits = len(np.unique(rows["session"][rows["session"] >= 0]))
    assert 0.6 * visits < expected_visits(world, 100) < 1.6 * visits


@pytest.mark.parametrize("days", [1, 200, 3650])
def test_every_world_as_declared_is_far_from_the_limit(days: int) -> None:
    assert max(expected_visits(worlds.load(name), days) for name in worlds.names()) < (
        MOST_VISITS / 5
    )


def test_a_world_that_fits_in_no_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="every 4,096 customers would come about") as caught:
        simulate(tmp_path / "out", customers=60, days=90, dials={"rate_scale": 1000})
    assert (caught.value.code, caught.value.where) == ("bad_dial", "--dial rate_scale")
    assert "lower rate_scale" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="no directory can be made there"):
        simulate(tmp_path / "file" / "out", customers=10, days=5)
