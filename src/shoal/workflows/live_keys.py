"""Which events the log has already: a stream asks this of every event that comes in.

The inbox knows every call that it took. Events that came by files under the same ids are known by
their keys alone, eight bytes an event, read once from the event table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.domain.errors import OperationError
from shoal.events.schema import EVENT_KEY
from shoal.ports import LiveStore, Warehouse

Keys = npt.NDArray[np.int64]


class KnownKeys:
    """The keys of all events of a shop, kept while one process brings events in.

    Args:
        warehouse: the event table; of what waits to be flushed into it `live` knows.
    """

    def __init__(self, warehouse: Warehouse, live: LiveStore) -> None:
        self._warehouse, self._live = warehouse, live
        self._version: int | None = None
        #: Sorted, each at least twice as long as the next: a key is merged anew as often as what is
        #: known doubles, and looked for in as many places.
        self._runs: list[Keys] = []

    def any_of(self, keys: Keys) -> bool:
        """Whether one of some keys is known, or two of them are the same."""
        self._follow()
        asked = np.unique(keys)
        return len(asked) < len(keys) or any(_inside(run, asked) for run in self._runs)

    def add(self, keys: Keys) -> None:
        """Know some keys from now on."""
        if not len(keys):
            return
        self._runs.append(np.sort(keys))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            pair = np.concatenate([self._runs.pop(), self._runs.pop()])
            pair.sort(kind="stable")  # of two sorted parts it only merges them
            self._runs.append(pair)

    def flushed(self, before: int, after: int) -> None:
        """Events that are known went into the table, which is another version for it."""
        if self._version == before:
            self._version = after

    def forget(self) -> None:
        """Read all of it anew when it is asked for next."""
        self._version = None

    def _follow(self) -> None:
        """Learn what others committed."""
        latest = self._warehouse.version()
        if latest == self._version:
            return
        paths = self._paths_since(latest)
        if paths is None:
            files = self._warehouse.events(version=latest).paths if latest >= 0 else ()
            self._runs = []
            self.add(_read(files))
            for batch in self._live.read([number for number, _ in self._live.numbers()]):
                self.add(batch.events[EVENT_KEY].to_numpy())
        elif paths:
            self.add(_read(paths))
        self._version = latest

    def _paths_since(self, latest: int) -> Sequence[str] | None:
        """Files committed since; None: all is to be read."""
        if self._version is None or self._version > latest:
            return None
        try:
            units = list(self._warehouse.since(self._version))
        except OperationError as error:
            if error.code != "shop_damaged":
                raise
            return None
        return [path for unit in units for path in unit.added.paths]


def _inside(run: Keys, keys: Keys) -> bool:
    """Whether a sorted run has one of some keys."""
    places = np.searchsorted(run, keys)
    inside = places < len(run)
    return bool((run[places[inside]] == keys[inside]).any())


def _read(paths: Sequence[str]) -> Keys:
    parts = [pq.read_table(path, columns=[EVENT_KEY])[EVENT_KEY] for path in paths]
    whole = pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.int64())
    found: Keys = whole.to_numpy()
    return found
