"""Working ahead: the next items are made in another thread while the caller uses this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()


@contextmanager
def ahead(items: Iterable[T], depth: int = 2) -> Iterator[Iterator[T]]:
    """The items, up to `depth` of them made before they are asked for.

    What the iterable raises is raised where its item would have come. When the block is left early
    the thread is stopped and waited for.

    >>> with ahead(range(3)) as numbers:
    ...     list(numbers)
    [0, 1, 2]
    """
    made: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def work() -> None:
        try:
            for item in items:
                if not _put(made, (item, None), stop):
                    return
            _put(made, (_END, None), stop)
        except BaseException as error:  # handed to the thread that asks, whatever it is
            _put(made, (_END, error), stop)

    thread = threading.Thread(target=work, name="shoal-ahead", daemon=True)
    thread.start()
    try:
        yield _taken(made)
    finally:
        stop.set()
        _drain(made)
        thread.join()


def _taken(made: queue.Queue[Any]) -> Iterator[Any]:
    while True:
        item, error = made.get()
        if error is not None:
            raise error
        if item is _END:
            return
        yield item


def _put(made: queue.Queue[Any], item: Any, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            made.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False


def _drain(made: queue.Queue[Any]) -> None:
    while True:
        try:
            made.get_nowait()
        except queue.Empty:
            return
