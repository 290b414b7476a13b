"""Traits of customers that stand apart."""

from __future__ import annotations

from typing import Final

#: Traits and features that are protected unless the shop says otherwise: nothing is learned from
#: them.
PROTECTED: Final = (
    "age", "birth_date", "birth_year", "birthday", "country", "gender", "region", "sex",
)  # fmt: skip
