"""The state stores that contracts are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests import postgres

from shoal.adapters.memory_store import MemoryStateStore
from shoal.adapters.sql import SqlStateStore

KINDS: Final = ["memory", "sqlite", "postgres"]


@contextmanager
def state_store(kind: str, directory: Path) -> Iterator[MemoryStateStore | SqlStateStore]:
    """An empty store of a kind, closed afterwards."""
    if kind == "postgres":
        with postgres.namespace(directory) as namespace:
            made = SqlStateStore(namespace)
            try:
                yield made
            finally:
                made.close()
        return
    memory = kind == "memory"
    store = MemoryStateStore() if memory else SqlStateStore(f"sqlite:///{directory}/shop.sqlite")
    yield store
    store.close()
