"""A partition answers for the shop as it is now, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.unit.service.test_shares import rows

import shoal
from shoal.domain.errors import UsageError
from shoal.features import reference as items
from shoal.features.snapshot import FOLD_KEY
from shoal.service.partition import Answering
from shoal.service.shares import Message, folded_of, of_share
from shoal.shop import Shop
from shoal.workflows import reference
from shoal.workflows.live_fold import Share

MOMENT = datetime(2026, 3, 4, tzinfo=UTC)
NOBODY = pa.array([], pa.string())


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with shoal.init(tmp_path / "shop") as found:
        yield found


@pytest.fixture
def answering(shop: Shop) -> Iterator[Answering]:
    with Answering({"shop": str(shop.directory), "of": 2}) as found:
        found.begin()
        yield found


def views(count: int) -> pa.Table:
    """A view of each of some customers, before the moment."""
    table = rows(*(f"c{n}" for n in range(count)))
    told = {"kind": ["view"] * count,
            "event_time": [MOMENT - timedelta(seconds=n) for n in range(1, count + 1)]}  # fmt: skip
    for name, values in told.items():
        place = table.schema.get_field_index(name)
        field = table.schema.field(name)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table


def asked(shop: Shop, *references: str, anew: pa.Array = NOBODY) -> Message:
    share = Share(views(3), anew, NOBODY, MOMENT, references)
    return of_share(share, shop.folding().fold.fingerprint)


def test_a_share_is_done_as_the_process_that_asks_does_it(shop: Shop, answering: Answering) -> None:
    registry = shop._parts.registry
    name = reference.keep(registry, items.empty(), MOMENT)
    found = folded_of(answering.answer(asked(shop, name)))
    here = shop.folding()(Share(views(3), NOBODY, NOBODY, MOMENT, (name,)))
    assert found.customers.to_pylist() == ["c0", "c1", "c2"]
    assert found.states.equals(here.states)
    assert found.features[name].equals(here.features[name])
    assert FOLD_KEY in found.features[name].schema.metadata
    # What is stored is read anew for each share, unless it does not count.
    with shop.lease(), shop._parts.store.transaction():
        shop._parts.store.put_states(here.states)
    twice = folded_of(answering.answer(asked(shop, name)))
    assert twice.features[name]["views"].to_pylist() == [2, 2, 2]
    anew = folded_of(answering.answer(asked(shop, name, anew=pa.array(["c1"]))))
    assert anew.features[name]["views"].to_pylist() == [2, 1, 2]


def test_settings_that_changed_are_followed(shop: Shop, answering: Answering) -> None:
    before = shop.folding().fold.fingerprint
    shop._parts.store.put_setting("currency", "EUR")
    assert shop.folding().fold.fingerprint != before
    assert "failure" not in answering.answer(asked(shop)).told
    told = answering.answer(of_share(Share(views(3), NOBODY, NOBODY, MOMENT, ()), "another")).told
    assert told == {"failure": "its shop has other settings"}


def test_what_cannot_be_done_is_told(shop: Shop, answering: Answering) -> None:
    told = answering.answer(asked(shop, "reference-404")).told
    assert told["failure"] and "Traceback" not in told["failure"]
    assert "failure" not in answering.answer(asked(shop)).told


def test_a_shop_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    found = Answering({"shop": str(tmp_path), "of": 2})
    with found, pytest.raises(UsageError, match="shop"):
        found.begin()
