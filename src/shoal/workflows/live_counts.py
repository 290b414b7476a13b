"""How often somebody was seen in stretches of time: never told too low, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
#: A cell counts no further.
MOST: Final = int(np.iinfo(np.uint16).max)
_ROWS: Final = 2
_HALF: Final = np.uint64(32)
#: A stretch of fewer hashes than one in so many of its cells is kept as these and their counts.
_SPARSE: Final = 64


class Counts:
    """Counts by hash and stretch.

    Of a stretch with many hashes only a count-min sketch is kept (Cormode and Muthukrishnan, "An
    improved data stream summary", 2005): a hash is counted in one cell of each of two rows, and the
    lower of them is told. Others of the same cells can make it too high, and nothing too low.

    Args:
        cells: of a row, a power of two up to 2^32; some times fewer than the events of a stretch
            divided by the count that matters.
    """

    def __init__(self, cells: int) -> None:
        if cells & (cells - 1) or not 0 < cells <= 1 << 32:
            raise ValueError(f"cells must be a power of two up to 2^32, received {cells}")
        self._cells = cells
        self._few: dict[int, dict[int, int]] = {}
        self._many: dict[int, npt.NDArray[np.uint16]] = {}

    def add(self, hashes: Hashes, stretches: Ints) -> None:
        """Count each hash once more in the stretch of the same place."""
        for stretch, places in _grouped(stretches):
            own, counts = np.unique(hashes[places], return_counts=True)
            if stretch not in self._many and not self._keep(stretch, own, counts):
                self._spread(stretch)
            if stretch in self._many:
                self._sketch(self._many[stretch], own, counts)

    def of(self, hashes: Hashes, stretches: Ints) -> Ints:
        """How often each was seen in the stretch of the same place: at least so often, and `MOST`
        for all that is more."""
        found = np.zeros(len(hashes), np.int64)
        for stretch, places in _grouped(stretches):
            own = hashes[places]
            if stretch in self._many:
                rows = self._many[stretch]
                told = [row[cells] for row, cells in zip(rows, self._places(own), strict=True)]
                found[places] = np.minimum(*told)
            else:
                few = self._few.get(stretch, {})
                found[places] = [min(few.get(one, 0), MOST) for one in own.tolist()]
        return found

    def let_go(self, first: int) -> None:
        """Forget the stretches before one."""
        for kept in (self._few, self._many):
            for stretch in [one for one in kept if one < first]:
                del kept[stretch]

    def _keep(self, stretch: int, own: Hashes, counts: Ints) -> bool:
        """Count in a stretch of few hashes; False, and nothing done, where they are many now."""
        few = self._few.setdefault(stretch, {})
        if len(few) + len(own) > self._cells // _SPARSE:
            return False
        for one, count in zip(own.tolist(), counts.tolist(), strict=True):
            few[one] = few.get(one, 0) + count
        return True

    def _spread(self, stretch: int) -> None:
        """Make a sketch of a stretch of few."""
        few = self._few.pop(stretch, {})
        rows = self._many[stretch] = np.zeros((_ROWS, self._cells), np.uint16)
        own = np.fromiter(few, np.uint64, len(few))
        self._sketch(rows, own, np.fromiter(few.values(), np.int64, len(few)))

    def _sketch(self, rows: npt.NDArray[np.uint16], own: Hashes, counts: Ints) -> None:
        for row, cells in zip(rows, self._places(own), strict=True):
            touched, where = np.unique(cells, return_inverse=True)
            more = row[touched] + np.bincount(where, counts, len(touched))
            row[touched] = np.minimum(more, MOST)

    def _places(self, own: Hashes) -> tuple[Hashes, Hashes]:
        """The cell of each hash in each row, by another half of it."""
        most = np.uint64(self._cells - 1)
        return own & most, (own >> _HALF) & most


def _grouped(stretches: Ints) -> Iterator[tuple[int, Ints]]:
    """Each stretch with the places where it stands."""
    order = np.argsort(stretches, kind="stable")
    found, first = np.unique(stretches[order], return_index=True)
    yield from zip(found.tolist(), np.split(order, first[1:]), strict=False)
