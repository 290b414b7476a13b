"""Amounts in tables that were saved with other marks than a decimal point, as the mapping says.

A table of orders is read with the marks that `[money]` of its mapping gives, and the facts are
written with them again: cleaning reads all amounts of a mapping alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from shoal.events.mapping import SourceMapping
from shoal.events.shapes.order_lines import micros_of

#: Flat columns that hold amounts.
_AMOUNTS: Final = ("price", "discount", "tax", "shipping")
_PLAIN: Final = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Marks:
    """The decimal mark and the thousands mark of a file's amounts."""

    decimal: str = "."
    thousands: str = ""

    @classmethod
    def of(cls, mapping: SourceMapping) -> Marks:
        """Those that a mapping gives."""
        return cls(mapping.decimal_mark, mapping.thousands_mark)

    @property
    def usual(self) -> bool:
        return self.decimal == "." and not self.thousands

    def plain(self, text: str) -> str:
        """The amount with a decimal point alone; any other text as it is.

        >>> Marks(",", ".").plain("1.234,50"), Marks(",", ".").plain("n/a")
        ('1234.50', 'n/a')
        """
        bare = text.replace(self.thousands, "") if self.thousands else text
        bare = bare.replace(self.decimal, ".")
        return text if micros_of(bare) is None else bare

    def restored(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write the amounts of flat rows with these marks."""
        if self.decimal == ".":
            return
        for row in rows:
            for name in _AMOUNTS:
                value = row.get(name)
                if value and _PLAIN.fullmatch(value):
                    row[name] = value.replace(".", self.decimal)
