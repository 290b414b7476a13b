"""Queries that come again over few rows, planned once.

DuckDB plans a query each time it runs. Of the feature catalog over a thousand customers that is two
thirds of the time, whatever the rows are. A kept plan has a cursor of its own whose relations are
slots: DuckDB asks a slot for its rows whenever the plan runs, so nothing is copied in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

import duckdb
import pyarrow as pa

from shoal.ports import Relation

#: Rows of all inputs together up to which a kept plan is used: beyond, planning hardly counts, and
#: the plan should be one for as many rows as there are.
MOST_ROWS: Final = 400_000
#: Plans that are kept; a step of the stream runs some twenty queries.
_KEPT: Final = 64


class _Slot:
    """A relation of a kept plan: the table that it was given last."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._nothing = self.table = schema.empty_table()

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def empty(self) -> None:
        self.table = self._nothing


class _Plan:
    """One query as it was planned; one thread at a time."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, query: str, inputs: Mapping[str, pa.Table]
    ) -> None:
        self._cursor = cursor
        self._slots = {name: _Slot(table.schema) for name, table in inputs.items()}
        for name, slot in self._slots.items():
            cursor.register(name, slot)
        cursor.execute(f"PREPARE kept AS {query}")

    def fits(self, inputs: Mapping[str, pa.Table]) -> bool:
        return self._slots.keys() == inputs.keys() and all(
            self._slots[name].schema.equals(table.schema) for name, table in inputs.items()
        )

    def run(self, inputs: Mapping[str, pa.Table]) -> pa.Table:
        try:
            for name, table in inputs.items():
                self._slots[name].table = table
            return self._cursor.execute("EXECUTE kept").to_arrow_table()
        finally:
            for slot in self._slots.values():
                slot.empty()

    def close(self) -> None:
        self._cursor.close()


class Plans:
    """The kept plans of an engine. Any thread may call.

    Args:
        cursor: makes a cursor that nobody else has.
    """

    def __init__(self, cursor: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._cursor = cursor
        self._lock = threading.Lock()
        #: Plans that nobody runs at the moment, the one that was run last at the end; None: the
        #: query was run once, and a plan of it would have been of no use so far.
        self._plans: dict[str, _Plan | None] = {}

    def run(self, query: str, inputs: Mapping[str, Relation]) -> pa.Table | None:
        """The query's rows; None where it is to be planned for these inputs alone.

        That is for a query's first run, for files and many rows, and while another thread runs it.
        """
        tables = {name: one for name, one in inputs.items() if isinstance(one, pa.Table)}
        if len(tables) < len(inputs) or sum(one.num_rows for one in tables.values()) > MOST_ROWS:
            return None
        with self._lock:
            if query not in self._plans:
                self._keep(query, None)
                return None
            plan = self._plans.pop(query)
        if plan is None or not plan.fits(tables):
            if plan is not None:
                plan.close()
            plan = _Plan(self._cursor(), query, tables)
        try:
            found = plan.run(tables)
        except BaseException:
            plan.close()
            raise
        with self._lock:
            self._keep(query, plan)
        return found

    def _keep(self, query: str, plan: _Plan | None) -> None:
        before = self._plans.pop(query, None)
        if before is not None:  # another thread made one meanwhile
            before.close()
        self._plans[query] = plan
        if len(self._plans) > _KEPT:
            last = self._plans.pop(next(iter(self._plans)))
            if last is not None:
                last.close()
