"""The oracle: its probabilities are true, labels told to a classifier do not beat it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.unit.events.worlds.drawn import drawn

from shoal.events import worlds
from shoal.events.worlds import oracle_cuts, truth
from shoal.events.worlds.base import with_dials

CUSTOMERS, DAYS, SEED = 4096, 126, 3


def said(name: str, cuts: tuple[int, ...], difficulty: float | None = None) -> pa.Table:
    world = with_dials(worlds.load(name), None, difficulty)
    found = oracle_cuts.memberships(world, customers=CUSTOMERS, days=DAYS, seed=SEED, cuts=cuts)
    return found.filter(pc.greater_equal(found["events"], 3))


def accuracy(table: pa.Table) -> float:
    return float(np.mean(np.array(table["segment"]) == np.array(table["likeliest"])))


@pytest.mark.parametrize("name", ["steady", "drift", "lineage"])
def test_its_probabilities_are_those_that_come_true(name: str) -> None:
    table = said(name, (84, 126))
    assert len(table) > 1_500
    assert accuracy(table) == pytest.approx(table["probability"].to_numpy().mean(), abs=0.03)
    assert accuracy(table) > 0.88
    sure = table.filter(pc.less(table["probability"], 0.7))
    assert accuracy(sure) == pytest.approx(sure["probability"].to_numpy().mean(), abs=0.09)


def test_counts_tell_nothing_in_the_awkward_world() -> None:
    table = said("awkward", (126,))
    assert accuracy(table) == pytest.approx(1 / 9, abs=0.03)


def test_a_harder_world_is_harder_for_the_oracle_too() -> None:
    # Below the published difficulty the few events of many customers are what limits it.
    published, harder, hardest = (accuracy(said("steady", (126,), x)) for x in (0.5, 0.75, 1.0))
    assert published > harder + 0.05 > hardest + 0.25


def test_the_truth_it_quotes_is_that_of_the_spells() -> None:
    table = said("lineage", (84,))
    shop = drawn("lineage", blocks=1, days=DAYS, seed=SEED)
    moment = shop.world.dials.start + np.timedelta64(84 * 86_400 - 1, "s").astype(object)
    spells = truth.segment_at(shop.spells(), moment)
    planted = dict(
        zip(spells["customer_id"].to_pylist(), spells["segment"].to_pylist(), strict=True)
    )
    quoted = zip(table["customer_id"].to_pylist(), table["segment"].to_pylist(), strict=True)
    assert all(planted[customer] == segment for customer, segment in quoted)
