"""Finished features of customers in memory: those that the last steps saw, and those asked for.

Finishing features from a customer's state is one query, which takes some hundred milliseconds for
one customer as for a thousand. So what a refresh finished is kept, and customers who are asked for
besides are finished together: who comes while a query runs shares the next one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from json import dumps
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.segments.base import CUSTOMER
from shoal.workflows.known import Known

#: Customers that are kept, about 1.5 KB each.
KEPT: Final = 50_000
#: A step of so many customers at most is one of those who did something just now.
FEW: Final = 10_000
#: Rows that are put in while nobody else gets at them.
_HELD: Final = 200
#: Customers that are finished at once.
AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class Row:
    """One customer's features at a moment.

    Args:
        names: of all features, in the order of the catalog.
        numbers: (n,) values of numbers, NaN for null and for texts.
        texts: place -> value of texts.
        whole: places of whole numbers.
    """

    as_of: datetime
    names: tuple[str, ...]
    numbers: npt.NDArray[np.float64]
    texts: Mapping[int, str]
    whole: frozenset[int]

    def values(self) -> dict[str, Any]:
        """Feature by name; None where it is not defined for the customer."""
        found: dict[str, Any] = dict(zip(self.names, self.numbers.tolist(), strict=True))
        for place in self.whole:
            number = found[self.names[place]]
            if number == number:
                found[self.names[place]] = int(number)
        for place in np.flatnonzero(~np.isfinite(self.numbers)).tolist():
            found[self.names[place]] = self.texts.get(place)
        return found

    def written(self) -> list[str]:
        """Each value as JSON, in the order of `names`: what `json` writes of `values`."""
        texts, whole = self.texts, self.whole
        return [
            (str(int(number)) if place in whole else repr(number))
            if number - number == 0.0  # a number, and finite
            else ("null" if place not in texts else dumps(texts[place], ensure_ascii=False))
            for place, number in enumerate(self.numbers.tolist())
        ]


class Finished:
    """Finished features by customer.

    Args:
        finish: features of some customers from their states, and the moment that they are as of.
        most: how many customers are kept.
    """

    def __init__(self, finish: Callable[[Sequence[str]], Known], most: int = KEPT) -> None:
        self._finish, self._most = finish, most
        self._guard = threading.Lock()
        #: One query at a time.
        self._turn = threading.Lock()
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._asked: dict[str, Future[Row | None]] = {}

    def of(self, customer_id: str) -> Row | None:
        """A customer's features; None for one without a state.

        Raises:
            InputError: `too_little_data`, the shop holds no event.
        """
        row = self.kept(customer_id)
        if row is not None:
            return row
        with self._guard:
            waiting = self._asked.setdefault(customer_id, Future())
        with self._turn:
            self._take()
        return waiting.result()

    def kept(self, customer_id: str) -> Row | None:
        """A customer's features if they are at hand; None: they have to be finished."""
        with self._guard:
            row = self._rows.get(customer_id)
            if row is not None:
                self._rows.move_to_end(customer_id)
            return row

    def seen(self, known: Known) -> None:
        """Keep what a step finished: of few customers of all, else of those kept already and of
        others for as long as there is room."""
        names = known.features[CUSTOMER].to_pylist()
        room = self._most - len(self._rows) if len(names) > FEW else self._most
        wanted = []
        for place, name in enumerate(names):
            if name in self._rows:
                wanted.append(place)
            elif room > 0:
                room -= 1
                wanted.append(place)
        features = known.features.take(pa.array(wanted, pa.int64()))
        rows = list(rows_of(Known(known.as_of, features, known.counts)))
        # Some at a time: who asks meanwhile waits for the guard.
        for start in range(0, len(rows), _HELD):
            with self._guard:
                for name, row in rows[start : start + _HELD]:
                    self._keep(name, row)

    def forget(self, customers: Sequence[str]) -> None:
        """Let nothing be kept of some customers."""
        with self._guard:
            for name in customers:
                self._rows.pop(name, None)

    def clear(self) -> None:
        """Let nothing be kept of anybody."""
        with self._guard:
            self._rows.clear()

    def _take(self) -> None:
        """Finish whoever is asked for now."""
        with self._guard:
            names = list(self._asked)[:AT_ONCE]
            asked = {name: self._asked.pop(name) for name in names}
        if not asked:
            return
        try:
            found = dict(rows_of(self._finish(list(asked))))
        except BaseException as error:  # whoever waits has to hear of it, whatever it is
            for one in asked.values():
                one.set_exception(error)
            return
        with self._guard:
            for name, row in found.items():
                self._keep(name, row)
        for name, one in asked.items():
            one.set_result(found.get(name))

    def _keep(self, name: str, row: Row) -> None:
        before = self._rows.get(name)
        if before is not None and before.as_of > row.as_of:
            return
        self._rows[name] = row
        self._rows.move_to_end(name)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)


def rows_of(known: Known) -> Iterator[tuple[str, Row]]:
    """Every customer of a table of features with the row."""
    table = known.features.combine_chunks()
    names = tuple(name for name in table.column_names if name != CUSTOMER)
    kinds = [table.schema.field(name).type for name in names]
    whole = frozenset(n for n, kind in enumerate(kinds) if pa.types.is_integer(kind))
    texts = {n: table[name].to_pylist() for n, name in enumerate(names)
             if pa.types.is_string(kinds[n])}  # fmt: skip
    numbers = np.full((table.num_rows, len(names)), np.nan)
    for place, name in enumerate(names):
        if place not in texts:
            column = table[name].cast(pa.float64())
            numbers[:, place] = column.to_numpy(zero_copy_only=False)
    for row, customer in enumerate(table[CUSTOMER].to_pylist()):
        own = {place: column[row] for place, column in texts.items() if column[row] is not None}
        yield customer, Row(known.as_of, names, numbers[row].copy(), own, whole)
