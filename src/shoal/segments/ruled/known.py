"""What rules may ask about in a shop: features, traits, and segments of other segmentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, Self

from shoal.events.personal import Personal
from shoal.features.algebra import ValueType
from shoal.features.catalog import Catalog
from shoal.heads.next_period import COLUMNS

#: What the head of the next period says of each customer, where a shop has one.
NEXT_PERIOD: Final[Mapping[str, ValueType]] = MappingProxyType(dict.fromkeys(COLUMNS, "number"))

_CLOSE: Final = 0.6
_SHOWN: Final = 12


@dataclass(frozen=True)
class Known:
    """Names that rules may use.

    Args:
        features: what each holds.
        traits: that the shop declares.
        segments: ids by segmentation; `main` and `rfm` are the current ones.
        counted: features that count something, of which nobody has less than none.
        sealed: properties that are encrypted, of which a rule can only ask whether there is one.
    """

    features: Mapping[str, ValueType]
    traits: tuple[str, ...] = ()
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counted: frozenset[str] = frozenset()
    sealed: Personal | None = None

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        segments: Mapping[str, Sequence[str]] | None = None,
        more: Mapping[str, ValueType] | None = None,
        sealed: Personal | None = None,
    ) -> Self:
        """What a catalog has, and columns of tables given beside it."""
        return cls(
            {one.name: one.type for one in catalog} | dict(more or {}),
            catalog.traits,
            {name: tuple(ids) for name, ids in (segments or {}).items()},
            frozenset(one.name for one in catalog if one.type == "count" and one.unit != "units"),
            sealed,
        )


def suggestion(name: str, allowed: Sequence[str]) -> str:
    """What to write instead of a name that is not known.

    >>> suggestion("ordres", ["orders", "spend"])
    "Did you mean 'orders'? Allowed: orders, spend."
    """
    close = get_close_matches(name, allowed, n=3, cutoff=_CLOSE)
    told = []
    if close:
        told.append(f"Did you mean {' or '.join(map(repr, close))}?")
    if not allowed:
        told.append("There is none.")
    elif len(allowed) <= _SHOWN:
        told.append(f"Allowed: {', '.join(allowed)}.")
    elif not close:
        told.append(f"Allowed: {', '.join(allowed[:_SHOWN])} and {len(allowed) - _SHOWN} more.")
    return " ".join(told)
