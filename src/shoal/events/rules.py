"""Rules of a mapping: rows that match a condition on a source column are treated otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.events.texts import as_numbers, as_text

Mask = NDArray[np.bool_]

#: What a condition may ask of a column, and the type of the value it is given.
TESTS: Final = MappingProxyType(
    {
        "equals": str,
        "one_of": list,
        "starts_with": str,
        "below": float,
        "above": float,
        "missing": bool,
    }
)


@dataclass(frozen=True)
class Condition:
    """`column` passes `test` with `value`, as in order_id starts_with C.

    A column is named by its canonical name, where one is mapped, or by its name in the source.
    """

    column: str
    test: str
    value: Any

    def mask(self, table: pa.Table, bound: Mapping[str, str]) -> Mask:
        """Which rows of a raw table pass; `bound` gives the source column of a canonical one."""
        column = table[bound.get(self.column, self.column)]
        if self.test in ("below", "above"):
            numbers = as_numbers(column)
            with np.errstate(invalid="ignore"):
                passed = numbers < self.value if self.test == "below" else numbers > self.value
            return np.asarray(passed, dtype=bool)
        text = as_text(column)
        if self.test == "missing":
            found = pc.is_null(text)
            return _mask(found) if self.value else ~_mask(found)
        if self.test == "equals":
            return _mask(pc.equal(text, str(self.value)))
        if self.test == "one_of":
            return _mask(pc.is_in(text, value_set=pa.array(list(self.value), pa.string())))
        return _mask(pc.starts_with(text, pattern=str(self.value)))


@dataclass(frozen=True)
class Rule:
    """What happens to the rows on which every condition holds.

    Args:
        conditions: all of them must hold.
        set: canonical text column -> constant.
        clear: canonical columns made empty.
        absolute: number columns of which the sign is dropped (`quantity`).
        note: property -> text, where `{Column}` is replaced by the row's value.
        skip: leave the rows out, counted as skipped.
        noise: store the rows, marked as no customer's behaviour: `test_order` or `staff_order`.
        why: one line for a person.
    """

    conditions: tuple[Condition, ...]
    set: Mapping[str, str] = field(default_factory=dict)
    clear: tuple[str, ...] = ()
    absolute: tuple[str, ...] = ()
    note: Mapping[str, str] = field(default_factory=dict)
    skip: bool = False
    noise: str = ""
    why: str = ""

    def mask(self, table: pa.Table, bound: Mapping[str, str]) -> Mask:
        """Which rows of a raw table the rule concerns; `bound` as `SourceMapping.bind` gives it."""
        mask = np.ones(table.num_rows, dtype=bool)
        for condition in self.conditions:
            mask &= condition.mask(table, bound)
        return mask


def _mask(found: pa.ChunkedArray | pa.Array) -> Mask:
    filled = pc.fill_null(found, False)
    return np.asarray(filled.to_numpy(zero_copy_only=False) if isinstance(filled, pa.Array)
                      else filled.to_numpy(), dtype=bool)  # fmt: skip
