"""A control group is random, fixed by the id alone, and stored without anybody's id."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from shoal.adapters.memory_store import MemoryStateStore
from shoal.domain.errors import UsageError
from shoal.workflows.holdout import Holdout, holdouts, keep, settled

MADE = datetime(2024, 3, 1, 12, tzinfo=UTC)
NAMES = pa.array([f"customer-{n}" for n in range(20_000)])


def group(share: float, salt: bytes = b"s") -> Holdout:
    return Holdout("main", share, salt, MADE)


def test_the_share_is_the_share_within_chance() -> None:
    for share in (0.01, 0.1, 0.5, 0.99):
        held = group(share).held(NAMES).mean()
        assert abs(held - share) < 4 * (share * (1 - share) / len(NAMES)) ** 0.5


def test_groups_of_other_keys_are_independent() -> None:
    one, other = group(0.3, b"one").held(NAMES), group(0.3, b"other").held(NAMES)
    assert abs((one & other).mean() - 0.09) < 0.01
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


def test_order_and_company_do_not_matter() -> None:
    held = group(0.2).held(NAMES)
    turned = group(0.2).held(NAMES.take(pa.array(np.arange(len(NAMES))[::-1])))
    assert (turned[::-1] == held).all()
    assert group(0.2).held(NAMES.slice(7, 1))[0] == held[7]


def test_it_is_kept_once_and_names_nobody() -> None:
    store = MemoryStateStore()
    first = settled(store, "main", 0.1, clock=lambda: MADE)
    assert holdouts(store) == []
    assert keep(store, first) == first
    other = Holdout("main", 0.1, b"somebody else began it too", MADE)
    assert keep(store, other) == first
    assert settled(store, "main", 0.1) == first
    assert settled(store, "spring", 0.2).salt != first.salt
    with pytest.raises(UsageError, match="keeps 10% out since 2024-03-01, not 20%"):
        settled(store, "main", 0.2)
    assert list(store.get_settings()) == ["holdout.main"]
