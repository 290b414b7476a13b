"""Keys of events that are known: as a set of them says, in eight bytes each."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.ports import LiveStore, Warehouse
from shoal.workflows.live_keys import KnownKeys

KEYS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40), max_size=12)


class Empty:
    """A shop without events."""

    def version(self) -> int:
        return -1

    def numbers(self) -> list[tuple[int, str]]:
        return []

    def read(self, numbers: list[int]) -> list[Any]:
        return []


def empty() -> KnownKeys:
    return KnownKeys(cast(Warehouse, Empty()), cast(LiveStore, Empty()))


def array(keys: list[int]) -> Any:
    return np.array(keys, np.int64)


@given(st.lists(KEYS, max_size=20))
def test_what_was_added_is_known_and_nothing_else(parts: list[list[int]]) -> None:
    found, known = empty(), set[int]()
    for keys in parts:
        again = len(set(keys)) < len(keys)
        assert found.any_of(array(keys)) == (again or not known.isdisjoint(keys))
        found.add(array(keys))
        known.update(keys)
    for key in known:
        assert found.any_of(array([key]))


def test_a_million_keys_take_eight_bytes_each_in_few_runs() -> None:
    found = empty()
    assert not found.any_of(array([7]))
    for start in range(0, 1_000_000, 1_000):
        found.add(np.arange(start, start + 1_000)[::-1])
    runs = found._runs
    assert sum(run.nbytes for run in runs) == 8_000_000
    assert len(runs) <= 11
    assert all(len(one) >= 2 * len(after) for one, after in pairwise(runs))
    assert found.any_of(array([999_999])) and not found.any_of(array([1_000_000, -1]))


def test_who_asks_learns_what_others_committed() -> None:
    told = SimpleNamespace(version=lambda: -1)
    found = KnownKeys(cast(Warehouse, told), cast(LiveStore, Empty()))
    found.add(array([1]))
    found.forget()
    assert not found.any_of(array([1]))  # it is read anew, and there is none
