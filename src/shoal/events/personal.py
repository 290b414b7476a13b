"""Which traits and properties are personal, by their names; and the walk that all of it shares.

Names are told apart as they lie when nested objects are opened: `address.city`, `address_city` and
`addressCity` are one name. A name also stands for everything within it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

#: Which ids are hidden: all, or those that are e-mail addresses, where addresses are personal.
ALL: Final = "all"
ADDRESSES: Final = "addresses"

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TRAITS: Final = "traits."
_PROPERTIES: Final = "properties."
#: What these say of an event is said of an item or a page; of a person only as a trait.
OF_ITEMS: Final = frozenset(
    {"name", "title", "category", "brand", "product_id", "sku", "price", "currency", "quantity",
     "order_id", "coupon", "payment_method", "query", "rating", "review_body", "promotion_id",
     "campaign_id", "session_id", "products", "url", "path", "variant", "position"}
)  # fmt: skip
#: A company's traits, kept as JSON in one property.
GROUP: Final = "group"
#: Objects within each other that are looked through; deeper ones are refused anyway.
DEEPEST: Final = 70

#: Makes something of a value under its name.
Change = Callable[[Any, str], Any]


class TooDeepError(ValueError):
    """There are more objects within each other than are looked through."""


@lru_cache(maxsize=16_384)
def plain_name(name: str) -> str:
    """A name of a trait as it is told apart.

    >>> plain_name("firstName"), plain_name("address.city"), plain_name("Email")
    ('first_name', 'address_city', 'email')
    """
    return _HUMP.sub("_", name).replace(".", "_").lower()


@dataclass(frozen=True)
class Personal:
    """Names of what is personal.

    Args:
        traits: of customers, in `profile` events.
        properties: of all other events.
    """

    traits: frozenset[str] = frozenset()
    properties: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Sequence[str]) -> Personal:
        """By names as a shop's configuration has them.

        `traits.NAME` and `properties.NAME` are of one of both; a plain name is of both, but for
        what items and pages have too (`OF_ITEMS`), which is a trait alone.
        """
        traits, properties = set[str](), set[str]()
        for name in names:
            if name.startswith(_TRAITS):
                traits.add(plain_name(name.removeprefix(_TRAITS)))
            elif name.startswith(_PROPERTIES):
                properties.add(plain_name(name.removeprefix(_PROPERTIES)))
            else:
                traits.add(plain_name(name))
                if plain_name(name) not in OF_ITEMS:
                    properties.add(plain_name(name))
        return cls(frozenset(traits), frozenset(properties))

    def __bool__(self) -> bool:
        return bool(self.traits or self.properties)

    def covers(self, name: str, *, trait: bool) -> bool:
        """Whether what has a name (`plain_name`) is personal."""
        return _within(name, self.traits if trait else self.properties)

    def within(self, name: str, *, trait: bool) -> bool:
        """Whether something personal may be within what has a name (`plain_name`)."""
        return _around(name, self.traits if trait else self.properties)

    def covers_either(self, name: str) -> bool:
        """Whether a name is that of something personal, wherever it stands."""
        return _within(plain_name(name), self.traits | self.properties)


@lru_cache(maxsize=65_536)
def _within(name: str, names: frozenset[str]) -> bool:
    return any(name == one or name.startswith(f"{one}_") for one in names)


@lru_cache(maxsize=65_536)
def _around(name: str, names: frozenset[str]) -> bool:
    return any(one.startswith(f"{name}_") for one in names)


@dataclass(frozen=True)
class Walk:
    """Goes through properties and makes something of each value, by its plain name.

    Args:
        leaf: is given what is no object.
        whole: whether a list of that name is given to `leaf` as it is, not what is in it.
        opens: whether a text of that name that is JSON is gone through as what it says.
    """

    leaf: Change
    whole: Callable[[str], bool]
    opens: Callable[[str, str], bool]

    def through(self, found: Mapping[str, Any], within: str = "", depth: int = 0) -> dict[str, Any]:
        """An object with what was made of its values.

        Raises:
            TooDeepError: it is nested too deeply.
        """
        if depth > DEEPEST:
            raise TooDeepError
        return {
            name: self._of(value, within + plain_name(name), depth) for name, value in found.items()
        }

    def _of(self, value: Any, name: str, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            if value[:1] in ("{", "[") and self.opens(name, value):
                inner = _inner(value)
                if inner is not None:
                    # Of a company's traits the names are its own.
                    within = "" if name == GROUP else f"{name}_"
                    return json.dumps(self._inside(inner, name, within, depth), ensure_ascii=False)
        elif kind is dict:
            return self.through(value, f"{name}_", depth + 1)
        elif kind is list and not self.whole(name):
            return self._inside(value, name, f"{name}_", depth)
        return self.leaf(value, name)

    def _inside(self, value: Any, name: str, within: str, depth: int) -> Any:
        """What is in a list, or in a JSON text."""
        if depth > DEEPEST:
            raise TooDeepError
        if type(value) is dict:
            return self.through(value, within, depth + 1)
        if type(value) is list:
            return [self._inside(one, name, within, depth + 1) for one in value]
        return self.leaf(value, name)


def _inner(text: str) -> dict[str, Any] | list[Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None
