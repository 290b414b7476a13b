"""Working ahead in another thread: order, errors, and leaving early."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from shoal.workflows.pipeline import ahead


def test_items_come_in_order_and_all() -> None:
    with ahead(iter(range(100)), depth=3) as items:
        assert list(items) == list(range(100))


def test_items_are_made_in_another_thread_and_no_more_than_depth_ahead() -> None:
    made: list[int] = []
    names: set[str] = set()
    third = threading.Event()

    def source() -> Iterator[int]:
        for number in range(10):
            names.add(threading.current_thread().name)
            made.append(number)
            if number == 2:
                third.set()
            yield number

    with ahead(source(), depth=2) as items:
        third.wait()
        assert next(items) == 0
        assert len(made) <= 4  # one taken, two waiting, one that waits for its place
    assert names == {"shoal-ahead"}


def test_an_error_comes_where_its_item_would_have() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("the second is broken")

    with ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="the second is broken"):
            next(items)


def test_leaving_early_ends_every_thread_of_a_chain() -> None:
    before = threading.active_count()

    def endless() -> Iterator[int]:
        while True:
            yield 1

    with (
        pytest.raises(RuntimeError, match="enough"),
        ahead(endless()) as first,
        ahead((item + 1 for item in first), depth=1) as second,
    ):
        assert next(second) == 2
        raise RuntimeError("enough")
    assert threading.active_count() == before
